//! Injects `launcher-hook` into a virt-launcher pod, as a sidecar (an init container that restarts): it has started
//! before `compute` does, the kubelet starts it again when it dies, and ends it after `compute`.
//!
//! - **compute**: `compute` runs the program once, as its `postStart` hook, to report the device plugin's variables
//!   and the device nodes, which no other container sees. If `compute` has KubeVirt's network-info, it gets a
//!   folder of its own in its place, which the helper fills: what KubeVirt says there, completed from the variables.
//! - **sidecar**: the helper knows only KubeVirt's network-info and Multus' network-status.
//!
//! The command of `compute` stays KubeVirt's own: a program executed before it would cost it its capability. Only the
//! number of hook sockets in it is raised by one. A pod of QoS class Guaranteed stays one, which gives a VM with
//! dedicated CPUs its own. A pod that has the helper is left alone, so a second call changes nothing.

mod container;
mod pod_edit;

use contract::{Quoted, annotation, helper};

use super::attachments::Attachment;
use super::pod::{Container, Pod};
use super::{Denial, LauncherHook, Mode, Patch};
use pod_edit::PodEdit;

/// Injects the helper, and returns whether it did: not every pod needs it, and some have it already.
pub(super) fn inject(
    patch: &mut Patch,
    pod: &Pod<'_>,
    index: usize,
    compute: &Container<'_>,
    attachments: &[Attachment],
    settings: &LauncherHook,
) -> Result<bool, Denial> {
    let mode = mode(pod, settings)?;
    if mode == Mode::Off || pod.is_provisioning() {
        return Ok(false);
    }
    let image = settings.image.as_deref().ok_or_else(|| {
        Denial::launcher_hook(format!(
            "annotation {}: the webhook has no image of launcher-hook to inject: set --launcher-hook-image",
            annotation::LAUNCHER_HOOK
        ))
    })?;
    if pod.all_containers().any(|container| container.name() == helper::CONTAINER) {
        return Ok(false);
    }
    PodEdit::read(pod, index, compute)?.inject(patch, mode, image, attachments, settings)?;
    Ok(true)
}

fn mode(pod: &Pod<'_>, settings: &LauncherHook) -> Result<Mode, Denial> {
    let Some(text) = pod.launcher_hook() else { return Ok(settings.mode) };
    Mode::parse(text).ok_or_else(|| {
        Denial::launcher_hook(format!(
            "annotation {}: {} is not a mode: write off, sidecar or compute",
            annotation::LAUNCHER_HOOK,
            Quoted(text)
        ))
    })
}

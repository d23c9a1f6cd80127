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

mod pod_edit;

use contract::helper::{self, flag, option, subcommand};
use contract::{Quoted, annotation, kubevirt};
use serde_json::{Value, json};

use super::attachments::Attachment;
use super::pod::{Container, Pod};
use super::{Denial, Patch, Reason};
use pod_edit::PodEdit;

/// How the helper gets into pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LauncherHook {
    /// Where no annotation says otherwise.
    pub mode: Mode,
    /// The image with `/launcher-hook` in it; `None` if the helper cannot be injected at all.
    pub image: Option<String>,
    /// `imagePullPolicy` of the containers that are added.
    pub image_pull_policy: String,
    /// Secret of the pod's namespace with which the kubelet may pull the image; `None` if it needs none.
    pub image_pull_secret: Option<String>,
    /// CPU request of the containers that are added; the limit where less would cost the pod its QoS class.
    pub cpu_request: String,
    /// CPU limit of the containers that are added.
    pub cpu_limit: String,
    /// Memory request and limit of the containers that are added.
    pub memory: String,
    /// What the helper is called with besides what its place demands, such as `--assign=multus`.
    pub arguments: Vec<String>,
}

/// Where the helper runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Nowhere.
    #[default]
    Off,
    /// In a container of its own, which learns nothing from `compute`.
    Sidecar,
    /// In a container of its own, to which `compute` reports its devices.
    Compute,
}

impl Default for LauncherHook {
    fn default() -> Self {
        Self {
            mode: Mode::Off,
            image: None,
            image_pull_policy: "IfNotPresent".to_owned(),
            image_pull_secret: None,
            cpu_request: "5m".to_owned(),
            cpu_limit: "100m".to_owned(),
            memory: "16Mi".to_owned(),
            arguments: Vec::new(),
        }
    }
}

/// How many seconds the startup probe waits for the socket.
const PROBE_PATIENCE: u32 = 20;

/// How many seconds the kubelet gives the startup probe. On a slow node, starting its process takes several.
const PROBE_TIMEOUT: u32 = PROBE_PATIENCE + 10;

/// virt-launcher runs as this user and group, and so has to be who opens the socket.
const KUBEVIRT_USER: u32 = 107;

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
        refusal(format!(
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
        refusal(format!(
            "annotation {}: {} is not a mode: write off, sidecar or compute",
            annotation::LAUNCHER_HOOK,
            Quoted(text)
        ))
    })
}

impl Mode {
    /// Reads the annotation [`LAUNCHER_HOOK`](annotation::LAUNCHER_HOOK).
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "off" => Some(Self::Off),
            "sidecar" => Some(Self::Sidecar),
            "compute" => Some(Self::Compute),
            _ => None,
        }
    }
}

fn refusal(message: String) -> Denial {
    Denial { reason: Reason::LauncherHook, message }
}

impl LauncherHook {
    /// `container` with what both modes have in common. It passes Pod Security `restricted`, and a pod that is of QoS
    /// class Guaranteed without it remains so.
    fn container(&self, image: &str, is_guaranteed: bool, mut container: Value) -> Value {
        let cpu_request = if is_guaranteed { &self.cpu_limit } else { &self.cpu_request };
        let common = json!({
            "image": image,
            "imagePullPolicy": self.image_pull_policy,
            "restartPolicy": "Always",
            // `compute` starts once the socket answers, and everything else exists before the socket does. The kubelet
            // probes at once and writes a Warning for each failure, so the probe waits. A slow node is not a reason
            // to give up: ten minutes at least.
            "startupProbe": {
                "exec": {"command": [
                    helper::PROGRAM,
                    subcommand::READY,
                    option(flag::SOCKET_DIR, kubevirt::HOOK_SOCKET_DIRECTORY),
                    option(flag::PATIENCE, &PROBE_PATIENCE.to_string())
                ]},
                "periodSeconds": 1,
                "timeoutSeconds": PROBE_TIMEOUT,
                "failureThreshold": 600
            },
            "resources": {
                "requests": {"cpu": cpu_request, "memory": self.memory},
                "limits": {"cpu": self.cpu_limit, "memory": self.memory}
            },
            // As KubeVirt runs its own sidecars.
            "securityContext": {
                "runAsUser": KUBEVIRT_USER,
                "runAsGroup": KUBEVIRT_USER,
                "runAsNonRoot": true,
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"}
            }
        });
        if let (Value::Object(container), Value::Object(common)) = (&mut container, common) {
            container.extend(common);
        }
        container
    }
}

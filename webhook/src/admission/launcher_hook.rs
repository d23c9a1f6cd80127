//! Puts `launcher-hook` into a virt-launcher pod.
//!
//! - **compute**: an init container copies the program into a volume, and `compute` runs it in front of its
//!   own command. Only there are the device plugin's variables visible.
//!   Where `compute` has KubeVirt's network-info, it gets a directory of its own in that place, which the
//!   helper fills: what KubeVirt says there, completed from the variables.
//! - **sidecar**: a container of its own beside `compute`, which learns of devices from KubeVirt's
//!   network-info and Multus' network-status alone.
//!
//! Either way virt-launcher is told to wait for one more hook socket, and a pod of QoS class Guaranteed stays
//! one: with dedicated CPUs that is what gives the VM its own. A pod that has the helper is left
//! alone, so a second call changes nothing.

mod pieces;

use contract::{Quoted, annotation};
use serde_json::{Value, json};

use super::attachments::Attachment;
use super::pod::{Container, Pod};
use super::{Denial, Patch, Reason};
use pieces::Pieces;

/// How the helper gets into pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LauncherHook {
    /// Where no annotation says otherwise.
    pub mode: Mode,
    /// The image with `/launcher-hook` in it; nothing where the helper cannot be put in at all.
    pub image: Option<String>,
    /// `imagePullPolicy` of the containers that are added.
    pub image_pull_policy: String,
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
    /// In a container of its own.
    Sidecar,
    /// In `compute`, in front of its command.
    Compute,
}

impl Default for LauncherHook {
    fn default() -> Self {
        Self {
            mode: Mode::Off,
            image: None,
            image_pull_policy: "IfNotPresent".to_owned(),
            cpu_request: "5m".to_owned(),
            cpu_limit: "100m".to_owned(),
            memory: "16Mi".to_owned(),
            arguments: Vec::new(),
        }
    }
}

const CONTAINER: &str = "launcher-hook";
/// virt-launcher runs as this user and group, and so has to be who opens the socket.
const KUBEVIRT_USER: u32 = 107;

/// Puts the helper in, and says whether it did: it is not wanted everywhere, and may be there already.
pub(super) fn put_in(
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
            "annotation {}: the webhook has no image of launcher-hook to put into the pod: set --launcher-hook-image",
            annotation::LAUNCHER_HOOK
        ))
    })?;
    let pieces = Pieces::read(pod, index, compute)?;
    match mode {
        Mode::Compute if pieces.runs_in_compute() => return Ok(false),
        Mode::Sidecar if pod.containers().iter().any(|container| container.name() == CONTAINER) => {
            return Ok(false);
        }
        Mode::Compute => pieces.into_compute(patch, image, attachments, settings)?,
        _ => pieces.beside_compute(patch, image, settings)?,
    }
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
    /// `container` and what all that are added have in common. It passes Pod Security `restricted`, and where
    /// the pod is of QoS class Guaranteed without it, it is with it, too.
    fn container(&self, image: &str, is_guaranteed: bool, mut container: Value) -> Value {
        let cpu_request = if is_guaranteed { &self.cpu_limit } else { &self.cpu_request };
        let common = json!({
            "image": image,
            "imagePullPolicy": self.image_pull_policy,
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

//! Puts `launcher-hook` into a virt-launcher pod.
//!
//! - **compute**: an init container copies the program into a volume, and `compute` runs it in front of its
//!   own command. Only there are the device plugin's variables visible.
//! - **sidecar**: a container of its own beside `compute`, which learns of devices from KubeVirt's
//!   network-info alone.
//!
//! Either way virt-launcher is told to wait for one more hook socket. A pod that has the helper is left
//! alone, so a second call changes nothing.

use contract::{NetworkResources, Quoted, Text, annotation, kubevirt};
use json_patch::PatchOperation;
use json_patch::jsonptr::PointerBuf;
use serde_json::{Value, json};

use super::decide::Attachment;
use super::patch::{append, container_place, replace, spec_place};
use super::pod::{Container, Named, Pod, VolumeMount, later};
use super::{Denial, Reason};
use crate::network::{Network, Requirements};

/// How the helper gets into pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LauncherHook {
    /// Where no annotation says otherwise.
    pub mode: Mode,
    /// The image with `/launcher-hook` in it; nothing where the helper cannot be put in at all.
    pub image: Option<String>,
    /// `imagePullPolicy` of the containers that are added.
    pub image_pull_policy: String,
    /// CPU request of the containers that are added.
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
const INSTALLER: &str = "launcher-hook-install";
const PROGRAM_VOLUME: &str = "launcher-hook";
const PROGRAM_DIRECTORY: &str = "/var/run/launcher-hook";
const PROGRAM: &str = "/var/run/launcher-hook/launcher-hook";
/// virt-launcher looks for sockets one directory below the shared one.
const COMPUTE_SOCKET_DIRECTORY: &str = "/var/run/kubevirt-hooks/launcher-hook";
/// virt-launcher runs as this user and group, and so has to be who opens the socket.
const KUBEVIRT_USER: u32 = 107;
/// KubeVirt's own names: where it has hook sidecars itself, the volume is there already.
const SOCKET_VOLUME: &str = "hook-sidecar-sockets";
const PLUGIN_VOLUME: &str = "kubevirt-plugin-sockets";
const PLUGIN_DIRECTORY: &str = "/var/run/kubevirt-plugin";
const NETWORK_INFO_VOLUME: &str = "network-info-annotation";
const NETWORK_INFO_DIRECTORY: &str = "/etc/podinfo";
const COUNT_FLAG: &str = "--hook-sidecars";

/// The operations that put the helper in; none where it is not wanted or there already.
pub(super) fn operations(
    pod: &Pod<'_>,
    index: usize,
    compute: &Container<'_>,
    attachments: &[Attachment],
    settings: &LauncherHook,
) -> Result<Vec<PatchOperation>, Denial> {
    let mode = mode(pod, settings)?;
    if mode == Mode::Off || pod.is_provisioning() {
        return Ok(Vec::new());
    }
    let image = settings.image.as_deref().ok_or_else(|| {
        refusal(format!(
            "annotation {}: the webhook has no image of launcher-hook to put into the pod: set --launcher-hook-image",
            annotation::LAUNCHER_HOOK
        ))
    })?;
    let pieces = Pieces::read(pod, index, compute)?;
    match mode {
        Mode::Compute if pieces.runs_in_compute() => Ok(Vec::new()),
        Mode::Sidecar if pod.containers().iter().any(|container| container.name() == CONTAINER) => {
            Ok(Vec::new())
        }
        Mode::Compute => pieces.into_compute(image, attachments, settings),
        _ => pieces.beside_compute(image, settings),
    }
}

fn mode(pod: &Pod<'_>, settings: &LauncherHook) -> Result<Mode, Denial> {
    match pod.launcher_hook() {
        None => Ok(settings.mode),
        Some("off") => Ok(Mode::Off),
        Some("sidecar") => Ok(Mode::Sidecar),
        Some("compute") => Ok(Mode::Compute),
        Some(other) => Err(refusal(format!(
            "annotation {}: {} is no mode: write off, sidecar or compute",
            annotation::LAUNCHER_HOOK,
            Quoted(other)
        ))),
    }
}

fn refusal(message: String) -> Denial {
    Denial { reason: Reason::LauncherHook, message }
}

/// The parts of the pod that only matter here, read when they do.
struct Pieces<'p> {
    compute: PointerBuf,
    has_init_containers: bool,
    volumes: Option<Vec<Named<'p>>>,
    command: Vec<Text<'p>>,
    arguments: Option<Vec<Text<'p>>>,
    environment: Option<Vec<Named<'p>>>,
    mounts: Option<Vec<VolumeMount<'p>>>,
}

impl<'p> Pieces<'p> {
    fn read(pod: &Pod<'p>, index: usize, compute: &Container<'p>) -> Result<Self, Denial> {
        let unreadable = |error: serde_json::Error| Denial {
            reason: Reason::ObjectUnreadable,
            message: format!(
                "the pod in the review cannot be read: {error}; correct the field at that place"
            ),
        };
        Ok(Self {
            compute: container_place(index),
            has_init_containers: pod.spec.init_containers.is_some(),
            volumes: later(pod.spec.volumes).map_err(unreadable)?,
            command: later(compute.command).map_err(unreadable)?.unwrap_or_default(),
            arguments: later(compute.args).map_err(unreadable)?,
            environment: later(compute.env).map_err(unreadable)?,
            mounts: later(compute.volume_mounts).map_err(unreadable)?,
        })
    }

    fn runs_in_compute(&self) -> bool {
        self.command.first().is_some_and(|program| **program == *PROGRAM)
    }

    fn into_compute(
        self,
        image: &str,
        attachments: &[Attachment],
        settings: &LauncherHook,
    ) -> Result<Vec<PatchOperation>, Denial> {
        if self.command.is_empty() {
            return Err(refusal(
                "container compute has no command for launcher-hook to run in front of, as KubeVirt's always \
                 has: leave the label kubevirt.io=virt-launcher to KubeVirt's own pods"
                    .to_owned(),
            ));
        }
        let program = json!({"name": PROGRAM_VOLUME, "mountPath": PROGRAM_DIRECTORY});
        let mut volumes = vec![json!({"name": PROGRAM_VOLUME, "emptyDir": {}})];
        let mut mounts =
            vec![json!({"name": PROGRAM_VOLUME, "mountPath": PROGRAM_DIRECTORY, "readOnly": true})];
        self.add_sockets(&mut volumes, &mut mounts);
        let installer = settings.container(
            image,
            json!({
                "name": INSTALLER,
                "command": ["/launcher-hook", "install", PROGRAM_DIRECTORY],
                "volumeMounts": [program]
            }),
        );
        let own = [PROGRAM, "exec", "--socket-dir", COMPUTE_SOCKET_DIRECTORY];
        let command: Vec<&str> = own
            .into_iter()
            .chain(settings.arguments.iter().map(String::as_str))
            .chain(["--"])
            .chain(self.command.iter().map(|word| &**word))
            .collect();

        let mut operations = append(spec_place("volumes"), self.volumes.is_some(), volumes);
        operations.extend(append(spec_place("initContainers"), self.has_init_containers, vec![installer]));
        operations.extend(append(self.place("volumeMounts"), self.mounts.is_some(), mounts));
        operations.push(replace(self.place("command"), command));
        operations.extend(self.one_more_socket()?);
        operations.extend(self.network_resources(attachments));
        Ok(operations)
    }

    fn beside_compute(self, image: &str, settings: &LauncherHook) -> Result<Vec<PatchOperation>, Denial> {
        let mut volumes = Vec::new();
        let mut compute_mounts = Vec::new();
        self.add_sockets(&mut volumes, &mut compute_mounts);

        let directory = kubevirt::HOOK_SOCKET_DIRECTORY;
        let mut arguments = vec!["serve".to_owned(), format!("--socket-dir={directory}")];
        let mut mounts = vec![json!({"name": SOCKET_VOLUME, "mountPath": directory, "subPath": CONTAINER})];
        if self.has_volume(NETWORK_INFO_VOLUME) {
            mounts.push(
                json!({"name": NETWORK_INFO_VOLUME, "mountPath": NETWORK_INFO_DIRECTORY, "readOnly": true}),
            );
        }
        if self.has_volume(PLUGIN_VOLUME) {
            mounts.push(json!({"name": PLUGIN_VOLUME, "mountPath": PLUGIN_DIRECTORY, "subPath": CONTAINER}));
            arguments.push(format!("--plugin-socket-dir={PLUGIN_DIRECTORY}"));
        }
        arguments.extend(settings.arguments.iter().cloned());
        let container = settings.container(
            image,
            json!({
                "name": CONTAINER,
                "command": ["/launcher-hook"],
                "args": arguments,
                "volumeMounts": mounts
            }),
        );
        let mut operations = append(spec_place("volumes"), self.volumes.is_some(), volumes);
        operations.extend(append(self.place("volumeMounts"), self.mounts.is_some(), compute_mounts));
        operations.extend(append(spec_place("containers"), true, vec![container]));
        operations.extend(self.one_more_socket()?);
        Ok(operations)
    }

    /// The directory in which virt-launcher looks for hook sockets, where KubeVirt did not make it itself.
    fn add_sockets(&self, volumes: &mut Vec<Value>, mounts: &mut Vec<Value>) {
        if !self.has_volume(SOCKET_VOLUME) {
            volumes.push(json!({"name": SOCKET_VOLUME, "emptyDir": {}}));
        }
        let directory = kubevirt::HOOK_SOCKET_DIRECTORY;
        if !self.mounts.iter().flatten().any(|mount| *mount.mount_path == *directory) {
            mounts.push(json!({"name": SOCKET_VOLUME, "mountPath": directory}));
        }
    }

    /// Raises the count of sockets that virt-launcher waits for, in the argument behind the flag.
    fn one_more_socket(&self) -> Result<Vec<PatchOperation>, Denial> {
        let arguments = self.arguments.as_deref().unwrap_or_default();
        let Some(flag) = arguments.iter().position(|argument| **argument == *COUNT_FLAG) else {
            let items = vec![COUNT_FLAG.into(), "1".into()];
            return Ok(append(self.place("args"), self.arguments.is_some(), items));
        };
        let text = arguments.get(flag + 1).map(|text| &**text).unwrap_or_default();
        let count: u32 = text.parse().map_err(|_| {
            refusal(format!(
                "container compute: argument {COUNT_FLAG}: {} is no number of hook sidecars: write one, as KubeVirt does",
                Quoted(text)
            ))
        })?;
        let place = self.place("args").with_trailing_token(flag + 1);
        Ok(vec![replace(place, count.saturating_add(1).to_string())])
    }

    /// Sets the variable that says which network has which resource; nothing where it says so already.
    fn network_resources(&self, attachments: &[Attachment]) -> Vec<PatchOperation> {
        let place = self.place("env");
        let variable =
            json!({"name": NetworkResources::VARIABLE, "value": resources_of(attachments).to_json()});
        let existing =
            self.environment.iter().flatten().position(|entry| *entry.name == *NetworkResources::VARIABLE);
        match existing {
            Some(position) => vec![replace(place.with_trailing_token(position), variable)],
            None => append(place, self.environment.is_some(), vec![variable]),
        }
    }

    fn has_volume(&self, name: &str) -> bool {
        self.volumes.iter().flatten().any(|volume| *volume.name == *name)
    }

    /// A field of the `compute` container.
    fn place(&self, field: &str) -> PointerBuf {
        self.compute.with_trailing_token(field)
    }
}

/// A NAD with several resources has no one device, and is left out.
fn resources_of(attachments: &[Attachment]) -> NetworkResources {
    let entries = attachments.iter().filter_map(|attachment| match attachment.network.as_deref() {
        Some(Network::Valid(Requirements { resources, .. })) => match resources.as_slice() {
            [resource] => Some((attachment.nad.clone(), resource.clone())),
            _ => None,
        },
        _ => None,
    });
    NetworkResources(entries.collect())
}

impl LauncherHook {
    /// `container` and what all that are added have in common. It passes Pod Security `restricted`.
    fn container(&self, image: &str, mut container: Value) -> Value {
        let common = json!({
            "image": image,
            "imagePullPolicy": self.image_pull_policy,
            "resources": {
                "requests": {"cpu": self.cpu_request, "memory": self.memory},
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

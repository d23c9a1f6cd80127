//! The pod taken apart and put together again with the helper in it.

use contract::{NetworkResources, Quoted, Text, annotation, kubevirt};
use serde_json::{Value, json};

use super::{CONTAINER, LauncherHook, refusal};
use crate::admission::attachments::Attachment;
use crate::admission::pod::{Container, Named, Pod, VolumeMount, later};
use crate::admission::qos_class::is_guaranteed;
use crate::admission::{Denial, Patch};
use crate::network::{Network, Requirements};

const INSTALLER: &str = "launcher-hook-install";
const PROGRAM_VOLUME: &str = "launcher-hook";
const PROGRAM_DIRECTORY: &str = "/var/run/launcher-hook";
const PROGRAM: &str = "/var/run/launcher-hook/launcher-hook";
/// virt-launcher looks for sockets one directory below the shared one.
const COMPUTE_SOCKET_DIRECTORY: &str = "/var/run/kubevirt-hooks/launcher-hook";
/// KubeVirt's own names: where it has hook sidecars itself, the volume is there already.
const SOCKET_VOLUME: &str = "hook-sidecar-sockets";
const PLUGIN_VOLUME: &str = "kubevirt-plugin-sockets";
const PLUGIN_DIRECTORY: &str = "/var/run/kubevirt-plugin";
const COUNT_FLAG: &str = "--hook-sidecars";
/// Where virt-launcher reads network-info.
const NETWORK_INFO_DIRECTORY: &str = "/etc/podinfo";
const KUBEVIRT_NETWORK_INFO_VOLUME: &str = "network-info-annotation";
/// What takes the place of KubeVirt's own volume there: the helper writes into it.
const NETWORK_INFO_VOLUME: &str = "launcher-hook-network-info";
/// The pod's annotations as files, for the helper alone.
const PODINFO_VOLUME: &str = "launcher-hook-podinfo";
const PODINFO_DIRECTORY: &str = "/etc/launcher-hook";
const VMI_NETWORKS: &str = "vmi-networks";

/// Annotations that the helper reads, each with the option that names its file.
const SOURCES: [(&str, &str, &str); 3] = [
    ("--network-info", "network-info", kubevirt::NETWORK_INFO),
    ("--network-status", "network-status", annotation::NETWORK_STATUS),
    ("--networks-annotation", "networks", annotation::NETWORKS),
];

/// The parts of the pod that only matter here, read when they do.
pub(super) struct Pieces<'p> {
    /// Where `compute` is among the containers.
    index: String,
    is_guaranteed: bool,
    has_init_containers: bool,
    volumes: Option<Vec<Named<'p>>>,
    command: Vec<Text<'p>>,
    arguments: Option<Vec<Text<'p>>>,
    environment: Option<Vec<Named<'p>>>,
    mounts: Option<Vec<VolumeMount<'p>>>,
}

impl<'p> Pieces<'p> {
    pub(super) fn read(pod: &Pod<'p>, index: usize, compute: &Container<'p>) -> Result<Self, Denial> {
        let unreadable = |error| Denial::unreadable("pod", &error);
        Ok(Self {
            index: index.to_string(),
            is_guaranteed: is_guaranteed(pod),
            has_init_containers: pod.spec.init_containers.is_some(),
            volumes: later(pod.spec.volumes).map_err(unreadable)?,
            command: later(compute.command).map_err(unreadable)?.unwrap_or_default(),
            arguments: later(compute.args).map_err(unreadable)?,
            environment: later(compute.env).map_err(unreadable)?,
            mounts: later(compute.volume_mounts).map_err(unreadable)?,
        })
    }

    pub(super) fn runs_in_compute(&self) -> bool {
        self.command.first().is_some_and(|program| **program == *PROGRAM)
    }

    pub(super) fn into_compute(
        self,
        patch: &mut Patch,
        image: &str,
        attachments: &[Attachment],
        settings: &LauncherHook,
    ) -> Result<(), Denial> {
        if self.command.is_empty() {
            return Err(refusal(
                "container compute has no command for launcher-hook to run in front of, as KubeVirt's always \
                 has: leave the label kubevirt.io=virt-launcher to KubeVirt's own pods"
                    .to_owned(),
            ));
        }
        let program = json!({"name": PROGRAM_VOLUME, "mountPath": PROGRAM_DIRECTORY});
        let mut volumes = vec![json!({"name": PROGRAM_VOLUME, "emptyDir": {}}), podinfo_volume()];
        let mut mounts = vec![
            json!({"name": PROGRAM_VOLUME, "mountPath": PROGRAM_DIRECTORY, "readOnly": true}),
            json!({"name": PODINFO_VOLUME, "mountPath": PODINFO_DIRECTORY, "readOnly": true}),
        ];
        self.add_sockets(&mut volumes, &mut mounts);
        let mut options = vec![format!("--socket-dir={COMPUTE_SOCKET_DIRECTORY}")];
        options.extend(source_options());
        // Under another name the volume is another: older versions of KubeVirt have another file there.
        let network_info =
            self.mount_at(NETWORK_INFO_DIRECTORY, |volume| volume == KUBEVIRT_NETWORK_INFO_VOLUME);
        if network_info.is_some() {
            volumes.push(json!({"name": NETWORK_INFO_VOLUME, "emptyDir": {}}));
            options.push(format!("--fill-network-info={}", kubevirt::NETWORK_INFO_FILE));
            options.push(format!("--vmi-networks={PODINFO_DIRECTORY}/{VMI_NETWORKS}"));
        }
        let installer = settings.container(
            image,
            self.is_guaranteed,
            json!({
                "name": INSTALLER,
                "command": ["/launcher-hook", "install", PROGRAM_DIRECTORY],
                "volumeMounts": [program]
            }),
        );
        let command: Vec<&str> = [PROGRAM, "exec"]
            .into_iter()
            .chain(options.iter().chain(&settings.arguments).map(String::as_str))
            .chain(["--"])
            .chain(self.command.iter().map(|word| &**word))
            .collect();

        patch.append(["spec", "volumes"], self.volumes.is_some(), volumes);
        patch.append(["spec", "initContainers"], self.has_init_containers, vec![installer]);
        if let Some(index) = network_info {
            let mount = json!({"name": NETWORK_INFO_VOLUME, "mountPath": NETWORK_INFO_DIRECTORY});
            patch.replace(self.place("volumeMounts").into_iter().chain([&*index.to_string()]), mount);
        }
        patch.append(self.place("volumeMounts"), self.mounts.is_some(), mounts);
        patch.replace(self.place("command"), command);
        self.one_more_socket(patch)?;
        self.network_resources(patch, attachments);
        Ok(())
    }

    pub(super) fn beside_compute(
        self,
        patch: &mut Patch,
        image: &str,
        settings: &LauncherHook,
    ) -> Result<(), Denial> {
        let mut volumes = vec![podinfo_volume()];
        let mut compute_mounts = Vec::new();
        self.add_sockets(&mut volumes, &mut compute_mounts);

        let directory = kubevirt::HOOK_SOCKET_DIRECTORY;
        // The device nodes are in `compute` alone, so there is nothing to verify here.
        let mut arguments =
            vec!["serve".to_owned(), format!("--socket-dir={directory}"), "--verify=off".to_owned()];
        arguments.extend(source_options());
        let mut mounts = vec![
            json!({"name": SOCKET_VOLUME, "mountPath": directory, "subPath": CONTAINER}),
            json!({"name": PODINFO_VOLUME, "mountPath": PODINFO_DIRECTORY, "readOnly": true}),
        ];
        if self.has_volume(PLUGIN_VOLUME) {
            mounts.push(json!({"name": PLUGIN_VOLUME, "mountPath": PLUGIN_DIRECTORY, "subPath": CONTAINER}));
            arguments.push(format!("--socket-dir={PLUGIN_DIRECTORY}"));
        }
        arguments.extend(settings.arguments.iter().cloned());
        let container = settings.container(
            image,
            self.is_guaranteed,
            json!({
                "name": CONTAINER,
                "command": ["/launcher-hook"],
                "args": arguments,
                "volumeMounts": mounts
            }),
        );
        patch.append(["spec", "volumes"], self.volumes.is_some(), volumes);
        patch.append(self.place("volumeMounts"), self.mounts.is_some(), compute_mounts);
        patch.append(["spec", "containers"], true, vec![container]);
        self.one_more_socket(patch)
    }

    /// The directory in which virt-launcher looks for hook sockets, where KubeVirt did not make it itself.
    fn add_sockets(&self, volumes: &mut Vec<Value>, mounts: &mut Vec<Value>) {
        if !self.has_volume(SOCKET_VOLUME) {
            volumes.push(json!({"name": SOCKET_VOLUME, "emptyDir": {}}));
        }
        let directory = kubevirt::HOOK_SOCKET_DIRECTORY;
        if self.mount_at(directory, |_| true).is_none() {
            mounts.push(json!({"name": SOCKET_VOLUME, "mountPath": directory}));
        }
    }

    /// Raises the count of sockets that virt-launcher waits for, in the argument behind the flag.
    fn one_more_socket(&self, patch: &mut Patch) -> Result<(), Denial> {
        let arguments = self.arguments.as_deref().unwrap_or_default();
        let Some(flag) = arguments.iter().position(|argument| **argument == *COUNT_FLAG) else {
            patch.append(self.place("args"), self.arguments.is_some(), vec![COUNT_FLAG.into(), "1".into()]);
            return Ok(());
        };
        let text = arguments.get(flag + 1).map(|text| &**text).unwrap_or_default();
        let count: u32 = text.parse().map_err(|_| {
            refusal(format!(
                "container compute: argument {COUNT_FLAG}: {} is no number of hook sidecars: write one, as KubeVirt does",
                Quoted(text)
            ))
        })?;
        let place = (flag + 1).to_string();
        let count = count.saturating_add(1).to_string();
        patch.replace(self.place("args").into_iter().chain([&*place]), count);
        Ok(())
    }

    /// Sets the variable that says which network has which resource; nothing where it says so already.
    fn network_resources(&self, patch: &mut Patch, attachments: &[Attachment]) {
        let place = self.place("env");
        let variable =
            json!({"name": NetworkResources::VARIABLE, "value": resources_of(attachments).to_json()});
        let existing =
            self.environment.iter().flatten().position(|entry| *entry.name == *NetworkResources::VARIABLE);
        match existing {
            Some(position) => {
                patch.replace(place.into_iter().chain([&*position.to_string()]), variable);
            }
            None => patch.append(place, self.environment.is_some(), vec![variable]),
        }
    }

    /// Which of `compute`'s mounts is at a path, if its volume has such a name.
    fn mount_at(&self, path: &str, has_name: impl Fn(&str) -> bool) -> Option<usize> {
        let mut mounts = self.mounts.iter().flatten();
        mounts.position(|mount| mount.mount_path.trim_end_matches('/') == path && has_name(&mount.name))
    }

    fn has_volume(&self, name: &str) -> bool {
        self.volumes.iter().flatten().any(|volume| *volume.name == *name)
    }

    /// A field of the `compute` container.
    fn place<'f>(&'f self, field: &'f str) -> [&'f str; 4] {
        ["spec", "containers", &self.index, field]
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

fn source_options() -> impl Iterator<Item = String> {
    SOURCES.iter().map(|(option, file, _)| format!("{option}={PODINFO_DIRECTORY}/{file}"))
}

/// Annotations as files of the downward API: empty until the annotation is there, and kept up to date.
fn podinfo_volume() -> Value {
    let files = SOURCES.iter().map(|(_, file, key)| (*file, *key));
    let items: Vec<Value> = files
        .chain([(VMI_NETWORKS, annotation::NETWORKS_OF_VMI)])
        .map(|(file, key)| {
            json!({"path": file, "fieldRef": {"fieldPath": format!("metadata.annotations['{key}']")}})
        })
        .collect();
    json!({"name": PODINFO_VOLUME, "downwardAPI": {"items": items}})
}

//! The changes to a pod that inject the helper.

use contract::helper::{self, flag, option, subcommand};
use contract::{NetworkResources, Quoted, Text, annotation, kubevirt};
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::container;
use crate::attachments::Attachment;
use crate::pod::{Container, Named, Pod, VolumeMount, read_deferred};
use crate::qos_class::is_guaranteed;
use crate::{Denial, LauncherHook, Mode, Patch};

/// Has the program, for `compute` to run once.
const PROGRAM_VOLUME: &str = "launcher-hook";
const PROGRAM_DIRECTORY: &str = "/var/run/launcher-hook";
/// Has what `compute` reports.
const REPORT_VOLUME: &str = "launcher-hook-devices";
const REPORT_DIRECTORY: &str = "/var/run/launcher-hook-devices";
/// KubeVirt's own names: a pod with hook sidecars of KubeVirt's has the volume already.
const SOCKET_VOLUME: &str = "hook-sidecar-sockets";
const PLUGIN_VOLUME: &str = "kubevirt-plugin-sockets";
const PLUGIN_DIRECTORY: &str = "/var/run/kubevirt-plugin";
const COUNT_FLAG: &str = "--hook-sidecars";
/// Where virt-launcher reads network-info.
const NETWORK_INFO_DIRECTORY: &str = "/etc/podinfo";
const KUBEVIRT_NETWORK_INFO_VOLUME: &str = "network-info-annotation";
/// Takes the place of KubeVirt's own volume there; the helper fills it.
const NETWORK_INFO_VOLUME: &str = "launcher-hook-network-info";
/// The pod's annotations as files, for the helper alone.
const PODINFO_VOLUME: &str = "launcher-hook-podinfo";
const PODINFO_DIRECTORY: &str = "/etc/launcher-hook";
const VMI_NETWORKS: &str = "vmi-networks";

/// Annotations that the helper reads, each with the flag that names its file.
const SOURCES: [(&str, &str, &str); 3] = [
    (flag::NETWORK_INFO, "network-info", kubevirt::NETWORK_INFO),
    (flag::NETWORK_STATUS, "network-status", annotation::NETWORK_STATUS),
    (flag::NETWORKS_ANNOTATION, "networks", annotation::NETWORKS),
];

/// The parts of the pod that matter to an injection alone, so that they are read for one only.
pub(super) struct PodEdit<'p> {
    /// The index of `compute` among the containers.
    index: String,
    is_guaranteed: bool,
    has_init_containers: bool,
    volumes: Option<Vec<Named<'p>>>,
    image_pull_secrets: Option<Vec<Named<'p>>>,
    command: Vec<Text<'p>>,
    arguments: Option<Vec<Text<'p>>>,
    mounts: Option<Vec<VolumeMount<'p>>>,
    lifecycle: Option<Lifecycle>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lifecycle {
    post_start: Option<IgnoredAny>,
}

/// What is added to the pod.
#[derive(Default)]
struct Additions {
    volumes: Vec<Value>,
    /// Mounts of `compute`.
    compute_mounts: Vec<Value>,
    /// Mounts of the helper's container.
    mounts: Vec<Value>,
    arguments: Vec<String>,
    environment: Vec<Value>,
}

impl<'p> PodEdit<'p> {
    pub(super) fn read(pod: &Pod<'p>, index: usize, compute: &Container<'p>) -> Result<Self, Denial> {
        let unreadable = |error| Denial::unreadable("pod", &error);
        Ok(Self {
            index: index.to_string(),
            is_guaranteed: is_guaranteed(pod),
            has_init_containers: pod.spec.init_containers.is_some(),
            volumes: read_deferred(pod.spec.volumes).map_err(unreadable)?,
            image_pull_secrets: read_deferred(pod.spec.image_pull_secrets).map_err(unreadable)?,
            command: read_deferred(compute.command).map_err(unreadable)?.unwrap_or_default(),
            arguments: read_deferred(compute.args).map_err(unreadable)?,
            mounts: read_deferred(compute.volume_mounts).map_err(unreadable)?,
            lifecycle: read_deferred(compute.lifecycle).map_err(unreadable)?,
        })
    }

    /// Adds the helper's container, and what `compute` needs for it.
    pub(super) fn inject(
        self,
        patch: &mut Patch,
        mode: Mode,
        image: &str,
        attachments: &[Attachment],
        settings: &LauncherHook,
    ) -> Result<(), Denial> {
        let mut additions = self.sidecar();
        if mode == Mode::Compute {
            self.connect_compute(&mut additions, attachments, patch)?;
        }
        let Additions { volumes, compute_mounts, mounts, mut arguments, environment } = additions;
        arguments.extend(settings.arguments.iter().cloned());
        if mode != Mode::Compute {
            // The device nodes are in `compute` alone, and nothing in there reports them. The last one counts.
            arguments.push(option(flag::VERIFY, "off"));
        }
        let mut container = container::complete(
            settings,
            image,
            self.is_guaranteed,
            json!({
                "name": helper::CONTAINER,
                "command": [helper::PROGRAM],
                "args": arguments,
                "volumeMounts": mounts
            }),
        );
        if let (Some(container), false) = (container.as_object_mut(), environment.is_empty()) {
            container.insert("env".to_owned(), environment.into());
        }
        patch.append(["spec", "volumes"], self.volumes.is_some(), volumes);
        patch.append(["spec", "initContainers"], self.has_init_containers, vec![container]);
        patch.append(self.path("volumeMounts"), self.mounts.is_some(), compute_mounts);
        self.add_pull_secret(patch, settings);
        self.count_one_more_socket(patch)
    }

    /// Names the Secret for the helper's image. Those of the pod's ServiceAccount are in the pod by now.
    fn add_pull_secret(&self, patch: &mut Patch, settings: &LauncherHook) {
        let Some(secret) = settings.image_pull_secret.as_deref() else { return };
        if self.image_pull_secrets.iter().flatten().all(|one| *one.name != *secret) {
            let secrets = vec![json!({"name": secret})];
            patch.append(["spec", "imagePullSecrets"], self.image_pull_secrets.is_some(), secrets);
        }
    }

    /// What both modes add: the sockets, and the annotations as files.
    fn sidecar(&self) -> Additions {
        let mut additions = Additions::default();
        let directory = kubevirt::HOOK_SOCKET_DIRECTORY;
        if !self.has_volume(SOCKET_VOLUME) {
            additions.volumes.push(json!({"name": SOCKET_VOLUME, "emptyDir": {}}));
        }
        if self.mount_at(directory, |_| true).is_none() {
            additions.compute_mounts.push(json!({"name": SOCKET_VOLUME, "mountPath": directory}));
        }
        additions.volumes.push(podinfo_volume());
        additions.mounts = vec![
            // virt-launcher looks for sockets one folder below the shared one.
            json!({"name": SOCKET_VOLUME, "mountPath": directory, "subPath": helper::CONTAINER}),
            json!({"name": PODINFO_VOLUME, "mountPath": PODINFO_DIRECTORY, "readOnly": true}),
        ];
        additions.arguments = vec![
            subcommand::SERVE.to_owned(),
            option(flag::SOCKET_DIR, directory),
            format!("--{}", flag::KEEP_SERVING),
        ];
        if self.has_volume(PLUGIN_VOLUME) {
            let mount =
                json!({"name": PLUGIN_VOLUME, "mountPath": PLUGIN_DIRECTORY, "subPath": helper::CONTAINER});
            additions.mounts.push(mount);
            additions.arguments.push(option(flag::SOCKET_DIR, PLUGIN_DIRECTORY));
        }
        let sources = SOURCES.iter().map(|(flag, file, _)| option(flag, &podinfo(file)));
        additions.arguments.extend(sources);
        additions
    }

    /// Has `compute` report its devices once it has started, and read network-info where the helper completes it.
    fn connect_compute(
        &self,
        additions: &mut Additions,
        attachments: &[Attachment],
        patch: &mut Patch,
    ) -> Result<(), Denial> {
        let report = format!("{REPORT_DIRECTORY}/{}", helper::DEVICE_REPORT_NAME);
        self.report_after_start(patch, &report)?;
        for (volume, directory, writer_is_compute) in
            [(PROGRAM_VOLUME, PROGRAM_DIRECTORY, false), (REPORT_VOLUME, REPORT_DIRECTORY, true)]
        {
            let mount = |is_writer: bool| match is_writer {
                true => json!({"name": volume, "mountPath": directory}),
                false => json!({"name": volume, "mountPath": directory, "readOnly": true}),
            };
            additions.volumes.push(json!({"name": volume, "emptyDir": {}}));
            additions.compute_mounts.push(mount(writer_is_compute));
            additions.mounts.push(mount(!writer_is_compute));
        }
        additions
            .arguments
            .extend([option(flag::INSTALL, PROGRAM_DIRECTORY), option(flag::DEVICE_REPORT, &report)]);
        // Older versions of KubeVirt have another volume there, with another file.
        let network_info =
            self.mount_at(NETWORK_INFO_DIRECTORY, |volume| volume == KUBEVIRT_NETWORK_INFO_VOLUME);
        if let Some(index) = network_info {
            let mount = json!({"name": NETWORK_INFO_VOLUME, "mountPath": NETWORK_INFO_DIRECTORY});
            let read_only =
                json!({"name": NETWORK_INFO_VOLUME, "mountPath": NETWORK_INFO_DIRECTORY, "readOnly": true});
            let path = self.path("volumeMounts");
            patch.replace(path.into_iter().chain([&*index.to_string()]), read_only);
            additions.volumes.push(json!({"name": NETWORK_INFO_VOLUME, "emptyDir": {}}));
            additions.mounts.push(mount);
            additions.arguments.extend([
                option(flag::FILL_NETWORK_INFO, kubevirt::NETWORK_INFO_FILE),
                option(flag::VMI_NETWORKS, &podinfo(VMI_NETWORKS)),
            ]);
        }
        additions
            .environment
            .push(json!({"name": NetworkResources::VARIABLE, "value": resources_of(attachments).to_json()}));
        Ok(())
    }

    /// A program in front of KubeVirt's own would cost that its capability; postStart leaves it alone.
    fn report_after_start(&self, patch: &mut Patch, report: &str) -> Result<(), Denial> {
        let program = format!("{PROGRAM_DIRECTORY}/{}", helper::INSTALLED_NAME);
        let hook = json!({"exec": {"command": [program, subcommand::REPORT_DEVICES, report]}});
        let path = self.path("lifecycle");
        match &self.lifecycle {
            None => patch.add(path, json!({"postStart": hook})),
            Some(Lifecycle { post_start: None }) => {
                patch.add(path.into_iter().chain(["postStart"]), hook);
            }
            Some(Lifecycle { post_start: Some(_) }) => {
                return Err(Denial::launcher_hook(format!(
                    "container compute has a lifecycle.postStart, which launcher-hook needs for itself in mode \
                     compute: remove it, or write sidecar or off into annotation {}",
                    annotation::LAUNCHER_HOOK
                )));
            }
        }
        Ok(())
    }

    /// Raises the number of sockets that virt-launcher waits for. The flag is in `command` in all releases of
    /// KubeVirt up to 1.9, in `args` after it; the last one counts.
    fn count_one_more_socket(&self, patch: &mut Patch) -> Result<(), Denial> {
        let words = self.words();
        let value_of = |word: &str| Some(word.strip_prefix(COUNT_FLAG)?.strip_prefix('=')?.to_owned());
        let flag = words.iter().rposition(|(.., word)| *word == COUNT_FLAG || value_of(word).is_some());
        let Some(flag) = flag else {
            patch.append(self.path("args"), self.arguments.is_some(), vec![COUNT_FLAG.into(), "1".into()]);
            return Ok(());
        };
        let joined = words.get(flag).and_then(|(field, index, word)| Some((*field, *index, value_of(word)?)));
        let is_joined = joined.is_some();
        let next = || words.get(flag + 1).map(|(field, index, word)| (*field, *index, (*word).to_owned()));
        let (field, index, value) = joined.or_else(next).unwrap_or_default();
        let count: u32 = value.parse().map_err(|_| {
            Denial::launcher_hook(format!(
                "container compute: flag {COUNT_FLAG}: {} is not a number of hook sidecars: write one, as KubeVirt does",
                Quoted(&value)
            ))
        })?;
        let count = count.saturating_add(1);
        let word = if is_joined { format!("{COUNT_FLAG}={count}") } else { count.to_string() };
        patch.replace(self.path(field).into_iter().chain([&*index.to_string()]), word);
        Ok(())
    }

    /// The command line of `compute`: each word with the field and the index at which it is in the pod.
    fn words(&self) -> Vec<(&'static str, usize, &str)> {
        let command = self.command.iter().enumerate().map(|(index, word)| ("command", index, &**word));
        let arguments = self.arguments.iter().flatten().enumerate();
        command.chain(arguments.map(|(index, word)| ("args", index, &**word))).collect()
    }

    /// The index of the mount of `compute` at a path, if its volume has such a name.
    fn mount_at(&self, path: &str, has_name: impl Fn(&str) -> bool) -> Option<usize> {
        let mut mounts = self.mounts.iter().flatten();
        mounts.position(|mount| mount.mount_path.trim_end_matches('/') == path && has_name(&mount.name))
    }

    fn has_volume(&self, name: &str) -> bool {
        self.volumes.iter().flatten().any(|volume| *volume.name == *name)
    }

    /// The path of a field of the `compute` container.
    fn path<'f>(&'f self, field: &'f str) -> [&'f str; 4] {
        ["spec", "containers", &self.index, field]
    }
}

/// The resource of each NAD; a NAD with several resources has no one device, and is left out.
fn resources_of(attachments: &[Attachment]) -> NetworkResources {
    let entries = attachments.iter().filter_map(|attachment| match &*attachment.requirements()?.resources {
        [resource] => Some((attachment.nad.clone(), resource.clone())),
        _ => None,
    });
    NetworkResources(entries.collect())
}

/// The path of an annotation's file.
fn podinfo(file: &str) -> String {
    format!("{PODINFO_DIRECTORY}/{file}")
}

/// Annotations as files of the downward API: empty until the annotation exists, and kept up to date.
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

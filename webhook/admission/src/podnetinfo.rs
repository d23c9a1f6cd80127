//! A pod's own labels, annotations and hugepages as files in `/etc/podnetinfo`, under the names that
//! network-resources-injector gives them and that DPDK programs (app-netutil) look for.
//!
//! Not for virt-launcher pods: KubeVirt brings what they need itself. A pod that has the volume is left alone,
//! so a second call changes nothing, and so is a container that has something else mounted there.

use serde_json::{Value, json};

use super::pod::{Container, Named, Pod, VolumeMount, read_deferred};
use super::{Denial, Patch};

const VOLUME: &str = "podnetinfo";
const DIRECTORY: &str = "/etc/podnetinfo";
/// By which a program finds its own files among those of the pod's other containers.
const NAME_VARIABLE: &str = "CONTAINER_NAME";

/// Sizes of hugepages, as Kubernetes and as the files call them.
const HUGEPAGES: [(&str, &str); 2] = [("hugepages-1Gi", "hugepages_1G"), ("hugepages-2Mi", "hugepages_2M")];

/// Mounts the files in each container.
pub(super) fn mount(patch: &mut Patch, pod: &Pod<'_>) -> Result<(), Denial> {
    let unreadable = |error| Denial::unreadable("pod", &error);
    let volumes: Option<Vec<Named<'_>>> = read_deferred(pod.spec.volumes).map_err(unreadable)?;
    if volumes.iter().flatten().any(|volume| *volume.name == *VOLUME) {
        return Ok(());
    }
    let mut files = vec![
        json!({"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}),
        json!({"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}}),
    ];
    let mut mounted = false;
    for (index, container) in pod.containers().iter().enumerate() {
        let mounts: Option<Vec<VolumeMount<'_>>> =
            read_deferred(container.volume_mounts).map_err(unreadable)?;
        // Two at one place are refused by the API server.
        if mounts.iter().flatten().any(|mount| mount.mount_path.trim_end_matches('/') == DIRECTORY) {
            continue;
        }
        mounted = true;
        let index = index.to_string();
        let mount = json!({"name": VOLUME, "mountPath": DIRECTORY, "readOnly": true});
        patch.append(["spec", "containers", &index, "volumeMounts"], mounts.is_some(), vec![mount]);
        let hugepages = hugepages(container);
        if hugepages.is_empty() {
            continue;
        }
        files.extend(hugepages);
        let environment: Option<Vec<Named<'_>>> = read_deferred(container.env).map_err(unreadable)?;
        if !environment.iter().flatten().any(|variable| *variable.name == *NAME_VARIABLE) {
            let variable = json!({"name": NAME_VARIABLE, "value": container.name()});
            patch.append(["spec", "containers", &index, "env"], environment.is_some(), vec![variable]);
        }
    }
    if mounted {
        let volume = json!({"name": VOLUME, "downwardAPI": {"items": files}});
        patch.append(["spec", "volumes"], volumes.is_some(), vec![volume]);
    }
    Ok(())
}

/// One file for each request and each limit, in MiB.
fn hugepages(container: &Container<'_>) -> Vec<Value> {
    let Some(resources) = &container.resources else { return Vec::new() };
    let name = container.name();
    let mut files = Vec::new();
    for (resource, file) in HUGEPAGES {
        for (kind, singular, quantities) in
            [("requests", "request", &resources.requests), ("limits", "limit", &resources.limits)]
        {
            if quantities.as_ref().is_some_and(|quantities| quantities.contains_key(resource)) {
                files.push(json!({
                    "path": format!("{file}_{singular}_{name}"),
                    "resourceFieldRef": {
                        "containerName": name, "resource": format!("{kind}.{resource}"), "divisor": "1Mi"
                    },
                }));
            }
        }
    }
    files
}

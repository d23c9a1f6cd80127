//! A pod's own labels, annotations and hugepages as files in `/etc/podnetinfo`, under the names that
//! network-resources-injector gives them and that DPDK programs (app-netutil) look for.
//!
//! Not for virt-launcher pods: KubeVirt brings what they need itself. A pod that has the volume is left alone,
//! so a second call changes nothing, and so is a container that has something else mounted there.

use json_patch::PatchOperation;
use serde_json::{Value, json};

use super::pod::{Container, Named, Pod, VolumeMount, later};
use super::{Denial, patch};

const VOLUME: &str = "podnetinfo";
const DIRECTORY: &str = "/etc/podnetinfo";
/// By which a program finds its own files among those of the pod's other containers.
const NAME_VARIABLE: &str = "CONTAINER_NAME";

/// Sizes of hugepages, as Kubernetes and as the files call them.
const HUGEPAGES: [(&str, &str); 2] = [("hugepages-1Gi", "hugepages_1G"), ("hugepages-2Mi", "hugepages_2M")];

/// The operations that put the files in.
pub(super) fn operations(pod: &Pod<'_>) -> Result<Vec<PatchOperation>, Denial> {
    let unreadable = |error| Denial::unreadable("pod", &error);
    let volumes: Option<Vec<Named<'_>>> = later(pod.spec.volumes).map_err(unreadable)?;
    if volumes.iter().flatten().any(|volume| *volume.name == *VOLUME) {
        return Ok(Vec::new());
    }
    let mut files = vec![
        json!({"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}),
        json!({"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}}),
    ];
    let mut operations = Vec::new();
    for (index, container) in pod.containers().iter().enumerate() {
        let mounts: Option<Vec<VolumeMount<'_>>> = later(container.volume_mounts).map_err(unreadable)?;
        // Two at one place are refused by the API server.
        if mounts.iter().flatten().any(|mount| mount.mount_path.trim_end_matches('/') == DIRECTORY) {
            continue;
        }
        let place = |field: &str| patch::container_place(index).with_trailing_token(field);
        let mount = json!({"name": VOLUME, "mountPath": DIRECTORY, "readOnly": true});
        operations.extend(patch::append(place("volumeMounts"), mounts.is_some(), vec![mount]));
        let hugepages = hugepages(container);
        if hugepages.is_empty() {
            continue;
        }
        files.extend(hugepages);
        let environment: Option<Vec<Named<'_>>> = later(container.env).map_err(unreadable)?;
        if !environment.iter().flatten().any(|variable| *variable.name == *NAME_VARIABLE) {
            let variable = json!({"name": NAME_VARIABLE, "value": container.name()});
            operations.extend(patch::append(place("env"), environment.is_some(), vec![variable]));
        }
    }
    if operations.is_empty() {
        return Ok(operations);
    }
    let volume = json!({"name": VOLUME, "downwardAPI": {"items": files}});
    operations.extend(patch::append(patch::spec_place("volumes"), volumes.is_some(), vec![volume]));
    Ok(operations)
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
            if quantities.as_ref().is_some_and(|quantities| quantities.get(resource).is_some()) {
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

//! What doctor knows of a virt-launcher pod.

use std::collections::BTreeMap;

use admission::held;
use contract::{ResourceName, kubevirt};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::Value;

/// A virt-launcher pod.
#[derive(Debug, Clone, PartialEq)]
pub struct LauncherPod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The uid of its VMI.
    pub created_by: String,
    /// Why it runs no more; `None` as long as it may run.
    pub ended: Option<Ended>,
    /// Why it has no node.
    pub unschedulable: Option<String>,
    /// Its node.
    pub node: Option<String>,
    /// When the kubelet took it, which is when it allocated its devices.
    pub admitted: Option<Timestamp>,
    /// Since when its container `compute` runs; `None` if nobody says that it runs.
    pub running_since: Option<Timestamp>,
    /// The devices that the kubelet gave to `compute`; Kubernetes before 1.33, and without the gate
    /// `ResourceHealthStatus`, names none.
    pub devices: Vec<Device>,
    /// How many of each extended resource its containers hold as long as it runs.
    pub held: BTreeMap<ResourceName, u64>,
    /// The whole of it, for the code that decides.
    pub pod: Value,
}

/// Why a pod runs no more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// In one word, such as `UnexpectedAdmissionError`; empty if nobody said.
    pub reason: String,
    /// In a sentence; may be empty.
    pub message: String,
}

/// A device of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The resource.
    pub resource: String,
    /// Its name with the device plugin: for a VF its PCI address.
    pub id: String,
    /// `Healthy`, `Unhealthy`, `Unknown`.
    pub health: String,
}

impl LauncherPod {
    /// Picks out what doctor needs.
    #[must_use]
    pub fn read(pod: &Pod) -> Self {
        // An object that came as JSON can be written as JSON.
        let json = serde_json::to_value(pod).unwrap_or_default();
        let status = pod.status.as_ref();
        let ended = status.filter(|status| matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")));
        let conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
        let unschedulable = conditions
            .filter(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
            .find_map(|condition| condition.message.clone());
        let mut statuses = status.and_then(|status| status.container_statuses.as_ref()).into_iter().flatten();
        let compute = statuses.find(|container| container.name == kubevirt::COMPUTE_CONTAINER);
        let running = compute.and_then(|compute| compute.state.as_ref()?.running.as_ref());
        Self {
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
            created_by: pod.labels().get("kubevirt.io/created-by").cloned().unwrap_or_default(),
            ended: ended.map(|status| Ended {
                reason: status.reason.clone().unwrap_or_default(),
                message: status.message.clone().unwrap_or_default(),
            }),
            unschedulable,
            node: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            admitted: status.and_then(|status| status.start_time.as_ref()).map(|time| time.0),
            running_since: running.and_then(|running| running.started_at.as_ref()).map(|time| time.0),
            devices: compute.map(devices).unwrap_or_default(),
            held: serde_json::from_str(&json.to_string()).map(|pod| held(&pod)).unwrap_or_default(),
            pod: json,
        }
    }

    /// Whether it may still run.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.ended.is_none()
    }

    /// An annotation, if present and not empty.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        let annotations = self.pod.pointer("/metadata/annotations")?;
        annotations.get(key)?.as_str().filter(|text| !text.trim().is_empty())
    }

    /// Whether launcher-hook runs in it, in whichever way.
    #[must_use]
    pub fn has_helper(&self) -> bool {
        const HELPER: &str = "launcher-hook";
        let lists = ["/spec/containers", "/spec/initContainers", "/spec/volumes"];
        let named = |place: &str| self.pod.pointer(place).and_then(Value::as_array).into_iter().flatten();
        lists
            .into_iter()
            .flat_map(named)
            .any(|one| one.get("name").and_then(Value::as_str).is_some_and(|name| name.contains(HELPER)))
    }
}

fn devices(compute: &ContainerStatus) -> Vec<Device> {
    let resources = compute.allocated_resources_status.iter().flatten();
    resources
        .flat_map(|status| {
            status.resources.iter().flatten().map(|device| Device {
                resource: status.name.clone(),
                id: device.resource_id.clone(),
                health: device.health.clone().unwrap_or_default(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(pod: Value) -> LauncherPod {
        LauncherPod::read(&serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn what_lasting_containers_hold() {
        let limits = |limits: Value| json!({"limits": limits});
        let pod = read(json!({"spec": {
            "initContainers": [
                {"name": "ends", "resources": limits(json!({"a.b/c": "4"}))},
                {"name": "stays", "restartPolicy": "Always", "resources": limits(json!({"a.b/c": "1k"}))},
            ],
            "containers": [
                {"name": "compute", "resources": {"requests": {"a.b/c": "2"}}},
                {"name": "other", "resources": limits(json!({"a.b/d": "1", "a.b/c": "0"}))},
                {"name": "none"},
            ],
        }}));
        let held: Vec<(&str, u64)> = pod.held.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(held, [("a.b/c", 1002), ("a.b/d", 1)]);
    }

    #[test]
    fn what_the_kubelet_says() {
        let pod = read(json!({
            "metadata": {"name": "p", "namespace": "lab", "labels": {"kubevirt.io/created-by": "7"},
                         "annotations": {"a": "b", "blank": " "}},
            "spec": {"nodeName": "n", "containers": [{"name": "compute"}]},
            "status": {
                "phase": "Running",
                "startTime": "2026-03-01T08:00:00Z",
                "containerStatuses": [
                    {"name": "other", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                     "state": {"running": {"startedAt": "2026-03-01T07:00:00Z"}}},
                    {"name": "compute", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                     "state": {"running": {"startedAt": "2026-03-01T08:00:09Z"}},
                     "allocatedResourcesStatus": [
                        {"name": "intel.com/vf", "resources": [{"resourceID": "0000:01:10.2", "health": "Unhealthy"}]},
                     ]},
                ],
            },
        }));
        assert_eq!((pod.created_by.as_str(), pod.node.as_deref(), pod.is_live()), ("7", Some("n"), true));
        assert_eq!(pod.admitted, Some("2026-03-01T08:00:00Z".parse().unwrap()));
        assert_eq!(pod.running_since, Some("2026-03-01T08:00:09Z".parse().unwrap()));
        let device = Device {
            resource: "intel.com/vf".to_owned(),
            id: "0000:01:10.2".to_owned(),
            health: "Unhealthy".to_owned(),
        };
        assert_eq!(pod.devices, [device]);
        assert_eq!((pod.annotation("a"), pod.annotation("blank")), (Some("b"), None));
    }

    #[test]
    fn why_a_pod_runs_no_more() {
        let pod = read(
            json!({"status": {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "no VF"}}),
        );
        let expected = Ended { reason: "UnexpectedAdmissionError".to_owned(), message: "no VF".to_owned() };
        assert_eq!(pod.ended, Some(expected));
        assert!(!pod.is_live() && read(json!({"status": {"phase": "Pending"}})).is_live());
    }
}

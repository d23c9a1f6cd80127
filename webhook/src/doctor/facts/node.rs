//! What doctor knows of a node.

use std::collections::BTreeMap;

use admission::quantity::whole;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// How many of each extended resource it can allocate.
    pub allocatable: BTreeMap<String, u64>,
    /// Whether its kubelet says that it is ready; `None` if the node has no such condition.
    pub ready: Option<Ready>,
    /// Whether new pods are kept away from it (`kubectl cordon`).
    pub cordoned: bool,
}

/// The condition `Ready` of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Whether it is `True`.
    pub is_true: bool,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Why, in one word.
    pub reason: String,
}

impl Node {
    /// Picks out what doctor needs.
    #[must_use]
    pub fn read(node: &core::Node) -> Self {
        let status = node.status.as_ref();
        let allocatable = status.and_then(|status| status.allocatable.as_ref()).into_iter().flatten();
        let extended = allocatable.filter(|(name, _)| name.contains('/'));
        // The API server writes 1000 as "1k".
        let counted = extended.filter_map(|(name, quantity)| Some((name.clone(), whole(&quantity.0)?)));
        let conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
        let mut ready = conditions.filter(|condition| condition.type_ == "Ready").map(|condition| Ready {
            is_true: condition.status == "True",
            since: condition.last_transition_time.as_ref().map(|time| time.0),
            reason: condition.reason.clone().unwrap_or_default(),
        });
        Self {
            name: node.name_any(),
            allocatable: counted.collect(),
            ready: ready.next(),
            cordoned: node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or_default(),
        }
    }

    /// Whether its kubelet no longer says that it is ready: then what the API has of its pods is old.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.ready.as_ref().is_some_and(|ready| !ready.is_true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quantities_and_readiness_are_read_as_the_api_server_writes_them() {
        let node = json!({
            "metadata": {"name": "a"},
            "spec": {"unschedulable": true},
            "status": {
                "allocatable": {"cpu": "8", "bridge.network.kubevirt.io/br10": "1k", "intel.com/vf": "0"},
                "conditions": [
                    {"type": "MemoryPressure", "status": "False"},
                    {"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown",
                     "lastTransitionTime": "2026-03-01T08:00:00Z"},
                ],
            },
        });
        let node = Node::read(&serde_json::from_value(node).unwrap());
        let allocatable: Vec<_> =
            node.allocatable.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(allocatable, [("bridge.network.kubevirt.io/br10", 1000), ("intel.com/vf", 0)]);
        assert!(node.is_silent() && node.cordoned);
        let ready = node.ready.unwrap();
        assert_eq!(ready.since, Some("2026-03-01T08:00:00Z".parse().unwrap()));
        assert_eq!(ready.reason, "NodeStatusUnknown");
    }

    #[test]
    fn a_node_without_conditions_is_not_called_silent() {
        let node = Node::read(&serde_json::from_value(json!({"metadata": {"name": "a"}})).unwrap());
        assert_eq!(node, Node { name: "a".to_owned(), ..Node::default() });
        assert!(!node.is_silent());
    }
}

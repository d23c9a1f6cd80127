//! Who wants a resource: virtual machines that hold it, and those that wait for it.

use crate::doctor::facts::{LauncherPod, Node};

/// How often a node has the resource, and how many of these its virtual machines hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Held<'f> {
    pub(super) node: &'f str,
    pub(super) held: u64,
    pub(super) allocatable: u64,
}

/// The nodes that advertise the resource.
pub(super) fn held<'f>(resource: &str, nodes: &'f [Node], pods: &[LauncherPod]) -> Vec<Held<'f>> {
    let on = |node: &Node| {
        let there = |pod: &&LauncherPod| pod.is_live() && pod.node.as_ref() == Some(&node.name);
        let held = |pod: &LauncherPod| {
            let held = pod.held.iter().find(|(name, _)| name.as_str() == resource);
            held.map_or(0, |(_, count)| *count)
        };
        pods.iter().filter(there).map(held).sum()
    };
    nodes
        .iter()
        .filter_map(|node| {
            let allocatable = *node.allocatable.get(resource)?;
            Some(Held { node: &node.name, held: on(node), allocatable })
        })
        .collect()
}

/// The pods for which the scheduler finds no node because the resource is short.
pub(super) fn waiting(resource: &str, pods: &[LauncherPod]) -> Vec<String> {
    let waits = |pod: &&LauncherPod| {
        pod.is_live() && pod.unschedulable.as_deref().is_some_and(|reason| is_short(resource, reason))
    };
    pods.iter().filter(waits).map(|pod| format!("{}/{}", pod.namespace, pod.name)).collect()
}

/// Whether the scheduler's sentence says `Insufficient` of this resource, and not of one whose name begins so.
fn is_short(resource: &str, reason: &str) -> bool {
    let mut words = reason.split_whitespace();
    while words.any(|word| word == "Insufficient") {
        if words.next().is_some_and(|word| word.trim_end_matches(['.', ',']) == resource) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    const RESOURCE: &str = "intel.com/sriov_vfio";

    #[rstest]
    #[case::last("0/1 nodes are available: 1 Insufficient intel.com/sriov_vfio.", true)]
    #[case::before_others(
        "0/2 nodes are available: 1 Insufficient cpu, 2 Insufficient intel.com/sriov_vfio, 1 x.",
        true
    )]
    #[case::a_sentence_follows("1 Insufficient intel.com/sriov_vfio. no new claims to deallocate", true)]
    #[case::a_longer_name("0/1 nodes are available: 1 Insufficient intel.com/sriov_vfio_x710.", false)]
    #[case::another("0/1 nodes are available: 1 Insufficient memory.", false)]
    #[case::named_otherwise("intel.com/sriov_vfio", false)]
    #[case::nothing_follows("1 Insufficient", false)]
    fn the_sentence_of_the_scheduler(#[case] reason: &str, #[case] expected: bool) {
        assert_eq!(is_short(RESOURCE, reason), expected);
    }

    #[test]
    fn each_node_counts_for_itself() {
        let node = |name: &str, count: Option<u64>| Node {
            name: name.to_owned(),
            allocatable: count
                .map(|count| (RESOURCE.to_owned(), count))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
            ..Node::default()
        };
        let pod_in_phase = |phase: &str, node: Option<&str>, limits: Value| {
            let pod = json!({
                "metadata": {"name": "virt-launcher-a", "namespace": "default"},
                "spec": {"nodeName": node, "containers": [
                    {"name": "compute", "resources": {"limits": limits}},
                    {"name": "without-limits"},
                ]},
                "status": {"phase": phase},
            });
            LauncherPod::read(&serde_json::from_value(pod).unwrap())
        };
        let pod = |node: Option<&str>, limits: Value| pod_in_phase("Running", node, limits);
        let nodes = [node("a", Some(4)), node("b", Some(2)), node("none", None)];
        let pods = [
            pod(Some("a"), json!({RESOURCE: "2"})),
            pod(Some("a"), json!({RESOURCE: "1", "intel.com/other": "7"})),
            pod(None, json!({RESOURCE: "5"})),
            pod(Some("none"), json!({RESOURCE: "6"})),
            pod_in_phase("Failed", Some("a"), json!({RESOURCE: "9"})),
        ];
        let expected =
            [Held { node: "a", held: 3, allocatable: 4 }, Held { node: "b", held: 0, allocatable: 2 }];
        assert_eq!(held(RESOURCE, &nodes, &pods), expected);
    }
}

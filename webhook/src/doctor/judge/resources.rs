//! NADs and nodes: does each have what the other speaks of, and is there enough of it?

use std::collections::{BTreeMap, BTreeSet};

use admission::Network;
use apiserver::Failure;
use contract::NadName;

use super::demand::{held, waiting};
use super::wording::{on_nodes, pods_wait, some};
use super::{dra, seen};
use crate::doctor::facts::{Dra, Facts, LauncherPod, Nads, Node, Ready};
use crate::doctor::{Check, Code, Finding, ObjectRef};

const CHECK: Check = Check::Resource;

pub(super) fn resources(facts: &Facts) -> Vec<Finding> {
    let networks = match seen(CHECK, facts.networks.as_ref()) {
        Ok(networks) => networks,
        Err(findings) => return findings,
    };
    let nodes = match seen(CHECK, facts.nodes.as_ref()) {
        Ok(nodes) => nodes,
        Err(findings) => return findings,
    };
    let needed = resources_of(networks);
    let mut findings = Vec::new();
    let pods = match seen(CHECK, facts.pods.as_ref()) {
        Ok(pods) => pods.as_slice(),
        Err(unseen) => {
            findings.extend(unseen);
            &[]
        }
    };
    if needed.is_empty() {
        findings.push(Finding::ok(CHECK, "no NAD names a resource, so no pod needs one"));
    }
    let facts = facts.dra.as_ref();
    let unseen = dra::unseen(facts);
    let mut matters = false;
    let is_known = |resource: &str| nodes.iter().any(|node| node.allocatable.contains_key(resource));
    for (resource, nads) in &needed {
        let served = dra::served(facts, resource);
        // A device plugin that has ended leaves a zero, and the scheduler then takes devices of the class.
        let is_advertised =
            nodes.iter().any(|node| node.allocatable.get(resource).is_some_and(|count| *count > 0));
        let of_plugin = || one(resource, nads, nodes, pods, facts);
        let found = match (&served, is_advertised) {
            (Some(served), false) => vec![served.alone(&named_by(nads), pods)],
            (Some(served), true) => vec![of_plugin(), served.beside(pods)],
            (None, _) => match unseen.as_ref().filter(|_| !is_known(resource)) {
                Some(why) => {
                    matters = true;
                    vec![unseen_class(resource, nads, why)]
                }
                None => vec![of_plugin()],
            },
        };
        findings.extend(found.into_iter().map(|finding| finding.about(ObjectRef::resource(resource))));
        findings.extend(lost(resource, served.is_some(), nodes, pods));
    }
    let note = unseen.filter(|_| !matters && !needed.is_empty());
    findings
        .extend(note.map(|why| Finding::ok(CHECK, format!("DeviceClasses (DRA) are not looked at: {why}"))));
    findings.extend(nodes.iter().filter_map(|node| silent(node, &needed)));
    let domains = domains(needed.keys());
    let advertised: BTreeSet<&String> = nodes.iter().flat_map(|node| node.allocatable.keys()).collect();
    for resource in advertised {
        if !needed.contains_key(resource) && domain(resource).is_some_and(|domain| domains.contains(domain)) {
            findings.push(Finding::warning(
                CHECK, Code::ResourceUnused,
                format!("{resource}: {}, and no NAD names it", supply(resource, nodes)),
                format!(
                    "for a network of virtual machines, annotate its NAD: k8s.v1.cni.cncf.io/resourceName: {resource}"
                ),
            ).about(ObjectRef::resource(resource)));
        }
    }
    findings
}

/// Before an install: which nodes have devices.
pub(super) fn before_install(facts: &Facts) -> Vec<Finding> {
    let nodes = match seen(CHECK, facts.nodes.as_ref()) {
        Ok(nodes) => nodes,
        Err(findings) => return findings,
    };
    let named = facts.networks.as_ref().and_then(|networks| networks.as_ref().ok()).map(resources_of);
    let named = named.unwrap_or_default();
    let domains = domains(named.keys());
    let advertised: BTreeSet<&String> = nodes.iter().flat_map(|node| node.allocatable.keys()).collect();
    let is_ours = |resource: &&&String| {
        named.contains_key(**resource) || domain(resource).is_some_and(|domain| domains.contains(domain))
    };
    let one = |resource: &&String| {
        let found = format!("{resource}: {}", supply(resource, nodes));
        Finding::ok(CHECK, found).about(ObjectRef::resource(resource))
    };
    let findings: Vec<Finding> = advertised.iter().filter(is_ours).map(one).collect();
    if !findings.is_empty() {
        return findings;
    }
    vec![Finding::warning(
        CHECK,
        Code::ResourceNotAdvertised,
        format!(
            "no node of {} advertises a resource of an SR-IOV device plugin or one that a NAD names",
            nodes.len()
        ),
        "install the SR-IOV device plugin or operator; a resource with another prefix than intel.com and openshift.io is \
         known by a NAD that names it",
    )]
}

/// The prefixes of resources that are taken for SR-IOV: graphics cards and KubeVirt's own devices are advertised in the
/// same way.
fn domains<'r>(named: impl Iterator<Item = &'r String>) -> BTreeSet<&'r str> {
    named.filter_map(|resource| domain(resource)).chain(["intel.com", "openshift.io"]).collect()
}

/// Each resource, and the NADs that name it.
pub(super) fn resources_of(nads: &Nads) -> BTreeMap<String, Vec<&NadName>> {
    let mut resources: BTreeMap<String, Vec<&NadName>> = BTreeMap::new();
    for (name, nad) in &nads.0 {
        if let Network::Valid(requirements) = &nad.network {
            for resource in &requirements.resources {
                resources.entry(resource.to_string()).or_default().push(name);
            }
        }
    }
    resources
}

fn named_by(nads: &[&NadName]) -> String {
    format!("named by {}", some(nads))
}

/// No node advertises a resource, and whether a DeviceClass serves it cannot be seen.
fn unseen_class(resource: &str, nads: &[&NadName], why: &str) -> Finding {
    Finding::unknown(
        CHECK,
        Code::CannotRead,
        format!(
            "{resource}: no node advertises it, and whether a DeviceClass serves it (DRA) is unknown: {why}; {}",
            named_by(nads)
        ),
        "use a kubeconfig that may list deviceclasses, resourceslices and resourceclaims (examples/doctor.yaml)",
    )
}

fn one(
    resource: &str,
    nads: &[&NadName],
    nodes: &[Node],
    pods: &[LauncherPod],
    dra: Option<&Result<Dra, Failure>>,
) -> Finding {
    let by = named_by(nads);
    let counts: Vec<u64> = nodes.iter().filter_map(|node| node.allocatable.get(resource).copied()).collect();
    if counts.is_empty() {
        return Finding::wrong(
            CHECK,
            Code::ResourceNotAdvertised,
            format!("{resource}: no node advertises it{}; {by}", dra::nor_served(dra)),
            "compare resourcePrefix and resourceName of the device plugin's configuration, or resourceName of the \
             SriovNetworkNodePolicy, with the NAD's annotation; launcher-hook check on the node says whether it is fit",
        );
    }
    if counts.iter().all(|count| *count == 0) {
        return Finding::wrong(
            CHECK,
            Code::ResourceWithoutDevices,
            format!("{resource}: {}; {by}", supply(resource, nodes)),
            "the device plugin knows the resource and finds no VF: are VFs created and bound to vfio-pci? launcher-hook check \
             on the node says what is missing",
        );
    }
    if nodes.iter().filter(|node| node.allocatable.contains_key(resource)).all(Node::is_silent) {
        return Finding::wrong(
            CHECK,
            Code::ResourceNodesNotReady,
            format!("{resource}: {}, and none of them is ready; {by}", supply(resource, nodes)),
            "kubectl describe node says why; until one is ready, pods that need the resource cannot start",
        );
    }
    let waiting = waiting(resource, pods);
    if !waiting.is_empty() {
        let held = held(resource, nodes, pods).into_iter();
        let held: Vec<_> =
            held.map(|one| format!("{} of {} on {}", one.held, one.allocatable, one.node)).collect();
        return Finding::warning(
            CHECK,
            Code::ResourceExhausted,
            format!(
                "{resource}: {} for it: {}; virtual machines hold {}; {by}",
                pods_wait(waiting.len()),
                some(&waiting),
                some(&held)
            ),
            "create more VFs (sriov_numvfs of the PF, numVfs of the SriovNetworkNodePolicy), or stop a virtual machine \
             that holds some; those that seem free are held by other pods, or are fewer than a pod needs",
        );
    }
    Finding::ok(CHECK, format!("{resource}: {}; {by}", supply(resource, nodes)))
}

/// A node that advertises resources and does not answer.
fn silent(node: &Node, needed: &BTreeMap<String, Vec<&NadName>>) -> Option<Finding> {
    let Ready { reason, since, .. } = node.ready.as_ref().filter(|ready| !ready.is_true)?;
    let counted = node.allocatable.iter().filter(|(resource, _)| needed.contains_key(*resource));
    let counted: Vec<String> = counted.map(|(resource, count)| format!("{count} {resource}")).collect();
    if counted.is_empty() {
        return None;
    }
    let since = since.map(|since| format!(" since {since}")).unwrap_or_default();
    Some(Finding::warning(
        CHECK, Code::NodeNotReady,
        format!(
            "node {} is not ready{since} ({reason}): no pod can get its {}",
            node.name,
            counted.join(", ")
        ),
        format!(
            "kubectl describe node {} says why; until it is ready, what the API server knows of its pods and devices is stale",
            node.name
        ),
    ).about(ObjectRef::of_cluster("Node", &node.name)))
}

/// Nodes that advertise fewer devices than virtual machines hold there: devices have gone from under them.
///
/// Where a DeviceClass serves the resource, a node whose device plugin has ended is not one of them.
fn lost(resource: &str, is_served: bool, nodes: &[Node], pods: &[LauncherPod]) -> Vec<Finding> {
    let lost = held(resource, nodes, pods)
        .into_iter()
        .filter(|one| one.held > one.allocatable && !(is_served && one.allocatable == 0));
    lost.map(|one| {
        Finding::wrong(
            CHECK, Code::DevicesLost,
            format!(
                "{resource}: virtual machines on node {} hold {}, and it advertises {}: devices have gone since they started",
                one.node, one.held, one.allocatable
            ),
            "were the VFs created again after the node's restart, is the device plugin's configuration the same, is a \
             VF unhealthy? launcher-hook check on the node says what is missing; then delete the pods of virtual \
             machines whose VF is gone, so that new ones are allocated",
        ).about(ObjectRef::of_cluster("Node", one.node))
    })
    .collect()
}

fn supply(resource: &str, nodes: &[Node]) -> String {
    let counts: Vec<u64> = nodes.iter().filter_map(|node| node.allocatable.get(resource).copied()).collect();
    let total: u64 = counts.iter().sum();
    let cordoned =
        nodes.iter().filter(|node| node.cordoned && node.allocatable.contains_key(resource)).count();
    let cordoned = if cordoned > 0 { format!(", {cordoned} of them cordoned") } else { String::new() };
    format!("{total} {}{cordoned}", on_nodes(counts.len()))
}

fn domain(resource: &str) -> Option<&str> {
    resource.split_once('/').map(|(domain, _)| domain)
}

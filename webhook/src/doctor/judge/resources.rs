//! NADs and nodes: does each have what the other speaks of, and is there enough of it?

use std::collections::{BTreeMap, BTreeSet};

use contract::NadName;

use super::demand::{held, waiting};
use super::seen;
use crate::cluster::Unseen;
use crate::doctor::facts::{Facts, LauncherPod, Node};
use crate::doctor::{Check, Finding};
use crate::network::Network;

/// So many names in one line; the rest is counted.
const NAMED: usize = 3;

pub(super) fn networks(facts: &Facts) -> Vec<Finding> {
    const CHECK: Check = Check::Nad;
    if let Some(Err(unseen @ Unseen::NotServed { .. })) = &facts.networks {
        return vec![Finding::wrong(CHECK, unseen.to_string(), "install Multus, which brings them")];
    }
    let networks = match seen(CHECK, facts.networks.as_ref()) {
        Ok(networks) => networks,
        Err(findings) => return findings,
    };
    if networks.is_empty() {
        let remedy = "create one for each network; examples/nads.yaml shows three";
        return vec![Finding::warning(CHECK, "there are none", remedy)];
    }
    let mut findings: Vec<Finding> = networks
        .iter()
        .filter_map(|(name, network)| match network {
            Network::Valid(_) => None,
            Network::Invalid(error) => Some(Finding::wrong(
                CHECK,
                format!("{name}: {error}"),
                "correct the annotation; until then pods that name it are refused",
            )),
        })
        .collect();
    let valid = networks.len() - findings.len();
    let named = resources_of(networks).values().flatten().collect::<BTreeSet<_>>().len();
    findings.insert(0, Finding::ok(CHECK, format!("{valid} in order, {named} of them name a resource")));
    findings
}

pub(super) fn resources(facts: &Facts) -> Vec<Finding> {
    const CHECK: Check = Check::Resource;
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
    for (resource, nads) in &needed {
        findings.push(one(resource, nads, nodes, pods));
    }
    // Only what stands beside a resource that a NAD names, or is the device plugin's or the operator's own, is
    // taken for SR-IOV: graphics cards and KubeVirt's own devices are advertised in the same way.
    let domains: BTreeSet<&str> =
        needed.keys().filter_map(|resource| domain(resource)).chain(["intel.com", "openshift.io"]).collect();
    let advertised: BTreeSet<&String> = nodes.iter().flat_map(|node| node.allocatable.keys()).collect();
    for resource in advertised {
        if !needed.contains_key(resource) && domain(resource).is_some_and(|domain| domains.contains(domain)) {
            findings.push(Finding::warning(
                CHECK,
                format!("{resource}: {}, and no NAD names it", supply(resource, nodes)),
                format!(
                    "for a network of virtual machines, annotate its NAD: k8s.v1.cni.cncf.io/resourceName: {resource}"
                ),
            ));
        }
    }
    findings
}

/// Each resource, and the NADs that name it.
fn resources_of(networks: &BTreeMap<NadName, Network>) -> BTreeMap<String, Vec<&NadName>> {
    let mut resources: BTreeMap<String, Vec<&NadName>> = BTreeMap::new();
    for (name, network) in networks {
        if let Network::Valid(requirements) = network {
            for resource in &requirements.resources {
                resources.entry(resource.to_string()).or_default().push(name);
            }
        }
    }
    resources
}

fn one(resource: &str, nads: &[&NadName], nodes: &[Node], pods: &[LauncherPod]) -> Finding {
    const CHECK: Check = Check::Resource;
    let by = format!("named by {}", some(nads));
    let counts: Vec<u64> = nodes.iter().filter_map(|node| node.allocatable.get(resource).copied()).collect();
    if counts.is_empty() {
        return Finding::wrong(
            CHECK,
            format!("{resource}: no node advertises it; {by}"),
            "compare resourcePrefix and resourceName of the device plugin's configuration, or resourceName of the \
             SriovNetworkNodePolicy, with the NAD's annotation; launcher-hook check on the node says whether it is fit",
        );
    }
    if counts.iter().all(|count| *count == 0) {
        return Finding::wrong(
            CHECK,
            format!("{resource}: {}; {by}", supply(resource, nodes)),
            "the device plugin knows it and finds no VF: are VFs created and bound to vfio-pci? launcher-hook check \
             on the node says what is missing",
        );
    }
    let waiting = waiting(resource, pods);
    if !waiting.is_empty() {
        let held = held(resource, nodes, pods).into_iter();
        let held: Vec<_> =
            held.map(|one| format!("{} of {} on {}", one.held, one.allocatable, one.node)).collect();
        let wait = if waiting.len() == 1 {
            "1 pod waits".to_owned()
        } else {
            format!("{} pods wait", waiting.len())
        };
        return Finding::warning(
            CHECK,
            format!(
                "{resource}: {wait} for it: {}; virtual machines hold {}; {by}",
                some(&waiting),
                some(&held)
            ),
            "create more VFs (sriov_numvfs of the PF, numVfs of the SriovNetworkNodePolicy), or stop a virtual machine \
             that holds some; those that seem free are held by other pods, or are fewer than a pod needs",
        );
    }
    Finding::ok(CHECK, format!("{resource}: {}; {by}", supply(resource, nodes)))
}

/// The first few by name, the others by number.
fn some(things: &[impl ToString]) -> String {
    let names: Vec<String> = things.iter().take(NAMED).map(ToString::to_string).collect();
    let more = things.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", names.join(", "))
}

fn supply(resource: &str, nodes: &[Node]) -> String {
    let counts: Vec<u64> = nodes.iter().filter_map(|node| node.allocatable.get(resource).copied()).collect();
    let total: u64 = counts.iter().sum();
    match counts.len() {
        1 => format!("{total} on 1 node"),
        several => format!("{total} on {several} nodes"),
    }
}

fn domain(resource: &str) -> Option<&str> {
    resource.split_once('/').map(|(domain, _)| domain)
}

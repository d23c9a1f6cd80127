//! What to tell the author of a VMI about its networks.
//!
//! Nothing is refused here: a NAD may be made after the VMI. What looks wrong is a warning, which kubectl
//! shows at once, where otherwise only an event on a pod that never came would say it.

use std::collections::BTreeMap;

use contract::vmi::{Interface, Vmi};
use contract::{NadName, Quoted, VmiNetwork, VmiNetworks, annotation};
use json_patch::PatchOperation;
use json_patch::jsonptr::PointerBuf;
use serde_json::json;

use super::Options;
use super::patch::{add, replace};
use crate::network::{Network, Networks};
use crate::nodes::Nodes;

/// What is to be answered about a VMI.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VmiDecision {
    /// Writes the annotation that says what stands behind each network; nothing where it says so already.
    pub operations: Vec<PatchOperation>,
    /// What its author should look at.
    pub warnings: Vec<String>,
    /// NADs that nobody has heard of: worth looking up, and deciding again.
    pub unknown: Vec<NadName>,
}

/// Decides about a VMI that is to be created or changed in `namespace`.
///
/// `nodes` tells whether a resource is to be had at all; what it does not know is not warned of.
pub fn decide_vmi(
    vmi: &Vmi,
    namespace: &str,
    networks: &impl Networks,
    nodes: &impl Nodes,
    options: &Options,
) -> VmiDecision {
    let mut decision = VmiDecision::default();
    let mut known = VmiNetworks::default();
    let interfaces = vmi.spec.domain.devices.interfaces.as_deref().unwrap_or_default();
    let is_sriov = |name: &str| interfaces.iter().any(|one| one.name == name && one.is_sriov());

    for network in vmi.spec.networks.iter().flatten() {
        let Some(multus) = &network.multus else { continue };
        let place = format!("spec.networks {}", Quoted(&network.name));
        let nad = match multus.nad(namespace) {
            Ok(nad) => nad,
            Err(problem) => {
                decision.warnings.push(format!("{place}: multus.networkName: {problem}"));
                continue;
            }
        };
        if options.namespace_isolation
            && nad.namespace() != namespace
            && !options.global_namespaces.iter().any(|global| global == nad.namespace())
        {
            decision.warnings.push(format!(
                "{place}: a pod in namespace {namespace} may not use NetworkAttachmentDefinition {nad}: the pod \
                 will be refused"
            ));
        }
        let resource = match networks.get(&nad).as_deref() {
            None => {
                decision.warnings.push(format!(
                    "{place}: NetworkAttachmentDefinition {nad} does not exist: create it, or correct the name; \
                     until then the virtual machine's pod is refused"
                ));
                decision.unknown.push(nad);
                continue;
            }
            Some(Network::Invalid(error)) => {
                decision.warnings.push(format!("{place}: NetworkAttachmentDefinition {nad}: {error}"));
                continue;
            }
            Some(Network::Valid(requirements)) => match requirements.resources.as_slice() {
                [resource] => Some(resource.clone()),
                _ => None,
            },
        };
        let sriov = is_sriov(&network.name);
        if resource.is_none() && sriov {
            decision.warnings.push(format!(
                "{place}: its interface is sriov, but NetworkAttachmentDefinition {nad} names no resource in \
                 {}: the virtual machine will get no VF for it",
                options.resource_annotations.join(" or ")
            ));
        }
        if let Some(resource) = &resource
            && nodes.offer(resource) == Some(false)
        {
            decision.warnings.push(format!(
                "{place}: no node offers the resource {resource} of NetworkAttachmentDefinition {nad}: the \
                 virtual machine's pod will wait until one does; see the SR-IOV device plugin on the nodes"
            ));
        }
        let default = multus.default.unwrap_or_default();
        known.0.insert(network.name.clone(), VmiNetwork { nad, resource, sriov, default });
    }
    decision.warnings.extend(lonely(vmi, interfaces));
    decision.warnings.extend(alike(&known, interfaces));
    decision.operations.extend(annotate(vmi, &known));
    decision
}

/// Interfaces that connect to nothing a VF could come from.
fn lonely<'v>(vmi: &'v Vmi, interfaces: &'v [Interface]) -> impl Iterator<Item = String> + 'v {
    interfaces.iter().filter(|interface| interface.is_sriov()).filter_map(|interface| {
        let network = vmi.spec.networks.iter().flatten().find(|network| network.name == interface.name);
        let what = match network {
            Some(network) if network.multus.is_some() => return None,
            Some(_) => "is not a Multus network, and only those have VFs",
            None => "is not in spec.networks",
        };
        let name = Quoted(&interface.name);
        Some(format!("interface {name} is sriov, but network {name} {what}"))
    })
}

/// Interfaces that nothing but their order tells apart: one NAD, and no MAC address of their own.
fn alike(known: &VmiNetworks, interfaces: &[Interface]) -> Vec<String> {
    let mut by_nad: BTreeMap<&NadName, Vec<&str>> = BTreeMap::new();
    for interface in interfaces.iter().filter(|one| one.is_sriov() && one.mac_address.is_none()) {
        if let Some(network) = known.0.get(&interface.name) {
            by_nad.entry(&network.nad).or_default().push(&interface.name);
        }
    }
    let several = by_nad.into_iter().filter(|(_, names)| names.len() > 1);
    several
        .map(|(nad, names)| {
            format!(
                "interfaces {} are VFs of NetworkAttachmentDefinition {nad} with no macAddress of their own: \
                 nothing but their order tells them apart",
                names.join(", ")
            )
        })
        .collect()
}

fn annotate(vmi: &Vmi, known: &VmiNetworks) -> Option<PatchOperation> {
    if known.0.is_empty() {
        return None;
    }
    let (key, value) = (annotation::NETWORKS_OF_VMI, known.to_json());
    let annotations = PointerBuf::from_tokens(["metadata", "annotations"]);
    let Some(existing) = &vmi.metadata.annotations else {
        return Some(add(annotations, json!({key: value})));
    };
    let place = annotations.with_trailing_token(key);
    match existing.get(key) {
        Some(Some(text)) if *text == value => None,
        Some(_) => Some(replace(place, value)),
        None => Some(add(place, value)),
    }
}

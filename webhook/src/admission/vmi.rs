//! What to tell the author of a VMI about its networks.
//!
//! Nothing is refused here: a NAD may be made after the VMI. What looks wrong is a warning, which kubectl
//! shows at once, where otherwise only an event on a pod that never came would say it.
//! However much a VMI names, the warnings are few.

use std::collections::BTreeMap;

use contract::vmi::{Interface, Network as VmisNetwork, Vmi};
use contract::{ListTooLong, NadName, Quoted, ShortList, VmiNetwork, VmiNetworks, annotation, cut};
use serde_json::json;

use super::sentences::Sentences;
use super::{Options, Patch, Unresolved};
use crate::network::{Network, Networks};
use crate::nodes::Nodes;

/// What is to be answered about a VMI.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VmiDecision {
    /// Writes the annotation that says what stands behind each network, or removes one that says what nobody
    /// knows; nothing where it is as it should be.
    pub patch: Patch,
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
    let mut known = VmiNetworks::default();
    let mut unknown = Vec::new();
    let mut warnings = Sentences::default();
    let (listed, interfaces) = match lists(vmi) {
        Ok(lists) => lists,
        Err(problem) => {
            return VmiDecision { patch: annotate(vmi, &known), warnings: vec![problem], unknown };
        }
    };
    let is_sriov = |name: &str| interfaces.iter().any(|one| one.name == name && one.is_sriov());

    for network in listed {
        let Some(multus) = &network.multus else { continue };
        let place = || format!("spec.networks {}", Quoted(&network.name));
        // KubeVirt hands the default network's name to Multus as it is.
        let default_namespace = if multus.default { &options.multus_namespace } else { namespace };
        let nad = match multus.nad(default_namespace) {
            Ok(nad) => nad,
            Err(problem) => {
                warnings.add(|| format!("{}: multus.networkName: {problem}", place()));
                continue;
            }
        };
        if options.isolates(namespace, &nad, multus.default) {
            warnings.add(|| {
                format!(
                    "{}: a pod in namespace {namespace} may not use NetworkAttachmentDefinition {nad}: the pod \
                     will be refused",
                    place()
                )
            });
        }
        let resource = match networks.get(&nad).as_deref() {
            None => {
                warnings.add(|| {
                    let until_then = match options.on_unresolved {
                        Unresolved::Deny => "the virtual machine's pod is refused",
                        Unresolved::Warn => "the virtual machine gets no VF for it",
                    };
                    format!(
                        "{}: NetworkAttachmentDefinition {nad} does not exist: create it, or correct the name; \
                         until then {until_then}",
                        place()
                    )
                });
                unknown.push(nad);
                continue;
            }
            Some(Network::Invalid(error)) => {
                warnings.add(|| format!("{}: NetworkAttachmentDefinition {nad}: {error}", place()));
                continue;
            }
            Some(Network::Valid(requirements)) => match requirements.resources.as_slice() {
                [resource] => Some(resource.clone()),
                _ => None,
            },
        };
        let sriov = is_sriov(&network.name);
        if resource.is_none() && sriov {
            warnings.add(|| {
                format!(
                    "{}: its interface is sriov, but NetworkAttachmentDefinition {nad} names no resource in {}: \
                     the virtual machine will get no VF for it",
                    place(),
                    options.resource_annotations.join(" or ")
                )
            });
        }
        if let Some(resource) = &resource
            && nodes.offer(resource) == Some(false)
        {
            warnings.add(|| {
                format!(
                    "{}: no node offers the resource {resource} of NetworkAttachmentDefinition {nad}: the \
                     virtual machine's pod will wait until one does; see the SR-IOV device plugin on the nodes",
                    place()
                )
            });
        }
        known.0.insert(network.name.clone(), VmiNetwork { nad, resource, sriov, default: multus.default });
    }
    lonely(listed, interfaces).chain(alike(&known, interfaces)).for_each(|warning| warnings.add(|| warning));
    VmiDecision { patch: annotate(vmi, &known), warnings: warnings.into_vec(), unknown }
}

/// The VMI's networks and interfaces, each compared with each: lists that nobody needs are not looked at.
fn lists(vmi: &Vmi) -> Result<(&[VmisNetwork], &[Interface]), String> {
    fn whole<'v, T>(place: &str, list: &'v Option<ShortList<T>>) -> Result<&'v [T], String> {
        let Some(list) = list else { return Ok(&[]) };
        list.check().map_err(|problem: ListTooLong| format!("{place} {problem}"))?;
        Ok(list)
    }
    let interfaces = whole("spec.domain.devices.interfaces", &vmi.spec.domain.devices.interfaces)?;
    Ok((whole("spec.networks", &vmi.spec.networks)?, interfaces))
}

/// Interfaces that connect to nothing a VF could come from.
fn lonely<'v>(networks: &'v [VmisNetwork], interfaces: &'v [Interface]) -> impl Iterator<Item = String> + 'v {
    interfaces.iter().filter(|interface| interface.is_sriov()).filter_map(|interface| {
        let network = networks.iter().find(|network| network.name == interface.name);
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
                first_few(&names)
            )
        })
        .collect()
}

/// Names in a sentence, which stays short.
fn first_few(names: &[&str]) -> String {
    const NAMED: usize = 8;
    // As long as KubeVirt lets the name of an interface be.
    const LONGEST: usize = 63;
    let named: Vec<&str> = names.iter().take(NAMED).map(|name| cut(name, LONGEST)).collect();
    match names.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

fn annotate(vmi: &Vmi, known: &VmiNetworks) -> Patch {
    let mut patch = Patch::default();
    let key = annotation::NETWORKS_OF_VMI;
    let place = ["metadata", "annotations", key];
    if known.0.is_empty() {
        // Old, or forged: launcher-hook would believe it.
        let is_there = vmi.metadata.annotations.as_ref().is_some_and(|existing| existing.contains_key(key));
        if is_there {
            patch.remove(place);
        }
        return patch;
    }
    let value = known.to_json();
    match vmi.metadata.annotations.as_ref().map(|existing| existing.get(key)) {
        None => patch.add(["metadata", "annotations"], json!({key: value})),
        Some(None) => patch.add(place, value),
        Some(Some(Some(text))) if *text == value => {}
        Some(Some(_)) => patch.replace(place, value),
    }
    patch
}

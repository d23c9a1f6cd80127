//! What to tell the author of a VMI about its networks.
//!
//! Nothing is refused here: a NAD may be made after the VMI. What looks wrong is a warning, which kubectl
//! shows at once, where otherwise only an event on a pod that never came would say it.
//! However much a VMI names, the warnings are few.

use std::collections::BTreeMap;

use contract::vmi::{Interface, MultusNetwork, Network as VmisNetwork, Vmi};
use contract::{NadName, Quoted, ResourceName, VmiNetwork, VmiNetworks, annotation, cut, helper};
use serde_json::json;

use super::attachments::unavailable;
use super::bounded_messages::BoundedMessages;
use super::decide::whose_device;
use super::ignored::Ignored;
use super::suggestion::suggestion;
use super::{Mode, Options, Patch, Unresolved, Verdict};
use crate::Nodes;
use crate::network::{DeviceSource, Lookup, Network, Networks, Requirements};

/// Decides about a VMI that will be created or changed in `namespace`.
///
/// `nodes` tells whether a resource is offered at all; what it does not know is not warned of. The patch writes the
/// annotation that says what stands behind each network, or removes one that says what nobody knows.
pub fn decide_vmi(
    vmi: &Vmi,
    namespace: &str,
    networks: &impl Networks,
    nodes: &impl Nodes,
    options: &Options,
) -> Verdict {
    let (listed, interfaces) = match vmi.spec.lists() {
        Ok(lists) => lists,
        Err(problem) => {
            let nothing_known = annotate(vmi, &VmiNetworks::default());
            return Verdict { warnings: vec![problem.to_string()], ..Verdict::new(nothing_known.into()) };
        }
    };
    let mut found = Found::default();
    let ignored = Ignored::parse(own_annotation(vmi, annotation::IGNORE_NETWORKS), namespace);
    let ignored = ignored.unwrap_or_else(|error| {
        found.warnings.add(|| format!("{error}; until then the virtual machine's pod is denied"));
        Ignored::default()
    });
    let review = Review { vmi, namespace, interfaces, ignored, options };
    for network in listed {
        if let Some(multus) = &network.multus {
            review.look_up(network, multus, networks, nodes, &mut found);
        }
    }
    let Found { known, selected, unknown, mut warnings } = found;
    review
        .ignored
        .idle(|nad| selected.contains(nad))
        .chain(review.plugins())
        .chain(review.lonely(listed))
        .chain(review.alike(&known))
        .chain(review.unlocked(listed))
        .for_each(|warning| warnings.add(|| warning));
    Verdict { warnings: warnings.into_vec(), unknown, ..Verdict::new(annotate(vmi, &known).into()) }
}

/// What is found out about the networks of a VMI, one after the other.
#[derive(Default)]
struct Found {
    known: VmiNetworks,
    /// The NADs that the VMI names.
    selected: Vec<NadName>,
    /// Those of them that do not exist.
    unknown: Vec<NadName>,
    warnings: BoundedMessages,
}

/// What the sentences about one VMI depend on.
struct Review<'v> {
    vmi: &'v Vmi,
    namespace: &'v str,
    interfaces: &'v [Interface],
    ignored: Ignored,
    options: &'v Options,
}

/// Why nothing stands behind a network.
enum Unknown {
    /// Its NAD does not exist.
    Missing,
    /// Its NAD says nothing that can be used, of which there is a warning.
    Unusable,
}

impl<'v> Review<'v> {
    /// Adds to `found` what stands behind one network, or why nothing does.
    fn look_up(
        &self,
        network: &VmisNetwork,
        multus: &MultusNetwork,
        networks: &impl Networks,
        nodes: &impl Nodes,
        found: &mut Found,
    ) {
        let Found { known, selected, unknown, warnings } = found;
        let place = || format!("spec.networks {}", Quoted(&network.name));
        let nad = match multus.nad(self.namespace, &self.options.multus_namespace) {
            Ok(nad) => nad,
            Err(problem) => {
                warnings.add(|| format!("{}: multus.networkName: {problem}", place()));
                return;
            }
        };
        selected.push(nad.clone());
        if self.options.isolates(self.namespace, &nad, multus.default) {
            warnings.add(|| {
                format!(
                    "{}: a pod in namespace {} may not use NetworkAttachmentDefinition {nad}: the pod will be refused",
                    place(),
                    self.namespace
                )
            });
        }
        let claim = match self.vmi.spec.claim(network) {
            Ok(claim) => claim,
            Err(problem) => {
                warnings.add(|| format!("{}: {problem}", place()));
                return;
            }
        };
        let resource = if self.ignored.contains(&nad) {
            Ok(None)
        } else {
            let looked_up = networks.get(&nad);
            let looked_up = if claim.is_some() { looked_up.claimed() } else { looked_up };
            self.resource(network, &nad, looked_up, nodes, &mut |problem| {
                warnings.add(|| format!("{}: {problem}", place()));
            })
        };
        match resource {
            Ok(resource) => {
                let sriov = self.has_interface(&network.name, Interface::is_sriov);
                let entry = VmiNetwork { nad, resource, claim, sriov, default: multus.default };
                known.0.insert(network.name.clone(), entry);
            }
            Err(Unknown::Missing) => {
                let similar = suggestion(&nad, self.namespace, networks, self.options);
                warnings.add(|| format!("{}: {}", place(), self.missing(&nad, similar.as_ref())));
                unknown.push(nad);
            }
            Err(Unknown::Unusable) => {}
        }
    }

    /// The one resource of the NAD that stands behind `network`, if it has one.
    fn resource(
        &self,
        network: &VmisNetwork,
        nad: &NadName,
        found: Lookup,
        nodes: &impl Nodes,
        warn: &mut dyn FnMut(String),
    ) -> Result<Option<ResourceName>, Unknown> {
        let known = match found {
            Lookup::Known(known) => known,
            Lookup::Missing => return Err(Unknown::Missing),
            Lookup::Unavailable(reason) => {
                warn(format!("NetworkAttachmentDefinition {nad}: {}", unavailable(&reason)));
                return Err(Unknown::Unusable);
            }
        };
        match &*known {
            Network::Invalid(error) => {
                warn(format!("NetworkAttachmentDefinition {nad}: {error}"));
                Err(Unknown::Unusable)
            }
            Network::Valid(requirements) => {
                self.device(network, nad, requirements, nodes).for_each(warn);
                match requirements.resources.as_slice() {
                    [resource] => Ok(Some(resource.clone())),
                    _ => Ok(None),
                }
            }
        }
    }

    fn has_interface(&self, name: &str, is_such: impl Fn(&Interface) -> bool) -> bool {
        self.interfaces.iter().any(|interface| interface.name == name && is_such(interface))
    }

    /// The binding plugin whose interfaces launcher-hook serves.
    fn plugin(&self) -> &'v str {
        helper::binding(&self.options.launcher_hook.arguments)
    }

    /// Whether the guest is to see a VF.
    fn is_vf(&self, interface: &Interface) -> bool {
        interface.is_sriov() || interface.is_bound_by(self.plugin())
    }

    fn missing(&self, nad: &NadName, similar: Option<&NadName>) -> String {
        let until_then = match self.options.on_unresolved {
            Unresolved::Deny => "the virtual machine's pod is denied",
            Unresolved::Warn => "the virtual machine gets no VF for it",
        };
        let similar = similar.map(|similar| format!("; did you mean {similar}?")).unwrap_or_default();
        format!(
            "NetworkAttachmentDefinition {nad} does not exist: create it, or correct the name; until then \
             {until_then}{similar}"
        )
    }

    /// What is wrong with the device that `nad` leads to.
    fn device(
        &self,
        network: &VmisNetwork,
        nad: &NadName,
        requirements: &Requirements,
        nodes: &impl Nodes,
    ) -> impl Iterator<Item = String> {
        let from_plugin = matches!(requirements.device_source, None | Some(DeviceSource::DevicePlugin));
        let has_vf = self.has_interface(&network.name, |interface| self.is_vf(interface));
        let lacks_resource = (has_vf && from_plugin && requirements.resources.is_empty()).then(|| {
            let kind = if self.has_interface(&network.name, Interface::is_sriov) {
                "is sriov".to_owned()
            } else {
                format!("uses the network binding plugin {}", Quoted(self.plugin()))
            };
            format!(
                "its interface {kind}, but NetworkAttachmentDefinition {nad} names no resource in {}: the virtual \
                 machine will get no VF for it",
                self.options.resource_annotations.join(" or ")
            )
        });
        let not_offered = match requirements.resources.as_slice() {
            [resource] if nodes.offer(resource) == Some(false) => Some(format!(
                "no node offers the resource {resource} of NetworkAttachmentDefinition {nad}, and no DeviceClass serves \
                 it: the virtual machine's pod will wait until one does; see the SR-IOV device plugin or the DRA driver on \
                 the nodes"
            )),
            _ => None,
        };
        let has_claims = self.vmi.spec.resource_claims.as_deref().is_some_and(|claims| !claims.is_empty());
        let unclear =
            has_claims && requirements.device_source.is_none() && !requirements.resources.is_empty();
        let unclear = unclear.then(|| {
            let consequence = "the virtual machine's pod will request its resource, too";
            format!("the VMI has resource claims, and {}", whose_device(nad, consequence, "the VMI"))
        });
        [lacks_resource, not_offered, unclear].into_iter().flatten()
    }

    /// What KubeVirt does not do for interfaces of launcher-hook's binding plugin.
    fn plugins(&self) -> impl Iterator<Item = String> {
        let plugin = self.plugin();
        let bound = self.interfaces.iter().filter(move |interface| interface.is_bound_by(plugin));
        let names: Vec<&str> = bound.map(|interface| interface.name.as_str()).collect();
        let who =
            || format!("interfaces of the network binding plugin {} ({})", Quoted(plugin), first_few(&names));
        let is_left_alone = self.helper() == Some(Mode::Off);
        let no_helper = (is_left_alone && !names.is_empty()).then(|| {
            format!(
                "{}: the webhook does not inject launcher-hook, which attaches their VFs: annotate the VMI with {}: \
                 compute, unless the plugin's own sidecar is launcher-hook; without it the virtual machine starts \
                 without these interfaces",
                who(),
                annotation::LAUNCHER_HOOK
            )
        });
        let migration = (!names.is_empty()).then(|| {
            format!(
                "{}: KubeVirt migrates such a virtual machine, and attaches VFs of sriov: {{}} alone to the target: a \
                 live migration loses these; use sriov: {{}}, or do not migrate it",
                who()
            )
        });
        [no_helper, migration].into_iter().flatten()
    }

    /// Where launcher-hook will run; `None` if the VMI's annotation is not valid, which refuses the pod.
    fn helper(&self) -> Option<Mode> {
        match own_annotation(self.vmi, annotation::LAUNCHER_HOOK) {
            None => Some(self.options.launcher_hook.mode),
            Some(text) => Mode::parse(text),
        }
    }

    /// Interfaces that connect to nothing a VF could come from.
    fn lonely(&self, networks: &'v [VmisNetwork]) -> impl Iterator<Item = String> {
        self.interfaces.iter().filter(|interface| self.is_vf(interface)).filter_map(|interface| {
            let network = networks.iter().find(|network| network.name == interface.name);
            let what = match network {
                Some(network) if network.multus.is_some() => return None,
                Some(network) if network.resource_claim.is_some() => {
                    let problem = self.vmi.spec.claim(network).err()?;
                    return Some(format!("spec.networks {}: {problem}", Quoted(&network.name)));
                }
                Some(_) => "is not a Multus network and has no resource claim: others have no VFs",
                None => "is not in spec.networks",
            };
            let name = Quoted(&interface.name);
            let kind = if interface.is_sriov() { "is sriov" } else { "needs a VF" };
            Some(format!("interface {name} {kind}, but network {name} {what}"))
        })
    }

    /// Claimed VFs of a binding plugin, in a VMI that does not have QEMU's limit of locked memory lifted.
    fn unlocked(&self, networks: &'v [VmisNetwork]) -> Option<String> {
        let is_claimed = |interface: &&Interface| {
            let network = networks.iter().find(|network| network.name == interface.name);
            interface.is_bound_by(self.plugin()) && network.is_some_and(|one| one.resource_claim.is_some())
        };
        let names: Vec<&str> =
            self.interfaces.iter().filter(is_claimed).map(|interface| interface.name.as_str()).collect();
        let has_sriov = self.interfaces.iter().any(Interface::is_sriov);
        (!names.is_empty() && !has_sriov && !self.vmi.spec.domain.locks_memory()).then(|| {
            format!(
                "interfaces {} have a VF of a resource claim: QEMU locks the guest's memory for it, and KubeVirt lifts the \
                 limit only if spec.domain.memory.reservedOverhead.memLock is Required (feature gate \
                 ReservedOverheadMemlock); without it the node's own limit counts",
                first_few(&names)
            )
        })
    }

    /// Interfaces that nothing but their order tells apart: one NAD, and no MAC address of their own.
    fn alike(&self, known: &VmiNetworks) -> Vec<String> {
        let mut by_nad: BTreeMap<&NadName, Vec<&str>> = BTreeMap::new();
        let unmarked = |one: &&Interface| self.is_vf(one) && one.mac_address.is_none();
        for interface in self.interfaces.iter().filter(unmarked) {
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
}

fn own_annotation<'v>(vmi: &'v Vmi, key: &str) -> Option<&'v str> {
    vmi.metadata.annotations.as_ref()?.get(key)?.as_deref()
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

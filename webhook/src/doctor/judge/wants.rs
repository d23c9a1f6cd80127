//! Which networks of a VMI want a device.

use std::collections::BTreeSet;

use admission::Options;
use contract::NadName;

use crate::doctor::facts::{Facts, Machine, MachineNetwork, Nad, Nads};

/// The NAD of a network, if it has one and its name is a name.
pub(super) fn nad_of(machine: &Machine, network: &MachineNetwork, options: &Options) -> Option<NadName> {
    network.multus.as_ref()?.nad(&machine.namespace, &options.multus_namespace).ok()
}

/// Whether a network needs a device, or nobody can say that it does not.
pub(super) fn needs_device(
    machine: &Machine,
    network: &MachineNetwork,
    nads: &Nads,
    options: &Options,
) -> bool {
    if network.claim.is_some() {
        return true;
    }
    let nad = nad_of(machine, network, options);
    nad.and_then(|nad| nads.0.get(&nad))
        .is_none_or(|nad| !nad.needs_no_device() || (network.sriov && nad.names_no_resource()))
}

/// Whether a network's device is a VF that its NAD has to name a resource for.
pub(super) fn wants_resource(network: &MachineNetwork) -> bool {
    network.sriov && network.claim.is_none()
}

/// The NADs of networks whose device the VMI claims.
pub(super) fn claimed(facts: &Facts, options: &Options) -> BTreeSet<NadName> {
    let machines = facts.machines.iter().flatten().flatten().filter(|machine| !machine.has_ended());
    let networks = machines.flat_map(|machine| {
        let networks = machine.networks.as_deref().unwrap_or_default().iter();
        networks.filter(|network| network.claim.is_some()).map(move |network| (machine, network))
    });
    networks.filter_map(|(machine, network)| nad_of(machine, network, options)).collect()
}

/// The NADs of sriov interfaces that name no resource.
pub(super) fn without_resource(facts: &Facts, options: &Options) -> BTreeSet<NadName> {
    let (Some(Ok(machines)), Some(Ok(nads))) = (&facts.machines, &facts.networks) else {
        return BTreeSet::new();
    };
    let of_machine = |machine: &'_ Machine| {
        let networks =
            machine.networks.as_deref().unwrap_or_default().iter().filter(|network| wants_resource(network));
        networks.filter_map(|network| nad_of(machine, network, options)).collect::<Vec<_>>()
    };
    let used = machines.iter().filter(|machine| !machine.has_ended()).flat_map(of_machine);
    used.filter(|name| nads.0.get(name).is_some_and(Nad::names_no_resource)).collect()
}

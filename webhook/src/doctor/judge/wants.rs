//! Which networks of a VMI want a device.

use std::collections::BTreeSet;

use admission::Options;
use contract::NadName;

use crate::doctor::facts::{Facts, Machine, MachineNetwork, Nad, Nads};

/// The NAD of a network, if its name is a name.
pub(super) fn nad_of(machine: &Machine, network: &MachineNetwork, options: &Options) -> Option<NadName> {
    network.multus.nad(&machine.namespace, &options.multus_namespace).ok()
}

/// Whether a network needs a device, or nobody can say that it does not.
pub(super) fn needs_device(
    machine: &Machine,
    network: &MachineNetwork,
    nads: &Nads,
    options: &Options,
) -> bool {
    let nad = nad_of(machine, network, options);
    nad.and_then(|nad| nads.0.get(&nad))
        .is_none_or(|nad| !nad.needs_no_resource() || (network.sriov && nad.names_no_resource()))
}

/// The NADs of sriov interfaces that name no resource.
pub(super) fn without_resource(facts: &Facts, options: &Options) -> BTreeSet<NadName> {
    let (Some(Ok(machines)), Some(Ok(nads))) = (&facts.machines, &facts.networks) else {
        return BTreeSet::new();
    };
    let of_machine = |machine: &'_ Machine| {
        let networks = machine.networks.as_deref().unwrap_or_default().iter().filter(|network| network.sriov);
        networks.filter_map(|network| nad_of(machine, network, options)).collect::<Vec<_>>()
    };
    let used = machines.iter().filter(|machine| !machine.has_ended()).flat_map(of_machine);
    used.filter(|name| nads.0.get(name).is_some_and(Nad::names_no_resource)).collect()
}

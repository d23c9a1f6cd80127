//! "Is my running VM right?": for each VMI the whole way of each device, as far as it can be seen from the API.
//!
//! What the PF and the host say of a VF can only be seen on the node: `launcher-hook check --vmi` in the pod shows it.

mod report;

use contract::NadName;
use serde::Serialize;

pub use report::{write_json, write_table};

use super::facts::{Decisions, Facts, Source};
use super::judge::{Judged, judge_machines, unread_flags};
use super::network_map::PodMap;
use super::{Check, Code, Finding, ObjectRef, SCHEMA_VERSION, State};

/// All VMIs whose networks need devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Map {
    /// Of this document; see [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Whether nothing is wrong, and nothing unknown that would have to be known to say so.
    pub healthy: bool,
    /// One for each VMI, in the order of their names.
    pub machines: Vec<MachineMap>,
    /// What could not be seen at all.
    pub findings: Vec<Finding>,
}

/// A VMI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MachineMap {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its phase, as KubeVirt has it.
    pub phase: String,
    /// Its live pods: one, none before it is made, two during a migration.
    pub pods: Vec<PodMap>,
    /// What is wrong with it or unknown.
    pub findings: Vec<Finding>,
}

/// Draws the map of the VMIs with these names, or of all.
#[must_use]
pub fn map(facts: &Facts, names: &[NadName], decisions: &Decisions) -> Map {
    let judged = match judge_machines(facts, &decisions.options) {
        Ok(judged) => judged,
        Err(findings) => {
            return Map { schema_version: SCHEMA_VERSION, healthy: false, machines: Vec::new(), findings };
        }
    };
    let wanted = |one: &Judged<'_>| {
        let name = one.machine.full_name();
        names.is_empty() || names.iter().any(|wanted| wanted.as_str() == name)
    };
    let mut machines: Vec<MachineMap> =
        judged.machines.iter().filter(|one| wanted(one)).map(machine).collect();
    machines.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
    let mut findings = judged.findings;
    if let Source::Unread { reason } = &decisions.source {
        findings.push(unread_flags(reason));
    }
    findings.extend(names.iter().filter(|name| !machines.iter().any(|one| one.is(name))).map(|name| {
        Finding::unknown(
            Check::Vmi,
            Code::VmiUnknown,
            format!("{name}: there is no such VMI, or none of its networks needs a device"),
            format!("kubectl --namespace {} get vmi {} shows its networks", name.namespace(), name.name()),
        )
        .about(ObjectRef::in_namespace("VirtualMachineInstance", name.namespace(), name.name()))
    }));
    let mut map = Map { schema_version: SCHEMA_VERSION, healthy: true, machines, findings };
    map.healthy = matches!(map.state(), State::Ok | State::Note | State::Warning);
    map
}

fn machine(judged: &Judged<'_>) -> MachineMap {
    MachineMap {
        namespace: judged.machine.namespace.clone(),
        name: judged.machine.name.clone(),
        phase: judged.machine.status.phase.clone(),
        pods: judged.pods.clone(),
        findings: judged.findings.clone(),
    }
}

impl MachineMap {
    fn is_unanswered(&self) -> bool {
        let mut networks = self.pods.iter().flat_map(|pod| &pod.networks);
        self.phase == "Running"
            && networks.any(|network| {
                network.binding == "sriov" && (network.vf.needs.is_some() || network.domain.needs.is_some())
            })
    }

    fn is(&self, name: &NadName) -> bool {
        (self.namespace.as_str(), self.name.as_str()) == (name.namespace(), name.name())
    }
}

impl Map {
    /// All findings: those of each machine, then the others.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.machines.iter().flat_map(|machine| &machine.findings).chain(&self.findings)
    }

    /// The worst of all. Whether a running virtual machine is right is unknown as long as nobody says which VF it has,
    /// or whether that is in the domain.
    #[must_use]
    pub fn state(&self) -> State {
        self.states().max().unwrap_or(State::Ok)
    }

    /// The states of all findings, and of what the map leaves unanswered.
    pub fn states(&self) -> impl Iterator<Item = State> {
        let unanswered = self.machines.iter().any(MachineMap::is_unanswered);
        self.findings().map(|finding| finding.state).chain(unanswered.then_some(State::Unknown))
    }
}

#[cfg(test)]
mod tests;

//! What agrees and what does not, network by network.

use std::collections::BTreeMap;

use contract::PciAddress;
use contract::kubevirt::HOSTDEV_ALIAS_PREFIX;
use serde::Serialize;

use super::nads::{Nad, Wanted};
use super::pf_links::{self, Link, VfState};
use super::{Attached, Function, Plan, Planned};
use crate::given_nodes::bind;

/// A virtual machine and its networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Map {
    /// `namespace/name`.
    pub name: String,
    /// Whether nothing disagrees, as far as it can be seen.
    pub right: bool,
    /// One for each network that is to have a VF.
    pub networks: Vec<Row>,
    /// What would fill the columns that are empty, by column.
    pub needed: BTreeMap<&'static str, &'static str>,
    /// What else a person should know.
    pub warnings: Vec<String>,
}

/// A network and what it comes to. A column is `null` if nothing is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name in the VMI.
    pub network: String,
    /// The columns from the NAD to the PF, in the order of [`COLUMNS`].
    pub columns: BTreeMap<&'static str, Option<String>>,
    /// What disagrees.
    pub problems: Vec<Problem>,
}

/// Something that disagrees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// In which column.
    pub column: &'static str,
    /// What was seen.
    pub found: String,
    /// What to do about it.
    pub remedy: String,
}

/// The columns, in their order.
pub const COLUMNS: [&str; 12] =
    ["nad", "resource", "vf", "driver", "group", "pf", "hostdev", "mac", "vlan", "spoofchk", "trust", "link"];

const NADS: &str = "--nads FILE with what the NADs want: kubectl get net-attach-def --all-namespaces -o json";
const DOMAIN: &str = "--domain FILE: kubectl exec POD -c compute -- virsh dumpxml 1";
const LINKS: &str = "--pf-links FILE with what the PF says, from the node: ip -details -json link";
const SYSFS: &str = "run it where sysfs shows the VF and its PF: in `compute`, or on the node";
const DEVICES: &str =
    "what names the devices: run it in `compute`, or give --network-info, --network-status or --environ";
const RESOURCES: &str =
    "--nads FILE, or a VMI that the webhook has reviewed: it writes kubevirt-sriov.io/networks";

/// Judges a plan. `functions` are the VFs of its networks, `nads` and `links` are absent if they were not given.
#[must_use]
pub fn judge(
    plan: &Plan,
    functions: &BTreeMap<PciAddress, Function>,
    nads: Option<&[Nad]>,
    links: Option<&[Link]>,
) -> Map {
    let networks: Vec<_> =
        plan.networks.iter().map(|network| row(plan, network, functions, nads, links)).collect();
    let mut needed = BTreeMap::new();
    for column in COLUMNS {
        let is_empty = networks.iter().any(|row| row.columns.get(column).is_none_or(Option::is_none));
        let need = match column {
            "resource" => RESOURCES,
            "vf" => DEVICES,
            "driver" | "group" | "pf" => SYSFS,
            "hostdev" => DOMAIN,
            "mac" | "vlan" | "spoofchk" | "trust" | "link" if links.is_none() => LINKS,
            _ => continue,
        };
        if is_empty {
            needed.insert(column, need);
        }
    }
    if nads.is_none() && !networks.is_empty() {
        needed.insert("nad", NADS);
    }
    Map {
        name: plan.name.clone(),
        right: networks.iter().all(|row| row.problems.is_empty()),
        networks,
        needed,
        warnings: plan.warnings.clone(),
    }
}

impl Row {
    fn set(&mut self, column: &'static str, value: Option<String>) {
        self.columns.insert(column, value);
    }

    fn problem(&mut self, column: &'static str, found: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Problem { column, found: found.into(), remedy: remedy.into() });
    }
}

fn row(
    plan: &Plan,
    network: &Planned,
    functions: &BTreeMap<PciAddress, Function>,
    nads: Option<&[Nad]>,
    links: Option<&[Link]>,
) -> Row {
    let mut row = Row { network: network.network.clone(), ..Row::default() };
    let nad = network.nad.as_ref().and_then(|name| nads?.iter().find(|nad| nad.name == name.as_str()));
    row.set("nad", network.nad.as_ref().map(|nad| nad.as_str().to_owned()));
    if let (Some(name), Some(_), None) = (&network.nad, nads, nad) {
        row.problem(
            "nad",
            format!("{} is not among the NADs of --nads", name.as_str()),
            "if it was deleted, create it again: without it the machine cannot be restarted",
        );
    }
    row.set("resource", network.resource.clone().or_else(|| nad?.resource.clone()));
    if let (Some(told), Some(Some(named))) = (&network.resource, nad.map(|nad| &nad.resource))
        && told != named
    {
        row.problem(
            "resource",
            format!("the NAD names {named} now, and the pod was created for {told}"),
            "restart the virtual machine",
        );
    }
    let function = vf(&mut row, plan, network, functions);
    let attached = hostdev(&mut row, plan, network);
    row.set("hostdev", attached);
    let state = function.and_then(|function| {
        pf_links::find(links?, function.pf?, function.interface.as_deref(), function.index?)
    });
    if links.is_some() && state.is_none() && function.is_some_and(|function| function.pf.is_some()) {
        row.problem(
            "pf",
            "--pf-links does not list this VF",
            "take it on this machine's node and with -details, which names the PF's address",
        );
    }
    settings(&mut row, network, nad.and_then(|nad| nad.wanted.as_ref()), state);
    row
}

/// The columns from the VF to its PF.
fn vf<'f>(
    row: &mut Row,
    plan: &Plan,
    network: &Planned,
    functions: &'f BTreeMap<PciAddress, Function>,
) -> Option<&'f Function> {
    let Some((address, origin)) = &network.vf else {
        row.set("vf", None);
        if let Some(refusal) = &plan.refusal {
            row.problem(
                "vf",
                refusal,
                "what it says; `launcher-hook define` with the same options shows it as well",
            );
        }
        return None;
    };
    row.set("vf", Some(format!("{address} ({origin})")));
    let function = functions.get(address)?;
    if !function.exists {
        let (found, remedy) = match &function.stale {
            Some(stale) => (stale.to_string(), stale.remedy()),
            None => (format!("{address} does not exist here"), SYSFS.to_owned()),
        };
        row.problem("vf", found, remedy);
        return Some(function);
    }
    row.set("driver", Some(function.binding.name().to_owned()));
    row.set("group", function.group.map(|group| group.to_string()));
    row.set(
        "pf",
        function.pf.map(|pf| match (&function.interface, function.index) {
            (Some(interface), Some(index)) => format!("{pf} ({interface}) VF {index}"),
            (None, Some(index)) => format!("{pf} VF {index}"),
            (_, None) => pf.to_string(),
        }),
    );
    match &function.stale {
        Some(stale) => {
            let column = if function.binding.vfio { "group" } else { "driver" };
            row.problem(column, stale.to_string(), stale.remedy());
        }
        None if !function.binding.vfio => row.problem(
            "driver",
            format!("{address} is bound to {}, which is not a VFIO driver", function.binding.name()),
            format!("on the node: {}", bind(*address, function.binding.driver.is_some())),
        ),
        None => {}
    }
    Some(function)
}

/// The hostdev of a network, and why it has none.
fn hostdev(row: &mut Row, plan: &Plan, network: &Planned) -> Option<String> {
    let hostdevs = match &plan.attached {
        Attached::Unknown => return None,
        Attached::Domain(hostdevs) | Attached::CommandLine(hostdevs) => hostdevs,
    };
    let alias = format!("{HOSTDEV_ALIAS_PREFIX}{}", network.network);
    let vf = network.vf.as_ref().map(|(address, _)| *address);
    if let Some((_, source)) = hostdevs.iter().find(|(found, _)| found.as_deref() == Some(alias.as_str())) {
        if let Some(vf) = vf.filter(|vf| vf != source) {
            row.problem(
                "hostdev",
                format!("{alias} is {source}, and the network has {vf}: the guest is on another network"),
                "restart the virtual machine; if that does not help, use launcher-hook with --assign=multus",
            );
        }
        return Some(format!("{alias} {source}"));
    }
    if let Some((other, _)) = hostdevs.iter().find(|(_, source)| Some(*source) == vf) {
        let other = other.as_deref().unwrap_or("a hostdev without an alias");
        row.problem(
            "hostdev",
            format!("the domain has the VF under {other}, not {alias}"),
            "restart the virtual machine: KubeVirt finds its devices by their aliases",
        );
        return Some(other.to_owned());
    }
    if matches!(plan.attached, Attached::CommandLine(_)) {
        // It may have been attached later.
        return None;
    }
    let (why, remedy) = match (&plan.refusal, plan.migrating) {
        (_, true) => {
            ("a migration is under way", "nothing: KubeVirt attaches VFs when the machine has arrived")
        }
        (Some(refusal), false) => (refusal.as_str(), "what it says, then restart the virtual machine"),
        (None, false) => (
            "the network was added to the running machine, or nothing wrote it",
            "restart the virtual machine, and see the log of `compute` for the network's name",
        ),
    };
    row.problem("hostdev", format!("the domain has no {alias}: {why}"), remedy);
    Some("none".to_owned())
}

/// What the PF was told to set for the VF, compared with what it says.
fn settings(row: &mut Row, network: &Planned, wanted: Option<&Wanted>, state: Option<(&Link, &VfState)>) {
    let none = Wanted::default();
    let wanted = wanted.unwrap_or(&none);
    if let (Some(asked), Some(reported)) = (network.mac, network.reported_mac)
        && asked != reported
    {
        row.problem(
            "mac",
            format!("the VMI wants {asked}, and Multus reported {reported}"),
            "write \"capabilities\": {\"mac\": true} into the NAD's configuration, then restart the virtual machine",
        );
    }
    let Some((link, state)) = state else { return };
    let text = |on: bool| if on { "on" } else { "off" }.to_owned();
    let mac = state.mac().map_or_else(|| "none".to_owned(), |mac| mac.to_string());
    let expected_mac = network.mac.or(network.reported_mac).map(|mac| mac.to_string());
    // Column, what `ip` calls it, what is wanted, what the PF says.
    let settings = [
        ("mac", "mac", expected_mac, Some(mac)),
        ("vlan", "vlan", wanted.vlan.map(|vlan| vlan.to_string()), Some(state.vlan().to_string())),
        ("spoofchk", "spoofchk", wanted.spoof_check.map(text), state.spoofchk.map(text)),
        ("trust", "trust", wanted.trust.map(text), state.trust.map(text)),
        ("link", "state", wanted.link.clone(), state.link_state.clone()),
    ];
    for (column, setting, expected, now) in settings {
        let Some(now) = now else { continue };
        let held_down = column == "link" && expected.is_none() && now == "disable";
        let expected = if held_down { Some("auto".to_owned()) } else { expected };
        if let Some(expected) = expected.filter(|expected| *expected != now) {
            row.problem(
                column,
                format!("wanted is {expected}, the PF says {now}"),
                format!(
                    "it was changed after the CNI had set it: on the node, ip link set {} vf {} {setting} {expected}; \
                     or restart the virtual machine",
                    link.ifname, state.vf
                ),
            );
        }
        row.set(column, Some(now));
    }
}

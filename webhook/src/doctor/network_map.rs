//! One network of a VMI: what is wanted, and what each side says.

mod pairing;

use admission::Network;
use contract::cni::{Cni, CniConfig};
use contract::kubevirt::{HOSTDEV_ALIAS_PREFIX, NETWORK_INFO};
use contract::network_info::{NetworkInfo, NetworkInfoInterface};
use contract::network_status::{self, NetworkStatus};
use contract::{MacAddress, NadName, NetworkSelection, PciAddress, annotation, parse_networks};
use serde::Serialize;
use serde_json::Value;

use super::facts::{Dra, LauncherPod, Machine, MachineNetwork, Nad};
use pairing::attached;

/// A virt-launcher pod, or what is known of the networks without one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PodMap {
    /// Its name; absent as long as there is no pod.
    pub pod: Option<String>,
    /// Its node.
    pub node: Option<String>,
    /// The networks that need a device.
    pub networks: Vec<NetworkMap>,
}

/// One network of a VMI, in one of its pods.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkMap {
    /// Its name, and its interface's.
    pub network: String,
    /// How the interface is connected.
    pub binding: String,
    /// Its NAD.
    pub nad: Cell,
    /// What the NAD's CNI configuration asks of the device.
    pub wanted: Wanted,
    /// The request of a resource claim; or the resource, and how many the container `compute` holds of those that all networks of the pod need.
    pub resource: Cell,
    /// The PCI address of the VF.
    pub vf: Cell,
    /// The PCI address of its PF.
    pub pf: Cell,
    /// The alias that its hostdev has in the domain.
    pub hostdev: Cell,
    /// The requested MAC address.
    pub mac: Cell,
    /// The MAC address that Multus reports.
    pub attached_mac: Cell,
    /// What KubeVirt says of it in the running domain: its MAC address there.
    pub domain: Cell,
    /// Each column that disagrees with another one, in a sentence.
    pub disagreements: Vec<String>,
}

/// What one side says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// What it says; absent if nobody said, or nothing has to be said.
    pub value: Option<String>,
    /// Whether it is not what another column says.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disagrees: bool,
    /// What is needed to know it; absent if nothing is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
}

/// What the NAD's CNI configuration asks of the device; what it leaves alone is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Wanted {
    /// The plugins of the chain.
    pub plugins: Vec<String>,
    /// The VLAN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<String>,
    /// Trust.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust: Option<String>,
    /// Spoof check.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spoof_check: Option<String>,
    /// State of the link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_state: Option<String>,
    /// What is needed to know it; absent if nothing is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<String>,
}

impl Cell {
    fn of(value: impl Into<String>) -> Self {
        Self { value: Some(value.into()), ..Self::default() }
    }

    fn unknown(needs: impl Into<String>) -> Self {
        Self { needs: Some(needs.into()), ..Self::default() }
    }
}

/// A pod, as far as networks go; read once for all of them.
pub(crate) struct Seen<'f> {
    pod: &'f LauncherPod,
    selections: Vec<NetworkSelection>,
    status: Option<Vec<NetworkStatus>>,
    /// The same with what the contract does not read.
    raw_status: Vec<Value>,
    info: Option<NetworkInfo>,
    /// What is known of claims.
    dra: Option<&'f Dra>,
}

impl<'f> Seen<'f> {
    /// Reads the annotations. What cannot be read is not there; a finding says so.
    pub(crate) fn of(pod: &'f LauncherPod, dra: Option<&'f Dra>) -> Self {
        let text = pod.annotation(annotation::NETWORK_STATUS);
        Self {
            pod,
            selections: pod
                .annotation(annotation::NETWORKS)
                .and_then(|text| parse_networks(text, &pod.namespace).ok())
                .unwrap_or_default(),
            status: text.and_then(|text| network_status::parse(text).ok()),
            raw_status: text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default(),
            dra,
            info: pod.annotation(NETWORK_INFO).and_then(|text| NetworkInfo::parse(text).ok()).flatten(),
        }
    }
}

/// What a network is looked up by.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'f> {
    pub(crate) machine: &'f Machine,
    pub(crate) network: &'f MachineNetwork,
    pub(crate) nad: Option<(&'f NadName, Option<&'f Nad>)>,
    /// Which of the networks of its NAD it is, and how many there are.
    pub(crate) place: (usize, usize),
    /// Each resource that the pod needs: its name, how many, and how many `compute` holds.
    pub(crate) held: &'f [(String, u64, u64)],
}

impl NetworkMap {
    /// Compares what all sides say of one network.
    pub(crate) fn of(subject: Subject<'_>, seen: Option<&Seen<'_>>) -> Self {
        let Subject { machine, network, nad, .. } = subject;
        let mut map = Self {
            network: network.name.clone(),
            binding: network.binding.clone(),
            nad: nad_cell(subject),
            wanted: wanted(subject),
            resource: resource(subject),
            vf: Cell::default(),
            pf: Cell::default(),
            hostdev: hostdev(network),
            mac: Cell::default(),
            attached_mac: Cell::default(),
            domain: domain(machine, network),
            disagreements: Vec::new(),
        };
        let is_of_multus = network.multus.is_some();
        let seen = seen.filter(|_| nad.is_some() || !is_of_multus);
        let Some(seen) = seen else {
            let needs = || Cell::unknown("a pod");
            (map.vf, map.pf) = (needs(), needs());
            map.attached_mac = if is_of_multus { needs() } else { Cell::default() };
            map.mac = network.mac.as_deref().map(Cell::of).unwrap_or_default();
            return map;
        };
        let info = seen.info.iter().flat_map(|info| &info.interfaces).find(|one| one.network == network.name);
        let Some((name, nad)) = nad else {
            map.devices(subject, seen, None, info);
            map.mac = network.mac.as_deref().map(Cell::of).unwrap_or_default();
            return map;
        };
        let status = seen.status.as_deref().unwrap_or_default();
        let found =
            attached(name, subject.place, machine.status.interface(&network.name), &seen.selections, status);
        map.devices(subject, seen, found.status, info);
        let mac = network.mac.clone().or_else(|| Some(found.selection?.mac?.to_string()));
        map.macs(mac.or_else(|| config(nad)?.mac.clone()), found.status.map(|(_, entry)| entry), info, seen);
        map
    }

    /// The VF and its PF.
    fn devices(
        &mut self,
        subject: Subject<'_>,
        seen: &Seen<'_>,
        status: Option<(usize, &NetworkStatus)>,
        info: Option<&NetworkInfoInterface>,
    ) {
        let Allocated { devices: allocated, by } = allocated(subject, seen);
        let of_status =
            status.and_then(|(_, entry)| entry.device_info.as_ref()?.pci.as_ref()).map(|pci| pci.address);
        let of_info = info.and_then(|info| info.device_info.as_ref()?.pci.as_ref()).map(|pci| pci.address);
        let name = &self.network;
        self.vf = match (of_status.or(of_info), allocated.as_slice()) {
            (Some(address), _) => Cell::of(address.to_string()),
            // Whose device is whose can be told of one alone.
            (None, [id]) => Cell::of(id.as_str()),
            (None, _) if !takes_device(subject) => Cell::default(),
            (None, []) if resources(subject).is_empty() => {
                Cell::unknown("device-info in network-status, or a VMI that names the request of its claim")
            }
            (None, []) => Cell::unknown(
                "device-info in network-status or network-info, which the CNI plugin or the device plugin writes; or \
                 Kubernetes 1.33 and later with the gate ResourceHealthStatus",
            ),
            (None, ids) => Cell::unknown(format!(
                "device-info in network-status or network-info: the pod has {}, in no order",
                ids.join(", ")
            )),
        };
        if let (Some(one), Some(other)) = (of_status, of_info)
            && one != other
        {
            self.vf.disagrees = true;
            self.disagreements.push(format!(
                "network {name}: its VF is {one} in network-status and {other} in network-info"
            ));
        }
        if let Some(address) = of_status.or(of_info)
            && !allocated.is_empty()
            && !allocated.iter().any(|id| is(id, address))
        {
            self.vf.disagrees = true;
            self.disagreements.push(format!(
                "network {name}: its VF is {address} in network-status, and {by} {}",
                allocated.join(", ")
            ));
        }
        let raw = status.and_then(|(index, _)| seen.raw_status.get(index));
        let pf = raw.and_then(|entry| entry.pointer("/device-info/pci/pf-pci-address")?.as_str());
        self.pf = match pf {
            Some(pf) => Cell::of(pf),
            None if self.vf.value.is_none() && self.vf.needs.is_none() => Cell::default(),
            None => Cell::unknown(
                "a device-info that names it; launcher-hook check --vmi in the pod shows PF, driver, IOMMU group, and what \
                 the PF says of the VF",
            ),
        };
    }

    /// The MAC addresses that are requested and reported.
    fn macs(
        &mut self,
        wanted: Option<String>,
        status: Option<&NetworkStatus>,
        info: Option<&NetworkInfoInterface>,
        seen: &Seen<'_>,
    ) {
        let of_status = status.and_then(|entry| entry.mac);
        let of_info = info.and_then(|info| info.mac);
        self.attached_mac = match (of_status.or(of_info), &seen.status) {
            (Some(mac), _) => Cell::of(mac.to_string()),
            (None, None) => {
                Cell::unknown("network-status, which Multus writes once the pod's networks are attached")
            }
            (None, Some(_)) => Cell::unknown("a CNI plugin that reports the MAC address to Multus"),
        };
        self.mac = wanted.as_deref().map(Cell::of).unwrap_or_default();
        let name = self.network.clone();
        let wanted = wanted.and_then(|mac| mac.parse::<MacAddress>().ok());
        let sides = [
            (of_status, "network-status"),
            (of_info, "network-info"),
            (self.domain.value.as_deref().and_then(|mac| mac.parse().ok()), "the domain"),
        ];
        for (mac, side) in sides {
            let (Some(mac), Some(wanted)) = (mac, wanted) else { continue };
            if mac == wanted {
                continue;
            }
            if side == "the domain" {
                self.domain.disagrees = true;
            } else {
                self.attached_mac.disagrees = true;
            }
            self.disagreements
                .push(format!("network {name}: MAC address {wanted} is requested, but {side} has {mac}"));
        }
    }
}

/// The devices that were allocated for a network and others like it.
struct Allocated {
    devices: Vec<String>,
    /// Subject and verb of a sentence with them.
    by: &'static str,
}

/// Of claims where there are some, otherwise what the kubelet says of a device plugin's.
fn allocated(subject: Subject<'_>, seen: &Seen<'_>) -> Allocated {
    let by = "its resource claim has";
    if let Some(request) = &subject.network.claim {
        let devices = seen.dra.map(|dra| dra.of_request(seen.pod, request)).unwrap_or_default();
        return Allocated { devices, by };
    }
    let resources = resources(subject);
    let of_claims = seen.dra.into_iter().flat_map(|dra| {
        let of_resource = |resource: &&str| dra.of_resource(seen.pod, resource);
        resources.iter().flat_map(of_resource).collect::<Vec<_>>()
    });
    let devices: Vec<String> = of_claims.collect();
    if !devices.is_empty() {
        return Allocated { devices, by };
    }
    let of_plugin = seen.pod.devices.iter().filter(|device| resources.contains(&device.resource.as_str()));
    Allocated {
        devices: of_plugin.map(|device| device.id.clone()).collect(),
        by: "the kubelet has allocated",
    }
}

/// Whether a network takes a device, of a resource or of a claim.
fn takes_device(subject: Subject<'_>) -> bool {
    let of_nad = match subject.nad.and_then(|(_, nad)| nad).map(|nad| &nad.network) {
        Some(Network::Valid(requirements)) => requirements.take_a_device(),
        _ => false,
    };
    of_nad || subject.network.claim.is_some()
}

/// Whether a name for a device is this address.
fn is(id: &str, address: PciAddress) -> bool {
    id.parse() == Ok(address)
}

fn config(nad: Option<&Nad>) -> Option<&CniConfig> {
    match nad.map(|nad| &nad.cni) {
        Some(Cni::Read(config)) => Some(config),
        _ => None,
    }
}

fn resources<'f>(subject: Subject<'f>) -> Vec<&'f str> {
    match subject.nad.and_then(|(_, nad)| nad).map(|nad| &nad.network) {
        Some(Network::Valid(requirements)) => {
            requirements.resources.iter().map(|resource| resource.as_str()).collect()
        }
        _ => Vec::new(),
    }
}

fn nad_cell(subject: Subject<'_>) -> Cell {
    match subject.nad {
        None => match &subject.network.multus {
            Some(multus) => Cell { disagrees: true, ..Cell::of(&multus.network_name) },
            None => Cell::default(),
        },
        Some((name, nad)) => Cell { disagrees: nad.is_none(), ..Cell::of(name.as_str()) },
    }
}

fn wanted(subject: Subject<'_>) -> Wanted {
    if subject.network.multus.is_none() {
        return Wanted::default();
    }
    let nad = subject.nad.and_then(|(_, nad)| nad);
    let needs = |needs: &str| Wanted { needs: Some(needs.to_owned()), ..Wanted::default() };
    match nad.map(|nad| &nad.cni) {
        None => needs("the NAD"),
        Some(Cni::OnNode) => {
            needs("spec.config of the NAD; without it Multus takes a file of its name on the node")
        }
        Some(Cni::Unreadable(_)) => needs("a spec.config that can be read"),
        Some(Cni::Read(config)) => {
            let CniConfig { plugins, vlan, trust, spoof_check, link_state, mac: _ } = config.clone();
            let vlan = vlan.filter(|vlan| vlan != "0");
            Wanted { plugins, vlan, trust, spoof_check, link_state, needs: None }
        }
    }
}

/// Name and count of each resource of the network.
fn resource(subject: Subject<'_>) -> Cell {
    if let Some(request) = &subject.network.claim {
        return Cell::of(format!("claim {}/{}", request.claim(), request.request()));
    }
    let names = resources(subject);
    if names.is_empty() {
        if takes_device(subject) {
            return Cell::of("claim");
        }
        let lacks = subject.network.sriov;
        return Cell { disagrees: lacks, ..Cell::default() };
    }
    let held = |name: &&str| subject.held.iter().find(|(resource, ..)| resource == name);
    let one = |name: &&str| match held(name) {
        Some((_, needed, held)) => format!("{name} {held}/{needed}"),
        None => (*name).to_owned(),
    };
    let lacks = names.iter().filter_map(held).any(|(_, needed, held)| held < needed);
    Cell { disagrees: lacks, ..Cell::of(names.iter().map(one).collect::<Vec<_>>().join(", ")) }
}

/// Only for interfaces whose device is handed to the guest itself.
fn hostdev(network: &MachineNetwork) -> Cell {
    if network.sriov || network.binding.starts_with("plugin ") {
        Cell::of(format!("{HOSTDEV_ALIAS_PREFIX}{}", network.name))
    } else {
        Cell::default()
    }
}

fn domain(machine: &Machine, network: &MachineNetwork) -> Cell {
    if !machine.status.is_running() {
        return Cell::unknown("a running VMI");
    }
    if !machine.has_interfaces() {
        return Cell::unknown("status.interfaces of the VMI, which virt-handler writes");
    }
    match machine.status.interface(&network.name) {
        Some(reported) if reported.is_in_domain() => {
            Cell::of(reported.mac.clone().unwrap_or_else(|| "present".to_owned()))
        }
        _ => Cell { disagrees: network.sriov, ..Cell::of("absent") },
    }
}

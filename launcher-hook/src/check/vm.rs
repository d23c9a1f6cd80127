//! Whether a running virtual machine has what its networks need: from the network over NAD, resource and VF to the
//! hostdev, and to what the PF says of the VF now.
//!
//! [`Plan::read`] says which VF each network is to have, [`look`] what the kernel says of these VFs, [`map::judge`]
//! what disagrees, [`report`] prints.

pub mod guest;
pub mod map;
pub mod nads;
pub mod pf_links;
pub mod report;

use contract::{MacAddress, NadName, PciAddress};

use super::processes::Qemu;
use crate::define::{DefineError, Options, PodTexts, define};
use crate::devices::{Devices, Reported, reported};
use crate::domain::hostdevs;
use crate::given_nodes::{GivenNodes, Stale};
use crate::plan::Vmi;
use crate::sysfs::{Binding, Roots, entries, link_name};

/// For a machine whose domain is not known.
const NO_DOMAIN: &str = "<domain><devices/></domain>";

/// What a virtual machine requests, and what it was given.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// `namespace/name`.
    pub name: String,
    /// The networks that are to have a VF, in the VMI's order.
    pub networks: Vec<Planned>,
    /// What its domain has.
    pub attached: Attached,
    /// Why the devices cannot be given to the networks, if so.
    pub refusal: Option<String>,
    /// Whether it is on its way to another node.
    pub migrating: bool,
    /// What else a person should know.
    pub warnings: Vec<String>,
}

/// A network that is to have a VF.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Planned {
    /// Its name in the VMI.
    pub network: String,
    /// Its NAD.
    pub nad: Option<NadName>,
    /// The resource of the NAD, as the pod was told it.
    pub resource: Option<String>,
    /// The VF, and how it is known.
    pub vf: Option<(PciAddress, String)>,
    /// The MAC address that the VMI requests.
    pub mac: Option<MacAddress>,
    /// The MAC address that Multus reported.
    pub reported_mac: Option<MacAddress>,
}

/// The hostdevs of the machine: alias and function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Attached {
    /// Nothing tells.
    #[default]
    Unknown,
    /// From the domain.
    Domain(Vec<(Option<String>, PciAddress)>),
    /// From QEMU's command line, which lacks what was attached later.
    CommandLine(Vec<(Option<String>, PciAddress)>),
}

/// The texts about a machine.
#[derive(Debug, Clone, Copy)]
pub struct Texts<'a> {
    /// The VMI's JSON.
    pub vmi: &'a str,
    /// The domain's XML, if given.
    pub domain: Option<&'a str>,
    /// QEMU's command line, if it runs.
    pub qemu: Option<&'a Qemu>,
    /// What the pod was given.
    pub sources: PodTexts<'a>,
}

impl Plan {
    /// Decides as a hook would, and keeps the reason where it would refuse.
    ///
    /// # Errors
    /// A VMI, a domain or a source that cannot be read.
    pub fn read(texts: &Texts<'_>, options: &Options) -> Result<Self, DefineError> {
        let vmi = Vmi::parse(texts.vmi, &options.binding)?;
        let devices = Devices::read(&texts.sources)?;
        let attached = match (texts.domain, texts.qemu) {
            (Some(domain), _) => Attached::Domain(
                hostdevs(domain)?.into_iter().map(|hostdev| (hostdev.alias, hostdev.source)).collect(),
            ),
            (None, Some(qemu)) => Attached::CommandLine(
                qemu.functions.iter().map(|(address, alias)| (alias.clone(), *address)).collect(),
            ),
            (None, None) => Attached::Unknown,
        };
        let defined = define(texts.vmi, texts.domain.unwrap_or(NO_DOMAIN), &texts.sources, options);
        let (assigned, warnings, refusal) = match defined {
            Ok(definition) => (definition.devices, definition.warnings, None),
            Err(error) => (Vec::new(), vmi.warnings.clone(), Some(error.to_string())),
        };
        let network_info =
            contract::network_info::NetworkInfo::parse(texts.sources.network_info.unwrap_or_default());
        let network_info = network_info.ok().flatten().unwrap_or_default().interfaces;
        let networks = vmi.interfaces.iter().map(|interface| {
            let name = interface.name.as_str();
            let nad = vmi
                .networks
                .list
                .iter()
                .find(|network| network.name == name)
                .map(|network| network.nad.clone());
            let told = network_info.iter().find(|one| one.network == name);
            let assigned = assigned.iter().find(|device| device.network == name);
            // Where the whole is refused, what is said of one network still is.
            let of_report = || match reported(told?.device_info.as_ref())? {
                Reported::Pci(address) => Some((address, "network-info".to_owned())),
                Reported::Other(_) => None,
            };
            Planned {
                network: name.to_owned(),
                // KubeVirt from 1.7 on names no resources in the variables of `compute`.
                resource: devices
                    .resource(Some(name), nad.as_ref())
                    .or_else(|| vmi.written.0.get(name)?.resource.as_ref())
                    .map(|resource| resource.as_str().to_owned()),
                nad,
                vf: assigned.map(|device| (device.address, device.origin.to_string())).or_else(of_report),
                mac: interface.mac,
                reported_mac: told.and_then(|one| one.mac),
            }
        });
        Ok(Self {
            name: format!("{}/{}", vmi.namespace, vmi.name.as_deref().unwrap_or("?")),
            networks: networks.collect(),
            attached,
            refusal,
            migrating: vmi.migrating,
            warnings,
        })
    }

    /// The VFs to look at.
    #[must_use]
    pub fn functions(&self) -> Vec<PciAddress> {
        self.networks.iter().filter_map(|network| Some(network.vf.as_ref()?.0)).collect()
    }
}

/// The name of a VMI's domain, `NAMESPACE_NAME`.
#[must_use]
pub fn domain_name(vmi: &str) -> Option<String> {
    let vmi: contract::vmi::Vmi = serde_json::from_str(vmi).ok()?;
    let namespace = vmi.metadata.namespace.filter(|namespace| !namespace.is_empty());
    Some(format!("{}_{}", namespace.as_deref().unwrap_or("default"), vmi.metadata.name?))
}

/// What the kernel says of a VF.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Function {
    /// Whether it exists.
    pub exists: bool,
    /// What it is bound to.
    pub binding: Binding,
    /// Its IOMMU group.
    pub group: Option<u32>,
    /// Whether the pod can no longer reach it.
    pub stale: Option<Stale>,
    /// Its PF.
    pub pf: Option<PciAddress>,
    /// The PF's network interface, if it is in sight.
    pub interface: Option<String>,
    /// Which of the PF's VFs it is.
    pub index: Option<u32>,
}

/// Looks at a VF.
#[must_use]
pub fn look(roots: &Roots, nodes: &GivenNodes, address: PciAddress) -> Function {
    let folder = roots.function(address);
    let pf: Option<PciAddress> = link_name(&folder.join("physfn")).and_then(|name| name.parse().ok());
    let pf_folder = pf.map(|pf| roots.function(pf));
    let index = pf_folder.as_ref().and_then(|folder| {
        entries(folder).find_map(|name| {
            let index = name.strip_prefix("virtfn")?.parse().ok()?;
            (link_name(&folder.join(&name))?.parse() == Ok(address)).then_some(index)
        })
    });
    Function {
        exists: folder.exists(),
        binding: roots.binding(address),
        group: roots.group(address).map(|group| group.number),
        stale: nodes.stale(roots, address),
        pf,
        interface: pf_folder.and_then(|folder| entries(&folder.join("net")).min()),
        index,
    }
}

//! The one way from texts to a domain: what every command and every hook calls.
//!
//! Pure: the caller reads the files, the variables and the socket.

use std::borrow::Cow;
use std::collections::BTreeMap;

use contract::kubevirt::HOSTDEV_ALIAS_PREFIX;
use contract::{PciAddress, check_label};
use thiserror::Error;

pub use crate::devices::PodTexts;
use crate::devices::{Devices, DevicesError};
use crate::domain::{Document, DomainError, WantedHostdev};
pub use crate::plan::{Ambiguity, Assign, Lack, Missing, Origin, PlanError, Remedy};
use crate::plan::{Assignment, Request, VfInterface, Vmi, check_network_name, plan};

/// How to decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The binding plugin whose interfaces are to have a VF, besides those with `sriov: {}`.
    pub binding: String,
    /// What to do where the variables leave more than one way.
    pub assign: Assign,
    /// Whether the VM is on its way to another node: then missing data is not an error, because KubeVirt attaches
    /// the devices itself once it has arrived. A migration that the VMI's status shows counts as well.
    pub migration: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { binding: "sriov".to_owned(), assign: Assign::default(), migration: false }
    }
}

/// A network's device, as it is in the domain now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedDevice {
    /// The network of the VMI.
    pub network: String,
    /// The hostdev's alias.
    pub alias: String,
    /// The function on this host.
    pub address: PciAddress,
    /// How it was found.
    pub origin: Origin,
}

/// The domain as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition<'d> {
    /// Its XML; borrowed if nothing had to be changed.
    pub xml: Cow<'d, str>,
    /// The devices that it has now, in the order of the VMI's interfaces.
    pub devices: Vec<AssignedDevice>,
    /// What a person should know, one sentence each.
    pub warnings: Vec<String>,
}

/// Why there is no such domain.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DefineError {
    /// The domain cannot be read or edited.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// The devices cannot be given to the networks.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl From<DevicesError> for DefineError {
    fn from(error: DevicesError) -> Self {
        Self::Plan(error.into())
    }
}

/// Puts the VFs of the VMI's networks into its domain.
///
/// # Errors
/// If texts cannot be read, if it is not known which VF belongs to which network, or if the domain
/// would have one twice.
pub fn define<'d>(
    vmi: &str,
    domain: &'d str,
    sources: &PodTexts<'_>,
    options: &Options,
) -> Result<Definition<'d>, DefineError> {
    let document = Document::parse(domain)?;
    let vmi = Vmi::parse(vmi, &options.binding)?;
    let aliases = document.aliases()?;
    let wanted: Vec<&str> = vmi.interfaces.iter().map(|interface| interface.name.as_str()).collect();
    let mut warnings = vmi.warnings.clone();
    for network in aliases.keys() {
        if !wanted.contains(&network.as_str()) {
            warnings.push(format!(
                "hostdev {HOSTDEV_ALIAS_PREFIX}{network} belongs to no network of the VMI that needs a VF: left unchanged"
            ));
        }
    }
    let planned = match decide(&vmi, &wanted, &aliases, sources, options.assign, &mut warnings) {
        Err(error) if error.lacks_data() && (options.migration || vmi.migrating) => {
            warnings.push(format!("the domain stays unchanged during the migration: {error}"));
            Vec::new()
        }
        planned => planned?,
    };
    let hostdevs: Vec<WantedHostdev> = (vmi.interfaces.iter())
        .filter_map(|interface| {
            let assignment = planned.iter().find(|one| one.network == interface.name)?;
            Some(wanted_hostdev(interface, assignment.address))
        })
        .collect();
    let xml = document.converge(&hostdevs)?;
    Ok(Definition { xml, devices: assigned(planned), warnings })
}

/// The devices of a VMI's networks.
fn decide(
    vmi: &Vmi,
    wanted: &[&str],
    aliases: &BTreeMap<String, PciAddress>,
    sources: &PodTexts<'_>,
    rule: Assign,
    warnings: &mut Vec<String>,
) -> Result<Vec<Assignment>, PlanError> {
    // Where no VF is wanted, nothing that is wrong with the sources is to keep the machine from starting.
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let devices = Devices::read(sources)?;
    let annotation = sources.networks_annotation;
    let request = Request {
        networks: Some(&vmi.networks),
        namespace: &vmi.namespace,
        wanted,
        annotation,
        devices: &devices,
        aliases,
        rule,
    };
    plan(&request, warnings)
}

/// Gives the hostdevs that carry a network's alias the addresses of this host: the domain comes from another
/// one, or from a saved state. Nothing else is changed, and none is added.
///
/// The VMI need not be known: the aliases name the networks.
///
/// # Errors
/// As [`define`]; a hostdev whose device on this host is not known is an error.
pub fn readdress<'d>(
    vmi: Option<&str>,
    domain: &'d str,
    sources: &PodTexts<'_>,
    options: &Options,
) -> Result<Definition<'d>, DefineError> {
    let document = Document::parse(domain)?;
    let vmi = vmi.map(|vmi| Vmi::parse(vmi, &options.binding)).transpose()?;
    let aliases = document.aliases()?;
    let wanted: Vec<&str> = aliases.keys().map(String::as_str).collect();
    if wanted.is_empty() {
        let xml = document.readdress(&BTreeMap::new())?;
        return Ok(Definition { xml, devices: Vec::new(), warnings: Vec::new() });
    }
    let devices = Devices::read(sources)?;
    wanted.iter().try_for_each(|network| check_network_name(network))?;
    let mut warnings = Vec::new();
    // KubeVirt calls a domain NAMESPACE_NAME.
    let of_domain = document.name().and_then(|name| Some(name.split_once('_')?.0.to_owned()));
    let of_domain = of_domain.filter(|namespace| check_label(namespace).is_ok());
    let namespace = vmi.as_ref().map(|vmi| vmi.namespace.clone()).or(of_domain);
    let request = Request {
        networks: vmi.as_ref().map(|vmi| &vmi.networks),
        namespace: namespace.as_deref().unwrap_or("default"),
        wanted: &wanted,
        annotation: sources.networks_annotation,
        devices: &devices,
        // The addresses in the domain are another host's.
        aliases: &BTreeMap::new(),
        rule: options.assign,
    };
    let planned = plan(&request, &mut warnings)?;
    let addresses = planned.iter().map(|one| (one.network.clone(), one.address)).collect();
    let xml = document.readdress(&addresses)?;
    Ok(Definition { xml, devices: assigned(planned), warnings })
}

fn wanted_hostdev(interface: &VfInterface, address: PciAddress) -> WantedHostdev {
    WantedHostdev {
        network: interface.name.clone(),
        address,
        boot_order: interface.boot_order,
        guest_address: interface.guest_address,
    }
}

fn assigned(planned: Vec<Assignment>) -> Vec<AssignedDevice> {
    planned
        .into_iter()
        .map(|Assignment { network, address, origin }| AssignedDevice {
            alias: format!("{HOSTDEV_ALIAS_PREFIX}{network}"),
            network,
            address,
            origin,
        })
        .collect()
}

#[cfg(test)]
mod tests;

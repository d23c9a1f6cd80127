//! Devices of resource claims (Dynamic Resource Allocation, DRA): what their metadata files say.
//!
//! A file is a stream of JSON objects with the same data, once for each API version. The first whose version is known
//! counts, so that a newer driver does not break an older reader.
//!
//! Source: Kubernetes, KEP-5304.

pub mod files;

use contract::{ClaimContent, ClaimDevice, ClaimMetadata, ClaimRequest, PciAddress, Quoted, Text};
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

/// The API versions that are read; their fields are the same.
const VERSIONS: [&str; 2] = ["metadata.resource.k8s.io/v1beta1", "metadata.resource.k8s.io/v1alpha1"];

/// Why the device of a claimed network is not known.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{of}: {file} {problem}")]
pub struct ClaimError {
    /// The request of the network.
    pub of: ClaimRequest,
    /// The metadata file.
    pub file: String,
    /// What is wrong with it. The sentence has the file as its subject.
    pub problem: ClaimProblem,
}

/// What is wrong with a metadata file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClaimProblem {
    /// It cannot be read.
    #[error("{0}")]
    Content(String),
    /// Another file is about the same request.
    #[error(
        "and {other} are both about it: a network has one device, so let the claim have one request for each network, \
         with `count: 1` and a DeviceClass of one driver"
    )]
    Files {
        /// The other file.
        other: String,
    },
    /// It names no device.
    #[error(
        "names no device: look whether the DRA driver has prepared the claim (kubectl describe resourceclaim)"
    )]
    NoDevice,
    /// It names several.
    #[error(
        "names {count} devices: a network has one, so let the claim have one request for each network, with `count: 1`"
    )]
    Devices {
        /// How many.
        count: usize,
    },
    /// A device of which nothing says the PCI address.
    #[error(
        "names the device {} without the attribute {PCI_BUS_ID}: use a DeviceClass of PCI VFs, and a DRA driver that \
         publishes the attribute",
        Quoted(.device)
    )]
    NoAddress {
        /// The device's name.
        device: String,
    },
    /// An address that is not one.
    #[error("has the attribute {PCI_BUS_ID} of the device {}: {problem}; correct the DRA driver", Quoted(.device))]
    Address {
        /// The device's name.
        device: String,
        /// What is wrong with it.
        problem: contract::PciAddressError,
    },
}

const PCI_BUS_ID: &str = "resource.kubernetes.io/pciBusID";

/// The device of a request, from the files that were found; `None` if none is about it. `address_of` is what the
/// driver's variables say about a device, by its name.
pub(crate) fn device(
    files: &[ClaimMetadata],
    of: &ClaimRequest,
    address_of: impl Fn(&str) -> Option<PciAddress>,
) -> Result<Option<PciAddress>, ClaimError> {
    let mut own = files.iter().filter(|file| file.of == *of);
    let Some(first) = own.next() else { return Ok(None) };
    let error = |problem| ClaimError { of: of.clone(), file: plain(&first.file), problem };
    if let Some(second) = own.next() {
        return Err(error(ClaimProblem::Files { other: plain(&second.file) }));
    }
    let device = match &first.content {
        ClaimContent::Problem(problem) => return Err(error(ClaimProblem::Content(plain(problem)))),
        ClaimContent::Devices(devices) => match devices.as_slice() {
            [device] => device,
            [] => return Err(error(ClaimProblem::NoDevice)),
            devices => return Err(error(ClaimProblem::Devices { count: devices.len() })),
        },
    };
    let name = || device.name.clone();
    match &device.pci_bus_id {
        Some(value) => value
            .parse()
            .map(Some)
            .map_err(|problem| error(ClaimProblem::Address { device: name(), problem })),
        None => match address_of(&device.name) {
            Some(address) => Ok(Some(address)),
            None => Err(error(ClaimProblem::NoAddress { device: name() })),
        },
    }
}

/// A text for a message; quoted and cut if it comes from a report that launcher-hook did not write.
fn plain(text: &str) -> String {
    const LONGEST: usize = 1000;
    let is_plain = text.len() <= LONGEST && !text.chars().any(char::is_control);
    if is_plain { text.to_owned() } else { Quoted(text).to_string() }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Versioned<'a> {
    #[serde(borrow, default)]
    api_version: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    requests: Option<Vec<Request>>,
}

#[derive(Deserialize)]
struct Request {
    name: String,
    #[serde(default)]
    devices: Option<Vec<Device>>,
}

#[derive(Deserialize)]
struct Device {
    name: String,
    #[serde(default)]
    attributes: Option<Attributes>,
}

#[derive(Deserialize)]
struct Attributes {
    #[serde(default, rename = "resource.kubernetes.io/pciBusID")]
    pci_bus_id: Option<Attribute>,
}

/// Its other forms (`int`, `bool`, `version`) cannot be an address.
#[derive(Deserialize)]
struct Attribute {
    #[serde(default)]
    string: Option<String>,
}

/// The devices of a request in a metadata file, or why they cannot be read; the sentence has the file as its subject.
///
/// # Errors
/// Text that is not such a stream, or that has no object of a known version, or another request.
pub fn parse(text: &[u8], request: &str) -> Result<Vec<ClaimDevice>, String> {
    let not_json = |error: serde_json::Error| {
        format!(
            "is not device metadata: {}; correct the DRA driver that wrote it",
            contract::json_problem(&error)
        )
    };
    let mut unknown: Vec<String> = Vec::new();
    for object in serde_json::Deserializer::from_slice(text).into_iter::<&RawValue>() {
        let object = object.map_err(not_json)?.get();
        // serde reads a list as an object's fields in their order.
        if !object.starts_with('{') {
            return Err(
                "is not device metadata: it holds more than JSON objects; correct the DRA driver".to_owned()
            );
        }
        let Versioned { api_version } = serde_json::from_str(object).map_err(not_json)?;
        let version = api_version.as_deref().unwrap_or_default();
        if VERSIONS.contains(&version) {
            let metadata: Metadata = serde_json::from_str(object).map_err(not_json)?;
            return devices(metadata, request);
        }
        // A message is to stay readable.
        if unknown.len() < 4 {
            unknown.push(Quoted(version).to_string());
        }
    }
    if unknown.is_empty() {
        return Err("is empty: look whether the DRA driver has prepared the claim".to_owned());
    }
    Err(format!(
        "has only the API versions {}, and {} are read: use a launcher-hook that is as new as the DRA driver",
        unknown.join(", "),
        VERSIONS.join(" and ")
    ))
}

fn devices(metadata: Metadata, request: &str) -> Result<Vec<ClaimDevice>, String> {
    let requests = metadata.requests.unwrap_or_default();
    // A request that lists alternatives is named together with the one that was chosen: `request/alternative`.
    let base = |name: &str| name.split_once('/').map_or(name, |(base, _)| base) == request;
    let names: Vec<_> = requests.iter().take(4).map(|one| Quoted(&one.name).to_string()).collect();
    let own: Vec<Request> = requests.into_iter().filter(|one| base(&one.name)).collect();
    if own.is_empty() {
        let named = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(format!(
            "names the requests {named}, and not this one: correct the DRA driver that wrote it"
        ));
    }
    let devices = own.into_iter().flat_map(|one| one.devices.unwrap_or_default());
    Ok(devices
        .map(|Device { name, attributes }| ClaimDevice {
            name,
            pci_bus_id: attributes.and_then(|all| all.pci_bus_id).and_then(|attribute| attribute.string),
        })
        .collect())
}

#[cfg(test)]
mod tests;

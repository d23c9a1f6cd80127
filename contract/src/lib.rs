//! What `sriov-webhook` and `launcher-hook` must agree on: names, grammars and formats.
//!
//! Every type here parses, prints and tests its own grammar, and a value that exists is valid: a
//! [`NadName`] can be used in an API path, and a [`ResourceName`] be written into a pod, without another
//! check. The crate is pure; it reads no clock, no environment, no file and no socket.

pub mod annotation;
mod claim;
pub mod cni;
mod device_report;
pub mod duration;
pub mod helper;
pub mod kubevirt;
mod mac;
pub mod nad;
mod names;
pub mod network_info;
mod network_resources;
pub mod network_status;
mod pci;
mod quoted;
mod resource;
mod selection;
mod short_list;
mod text;
pub mod vmi;
mod vmi_networks;

pub use claim::{ClaimContent, ClaimDevice, ClaimKind, ClaimMetadata, ClaimRequest, ClaimRequestError};
pub use device_report::{DeviceNode, DeviceReport, DeviceReportError};
pub use mac::{MacAddress, MacAddressError};
pub use nad::{NadName, NadNameError};
pub use names::{NameError, check_label, check_subdomain, is_qualified_part};
pub use network_resources::{NetworkResources, NetworkResourcesError};
pub use pci::{PciAddress, PciAddressError};
pub use quoted::{Quoted, cut, json_problem};
pub use resource::{DEVICE_CLASS_PREFIX, ResourceName, ResourceNameError};
pub use selection::{NetworkSelection, SelectionError, parse_default_network, parse_networks};
pub use short_list::{LONGEST_LIST, ListTooLong, ShortList};
pub use text::Text;
pub use vmi_networks::{VmiNetwork, VmiNetworks};

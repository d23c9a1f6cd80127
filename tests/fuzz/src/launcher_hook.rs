//! What launcher-hook does with untrusted bytes, and what must hold whatever they are.
//!
//! The fuzz targets call these, and so does `launcher-hook/tests/corpus.rs` with all that is in the corpora.

use contract::network_info::NetworkInfo;
use contract::{ClaimContent, ClaimKind, ClaimMetadata, ClaimRequest};
use launcher_hook::claims::parse;
use launcher_hook::define::{Options, PodTexts, define};
use launcher_hook::devices::Devices;
use launcher_hook::domain::{Document, hostdevs};

use super::{DOMAIN, NETWORK_INFO, VMI};

/// Edits a domain.
pub fn domain_xml(bytes: &[u8]) {
    let Ok(domain) = std::str::from_utf8(bytes) else { return };
    if Document::parse(domain).is_ok() {
        assert_well_formed(domain);
    }
    let sources = PodTexts { network_info: Some(NETWORK_INFO), ..PodTexts::default() };
    let options = Options::default();
    match define(VMI, domain, &sources, &options) {
        Ok(definition) => {
            // Another reader reads it, the VFs are there, and once more changes nothing.
            assert_well_formed(&definition.xml);
            let found = hostdevs(&definition.xml).unwrap();
            for device in &definition.devices {
                let of_device = found.iter().filter(|view| view.source == device.address);
                assert_eq!(of_device.count(), 1, "{device:?}");
            }
            let again = define(VMI, &definition.xml, &sources, &options).unwrap();
            assert_eq!(again.xml, definition.xml);
        }
        Err(error) => assert_sentence(&error.to_string()),
    }
}

/// By another reader.
fn assert_well_formed(domain: &str) {
    roxmltree::Document::parse(domain).unwrap();
}

/// Reads the variables that the device plugin wrote, one on a line; among them are those on `_INFO`.
pub fn variables(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let variables: Vec<(String, String)> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let sources = PodTexts { variables: &variables, ..PodTexts::default() };
    match Devices::read(&sources) {
        Ok(devices) => {
            for (name, devices) in devices.pools() {
                let is_named = variables.iter().any(|(variable, _)| {
                    variable == name
                        || name == "SRIOVNETWORK_PCI_ADDRESSES"
                            && variable.starts_with("SRIOVNETWORK_VF_DEVICE_")
                });
                assert!(is_named && !devices.is_empty());
            }
        }
        Err(error) => return assert_sentence(&error.to_string()),
    }
    decide(&sources);
}

/// Reads the annotation network-info, as it comes through the downward API, and as if it were network-status.
pub fn network_info(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(Some(info)) = NetworkInfo::parse(text) {
        let written = serde_json::to_string(&info).unwrap();
        assert_eq!(NetworkInfo::parse(&written).unwrap(), Some(info));
    }
    decide(&PodTexts { network_info: Some(text), ..PodTexts::default() });
    decide(&PodTexts { network_status: Some(text), ..PodTexts::default() });
}

/// Reads the metadata of a claimed device, and the same as a report of `compute` would have it.
pub fn claim_metadata(bytes: &[u8]) {
    let of = ClaimRequest::new(ClaimKind::Template, "net", "vf").unwrap();
    let content = match parse(bytes, of.request()) {
        Ok(devices) => ClaimContent::Devices(devices),
        Err(problem) => {
            assert_sentence(&problem);
            ClaimContent::Problem(String::from_utf8_lossy(bytes).into_owned())
        }
    };
    let claims =
        [ClaimMetadata { of: of.clone(), file: String::from_utf8_lossy(bytes).into_owned(), content }];
    let devices = Devices::read(&PodTexts { claims: &claims, ..PodTexts::default() }).unwrap();
    match devices.claimed(&of) {
        Ok(address) => assert!(address.is_some()),
        Err(error) => assert_sentence(&error.to_string()),
    }
}

fn decide(sources: &PodTexts<'_>) {
    match define(VMI, DOMAIN, sources, &Options::default()) {
        Ok(definition) => {
            roxmltree::Document::parse(&definition.xml).unwrap();
        }
        Err(error) => assert_sentence(&error.to_string()),
    }
}

/// A message goes into logs and terminals, on one line.
fn assert_sentence(message: &str) {
    assert!(!message.is_empty() && !message.chars().any(char::is_control), "{message:?}");
}

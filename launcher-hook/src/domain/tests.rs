use super::*;

mod editing;
mod properties;
mod well_formed;

/// A domain whose devices are `devices`.
fn domain(devices: &str) -> String {
    format!("<domain type='kvm'>\n  <name>n</name>\n  <devices>\n{devices}  </devices>\n</domain>\n")
}

fn wanted(network: &str, address: &str) -> WantedHostdev {
    WantedHostdev {
        network: network.to_owned(),
        address: address.parse().unwrap(),
        boot_order: None,
        guest_address: None,
    }
}

fn converge(text: &str, wanted: &[WantedHostdev]) -> Result<String, DomainError> {
    Document::parse(text)?.converge(wanted).map(std::borrow::Cow::into_owned)
}

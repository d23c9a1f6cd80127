//! The annotation [`NETWORK_STATUS`](crate::annotation::NETWORK_STATUS): what Multus attached.
//!
//! Source: the k8snetworkplumbingwg multi-network specification 1.3, network attachment status.

use serde::{Deserialize, Serialize};

use crate::MacAddress;
use crate::network_info::{DeviceInfo, lenient_mac};

/// One attachment, in the order Multus made them; the cluster's own network comes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkStatus {
    /// `namespace/name` of the NAD; for the cluster's own network the name in its CNI configuration.
    pub name: String,
    /// Name of the interface inside the pod.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub interface: String,
    /// The MAC address that the attachment has; `None` if there is none, or something else in its place.
    #[serde(default, deserialize_with = "lenient_mac", skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddress>,
    /// Whether this is the pod's default network.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    /// The device behind it, where one was reported.
    #[serde(rename = "device-info", default, skip_serializing_if = "Option::is_none")]
    pub device_info: Option<DeviceInfo>,
}

/// Reads the annotation; empty text, as before the sandbox exists, gives an empty list.
///
/// # Errors
/// What the JSON parser says.
pub fn parse(text: &str) -> Result<Vec<NetworkStatus>, serde_json::Error> {
    if text.trim().is_empty() { Ok(Vec::new()) } else { serde_json::from_str(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    /// As Multus 4.3 wrote it on a real node.
    const NODE: &str = r#"[{"name":"podnet","interface":"eth0","ips":["10.88.0.2"],"mac":"7a:d3:da:97:95:1b","default":true,"dns":{}},{"name":"default/sriov-net-a","interface":"pod9b6a4757d26","mac":"de:ad:00:00:be:01","dns":{},"device-info":{"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:01:10.0"}}}]"#;

    #[test]
    fn reads_what_multus_writes() {
        let status = parse(NODE).unwrap();
        assert!(status[0].default && status[0].device_info.is_none());
        let pci = status[1].device_info.as_ref().unwrap().pci.as_ref().unwrap();
        assert_eq!(
            (status[1].name.as_str(), pci.address.to_string().as_str()),
            ("default/sriov-net-a", "0000:01:10.0")
        );
    }

    #[rstest]
    #[case::empty_as_multus_writes_it("")]
    #[case::what_a_plugin_made_up("none")]
    fn a_mac_that_is_none_is_passed_over(#[case] mac: &str) {
        assert_eq!(parse(&format!(r#"[{{"name":"a","mac":"{mac}"}}]"#)).unwrap()[0].mac, None);
    }

    #[test]
    fn empty_is_nothing_attached_yet() {
        assert_eq!(parse("").unwrap(), []);
    }
}

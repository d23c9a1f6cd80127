//! What PFs say of their VFs: the output of `ip -details -json link` on the node.
//!
//! Only the network namespace of the PF sees it, which a pod is not in.

use contract::{MacAddress, PciAddress};
use serde::Deserialize;

/// A network interface.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Link {
    /// Its name on the node.
    pub ifname: String,
    parentdev: Option<String>,
    vfinfo_list: Vec<VfState>,
}

/// A VF, as its PF has it now.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct VfState {
    /// Its number.
    pub vf: u32,
    // The first is iproute2's name since 5.1, the other that of older ones.
    address: Option<String>,
    mac: Option<String>,
    vlan_list: Vec<Vlan>,
    vlan: Option<u64>,
    /// Whether the card checks MAC addresses.
    pub spoofchk: Option<bool>,
    /// Whether the guest may change what the PF has set.
    pub trust: Option<bool>,
    /// `auto`, `enable` or `disable`.
    pub link_state: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct Vlan {
    vlan: u64,
}

impl VfState {
    /// The MAC address; `None` if none is set.
    #[must_use]
    pub fn mac(&self) -> Option<MacAddress> {
        let text = self.address.as_ref().or(self.mac.as_ref())?;
        text.parse().ok().filter(|_| text != "00:00:00:00:00:00")
    }

    /// The VLAN; 0 means no VLAN.
    #[must_use]
    pub fn vlan(&self) -> u64 {
        self.vlan_list.first().map(|one| one.vlan).or(self.vlan).unwrap_or_default()
    }
}

/// Reads the output of `ip`.
///
/// # Errors
/// What the JSON parser says.
pub fn parse(text: &str) -> Result<Vec<Link>, serde_json::Error> {
    serde_json::from_str(text)
}

/// The PF's interface and its VF `index`. The PF is found by its address or by its interface.
#[must_use]
pub fn find<'a>(
    links: &'a [Link],
    pf: PciAddress,
    interface: Option<&str>,
    index: u32,
) -> Option<(&'a Link, &'a VfState)> {
    let is_pf = |link: &&Link| match &link.parentdev {
        Some(parent) => parent.parse() == Ok(pf),
        None => interface.is_some_and(|interface| interface == link.ifname),
    };
    // VLANs on top of a PF name the same parent and have no VFs.
    let mut links = links.iter().filter(|link| !link.vfinfo_list.is_empty()).filter(is_pf);
    let link = links.next()?;
    Some((link, link.vfinfo_list.iter().find(|vf| vf.vf == index)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const LINKS: &str = r#"[
        {"ifname": "lo"},
        {"ifname": "enp1s0", "parentbus": "pci", "parentdev": "0000:01:00.0", "vfinfo_list": [
            {"vf": 0, "link_type": "ether", "address": "02:00:00:00:01:00", "vlan_list": [{"vlan": 7, "qos": 0}], "spoofchk": true, "link_state": "auto", "trust": false},
            {"vf": 1, "mac": "00:00:00:00:00:00", "spoofchk": false, "trust": true}]},
        {"ifname": "enp2s0", "vfinfo_list": [{"vf": 0, "vlan": 9}]}]"#;

    #[rstest]
    #[case::by_address("0000:01:00.0", None, 0, Some((Some("02:00:00:00:01:00"), 7)))]
    #[case::without_mac_and_vlan("0000:01:00.0", None, 1, Some((None, 0)))]
    #[case::by_interface("0000:02:00.0", Some("enp2s0"), 0, Some((None, 9)))]
    #[case::other_vf("0000:01:00.0", None, 2, None)]
    #[case::other_pf("0000:03:00.0", Some("enp1s0"), 0, None)]
    fn states(
        #[case] pf: &str,
        #[case] interface: Option<&str>,
        #[case] index: u32,
        #[case] expected: Option<(Option<&str>, u64)>,
    ) {
        let links = parse(LINKS).unwrap();
        let state = find(&links, pf.parse().unwrap(), interface, index);
        let found = state.map(|(_, state)| (state.mac(), state.vlan()));
        assert_eq!(found, expected.map(|(mac, vlan)| (mac.map(|mac| mac.parse().unwrap()), vlan)));
    }
}

//! What a NAD's CNI configuration asks of a VF.

use serde_json::Value;

use crate::{Quoted, json_problem};

/// The CNI configuration in a NAD's `spec.config`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Cni {
    /// There is none: Multus looks for a file of the NAD's name on the node.
    #[default]
    OnNode,
    /// Multus cannot read it either.
    Unreadable(String),
    /// What it says.
    Read(CniConfig),
}

/// What a CNI configuration says about the device. `None` is what it leaves as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CniConfig {
    /// The plugins of the chain.
    pub plugins: Vec<String>,
    /// The VLAN that the PF tags the VF's frames with; 0 means none.
    pub vlan: Option<String>,
    /// Whether the guest may change its MAC address and become promiscuous.
    pub trust: Option<String>,
    /// Whether frames with another source address are dropped.
    pub spoof_check: Option<String>,
    /// The state of the VF's link.
    pub link_state: Option<String>,
    /// The MAC address.
    pub mac: Option<String>,
}

/// Plugins that configure a VF, and do nothing without one.
const SRIOV: [&str; 2] = ["sriov", "ib-sriov"];

impl Cni {
    /// Reads `spec.config`, a single plugin or a chain.
    #[must_use]
    pub fn read(config: Option<&str>) -> Self {
        let Some(text) = config.filter(|text| !text.trim().is_empty()) else { return Self::OnNode };
        let config: Value = match serde_json::from_str(text) {
            Ok(config) => config,
            Err(error) => return Self::Unreadable(format!("is not JSON ({})", json_problem(&error))),
        };
        let alone = std::slice::from_ref(&config);
        let plugins = match config.get("plugins") {
            None => alone,
            Some(Value::Array(plugins)) if !plugins.is_empty() => plugins,
            Some(other) => {
                return Self::Unreadable(format!(
                    "has plugins: {}, which is not a list of plugins",
                    Quoted(&other.to_string())
                ));
            }
        };
        let mut read = CniConfig::default();
        for plugin in plugins {
            let Some(kind) = plugin.get("type").and_then(Value::as_str).filter(|kind| !kind.is_empty())
            else {
                return Self::Unreadable("names no plugin (type)".to_owned());
            };
            read.plugins.push(kind.to_owned());
            let value = |key: &str| match plugin.get(key)? {
                Value::Null => None,
                Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
                other => Some(other.to_string()),
            };
            if SRIOV.contains(&kind) {
                read.vlan = value("vlan");
                read.trust = value("trust");
                read.spoof_check = value("spoofchk");
                read.link_state = value("link_state");
            }
            read.mac = value("mac").or(read.mac);
        }
        Self::Read(read)
    }

    /// Whether a plugin of it does nothing without a VF.
    #[must_use]
    pub fn wants_vf(&self) -> bool {
        match self {
            Self::Read(config) => config.plugins.iter().any(|plugin| SRIOV.contains(&plugin.as_str())),
            Self::OnNode | Self::Unreadable(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn config(plugins: &[&str]) -> CniConfig {
        CniConfig { plugins: plugins.iter().map(ToString::to_string).collect(), ..CniConfig::default() }
    }

    #[rstest]
    #[case::none(None, Cni::OnNode)]
    #[case::empty(Some(" "), Cni::OnNode)]
    #[case::alone(
        Some(r#"{"cniVersion":"0.3.1","type":"sriov","vlan":100,"trust":"on","spoofchk":"off","link_state":"enable"}"#),
        Cni::Read(CniConfig {
            vlan: Some("100".to_owned()), trust: Some("on".to_owned()), spoof_check: Some("off".to_owned()),
            link_state: Some("enable".to_owned()), ..config(&["sriov"]) })
    )]
    #[case::untagged(
        Some(r#"{"type":"sriov","vlan":0}"#),
        Cni::Read(CniConfig { vlan: Some("0".to_owned()), ..config(&["sriov"]) })
    )]
    #[case::chain(
        Some(r#"{"plugins":[{"type":"sriov","vlan":"7"},{"type":"tuning","mac":"02:00:00:00:00:07","trust":"on"}]}"#),
        Cni::Read(CniConfig {
            vlan: Some("7".to_owned()), mac: Some("02:00:00:00:00:07".to_owned()), ..config(&["sriov", "tuning"]) })
    )]
    #[case::another_plugin(Some(r#"{"type":"bridge","vlan":5}"#), Cni::Read(config(&["bridge"])))]
    #[case::empty_chain(
        Some(r#"{"plugins":[]}"#),
        Cni::Unreadable(r#"has plugins: "[]", which is not a list of plugins"#.to_owned())
    )]
    #[case::no_type(Some(r#"{"name":"x"}"#), Cni::Unreadable("names no plugin (type)".to_owned()))]
    fn configurations(#[case] text: Option<&str>, #[case] expected: Cni) {
        assert_eq!(Cni::read(text), expected);
    }

    #[test]
    fn what_is_not_json_says_where() {
        let Cni::Unreadable(problem) = Cni::read(Some("{'type': 'sriov'}")) else { panic!("it was read") };
        assert!(problem.starts_with("is not JSON (key must be a string at line 1"), "{problem}");
    }

    #[rstest]
    #[case::sriov(r#"{"type":"sriov"}"#, true)]
    #[case::infiniband_in_a_chain(r#"{"plugins":[{"type":"ib-sriov"},{"type":"tuning"}]}"#, true)]
    #[case::macvtap(r#"{"type":"macvtap"}"#, false)]
    #[case::unreadable("{", false)]
    fn which_want_a_vf(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(Cni::read(Some(text)).wants_vf(), expected);
    }
}

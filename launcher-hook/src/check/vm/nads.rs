//! What NADs want of their VFs: the configuration of the SR-IOV CNI plugin.

use contract::cni::{Cni, CniConfig};
use serde_json::Value;

/// The configuration of a NAD, as far as it becomes the VF's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nad {
    /// `namespace/name`.
    pub name: String,
    /// The resource in its annotation.
    pub resource: Option<String>,
    /// What the plugin `sriov` is told; absent if another plugin or none is configured.
    pub wanted: Option<Wanted>,
}

/// What the SR-IOV CNI plugin is told to set. What is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The VLAN; 0 means no VLAN.
    pub vlan: Option<u64>,
    /// Whether the VF is trusted.
    pub trust: Option<bool>,
    /// Whether the card checks MAC addresses.
    pub spoof_check: Option<bool>,
    /// `auto`, `enable` or `disable`.
    pub link: Option<String>,
}

/// Reads what `kubectl get net-attach-def -o json` prints: one NAD, or a list of them.
///
/// # Errors
/// What the JSON parser says.
pub fn parse(text: &str) -> Result<Vec<Nad>, serde_json::Error> {
    let object: Value = serde_json::from_str(text)?;
    Ok(match object.get("items").and_then(Value::as_array) {
        Some(items) => items.iter().filter_map(nad).collect(),
        None => nad(&object).into_iter().collect(),
    })
}

fn nad(object: &Value) -> Option<Nad> {
    let metadata = object.get("metadata")?;
    let field = |name: &str| metadata.get(name).and_then(Value::as_str);
    let resource = metadata.get("annotations").and_then(|all| all.get(contract::annotation::RESOURCE_NAME));
    let config = object.pointer("/spec/config").and_then(Value::as_str);
    Some(Nad {
        name: format!("{}/{}", field("namespace").unwrap_or("default"), field("name")?),
        resource: resource.and_then(Value::as_str).map(str::to_owned),
        wanted: match Cni::read(config) {
            Cni::Read(config) => wanted(config),
            Cni::OnNode | Cni::Unreadable(_) => None,
        },
    })
}

/// Of the plugin `sriov`, alone or in a list of plugins.
fn wanted(config: CniConfig) -> Option<Wanted> {
    let CniConfig { plugins, vlan, trust, spoof_check, link_state, mac: _ } = config;
    let switch = |value: Option<String>| match value.as_deref() {
        Some("on") => Some(true),
        Some("off") => Some(false),
        _ => None,
    };
    plugins.iter().any(|plugin| plugin == "sriov").then(|| Wanted {
        vlan: vlan.and_then(|vlan| vlan.parse().ok()),
        trust: switch(trust),
        spoof_check: switch(spoof_check),
        link: link_state,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plugin(r#"{"type":"sriov","vlan":7,"trust":"on","spoofchk":"off","link_state":"enable"}"#, Some(Wanted { vlan: Some(7), trust: Some(true), spoof_check: Some(false), link: Some("enable".to_owned()) }))]
    #[case::in_a_list(r#"{"plugins":[{"type":"sriov","vlan":7},{"type":"tuning"}]}"#, Some(Wanted { vlan: Some(7), ..Wanted::default() }))]
    #[case::nothing_said(r#"{"type":"sriov"}"#, Some(Wanted::default()))]
    #[case::another_plugin(r#"{"type":"host-device","vlan":7}"#, None)]
    #[case::file_on_the_node("", None)]
    fn configurations(#[case] config: &str, #[case] expected: Option<Wanted>) {
        let object = serde_json::json!({"metadata": {"name": "blue", "namespace": "tenant"}, "spec": {"config": config}});
        for text in [object.to_string(), serde_json::json!({"kind": "List", "items": [object]}).to_string()] {
            let nads = parse(&text).unwrap();
            assert_eq!(
                nads,
                [Nad { name: "tenant/blue".to_owned(), resource: None, wanted: expected.clone() }]
            );
        }
    }
}

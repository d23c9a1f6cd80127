//! What NADs want of their VFs: the configuration of the SR-IOV CNI plugin.

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
    let config = object.pointer("/spec/config").and_then(Value::as_str).unwrap_or_default();
    Some(Nad {
        name: format!("{}/{}", field("namespace").unwrap_or("default"), field("name")?),
        resource: resource.and_then(Value::as_str).map(str::to_owned),
        wanted: serde_json::from_str(config).ok().and_then(|config: Value| wanted(&config)),
    })
}

/// Of the plugin `sriov`, alone or in a list of plugins.
fn wanted(config: &Value) -> Option<Wanted> {
    let is_sriov = |plugin: &&Value| plugin.get("type").and_then(Value::as_str) == Some("sriov");
    let listed = config.get("plugins").and_then(Value::as_array).into_iter().flatten();
    let plugin = std::iter::once(config).chain(listed).find(is_sriov)?;
    let text = |name: &str| plugin.get(name).and_then(Value::as_str);
    let switch = |name: &str| match text(name) {
        Some("on") => Some(true),
        Some("off") => Some(false),
        _ => None,
    };
    Some(Wanted {
        vlan: plugin.get("vlan").and_then(Value::as_u64),
        trust: switch("trust"),
        spoof_check: switch("spoofchk"),
        link: text("link_state").map(str::to_owned),
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

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{NadName, ResourceName};

/// What the webhook tells the helper: the resource of each NAD that the pod names, as the JSON object
/// `{"namespace/nad": "prefix/resource"}` in the variable [`NetworkResources::VARIABLE`] of the helper's container.
///
/// A NAD that needs no resource is not in it. Printed in the order of the NADs' names, so that equal
/// contents are equal texts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkResources(pub BTreeMap<NadName, ResourceName>);

/// The variable holds something else.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}: {problem}: expected {{\"namespace/nad\": \"prefix/resource\"}}", NetworkResources::VARIABLE)]
pub struct NetworkResourcesError {
    /// What the JSON parser says.
    pub problem: String,
}

impl NetworkResources {
    /// Name of the environment variable.
    pub const VARIABLE: &str = "SRIOV_NETWORK_RESOURCES";

    /// Reads the variable's value.
    ///
    /// # Errors
    /// If it is not such an object, or a name in it is not valid.
    pub fn parse(text: &str) -> Result<Self, NetworkResourcesError> {
        serde_json::from_str(text)
            .map(Self)
            .map_err(|error| NetworkResourcesError { problem: error.to_string() })
    }

    /// The variable's value.
    #[must_use]
    pub fn to_json(&self) -> String {
        let names = self.0.iter().map(|(nad, resource)| (nad.as_str().to_owned(), resource.as_str().into()));
        serde_json::Value::Object(names.collect()).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn prints_what_it_parses() {
        let text = r#"{"default/sriov-net-a":"intel.com/sriov_vfio","net-admin/b":"mellanox.com/cx6"}"#;
        assert_eq!(NetworkResources::parse(text).unwrap().to_json(), text);
    }

    #[rstest]
    #[case::empty("", "EOF")]
    #[case::list("[]", "invalid type: sequence")]
    #[case::nad(r#"{"net":"a.b/c"}"#, r#"NAD "net" has no namespace"#)]
    #[case::resource(r#"{"ns/net":"cpu"}"#, r#""cpu" is not a resource name"#)]
    fn refuses(#[case] text: &str, #[case] part: &str) {
        let message = NetworkResources::parse(text).unwrap_err().to_string();
        assert!(message.starts_with("SRIOV_NETWORK_RESOURCES: ") && message.contains(part), "{message}");
    }
}

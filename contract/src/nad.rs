//! NetworkAttachmentDefinitions (NADs).
//!
//! Source: the CustomResourceDefinition of network-attachment-definition-client, `artifacts/networks-crd.yaml`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{NameError, Quoted, check_label, check_subdomain};

/// API group of NADs.
pub const GROUP: &str = "k8s.cni.cncf.io";

/// Their kind.
pub const KIND: &str = "NetworkAttachmentDefinition";

/// Their name in API paths.
pub const PLURAL: &str = "network-attachment-definitions";

/// Where Multus looks for the NAD of a default network whose name has no namespace, unless it is configured otherwise.
pub const MULTUS_NAMESPACE: &str = "kube-system";

/// The full name of a NetworkAttachmentDefinition, `namespace/name`: a DNS label and a DNS subdomain.
///
/// It is kept as the one text that it prints as, so that it is a map's key without another allocation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NadName(Box<str>);

/// Why a text names no NAD.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NadNameError {
    /// No `/` between namespace and name.
    #[error("NAD {} has no namespace: write namespace/name", Quoted(.value))]
    NoNamespace {
        /// The text found.
        value: String,
    },
    /// The part before the `/`.
    #[error("namespace {} {problem}", Quoted(.value))]
    Namespace {
        /// The namespace found.
        value: String,
        /// The rule that it breaks.
        problem: NameError,
    },
    /// The part after the `/`.
    #[error("NAD name {} {problem}", Quoted(.value))]
    Name {
        /// The name found.
        value: String,
        /// The rule that it breaks.
        problem: NameError,
    },
}

impl NadName {
    /// Joins a namespace and a name.
    ///
    /// # Errors
    /// The part that is not the DNS name it should be.
    pub fn new(namespace: &str, name: &str) -> Result<Self, NadNameError> {
        check_label(namespace)
            .map_err(|problem| NadNameError::Namespace { value: namespace.to_owned(), problem })?;
        check_subdomain(name).map_err(|problem| NadNameError::Name { value: name.to_owned(), problem })?;
        Ok(Self([namespace, "/", name].concat().into()))
    }

    /// `namespace/name`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the `/`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.parts().0
    }

    /// The part after the `/`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.parts().1
    }

    fn parts(&self) -> (&str, &str) {
        // `new` is the only constructor and always puts one in.
        self.0.split_once('/').unwrap_or(("", &self.0))
    }
}

impl fmt::Display for NadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for NadName {
    type Err = NadNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (namespace, name) =
            text.split_once('/').ok_or_else(|| NadNameError::NoNamespace { value: text.to_owned() })?;
        Self::new(namespace, name)
    }
}

impl TryFrom<String> for NadName {
    type Error = NadNameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<NadName> for String {
    fn from(name: NadName) -> Self {
        name.0.into()
    }
}

impl std::borrow::Borrow<str> for NadName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn parts_and_text() {
        let nad: NadName = "net-admin/sriov.net-b".parse().unwrap();
        assert_eq!((nad.namespace(), nad.name()), ("net-admin", "sriov.net-b"));
        assert_eq!(nad.to_string(), "net-admin/sriov.net-b");
    }

    #[rstest]
    #[case::bare("net", r#"NAD "net" has no namespace: write namespace/name"#)]
    #[case::namespace_with_dot(
        "a.b/net",
        r#"namespace "a.b" has the character '.'; only lower-case letters, digits and '-' are allowed"#
    )]
    #[case::path(
        "default/../x",
        r#"NAD name "../x" has the character '/'; only lower-case letters, digits, '-' and '.' are allowed"#
    )]
    #[case::empty_name("default/", r#"NAD name "" is empty"#)]
    #[case::empty_namespace("/net", r#"namespace "" is empty"#)]
    fn refusals(#[case] text: &str, #[case] message: &str) {
        assert_eq!(text.parse::<NadName>().unwrap_err().to_string(), message);
    }
}

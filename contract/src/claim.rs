use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{NameError, Quoted, check_label, check_subdomain};

/// How a pod comes by a resource claim, which decides under which name its device metadata is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ClaimKind {
    /// The pod names a ResourceClaim.
    #[serde(rename = "resourceclaims")]
    Claim,
    /// The claim is made for the pod from a ResourceClaimTemplate. It is known by its name in `spec.resourceClaims`.
    #[serde(rename = "resourceclaimtemplates")]
    Template,
}

impl ClaimKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Claim, Self::Template];

    /// The folder of its device metadata.
    ///
    /// Source: Kubernetes, KEP-5304.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Claim => "resourceclaims",
            Self::Template => "resourceclaimtemplates",
        }
    }
}

/// One request of a resource claim of a pod: what a network gets its device from. Its names can be part of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct ClaimRequest {
    kind: ClaimKind,
    claim: Box<str>,
    request: Box<str>,
}

/// A name that no claim or request can have. The sentence has no subject.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ClaimRequestError {
    /// The claim's name.
    #[error("claim {} {problem}", Quoted(.name))]
    Claim {
        /// The text found.
        name: String,
        /// The rule that it breaks.
        problem: NameError,
    },
    /// The request's name.
    #[error("request {} {problem}", Quoted(.name))]
    Request {
        /// The text found.
        name: String,
        /// The rule that it breaks.
        problem: NameError,
    },
}

#[derive(Deserialize)]
struct Unchecked {
    kind: ClaimKind,
    claim: String,
    request: String,
}

impl TryFrom<Unchecked> for ClaimRequest {
    type Error = ClaimRequestError;

    fn try_from(Unchecked { kind, claim, request }: Unchecked) -> Result<Self, Self::Error> {
        Self::new(kind, &claim, &request)
    }
}

impl ClaimRequest {
    /// Checks both names by the API server's rules.
    ///
    /// # Errors
    /// The name that breaks them.
    pub fn new(kind: ClaimKind, claim: &str, request: &str) -> Result<Self, ClaimRequestError> {
        let checked = match kind {
            ClaimKind::Claim => check_subdomain(claim),
            ClaimKind::Template => check_label(claim),
        };
        checked.map_err(|problem| ClaimRequestError::Claim { name: claim.to_owned(), problem })?;
        check_label(request)
            .map_err(|problem| ClaimRequestError::Request { name: request.to_owned(), problem })?;
        Ok(Self { kind, claim: claim.into(), request: request.into() })
    }

    /// How the pod comes by the claim.
    #[must_use]
    pub fn kind(&self) -> ClaimKind {
        self.kind
    }

    /// Name of the ResourceClaim, or for a template the name in the pod's `spec.resourceClaims`.
    #[must_use]
    pub fn claim(&self) -> &str {
        &self.claim
    }

    /// Name of the request.
    #[must_use]
    pub fn request(&self) -> &str {
        &self.request
    }
}

impl fmt::Display for ClaimRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {} of claim {}", self.request, self.claim)
    }
}

/// What one metadata file of a claimed device says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimMetadata {
    /// The request that the file is about.
    pub of: ClaimRequest,
    /// Its path in the container that holds the claim.
    pub file: String,
    /// What is in it.
    pub content: ClaimContent,
}

/// The content of a metadata file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClaimContent {
    /// The devices of the request.
    Devices(Vec<ClaimDevice>),
    /// Why it cannot be read. The sentence has the file as its subject.
    Problem(String),
}

/// A device of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClaimDevice {
    /// Its name in its pool.
    pub name: String,
    /// Its attribute `resource.kubernetes.io/pciBusID`, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pci_bus_id: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn prints_what_it_parses() {
        let text = r#"{"of":{"kind":"resourceclaims","claim":"net.a","request":"vf"},"file":"/f","content":{"devices":[{"name":"d","pciBusId":"0000:65:02.1"}]}}"#;
        let metadata: ClaimMetadata = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&metadata).unwrap(), text);
        assert_eq!(metadata.of.to_string(), "request vf of claim net.a");
    }

    #[rstest]
    #[case::parent(ClaimKind::Claim, "..", "vf", "claim \"..\" must start and end")]
    #[case::slash(ClaimKind::Claim, "a/b", "vf", "claim \"a/b\" has the character '/'")]
    #[case::dot_of_a_pods_own_name(
        ClaimKind::Template,
        "net.a",
        "vf",
        "claim \"net.a\" has the character '.'"
    )]
    #[case::empty(ClaimKind::Template, "", "vf", "claim \"\" is empty")]
    #[case::request(ClaimKind::Claim, "net", "../vf", "request \"../vf\" has the character '.'")]
    #[case::no_request(ClaimKind::Claim, "net", "", "request \"\" is empty")]
    fn names_are_checked(
        #[case] kind: ClaimKind,
        #[case] claim: &str,
        #[case] request: &str,
        #[case] start: &str,
    ) {
        let message = ClaimRequest::new(kind, claim, request).unwrap_err().to_string();
        assert!(message.starts_with(start), "{message}");
        let kind = kind.folder();
        let json = serde_json::json!({"kind": kind, "claim": claim, "request": request});
        assert!(serde_json::from_value::<ClaimRequest>(json).is_err());
    }
}

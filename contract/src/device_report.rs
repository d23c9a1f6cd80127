use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ClaimMetadata;

/// What the container `compute` was given, as `launcher-hook report-devices` writes it there for the helper in its
/// own container:
///
/// ```json
/// {
///   "version": 1,
///   "variables": {"PCIDEVICE_INTEL_COM_SRIOV_VFIO": "0000:65:02.1"},
///   "nodes": [{"path": "/dev/vfio/16"}, {"path": "/dev/vfio/17", "errno": 13}],
///   "claims": [],
///   "problems": []
/// }
/// ```
///
/// It shows the container at its start: virt-handler makes QEMU's user the owner of the nodes later. Fields that
/// are not known are skipped, so a newer writer may add some; one that changes the meaning of these raises the
/// version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceReport {
    version: u32,
    /// The environment variables that name devices or resources.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// The device nodes below `/dev/vfio`.
    #[serde(default)]
    pub nodes: Vec<DeviceNode>,
    /// What the metadata files of claimed devices say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<ClaimMetadata>,
    /// What the writer could not find out, one sentence each.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// A device node, and whether it could be opened for reading and writing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceNode {
    /// Its path in `compute`.
    pub path: String,
    /// The number of the kernel's error; absent if it was opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
}

/// The text is not a report that this version can read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DeviceReportError {
    /// It is not the JSON of one.
    #[error("{problem}")]
    Json {
        /// What the JSON parser says.
        problem: String,
    },
    /// It is from another version of launcher-hook.
    #[error(
        "it has version {found} and not {}: compute runs another version of launcher-hook",
        DeviceReport::VERSION
    )]
    Version {
        /// The version in the report.
        found: u32,
    },
}

impl DeviceReport {
    /// The version that is written and read.
    pub const VERSION: u32 = 1;

    /// The most bytes that a reader accepts. A report has a few kilobytes.
    pub const LARGEST: u64 = 1 << 20;

    /// A report of the current version.
    #[must_use]
    pub fn new(variables: BTreeMap<String, String>, nodes: Vec<DeviceNode>, problems: Vec<String>) -> Self {
        Self { version: Self::VERSION, variables, nodes, claims: Vec::new(), problems }
    }

    /// Reads a report.
    ///
    /// # Errors
    /// If it is not a report, or has another version.
    pub fn parse(text: &str) -> Result<Self, DeviceReportError> {
        let report: Self = serde_json::from_str(text)
            .map_err(|error| DeviceReportError::Json { problem: error.to_string() })?;
        match report.version {
            Self::VERSION => Ok(report),
            found => Err(DeviceReportError::Version { found }),
        }
    }

    /// The report as JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn report() -> DeviceReport {
        let nodes = vec![
            DeviceNode { path: "/dev/vfio/16".to_owned(), errno: None },
            DeviceNode { path: "/dev/vfio/17".to_owned(), errno: Some(13) },
        ];
        let variables = BTreeMap::from([("PCIDEVICE_A_B".to_owned(), "0000:65:02.1".to_owned())]);
        DeviceReport::new(variables, nodes, vec!["a problem".to_owned()])
    }

    #[test]
    fn parses_what_it_prints() {
        assert_eq!(DeviceReport::parse(&report().to_json()).unwrap(), report());
        let text = r#"{"nodes":[{"path":"/dev/vfio/16"},{"errno":13,"path":"/dev/vfio/17"}],"problems":["a problem"],"variables":{"PCIDEVICE_A_B":"0000:65:02.1"},"version":1}"#;
        assert_eq!(report().to_json(), text);
    }

    #[rstest]
    #[case::only_the_version(r#"{"version":1}"#)]
    #[case::fields_of_a_newer_writer(r#"{"version":1,"sockets":[{"name":"vf"}]}"#)]
    fn what_is_not_known_is_skipped(#[case] text: &str) {
        assert_eq!(DeviceReport::parse(text).unwrap(), DeviceReport::new(BTreeMap::new(), vec![], vec![]));
    }

    #[rstest]
    #[case::empty("", "EOF")]
    #[case::no_version("{}", "missing field `version`")]
    #[case::newer(
        r#"{"version":2}"#,
        "it has version 2 and not 1: compute runs another version of launcher-hook"
    )]
    fn refuses(#[case] text: &str, #[case] start: &str) {
        let message = DeviceReport::parse(text).unwrap_err().to_string();
        assert!(message.starts_with(start), "{message}");
    }
}

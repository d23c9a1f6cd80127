use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{NameError, Quoted, check_subdomain, is_qualified_part};

/// The name of a Kubernetes extended resource, `prefix/name`, as the API server takes it in a container's
/// requests and limits: the prefix a DNS subdomain outside `kubernetes.io` (but [`DEVICE_CLASS_PREFIX`] is allowed),
/// the name at most 63 characters
/// of `A-Za-z0-9-_.`, alphanumeric at both ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourceName(Box<str>);

/// Why a text is not an extended resource name. The sentence has no subject: the caller names the thing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ResourceNameError {
    /// No `/`, or more than one.
    #[error("is not a resource name of the form prefix/name, such as intel.com/sriov_vfio")]
    NotPrefixed,
    /// The part before the `/`.
    #[error("is not a resource name: its prefix {problem}")]
    Prefix {
        /// The rule that it breaks.
        problem: NameError,
    },
    /// The part after the `/`.
    #[error(
        "is not a resource name: after the '/' at most 63 letters, digits, '-', '_' and '.' are allowed, \
         with a letter or digit at both ends"
    )]
    Name,
    /// Kubernetes keeps `kubernetes.io` and the prefix `requests.` to itself.
    #[error("is reserved by Kubernetes and cannot be a device plugin's resource")]
    Reserved,
}

/// Prefix of the name by which a pod requests devices of a DeviceClass as if they were an extended resource; the class's
/// name follows.
///
/// Source: Kubernetes, KEP-5004.
pub const DEVICE_CLASS_PREFIX: &str = "deviceclass.resource.kubernetes.io/";

/// The API server checks `requests.` + prefix as a subdomain (for quotas), so the prefix itself is shorter.
const QUOTA_PREFIX: &str = "requests.";

impl ResourceName {
    /// Prefix of [`devices_variable`](Self::devices_variable).
    pub const DEVICES_VARIABLE_PREFIX: &str = "PCIDEVICE_";

    /// `prefix/name`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The variable in which the SR-IOV device plugin lists the devices of this resource:
    /// `PCIDEVICE_`, then the name with `/` and `.` turned into `_`, in capitals. A `-` stays.
    ///
    /// Several names can give one variable: go from the name to the variable, never back.
    ///
    /// Source: sriov-network-device-plugin v3, `pkg/resources`.
    #[must_use]
    pub fn devices_variable(&self) -> String {
        let mut variable = String::with_capacity(Self::DEVICES_VARIABLE_PREFIX.len() + self.0.len());
        variable.push_str(Self::DEVICES_VARIABLE_PREFIX);
        variable.extend(self.0.chars().map(|character| match character {
            '/' | '.' => '_',
            other => other.to_ascii_uppercase(),
        }));
        variable
    }

    fn check(text: &str) -> Result<(), ResourceNameError> {
        let (prefix, name) = text.split_once('/').ok_or(ResourceNameError::NotPrefixed)?;
        if name.contains('/') {
            return Err(ResourceNameError::NotPrefixed);
        }
        check_subdomain(prefix).map_err(|problem| ResourceNameError::Prefix { problem })?;
        let limit = 253 - QUOTA_PREFIX.len();
        if prefix.len() > limit {
            let problem = NameError::TooLong { length: prefix.len(), limit };
            return Err(ResourceNameError::Prefix { problem });
        }
        if !is_qualified_part(name) {
            return Err(ResourceNameError::Name);
        }
        // The API server looks for the text, not the domain: notkubernetes.io/x is reserved too.
        let is_reserved = prefix.ends_with("kubernetes.io") && !text.starts_with(DEVICE_CLASS_PREFIX);
        if is_reserved || text.starts_with(QUOTA_PREFIX) {
            return Err(ResourceNameError::Reserved);
        }
        Ok(())
    }
}

impl fmt::Display for ResourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ResourceName {
    type Err = ResourceNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::check(text)?;
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for ResourceName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match Self::check(&text) {
            Ok(()) => Ok(Self(text.into())),
            Err(problem) => Err(format!("{} {problem}", Quoted(&text))),
        }
    }
}

impl From<ResourceName> for String {
    fn from(name: ResourceName) -> Self {
        name.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::intel("intel.com/sriov_vfio", "PCIDEVICE_INTEL_COM_SRIOV_VFIO")]
    #[case::dash_stays("openshift.io/sriov-net", "PCIDEVICE_OPENSHIFT_IO_SRIOV-NET")]
    #[case::macvtap("macvtap.network.kubevirt.io/eth0", "PCIDEVICE_MACVTAP_NETWORK_KUBEVIRT_IO_ETH0")]
    #[case::device_class(
        "deviceclass.resource.kubernetes.io/sriov-vf",
        "PCIDEVICE_DEVICECLASS_RESOURCE_KUBERNETES_IO_SRIOV-VF"
    )]
    #[case::capitals("intel.com/Sriov.A", "PCIDEVICE_INTEL_COM_SRIOV_A")]
    fn names_and_their_variables(#[case] text: &str, #[case] variable: &str) {
        let resource: ResourceName = text.parse().unwrap();
        assert_eq!(resource.to_string(), text);
        assert_eq!(resource.devices_variable(), variable);
    }

    #[rstest]
    #[case::empty("", ResourceNameError::NotPrefixed)]
    #[case::native("cpu", ResourceNameError::NotPrefixed)]
    #[case::hugepages("hugepages-2Mi", ResourceNameError::NotPrefixed)]
    #[case::two_slashes("a.b/c/d", ResourceNameError::NotPrefixed)]
    #[case::empty_prefix("/vf", ResourceNameError::Prefix { problem: NameError::Empty })]
    #[case::long_prefix(&format!("{}/vf", "a".repeat(245)), ResourceNameError::Prefix { problem: NameError::TooLong { length: 245, limit: 244 } })]
    #[case::empty_name("intel.com/", ResourceNameError::Name)]
    #[case::long_name(&format!("intel.com/{}", "a".repeat(64)), ResourceNameError::Name)]
    #[case::dash_at_end("intel.com/vf-", ResourceNameError::Name)]
    #[case::space("intel.com/v f", ResourceNameError::Name)]
    #[case::newline("intel.com/vf\n", ResourceNameError::Name)]
    #[case::kubernetes("kubernetes.io/vf", ResourceNameError::Reserved)]
    #[case::under_kubernetes("node.kubernetes.io/vf", ResourceNameError::Reserved)]
    #[case::longer_than_the_device_classes(
        "x.deviceclass.resource.kubernetes.io/vf",
        ResourceNameError::Reserved
    )]
    #[case::quota("requests.intel.com/vf", ResourceNameError::Reserved)]
    fn refuses(#[case] text: &str, #[case] expected: ResourceNameError) {
        assert_eq!(text.parse::<ResourceName>(), Err(expected));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = text.parse::<ResourceName>();
        }

        #[test]
        fn a_variable_is_one_an_environment_can_hold(text in "[a-z]{1,8}\\.[a-z]{1,8}/[A-Za-z][A-Za-z0-9_.-]{0,20}[a-z]") {
            let variable = text.parse::<ResourceName>().unwrap().devices_variable();
            prop_assert!(!variable.contains(['=', '\0', '/', '.']) && variable == variable.to_uppercase());
        }
    }
}

//! What a NetworkAttachmentDefinition (NAD) asks of the pods that attach to it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use contract::{
    NadName, Quoted, ResourceName, ResourceNameError, annotation, check_subdomain, is_qualified_part,
};
use thiserror::Error;

/// What a NAD's annotations say.
///
/// NADs in their thousands say one of a few things, so stores share equal ones behind an [`Arc`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Network {
    /// The annotations are in order.
    Valid(Requirements),
    /// They are not, and a pod that names the NAD cannot be judged.
    Invalid(NetworkError),
}

/// What a pod needs for one attachment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Requirements {
    /// One of each of these; none for a network without a device plugin.
    pub resources: Vec<ResourceName>,
    /// A label that the pod's node must have.
    pub node_label: Option<NodeLabel>,
    /// Where the device comes from, if the NAD says so.
    pub device_source: Option<DeviceSource>,
}

/// Where the device of an attachment comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeviceSource {
    /// From a device plugin: the pod requests a resource.
    DevicePlugin,
    /// From a ResourceClaim of the pod.
    ResourceClaim,
    /// The attachment needs no device.
    None,
}

/// A label in a pod's node selector.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeLabel {
    /// The label's key.
    pub key: String,
    /// Its value; empty if the NAD names only a key.
    pub value: String,
}

/// What is wrong with a NAD's annotations. The sentence has no subject: the caller names the NAD.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Error)]
pub enum NetworkError {
    /// The resource annotation.
    #[error("its annotation {key}: {value} {problem}")]
    Resource {
        /// The annotation's key.
        key: String,
        /// Its value as it is shown: whole it may be as long as an object of Kubernetes.
        value: String,
        /// What is wrong with it.
        problem: String,
        /// The label that the NAD wants of nodes: what counts if the device is claimed, whatever the resource.
        node_label: Option<Box<NodeLabel>>,
    },
    /// The node selector annotation.
    #[error("its annotation {}: {value} is not a label: write key=value or key", annotation::NODE_SELECTOR)]
    NodeSelector {
        /// Its value as it is shown.
        value: String,
    },
    /// The annotation about the device's source.
    #[error(
        "its annotation {}: {value} is not a valid source: write device-plugin, resource-claim or none",
        annotation::DEVICE_SOURCE
    )]
    DeviceSource {
        /// Its value as it is shown.
        value: String,
    },
}

/// What is known of a NAD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// It exists, and says this.
    Known(Arc<Network>),
    /// It does not exist, as far as is known.
    Missing,
    /// It could not be looked up, for this reason. Nobody may be told that it does not exist.
    Unavailable(Arc<str>),
}

/// Where NADs are looked up. Looking up does no I/O: a NAD that is not in memory is missing.
pub trait Networks {
    /// What is known of the NAD.
    fn get(&self, nad: &NadName) -> Lookup;

    /// Whether a NAD of this name, `namespace/name`, is known.
    fn is_known(&self, nad: &str) -> bool {
        nad.parse().is_ok_and(|nad| matches!(self.get(&nad), Lookup::Known(_)))
    }
}

impl Networks for BTreeMap<NadName, Network> {
    fn get(&self, nad: &NadName) -> Lookup {
        BTreeMap::get(self, nad).cloned().map(Arc::new).into()
    }
}

impl From<Option<Arc<Network>>> for Lookup {
    fn from(network: Option<Arc<Network>>) -> Self {
        network.map_or(Self::Missing, Self::Known)
    }
}

impl Lookup {
    /// The NAD, if it is known.
    #[must_use]
    pub fn known(&self) -> Option<&Network> {
        match self {
            Self::Known(network) => Some(network),
            Self::Missing | Self::Unavailable(_) => None,
        }
    }

    /// What the NAD requires, if it is known and valid.
    #[must_use]
    pub fn requirements(&self) -> Option<&Requirements> {
        match self.known()? {
            Network::Valid(requirements) => Some(requirements),
            Network::Invalid(_) => None,
        }
    }
}

impl Network {
    /// Reads a NAD's annotations. Each of `resource_keys` that is there and not empty names a resource.
    pub fn from_annotations<'a>(
        resource_keys: &[String],
        annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let mut requirements = Requirements::default();
        let mut wrong_resource = None;
        for (key, value) in annotations {
            let read = if resource_keys.iter().any(|resource_key| resource_key == key) {
                // Only a device plugin's resource has to be one that a pod can request.
                wrong_resource = requirements.add_resource(key, value).err().or(wrong_resource);
                Ok(())
            } else if key == annotation::DEVICE_SOURCE {
                DeviceSource::parse(value).map(|source| requirements.device_source = source)
            } else if key == annotation::NODE_SELECTOR {
                NodeLabel::parse(value).map(|label| requirements.node_label = label)
            } else {
                Ok(())
            };
            if let Err(error) = read {
                return Self::Invalid(error);
            }
        }
        match (requirements.device_source, wrong_resource) {
            (Some(DeviceSource::ResourceClaim | DeviceSource::None), _) => requirements.resources.clear(),
            (_, Some(NetworkError::Resource { key, value, problem, .. })) => {
                let node_label = requirements.node_label.map(Box::new);
                return Self::Invalid(NetworkError::Resource { key, value, problem, node_label });
            }
            (_, Some(error)) => return Self::Invalid(error),
            (_, None) => {}
        }
        // Annotations come in no order; equal networks must be equal.
        requirements.resources.sort_unstable();
        // Two keys may say the same: Multus takes one device for the attachment.
        requirements.resources.dedup();
        Self::Valid(requirements)
    }
}

impl Lookup {
    /// The same for an attachment whose device is from a resource claim. No resource is requested then, and the NAD's
    /// is only the name under which Multus finds the device, so that it may be any text.
    #[must_use]
    pub fn claimed(self) -> Self {
        let node_label = match self.known() {
            Some(Network::Valid(requirements)) => requirements.node_label.clone(),
            Some(Network::Invalid(NetworkError::Resource { node_label, .. })) => {
                node_label.as_deref().cloned()
            }
            Some(Network::Invalid(_)) | None => return self,
        };
        let device_source = Some(DeviceSource::ResourceClaim);
        let requirements = Requirements { resources: Vec::new(), node_label, device_source };
        Self::Known(Arc::new(Network::Valid(requirements)))
    }
}

impl Requirements {
    /// Whether each attachment takes a device, of a resource or of a claim.
    #[must_use]
    pub fn take_a_device(&self) -> bool {
        !self.resources.is_empty() || self.device_source == Some(DeviceSource::ResourceClaim)
    }

    fn add_resource(&mut self, key: &str, value: &str) -> Result<(), NetworkError> {
        if !value.is_empty() {
            self.resources.push(value.parse().map_err(|problem: ResourceNameError| {
                NetworkError::Resource {
                    key: key.to_owned(),
                    value: Quoted(value).to_string(),
                    problem: problem.to_string(),
                    node_label: None,
                }
            })?);
        }
        Ok(())
    }
}

impl DeviceSource {
    /// Reads the annotation; `None` if it is empty.
    fn parse(text: &str) -> Result<Option<Self>, NetworkError> {
        match text.trim() {
            "" => Ok(None),
            "device-plugin" => Ok(Some(Self::DevicePlugin)),
            "resource-claim" => Ok(Some(Self::ResourceClaim)),
            "none" => Ok(Some(Self::None)),
            _ => Err(NetworkError::DeviceSource { value: Quoted(text).to_string() }),
        }
    }
}

impl NodeLabel {
    /// Reads `key=value` or `key`; `None` if the text is empty.
    fn parse(text: &str) -> Result<Option<Self>, NetworkError> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let (key, value) = text.split_once('=').unwrap_or((text, ""));
        let (key, value) = (key.trim(), value.trim());
        let valid_key = match key.split_once('/') {
            Some((prefix, name)) => check_subdomain(prefix).is_ok() && is_qualified_part(name),
            None => is_qualified_part(key),
        };
        if valid_key && (value.is_empty() || is_qualified_part(value)) {
            Ok(Some(Self { key: key.to_owned(), value: value.to_owned() }))
        } else {
            Err(NetworkError::NodeSelector { value: Quoted(text).to_string() })
        }
    }
}

impl fmt::Display for NodeLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn read(annotations: &[(&str, &str)]) -> Network {
        let keys = [annotation::RESOURCE_NAME.to_owned(), "example.com/resource".to_owned()];
        Network::from_annotations(&keys, annotations.iter().copied())
    }

    fn requirements(resources: &[&str], node_label: Option<(&str, &str)>) -> Network {
        Network::Valid(Requirements {
            resources: resources.iter().map(|name| name.parse().unwrap()).collect(),
            node_label: node_label.map(|(key, value)| NodeLabel { key: key.into(), value: value.into() }),
            device_source: None,
        })
    }

    /// A network whose device comes from there, with this resource.
    fn from_source(source: DeviceSource, resources: &[&str]) -> Network {
        let Network::Valid(requirements) = requirements(resources, None) else { panic!("invalid") };
        Network::Valid(Requirements { device_source: Some(source), ..requirements })
    }

    #[rstest]
    #[case::none(&[], requirements(&[], None))]
    #[case::other_keys(&[("a", "b")], requirements(&[], None))]
    #[case::resource(&[(annotation::RESOURCE_NAME, "intel.com/vf")], requirements(&["intel.com/vf"], None))]
    #[case::empty_resource(&[(annotation::RESOURCE_NAME, "")], requirements(&[], None))]
    #[case::two_keys(
        &[(annotation::RESOURCE_NAME, "intel.com/vf"), ("example.com/resource", "a.b/c")],
        requirements(&["a.b/c", "intel.com/vf"], None)
    )]
    #[case::two_keys_of_one_resource(
        &[(annotation::RESOURCE_NAME, "intel.com/vf"), ("example.com/resource", "intel.com/vf")],
        requirements(&["intel.com/vf"], None)
    )]
    #[case::device_plugin(
        &[(annotation::RESOURCE_NAME, "intel.com/vf"), (annotation::DEVICE_SOURCE, "device-plugin")],
        from_source(DeviceSource::DevicePlugin, &["intel.com/vf"])
    )]
    #[case::claimed(
        &[(annotation::RESOURCE_NAME, "intel.com/vf"), (annotation::DEVICE_SOURCE, "resource-claim")],
        from_source(DeviceSource::ResourceClaim, &[])
    )]
    // Of a claimed device the resource is only the name under which Multus finds it.
    #[case::claimed_under_any_name(
        &[(annotation::DEVICE_SOURCE, " resource-claim "), (annotation::RESOURCE_NAME, "nic 1")],
        from_source(DeviceSource::ResourceClaim, &[])
    )]
    #[case::no_device(
        &[(annotation::RESOURCE_NAME, "intel.com/vf"), (annotation::DEVICE_SOURCE, "none")],
        from_source(DeviceSource::None, &[])
    )]
    #[case::empty_source(&[(annotation::DEVICE_SOURCE, "")], requirements(&[], None))]
    #[case::node_label(
        &[(annotation::NODE_SELECTOR, " example.com/rack = r1 ")],
        requirements(&[], Some(("example.com/rack", "r1")))
    )]
    #[case::node_key(&[(annotation::NODE_SELECTOR, "sriov")], requirements(&[], Some(("sriov", ""))))]
    fn valid(#[case] annotations: &[(&str, &str)], #[case] expected: Network) {
        assert_eq!(read(annotations), expected);
    }

    #[test]
    fn invalid() {
        let cases = [
            ("native resource", annotation::RESOURCE_NAME, "cpu"),
            ("path", annotation::RESOURCE_NAME, "../x"),
            ("source", annotation::DEVICE_SOURCE, "claim"),
            ("two labels", annotation::NODE_SELECTOR, "a=b=c"),
            ("label list", annotation::NODE_SELECTOR, "a=b,c=d"),
            ("no key", annotation::NODE_SELECTOR, "=b"),
        ];
        let told = cases.map(|(name, key, value)| {
            let Network::Invalid(error) = read(&[(key, value)]) else { panic!("{name} is valid") };
            format!("{name}\n  {error}")
        });
        insta::assert_snapshot!(told.join("\n"), @r#"
        native resource
          its annotation k8s.v1.cni.cncf.io/resourceName: "cpu" is not a resource name of the form prefix/name, such as intel.com/sriov_vfio
        path
          its annotation k8s.v1.cni.cncf.io/resourceName: "../x" is not a resource name: its prefix must start and end with a lower-case letter or digit, on each side of every dot
        source
          its annotation kubevirt-sriov.io/device-source: "claim" is not a valid source: write device-plugin, resource-claim or none
        two labels
          its annotation k8s.v1.cni.cncf.io/nodeSelector: "a=b=c" is not a label: write key=value or key
        label list
          its annotation k8s.v1.cni.cncf.io/nodeSelector: "a=b,c=d" is not a label: write key=value or key
        no key
          its annotation k8s.v1.cni.cncf.io/nodeSelector: "=b" is not a label: write key=value or key
        "#);
    }

    #[rstest]
    #[case::resource(annotation::RESOURCE_NAME)]
    #[case::node_selector(annotation::NODE_SELECTOR)]
    fn of_a_long_wrong_value_only_what_is_shown_is_kept(#[case] key: &str) {
        let value = "a b".repeat(100_000);
        let network = read(&[(key, &value)]);
        assert!(format!("{network:?}").len() < 500);
        let Network::Invalid(error) = network else { panic!("valid") };
        assert!(error.to_string().contains("\"… (300000 bytes) is not "), "{error}");
    }
}

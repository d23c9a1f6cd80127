//! The parts of a pod that a decision depends on, borrowed from the review. Everything else in the pod is
//! skipped, not copied.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use contract::{ShortList, Text, check_subdomain, kubevirt};
use serde::de::{Deserialize, Deserializer, Visitor};
use serde_json::value::RawValue;

/// A uid is a UUID, of 36 characters; an invented one may be as long as a label.
const LONGEST_UID: usize = 63;

/// A pod.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Pod<'a> {
    /// Name, namespace, labels, annotations.
    #[serde(borrow)]
    pub metadata: Metadata<'a>,
    /// Containers and node selector.
    #[serde(borrow)]
    pub spec: Spec<'a>,
}

/// A pod's metadata.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Metadata<'a> {
    /// Empty if the API server is to make one up.
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    /// What it makes the name from.
    #[serde(borrow)]
    pub generate_name: Option<Text<'a>>,
    /// Empty in some reviews; the request's namespace is the one that counts.
    #[serde(borrow)]
    pub namespace: Option<Text<'a>>,
    #[serde(borrow)]
    labels: Option<Labels<'a>>,
    #[serde(borrow)]
    annotations: Option<Annotations<'a>>,
    /// Left unread for the few decisions that need it.
    #[serde(borrow)]
    owner_references: Option<&'a RawValue>,
}

/// Who a pod belongs to.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Owner<'a> {
    /// Its kind.
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// Its name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Its unique id.
    #[serde(borrow)]
    pub uid: Cow<'a, str>,
}

/// A pod's specification.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec<'a> {
    /// The containers, in their order.
    #[serde(borrow)]
    pub containers: Option<ShortList<Container<'a>>>,
    /// The init containers; those that restart run beside the others.
    #[serde(borrow)]
    pub init_containers: Option<ShortList<Container<'a>>>,
    /// The volumes, left unread for the few decisions that need it.
    #[serde(borrow)]
    pub volumes: Option<&'a RawValue>,
    /// The Secrets for pulling images, left unread for the few decisions that need it.
    #[serde(borrow)]
    pub image_pull_secrets: Option<&'a RawValue>,
    /// Labels that the node must have; `None` if the key is absent.
    #[serde(borrow)]
    pub node_selector: Option<Entries<'a, Option<Text<'a>>>>,
}

/// A container.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Container<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    /// What it requests; `None` if the key is absent.
    #[serde(borrow)]
    pub resources: Option<Resources<'a>>,
    /// The command, left unread for the few decisions that need it.
    #[serde(borrow)]
    pub command: Option<&'a RawValue>,
    /// Its arguments, left unread for the few decisions that need it.
    #[serde(borrow)]
    pub args: Option<&'a RawValue>,
    /// Its environment, left unread for the few decisions that need it.
    #[serde(borrow)]
    pub env: Option<&'a RawValue>,
    /// Its mounts, left unread for the few decisions that need it.
    #[serde(borrow)]
    pub volume_mounts: Option<&'a RawValue>,
    /// Its lifecycle hooks, left unread for the few decisions that need it.
    #[serde(borrow)]
    pub lifecycle: Option<&'a RawValue>,
    #[serde(borrow)]
    restart_policy: Option<Text<'a>>,
}

/// Anything with a name: a volume, a variable.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Named<'a> {
    /// The name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
}

/// Where a volume is mounted.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct VolumeMount<'a> {
    /// The volume.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// The path in the container.
    #[serde(borrow)]
    pub mount_path: Cow<'a, str>,
}

/// Parses a part that few decisions need; for the others it is only skipped.
pub(super) fn read_deferred<'a, T: Deserialize<'a>>(
    text: Option<&'a RawValue>,
) -> serde_json::Result<Option<T>> {
    text.map(|text| serde_json::from_str(text.get())).transpose()
}

/// What a container requests.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Resources<'a> {
    /// `None` if the key is absent.
    #[serde(borrow)]
    pub requests: Option<Entries<'a, Quantity<'a>>>,
    /// `None` if the key is absent.
    #[serde(borrow)]
    pub limits: Option<Entries<'a, Quantity<'a>>>,
    /// The resource claims that it holds.
    #[serde(borrow)]
    pub claims: Option<ShortList<Claim<'a>>>,
}

/// A resource claim that a container holds.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Claim<'a> {
    /// Its name in the pod.
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
}

impl Pod<'_> {
    /// Name for people: the name, or what it will be made from.
    #[must_use]
    pub fn display_name(&self) -> String {
        match (non_empty(self.metadata.name.as_ref()), non_empty(self.metadata.generate_name.as_ref())) {
            (Some(name), _) => name.to_owned(),
            (None, Some(prefix)) => format!("{prefix}*"),
            (None, None) => "(no name)".to_owned(),
        }
    }

    /// The VMI that it is a pod of, where it names one as the API server does.
    #[must_use]
    pub fn vmi(&self) -> Option<Owner<'_>> {
        let owners: ShortList<Owner<'_>> = read_deferred(self.metadata.owner_references).ok()??;
        let vmi = owners.into_iter().find(|owner| owner.kind == kubevirt::VMI_KIND)?;
        (check_subdomain(&vmi.name).is_ok() && vmi.uid.len() <= LONGEST_UID).then_some(vmi)
    }

    pub(super) fn is_virt_launcher(&self) -> bool {
        let label = self.metadata.labels.as_ref().and_then(|labels| labels.kubevirt.as_ref());
        label.is_some_and(|value| &**value == kubevirt::LAUNCHER)
    }

    /// The networks that Multus attaches, unless the annotation is absent or empty.
    pub(super) fn networks(&self) -> Option<&str> {
        non_empty(self.metadata.annotations.as_ref()?.networks.as_ref())
    }

    /// What takes the place of the cluster's own network.
    pub(super) fn default_network(&self) -> Option<&str> {
        self.metadata.annotations.as_ref()?.default_network.as_deref()
    }

    /// Where the pod's author wants `launcher-hook`.
    pub(super) fn launcher_hook(&self) -> Option<&str> {
        self.metadata.annotations.as_ref()?.launcher_hook.as_deref()
    }

    /// The annotation [`IGNORE_NETWORKS`](contract::annotation::IGNORE_NETWORKS), if present.
    pub(super) fn ignore_networks(&self) -> Option<&str> {
        self.metadata.annotations.as_ref()?.ignore_networks.as_deref()
    }

    /// What the review of its VMI wrote down of the VMI's networks, if present.
    pub(super) fn networks_of_vmi(&self) -> Option<&str> {
        self.metadata.annotations.as_ref()?.networks_of_vmi.as_deref()
    }

    /// Whether a container of it holds a resource claim.
    pub(super) fn holds_claims(&self) -> bool {
        self.all_containers().any(|container| container.claims().next().is_some())
    }

    /// Whether no virtual machine will run in it.
    pub(super) fn is_provisioning(&self) -> bool {
        self.metadata.annotations.as_ref().is_some_and(|annotations| annotations.provisioning.is_some())
    }

    pub(super) fn containers(&self) -> &[Container<'_>] {
        self.spec.containers.as_deref().unwrap_or_default()
    }

    /// All containers, those that run before the others included.
    pub(super) fn all_containers(&self) -> impl Iterator<Item = &Container<'_>> {
        self.spec.init_containers.as_deref().unwrap_or_default().iter().chain(self.containers())
    }

    /// The containers that hold their resources as long as the pod lives.
    pub(super) fn lasting_containers(&self) -> impl Iterator<Item = &Container<'_>> {
        let init = self.spec.init_containers.as_deref().unwrap_or_default().iter();
        self.containers().iter().chain(init.filter(|container| {
            container.restart_policy.as_ref().is_some_and(|policy| &**policy == "Always")
        }))
    }
}

impl Container<'_> {
    /// Its name; empty if it has none, which the API server refuses.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// Names of the resource claims that it holds.
    pub(super) fn claims(&self) -> impl Iterator<Item = &str> {
        let claims = self.resources.as_ref().and_then(|resources| resources.claims.as_deref());
        claims.unwrap_or_default().iter().map(|claim| claim.name.as_deref().unwrap_or_default())
    }
}

fn non_empty<'a>(text: Option<&'a Text<'_>>) -> Option<&'a str> {
    text.map(|text| &**text).filter(|text| !text.is_empty())
}

/// Quantities are strings, but people write numbers in YAML and the API server takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quantity<'a>(pub Text<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for Quantity<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct QuantityVisitor;
        impl<'de> Visitor<'de> for QuantityVisitor {
            type Value = Quantity<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a quantity")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Quantity(Text(text.into())))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Quantity(Text(text.to_owned().into())))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Quantity(Text(number.to_string().into())))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Quantity(Text(number.to_string().into())))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Quantity(Text(number.to_string().into())))
            }
        }
        deserializer.deserialize_any(QuantityVisitor)
    }
}

/// A map; the last of two equal keys counts.
pub(super) type Entries<'a, V> = BTreeMap<Text<'a>, V>;

// Serde takes names as literals alone: they are the constants of `contract`, which the tests write.

/// The labels that matter.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Labels<'a> {
    #[serde(borrow, rename = "kubevirt.io")]
    kubevirt: Option<Text<'a>>,
}

/// The annotations that matter.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Annotations<'a> {
    #[serde(borrow, rename = "k8s.v1.cni.cncf.io/networks")]
    networks: Option<Text<'a>>,
    #[serde(borrow, rename = "v1.multus-cni.io/default-network")]
    default_network: Option<Text<'a>>,
    #[serde(borrow, rename = "kubevirt-sriov.io/launcher-hook")]
    launcher_hook: Option<Text<'a>>,
    #[serde(borrow, rename = "kubevirt-sriov.io/ignore-networks")]
    ignore_networks: Option<Text<'a>>,
    #[serde(borrow, rename = "kubevirt-sriov.io/networks")]
    networks_of_vmi: Option<Text<'a>>,
    #[serde(borrow, rename = "kubevirt.io/ephemeral-provisioning-object")]
    provisioning: Option<Text<'a>>,
}

//! The parts of a pod that a decision depends on, borrowed from the review. Everything else in the pod is
//! skipped, not copied.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use contract::{ShortList, Text, annotation, check_subdomain, kubevirt};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::unread::Unread;

/// A uid is a UUID, of 36 characters; whoever makes up one of his own stays below a label's length.
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
    /// Empty where the API server is to make one up.
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
    owner_references: Option<Unread<'a>>,
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
    pub volumes: Option<Unread<'a>>,
    /// Labels that the node must have; `None` where the key is absent.
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
    /// What it asks for; `None` where the key is absent.
    #[serde(borrow)]
    pub resources: Option<Resources<'a>>,
    /// The command, left unread for the few decisions that need it.
    #[serde(borrow)]
    pub command: Option<Unread<'a>>,
    /// Its arguments, left unread for the few decisions that need it.
    #[serde(borrow)]
    pub args: Option<Unread<'a>>,
    /// Its environment, left unread for the few decisions that need it.
    #[serde(borrow)]
    pub env: Option<Unread<'a>>,
    /// Its mounts, left unread for the few decisions that need it.
    #[serde(borrow)]
    pub volume_mounts: Option<Unread<'a>>,
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

/// Reads what few decisions need: skipping it is all that the others pay.
pub(super) fn later<'a, T: Deserialize<'a>>(text: Option<Unread<'a>>) -> serde_json::Result<Option<T>> {
    text.map_or(Ok(None), |text| text.read().map(Some))
}

/// What a container asks for.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Resources<'a> {
    /// `None` where the key is absent.
    #[serde(borrow)]
    pub requests: Option<Entries<'a, Quantity<'a>>>,
    /// `None` where the key is absent.
    #[serde(borrow)]
    pub limits: Option<Entries<'a, Quantity<'a>>>,
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
        let owners: ShortList<Owner<'_>> = later(self.metadata.owner_references).ok()??;
        let vmi = owners.into_iter().find(|owner| owner.kind == kubevirt::VMI_KIND)?;
        (check_subdomain(&vmi.name).is_ok() && vmi.uid.len() <= LONGEST_UID).then_some(vmi)
    }

    pub(super) fn is_virt_launcher(&self) -> bool {
        let label = self.metadata.labels.as_ref().and_then(|labels| labels.kubevirt.as_ref());
        label.is_some_and(|value| &**value == kubevirt::LAUNCHER)
    }

    /// The annotation [`NETWORKS`](annotation::NETWORKS), where it is there and not empty.
    pub(super) fn networks(&self) -> Option<&str> {
        non_empty(self.metadata.annotations.as_ref()?.networks.as_ref())
    }

    /// The annotation [`DEFAULT_NETWORK`](annotation::DEFAULT_NETWORK), where it is there.
    pub(super) fn default_network(&self) -> Option<&str> {
        self.metadata.annotations.as_ref()?.default_network.as_deref()
    }

    /// The annotation [`LAUNCHER_HOOK`](annotation::LAUNCHER_HOOK), where it is there.
    pub(super) fn launcher_hook(&self) -> Option<&str> {
        self.metadata.annotations.as_ref()?.launcher_hook.as_deref()
    }

    /// Whether no virtual machine will run in it.
    pub(super) fn is_provisioning(&self) -> bool {
        self.metadata.annotations.as_ref().is_some_and(|annotations| annotations.provisioning.is_some())
    }

    pub(super) fn containers(&self) -> &[Container<'_>] {
        self.spec.containers.as_deref().unwrap_or_default()
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
    /// Its name; empty where it has none, which the API server refuses.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
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

/// A map of few entries, in its own order; the last of two equal keys counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entries<'a, V>(Vec<(Text<'a>, V)>);

impl<V> Entries<'_, V> {
    pub(super) fn get(&self, key: &str) -> Option<&V> {
        self.0.iter().rev().find(|(name, _)| &**name == key).map(|(_, value)| value)
    }
}

impl<'de: 'a, 'a, V: Deserialize<'de>> Deserialize<'de> for Entries<'a, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for EntriesVisitor<V> {
            type Value = Entries<'de, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        let entries = deserializer.deserialize_map(EntriesVisitor(PhantomData))?;
        Ok(Self(entries.0))
    }
}

/// The one label that matters.
#[derive(Debug, Default)]
struct Labels<'a> {
    kubevirt: Option<Text<'a>>,
}

/// The annotations that matter.
#[derive(Debug, Default)]
struct Annotations<'a> {
    networks: Option<Text<'a>>,
    default_network: Option<Text<'a>>,
    launcher_hook: Option<Text<'a>>,
    provisioning: Option<Text<'a>>,
}

/// Picks the values of some keys out of an object of texts and skips the rest.
macro_rules! picked {
    ($type:ident { $($key:path => $field:ident),+ }) => {
        impl<'de: 'a, 'a> Deserialize<'de> for $type<'a> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Picker;
                impl<'de> Visitor<'de> for Picker {
                    type Value = $type<'de>;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an object of strings")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        let mut picked = $type::default();
                        while let Some(key) = map.next_key::<Text<'de>>()? {
                            match &*key {
                                $($key => picked.$field = map.next_value()?,)+
                                _ => {
                                    map.next_value::<IgnoredAny>()?;
                                }
                            }
                        }
                        Ok(picked)
                    }
                }
                deserializer.deserialize_map(Picker)
            }
        }
    };
}

picked!(Labels { kubevirt::LAUNCHER_LABEL => kubevirt });
picked!(Annotations {
    annotation::NETWORKS => networks,
    annotation::DEFAULT_NETWORK => default_network,
    annotation::LAUNCHER_HOOK => launcher_hook,
    kubevirt::EPHEMERAL_PROVISIONING => provisioning
});

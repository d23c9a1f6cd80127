//! What doctor knows of a NAD.

use std::collections::BTreeMap;
use std::sync::Arc;

use admission::{Lookup, Network, Networks, Requirements};
use contract::cni::Cni;
use contract::{NadName, annotation};

/// How many letters of a key may differ for it to be taken for another one.
const TYPOS: usize = 2;

/// A NAD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nad {
    /// What its annotations ask of pods.
    pub network: Network,
    /// Annotations that are not read, and seem to be meant for one that is and that the NAD does not have.
    pub misspelt: Vec<Misspelt>,
    /// What it asks of the device.
    pub cni: Cni,
}

/// An annotation whose key is nearly one that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misspelt {
    /// The key.
    pub key: String,
    /// What may be meant.
    pub meant: String,
}

/// All NADs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nads(pub BTreeMap<NadName, Nad>);

impl Networks for Nads {
    fn get(&self, nad: &NadName) -> Lookup {
        self.0.get(nad).map(|nad| Arc::new(nad.network.clone())).into()
    }
}

impl Nad {
    /// Reads annotations and `spec.config`; `resource_keys` are the annotations that name a resource.
    pub fn read<'a>(
        resource_keys: &[String],
        annotations: impl IntoIterator<Item = (&'a str, &'a str)> + Clone,
        config: Option<&str>,
    ) -> Self {
        let network = Network::from_annotations(resource_keys, annotations.clone());
        let mut known: Vec<&str> = Vec::new();
        if let Network::Valid(requirements) = &network {
            if requirements.resources.is_empty() && requirements.device_source.is_none() {
                known.extend(resource_keys.iter().map(String::as_str));
            }
            if requirements.node_label.is_none() {
                known.push(annotation::NODE_SELECTOR);
            }
            if requirements.device_source.is_none() {
                known.push(annotation::DEVICE_SOURCE);
            }
        }
        let misspelt = annotations.into_iter().filter_map(|(key, _)| {
            let meant = known.iter().find(|known| is_nearly(key, known))?;
            Some(Misspelt { key: key.to_owned(), meant: (*meant).to_owned() })
        });
        Self { network, misspelt: misspelt.collect(), cni: Cni::read(config) }
    }

    /// Whether its annotations are valid and request no device of a device plugin.
    #[must_use]
    pub fn needs_no_resource(&self) -> bool {
        matches!(&self.network, Network::Valid(requirements) if requirements.resources.is_empty())
    }

    /// Whether its annotations are valid and an attachment takes no device, neither of a resource nor of a claim.
    #[must_use]
    pub fn needs_no_device(&self) -> bool {
        matches!(&self.network, Network::Valid(requirements) if !requirements.take_a_device())
    }

    /// Whether it requests none although nothing says that its device comes from elsewhere.
    #[must_use]
    pub fn names_no_resource(&self) -> bool {
        let is_silent = |requirements: &Requirements| requirements.device_source.is_none();
        self.needs_no_resource()
            && matches!(&self.network, Network::Valid(requirements) if is_silent(requirements))
    }
}

/// Whether somebody who wrote `key` may have meant `known`: the prefix is often forgotten or another one, capitals
/// and hyphens vary.
fn is_nearly(key: &str, known: &str) -> bool {
    fn letters(key: &str) -> Vec<char> {
        let name = key.rsplit('/').next().unwrap_or(key);
        name.chars()
            .filter(|letter| !matches!(letter, '-' | '_' | '.'))
            .flat_map(char::to_lowercase)
            .collect()
    }
    key != known && distance(&letters(key), &letters(known)) <= TYPOS
}

/// How many letters have to be inserted, removed or replaced to make one word of the other.
fn distance(one: &[char], other: &[char]) -> usize {
    // The distances of what was read of `one` so far to each beginning of `other`.
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.iter().enumerate() {
        let mut next = vec![index + 1];
        for (pair, (step, before)) in other.iter().zip(row.iter().zip(row.iter().skip(1))) {
            let replaced = step + usize::from(pair != letter);
            let inserted = next.last().copied().unwrap_or_default() + 1;
            next.push(replaced.min(inserted).min(before + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn misspelt(annotations: &[(&str, &str)]) -> Vec<(String, String)> {
        let keys = [annotation::RESOURCE_NAME.to_owned()];
        let nad = Nad::read(&keys, annotations.iter().copied(), None);
        nad.misspelt.into_iter().map(|misspelt| (misspelt.key, misspelt.meant)).collect()
    }

    #[rstest]
    #[case::lower_case("k8s.v1.cni.cncf.io/resourcename", Some(annotation::RESOURCE_NAME))]
    #[case::a_hyphen("k8s.v1.cni.cncf.io/resource-name", Some(annotation::RESOURCE_NAME))]
    #[case::plural("k8s.v1.cni.cncf.io/resourceNames", Some(annotation::RESOURCE_NAME))]
    #[case::a_letter_lost("k8s.v1.cni.cncf.io/resouceName", Some(annotation::RESOURCE_NAME))]
    #[case::another_prefix("k8s.cni.cncf.io/resourceName", Some(annotation::RESOURCE_NAME))]
    #[case::no_prefix("resourceName", Some(annotation::RESOURCE_NAME))]
    #[case::node_selector("k8s.v1.cni.cncf.io/nodeselector", Some(annotation::NODE_SELECTOR))]
    #[case::device_source("kubevirt-sriov.io/devicesource", Some(annotation::DEVICE_SOURCE))]
    #[case::something_else("example.com/owner", None)]
    #[case::as_it_should_be(annotation::NODE_SELECTOR, None)]
    #[case::a_related_word("example.com/resourceNamespace", None)]
    fn keys(#[case] key: &str, #[case] meant: Option<&str>) {
        let expected: Vec<_> = meant.iter().map(|meant| (key.to_owned(), (*meant).to_owned())).collect();
        assert_eq!(misspelt(&[(key, "rack=1")]), expected);
    }

    #[test]
    fn beside_the_right_key_nothing_is_missing() {
        assert_eq!(misspelt(&[(annotation::RESOURCE_NAME, "intel.com/vf"), ("resourcename", "x")]), []);
    }

    #[test]
    fn a_device_of_a_claim_needs_no_resource() {
        let claim = Nad::read(&[], [(annotation::DEVICE_SOURCE, "resource-claim")], None);
        assert!(claim.needs_no_resource() && !claim.names_no_resource());
        let bare = Nad::read(&[], [], None);
        assert!(bare.needs_no_resource() && bare.names_no_resource());
    }

    #[rstest]
    #[case("", "", 0)]
    #[case("abc", "", 3)]
    #[case("", "abc", 3)]
    #[case("kitten", "sitting", 3)]
    #[case("name", "nmae", 2)]
    fn distances(#[case] one: &str, #[case] other: &str, #[case] expected: usize) {
        let letters = |word: &str| word.chars().collect::<Vec<_>>();
        assert_eq!(distance(&letters(one), &letters(other)), expected);
    }
}

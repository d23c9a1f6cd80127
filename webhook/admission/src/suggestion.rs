//! "Did you mean": a NAD that is known and differs little from one that is not.
//!
//! Similar names are tried rather than all NADs searched: a refusal costs a few thousand look-ups in memory at most,
//! however many NADs there are.

use contract::NadName;

use super::Options;
use crate::network::Networks;

/// Longer names are not varied.
const LONGEST: usize = 40;

/// What names consist of.
const ALPHABET: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789-.";

/// The known NAD that the author of a pod in `namespace` most likely meant with `nad`. Never one that the pod may
/// not use.
pub(super) fn suggestion(
    nad: &NadName,
    namespace: &str,
    networks: &impl Networks,
    options: &Options,
) -> Option<NadName> {
    let name = nad.name();
    // What is not a valid name is not known, so names are checked when they are.
    let known = |candidate: &str| {
        (candidate != nad.as_str() && networks.is_known(candidate)).then(|| candidate.parse().ok()).flatten()
    };
    let usable = |candidate: &NadName| !options.isolates(namespace, candidate, false);
    let mut elsewhere = [namespace, "default"].into_iter().map(|namespace| format!("{namespace}/{name}"));
    if let Some(candidate) = elsewhere.find_map(|candidate| known(&candidate).filter(usable)) {
        return Some(candidate);
    }
    if name.len() > LONGEST {
        return None;
    }
    let prefix = format!("{}/", nad.namespace());
    variants(name.as_bytes()).find_map(|variant| {
        let variant = std::str::from_utf8(&variant).ok()?;
        known(&[&prefix, variant].concat()).filter(usable)
    })
}

/// All that `name` becomes by one slip: a character too few or too many, a wrong one, two in the wrong order.
fn variants(name: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let parts = (0..=name.len()).filter_map(|at| name.split_at_checked(at));
    parts.flat_map(|(start, end)| {
        let swapped = match end {
            [first, second, rest @ ..] => Some([start, &[*second, *first], rest].concat()),
            _ => None,
        };
        let without = end.split_first().map(|(_, rest)| [start, rest].concat());
        let with = ALPHABET.iter().flat_map(move |letter| {
            let replaced = end.split_first().map(|(_, rest)| [start, &[*letter], rest].concat());
            [Some([start, &[*letter], end].concat()), replaced].into_iter().flatten()
        });
        [swapped, without].into_iter().flatten().chain(with)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::Network;
    use rstest::rstest;
    use std::collections::BTreeMap;

    fn known(nads: &[&str]) -> BTreeMap<NadName, Network> {
        nads.iter().map(|nad| (nad.parse().unwrap(), Network::Valid(Default::default()))).collect()
    }

    #[rstest]
    #[case::in_default("tenant/uplink", Some("default/uplink"))]
    #[case::in_the_pods_namespace("other/backup", Some("tenant/backup"))]
    #[case::letter_too_few("tenant/bckup", Some("tenant/backup"))]
    #[case::letter_too_many("tenant/backupp", Some("tenant/backup"))]
    #[case::wrong_letter("tenant/bachup", Some("tenant/backup"))]
    #[case::swapped("tenant/abckup", Some("tenant/backup"))]
    #[case::first_letter_lost("tenant/ackup", Some("tenant/backup"))]
    #[case::two_slips("tenant/bcku", None)]
    #[case::nothing_like_it("tenant/storage", None)]
    #[case::slip_in_another_namespace("far/shaed", Some("far/shared"))]
    fn of_what_is_known(#[case] nad: &str, #[case] expected: Option<&str>) {
        let networks = known(&["default/uplink", "tenant/backup", "far/shared"]);
        let found = suggestion(&nad.parse().unwrap(), "tenant", &networks, &Options::default());
        assert_eq!(found.as_ref().map(NadName::as_str), expected);
    }

    #[test]
    fn nothing_that_the_pod_may_not_use() {
        let options = Options { namespace_isolation: true, ..Options::default() };
        let found =
            |nad: &str| suggestion(&nad.parse().unwrap(), "tenant", &known(&["far/shared"]), &options);
        assert_eq!(found("far/shaed"), None);
    }

    #[test]
    fn it_stays_cheap() {
        let name = "a".repeat(LONGEST);
        assert!(variants(name.as_bytes()).count() < 3300);
    }
}

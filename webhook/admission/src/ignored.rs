//! Networks that the webhook leaves alone because the pod or its VMI says so.

use contract::{NadName, Quoted, SelectionError, annotation, parse_networks};
use thiserror::Error;

/// What stands for every network.
const ALL: &str = "*";

/// The networks that an annotation [`IGNORE_NETWORKS`](annotation::IGNORE_NETWORKS) names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ignored {
    all: bool,
    nads: Vec<NadName>,
}

/// An annotation that names no networks.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "annotation {}: {} is not a list of networks ({problem}): write * for all, or [NAMESPACE/]NAME, separated by commas",
    annotation::IGNORE_NETWORKS,
    Quoted(.value)
)]
pub(super) struct IgnoredError {
    value: String,
    problem: SelectionError,
}

impl Ignored {
    /// Reads the annotation, which may be absent. A name without a namespace is in `namespace`.
    pub(super) fn parse(text: Option<&str>, namespace: &str) -> Result<Self, IgnoredError> {
        let text = text.unwrap_or_default().trim();
        if text == ALL {
            return Ok(Self { all: true, nads: Vec::new() });
        }
        let selections = parse_networks(text, namespace)
            .map_err(|problem| IgnoredError { value: text.to_owned(), problem })?;
        Ok(Self { all: false, nads: selections.into_iter().map(|selection| selection.nad).collect() })
    }

    pub(super) fn contains(&self, nad: &NadName) -> bool {
        self.all || self.nads.contains(nad)
    }

    /// One sentence for each name that is not selected: most likely a typo.
    pub(super) fn idle(&self, is_selected: impl Fn(&NadName) -> bool) -> impl Iterator<Item = String> {
        self.nads.iter().filter(move |nad| !is_selected(nad)).map(|nad| {
            format!(
                "annotation {}: {nad} is not one of the networks: correct the name, or remove it",
                annotation::IGNORE_NETWORKS
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::absent(None, "ns/a", false)]
    #[case::empty(Some(" "), "ns/a", false)]
    #[case::all(Some(" * "), "ns/a", true)]
    #[case::own_namespace(Some("b, a"), "ns/a", true)]
    #[case::other_namespace(Some("other/a"), "ns/a", false)]
    #[case::in_json(Some(r#"[{"name":"a"}]"#), "ns/a", true)]
    #[case::part_of_a_name(Some("aa"), "ns/a", false)]
    fn networks(#[case] text: Option<&str>, #[case] nad: &str, #[case] expected: bool) {
        assert_eq!(Ignored::parse(text, "ns").unwrap().contains(&nad.parse().unwrap()), expected);
    }

    #[test]
    fn what_is_not_a_list_is_refused() {
        insta::assert_snapshot!(Ignored::parse(Some("*,a"), "ns").unwrap_err(), @r#"annotation kubevirt-sriov.io/ignore-networks: "*,a" is not a list of networks (element 1: NAD name "*" has the character '*'; only lower-case letters, digits and '-' are allowed (in a comma list; the JSON form takes names with dots)): write * for all, or [NAMESPACE/]NAME, separated by commas"#);
        insta::assert_snapshot!(Ignored::parse(Some("a;b"), "ns").unwrap_err(), @r#"annotation kubevirt-sriov.io/ignore-networks: "a;b" is not a list of networks (element 1: NAD name "a;b" has the character ';'; only lower-case letters, digits and '-' are allowed (in a comma list; the JSON form takes names with dots)): write * for all, or [NAMESPACE/]NAME, separated by commas"#);
    }
}

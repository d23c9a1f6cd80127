//! What a replica shows at `/metrics`, as far as doctor looks at it.

use std::collections::BTreeMap;

/// The samples of a page of metrics, in the text format that `serve` writes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counters(Vec<Sample>);

/// A name, its labels and its value.
#[derive(Debug, Clone, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Counters {
    /// Reads a page. Lines that are not samples are skipped.
    #[must_use]
    pub fn read(page: &str) -> Self {
        Self(page.lines().filter_map(sample).collect())
    }

    /// Whether it is a page of `serve`.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.version().is_some()
    }

    /// The replica's version.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        let build = self.0.iter().find(|sample| sample.name == "sriov_webhook_build_info")?;
        build.labels.get("version").map(String::as_str)
    }

    /// The sum of all samples of a name that have this label; none if there are none.
    #[must_use]
    pub fn sum(&self, name: &str, label: Option<(&str, &str)>) -> Option<f64> {
        let is_it = |sample: &&Sample| {
            sample.name == name
                && label.is_none_or(|(key, value)| sample.labels.get(key).is_some_and(|found| found == value))
        };
        let mut found = self.0.iter().filter(is_it).map(|sample| sample.value).peekable();
        found.peek()?;
        Some(found.sum())
    }
}

/// `name{key="value",…} value`, possibly with a time or an exemplar behind it.
fn sample(line: &str) -> Option<Sample> {
    if line.starts_with('#') {
        return None;
    }
    let (head, rest) = match line.split_once('{') {
        Some((name, rest)) => {
            let (labels, rest) = labels(rest)?;
            ((name, labels), rest)
        }
        None => {
            let (name, rest) = line.split_once(' ')?;
            ((name, BTreeMap::new()), rest)
        }
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample { name: head.0.to_owned(), labels: head.1, value })
}

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (key, quoted) = rest.split_once("=\"")?;
        let (mut value, mut escaped, mut end) = (String::new(), false, None);
        for (index, character) in quoted.char_indices() {
            match character {
                _ if escaped => {
                    value.push(if character == 'n' { '\n' } else { character });
                    escaped = false;
                }
                '\\' => escaped = true,
                '"' => {
                    end = Some(index);
                    break;
                }
                _ => value.push(character),
            }
        }
        labels.insert(key.to_owned(), value);
        rest = quoted.get(end? + 1..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const PAGE: &str = r#"# HELP sriov_webhook_build The program's version.
# TYPE sriov_webhook_build_info gauge
sriov_webhook_build_info{version="0.1.0"} 1
sriov_webhook_reviews_total{kind="pod",outcome="denied",reason="internal"} 2
sriov_webhook_reviews_total{kind="vmi",outcome="invalid",reason="internal"} 1
sriov_webhook_reviews_total{kind="pod",outcome="patched",reason=""} 40
sriov_webhook_networks_listed 1
odd{a="b \"quoted\", {x}"} 7 # {uid="1"} 0.5
broken{a="b
also broken
"#;

    #[rstest]
    #[case::by_label("sriov_webhook_reviews_total", Some(("reason", "internal")), Some(3.0))]
    #[case::all("sriov_webhook_reviews_total", None, Some(43.0))]
    #[case::without_labels("sriov_webhook_networks_listed", None, Some(1.0))]
    #[case::quotation_marks("odd", Some(("a", "b \"quoted\", {x}")), Some(7.0))]
    #[case::label_that_is_not_there("sriov_webhook_reviews_total", Some(("reason", "other")), None)]
    #[case::unknown("sriov_webhook_nothing", None, None)]
    #[case::broken("broken", None, None)]
    fn sums(#[case] name: &str, #[case] label: Option<(&str, &str)>, #[case] expected: Option<f64>) {
        assert_eq!(Counters::read(PAGE).sum(name, label), expected);
    }

    #[test]
    fn the_version_tells_whose_page_it_is() {
        assert_eq!(Counters::read(PAGE).version(), Some("0.1.0"));
        assert!(!Counters::read("up 1\n").is_ours());
    }
}

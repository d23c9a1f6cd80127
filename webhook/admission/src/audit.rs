//! What API servers write into their audit log of a decision: annotations of the answer, which they keep behind the name
//! of the webhook's entry.

use std::fmt::{self, Display, Write as _};

use super::attachments::Attachment;
use super::needs::Need;

/// No value is longer. An audit log is kept, and what stands in a pod is up to its author.
const LONGEST: usize = 1024;

/// Room for saying how many were left out.
const REST: usize = 32;

/// The annotations of a decision, besides the outcome itself: each network that the pod selects with its resources, and
/// each resource with how many were needed, requested and added. None if nothing was looked at.
pub(super) fn annotations(attachments: &[Attachment], needs: &[Need]) -> Vec<(&'static str, String)> {
    let networks = listed(attachments.iter().map(network));
    let resources = listed(needs.iter().map(resource));
    [("networks", networks), ("resources", resources)]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

fn network(attachment: &Attachment) -> impl Display {
    fmt::from_fn(move |f| {
        let nad = &attachment.nad;
        if attachment.is_ignored() {
            return write!(f, "{nad} (ignored)");
        }
        let Some(requirements) = attachment.requirements() else {
            return write!(f, "{nad} (unknown)");
        };
        write!(f, "{nad}")?;
        for (index, resource) in requirements.resources.iter().enumerate() {
            write!(f, "{}{resource}", if index == 0 { "=" } else { "+" })?;
        }
        Ok(())
    })
}

fn resource(need: &Need) -> impl Display {
    let Need { resource, needed, present, added, .. } = need;
    fmt::from_fn(move |f| write!(f, "{resource}: {needed} needed, {present} requested, {added} added"))
}

/// All in one line, or as many as fit. Each part is written into that line and nowhere else: this is done for every pod.
fn listed(parts: impl Iterator<Item = impl Display>) -> String {
    let (mut text, mut left) = (String::new(), 0_usize);
    for part in parts {
        if left == 0 {
            let end = text.len();
            append(&mut text, part);
            if text.len() <= LONGEST - REST {
                continue;
            }
            text.truncate(end);
        }
        left += 1;
    }
    if left > 0 {
        append(&mut text, format_args!("and {left} more"));
    }
    text
}

fn append(text: &mut String, part: impl Display) {
    let gap = if text.is_empty() { "" } else { ", " };
    // Writing into a String does not fail.
    let _ = write!(text, "{gap}{part}");
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::none(&[], "")]
    #[case::one(&[10], "xxxxxxxxxx")]
    #[case::two(&[1, 2], "x, xx")]
    #[case::one_that_is_too_long(&[LONGEST], "and 1 more")]
    fn what_fits_is_listed(#[case] lengths: &[usize], #[case] expected: &str) {
        assert_eq!(listed(lengths.iter().map(|length| "x".repeat(*length))), expected);
    }

    #[test]
    fn however_many_there_are_the_value_has_its_bound() {
        let text = listed((0..100_000).map(|index| format!("namespace-{index}/network")));
        assert!(text.len() <= LONGEST && text.ends_with(" more"), "{text}");
        let listed = text.matches("namespace-").count();
        assert!(text.ends_with(&format!(", and {} more", 100_000 - listed)), "{text}");
    }
}

use thiserror::Error;

/// Why a text is not the DNS name it should be. The sentence has no subject: the caller names the thing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NameError {
    /// Nothing there.
    #[error("is empty")]
    Empty,
    /// Longer than the API server allows.
    #[error("is {length} characters long, at most {limit} are allowed")]
    TooLong {
        /// Length found, in bytes.
        length: usize,
        /// Length allowed, in bytes.
        limit: usize,
    },
    /// A character outside `a-z`, `0-9`, `-` (and `.` where dots are allowed).
    #[error("has the character {character:?}; only {allowed} are allowed")]
    Character {
        /// The first such character.
        character: char,
        /// What would be allowed.
        allowed: &'static str,
    },
    /// A label that starts or ends with `-`, or is empty between two dots.
    #[error("must start and end with a lower-case letter or digit, on each side of every dot")]
    Edge,
}

/// Checks a DNS-1123 label, the form of a namespace: at most 63 of `a-z0-9-`, alphanumeric at both ends.
///
/// # Errors
/// The first rule that `text` breaks.
pub fn check_label(text: &str) -> Result<(), NameError> {
    check(text, 63, "lower-case letters, digits and '-'", |byte| byte == b'-')?;
    if label_edges(text) { Ok(()) } else { Err(NameError::Edge) }
}

/// Checks a DNS-1123 subdomain, the form of a NAD's name: labels joined by dots, at most 253 characters.
///
/// # Errors
/// The first rule that `text` breaks.
pub fn check_subdomain(text: &str) -> Result<(), NameError> {
    check(text, 253, "lower-case letters, digits, '-' and '.'", |byte| matches!(byte, b'-' | b'.'))?;
    if text.split('.').all(label_edges) { Ok(()) } else { Err(NameError::Edge) }
}

/// Whether `text` can stand behind the `/` of a Kubernetes qualified name (a label's key, an extended
/// resource): 1 to 63 of `A-Za-z0-9-_.`, alphanumeric at both ends.
#[must_use]
pub fn is_qualified_part(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 63 && text.bytes().all(inner) && edge(text.bytes().next()) && edge(text.bytes().last())
}

fn check(
    text: &str,
    limit: usize,
    allowed: &'static str,
    punctuation: impl Fn(u8) -> bool,
) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if let Some(character) = text.chars().find(|&c| {
        !u8::try_from(c).is_ok_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || punctuation(b))
    }) {
        return Err(NameError::Character { character, allowed });
    }
    if text.len() > limit {
        return Err(NameError::TooLong { length: text.len(), limit });
    }
    Ok(())
}

fn label_edges(label: &str) -> bool {
    !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("default", Ok(()))]
    #[case::digits_first("0net", Ok(()))]
    #[case::longest(&"a".repeat(63), Ok(()))]
    #[case::empty("", Err(NameError::Empty))]
    #[case::too_long(&"a".repeat(64), Err(NameError::TooLong { length: 64, limit: 63 }))]
    #[case::dot("a.b", Err(NameError::Character { character: '.', allowed: "lower-case letters, digits and '-'" }))]
    #[case::capital("Net", Err(NameError::Character { character: 'N', allowed: "lower-case letters, digits and '-'" }))]
    #[case::latin_1("é", Err(NameError::Character { character: 'é', allowed: "lower-case letters, digits and '-'" }))]
    #[case::starts_with_dash("-a", Err(NameError::Edge))]
    #[case::ends_with_dash("a-", Err(NameError::Edge))]
    fn labels(#[case] text: &str, #[case] expected: Result<(), NameError>) {
        assert_eq!(check_label(text), expected);
    }

    #[rstest]
    #[case::plain("sriov-net-a", true)]
    #[case::dots("net.example.com", true)]
    #[case::longest(&"a".repeat(253), true)]
    #[case::too_long(&"a".repeat(254), false)]
    #[case::empty_label("a..b", false)]
    #[case::leading_dot(".a", false)]
    #[case::dash_before_dot("a-.b", false)]
    #[case::path("../secrets", false)]
    #[case::slash("a/b", false)]
    #[case::percent("a%2fb", false)]
    #[case::nul("a\0", false)]
    #[case::space(" a", false)]
    fn subdomains(#[case] text: &str, #[case] valid: bool) {
        assert_eq!(check_subdomain(text).is_ok(), valid);
    }
}

//! Secrets in running text: logs, messages, values of which nothing is known.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex_lite::Regex;

use super::LEFT_OUT;

/// What looks like a secret, and what takes its place.
static PATTERNS: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    let patterns = [
        // A key in PEM, also one that is cut off or written on one line with \n in it.
        (r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|$)", LEFT_OUT),
        // A JSON Web Token.
        (r"eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*)?", LEFT_OUT),
        (r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}", "$1 (left out)"),
        // User and password of a URL.
        (r"://[^/\s:@]*:[^/\s@]+@", "://(left out)@"),
        (
            r#"(?i)([a-z0-9_.-]*(?:passwo?r?d|passwd|passphrase|secret|token|api_?-?key|credentials?))(\\?"?\s*[=:]\s*\\?"?)[^\s",;}\\]+"#,
            "$1$2(left out)",
        ),
    ];
    // All of them are valid: a test reads each.
    patterns
        .into_iter()
        .filter_map(|(pattern, replacement)| Some((Regex::new(pattern).ok()?, replacement)))
        .collect()
});

/// The text without what looks like a secret.
pub(super) fn mask(text: &str) -> Cow<'_, str> {
    let mut masked = Cow::Borrowed(text);
    for (pattern, replacement) in PATTERNS.iter() {
        let changed = match pattern.replace_all(&masked, *replacement) {
            Cow::Owned(changed) => Some(changed),
            Cow::Borrowed(_) => None,
        };
        masked = changed.map_or(masked, Cow::Owned);
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn every_pattern_is_valid() {
        assert_eq!(PATTERNS.len(), 5);
    }

    #[rstest]
    #[case::nothing(
        "the API server does not answer: connection refused",
        "the API server does not answer: connection refused"
    )]
    #[case::jwt("token eyJhbGciOi.eyJzdWIiOi.c2ln end", "token (left out) end")]
    #[case::bearer("Authorization: Bearer abcdef123456", "Authorization: Bearer (left out)")]
    #[case::url("https://user:hunter2@example.com/x", "https://(left out)@example.com/x")]
    #[case::assignment("db_password=hunter2 port=5", "db_password=(left out) port=5")]
    #[case::json(r#"{"apiKey": "hunter2", "port": 5}"#, r#"{"apiKey": "(left out)", "port": 5}"#)]
    #[case::json_in_a_string(r#"{\"password\":\"hunter2\"}"#, r#"{\"password\":\"(left out)\"}"#)]
    #[case::key("a\n-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\nb", "a\n(left out)\nb")]
    #[case::key_that_is_cut_off("-----BEGIN EC PRIVATE KEY-----\nMIIE", "(left out)")]
    fn texts(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(mask(text), expected);
    }
}

//! Environment variables: which of them are read, and how a file of them is written.

use std::env;

use contract::{NetworkResources, ResourceName, kubevirt};

use crate::devices::DRIVER_PREFIX;

/// Whether a variable says something of devices or of the resources of networks.
pub(crate) fn is_ours(name: &str) -> bool {
    name.starts_with(ResourceName::DEVICES_VARIABLE_PREFIX)
        || name.starts_with(DRIVER_PREFIX)
        || name.starts_with(kubevirt::RESOURCE_NAME_VARIABLE_PREFIX)
        || name == NetworkResources::VARIABLE
}

pub(crate) fn own_variables() -> Vec<(String, String)> {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Whether a file begins as UTF-16 does, which PowerShell writes.
pub(crate) fn is_utf_16(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff")
}

/// Reads `NAME=VALUE` entries: separated by NUL if there is one, otherwise by line ends. On a line, `export` or
/// `declare -x` may precede the name, and the value may be quoted, as shells print variables. Lines of another form
/// and comments are passed over.
pub(crate) fn variables_in(bytes: &[u8]) -> Vec<(String, String)> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let separator = if bytes.contains(&0) { 0 } else { b'\n' };
    bytes
        .split(|byte| *byte == separator)
        .filter_map(|entry| {
            let entry = std::str::from_utf8(entry).ok()?;
            let (name, value) = if separator == 0 { split(entry)? } else { split_line(entry)? };
            (!name.starts_with('#')).then_some((name.to_owned(), value))
        })
        .collect()
}

fn split(entry: &str) -> Option<(&str, String)> {
    let (name, value) = entry.split_once('=')?;
    Some((name, value.to_owned()))
}

fn split_line(line: &str) -> Option<(&str, String)> {
    let (name, value) = line.split_once('=')?;
    let name = ["export ", "declare -x "].iter().find_map(|word| name.strip_prefix(word)).unwrap_or(name);
    // A line of `ps` has words before the first `=`.
    let is_name = !name.is_empty() && !name.contains(|character: char| character.is_whitespace());
    is_name.then(|| (name, unquoted(value.trim_end_matches('\r'))))
}

/// A value without the quotes that a shell prints around it.
fn unquoted(value: &str) -> String {
    let within = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(text) = within('\'') {
        // A quote of the value itself ends the quoting, stands between other quotes, and begins it again.
        return text.replace("'\\''", "'").replace("'\"'\"'", "'");
    }
    let Some(text) = within('"') else { return value.to_owned() };
    let mut unquoted = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let escaped = characters.next_if(|next| character == '\\' && matches!(next, '"' | '\\' | '$' | '`'));
        unquoted.push(escaped.unwrap_or(character));
    }
    unquoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[rstest]
    #[case::export("export A=1\nexport B='two words'\n", &[("A", "1"), ("B", "two words")])]
    #[case::declare("declare -x A=\"1\"\ndeclare -x B\n", &[("A", "1")])]
    #[case::json_in_a_shells_quotes("declare -x A=\"{\\\"ns/x\\\":\\\"intel.com/x\\\"}\"", &[("A", r#"{"ns/x":"intel.com/x"}"#)])]
    #[case::json_as_env_prints_it(r#"A={"ns/x":"intel.com/x"}"#, &[("A", r#"{"ns/x":"intel.com/x"}"#)])]
    #[case::single_quotes_of_bash("export A='it'\\''s'", &[("A", "it's")])]
    #[case::single_quotes_of_dash("export A='it'\"'\"'s'", &[("A", "it's")])]
    #[case::half_a_quote("A=\"1", &[("A", "\"1")])]
    #[case::byte_order_mark("\u{feff}A=1", &[("A", "1")])]
    #[case::words_before_the_name("107 4242 /usr/bin/virt-launcher A=1 B=2", &[])]
    #[case::nul_is_literal("A=\"1\"\0export B=2\0", &[("A", "\"1\""), ("export B", "2")])]
    #[case::lines("A=1\nB=x=y\n", &[("A", "1"), ("B", "x=y")])]
    #[case::nul("A=1\0B=two\nlines\0", &[("A", "1"), ("B", "two\nlines")])]
    #[case::comments_and_blanks("# A=1\n\nB=2\r\n", &[("B", "2")])]
    #[case::without_equals("A\nB=", &[("B", "")])]
    #[case::empty("", &[])]
    fn variables(#[case] text: &str, #[case] expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(name, value)| pair(name, value)).collect();
        assert_eq!(variables_in(text.as_bytes()), expected);
    }

    #[test]
    fn what_is_no_utf_8_is_left_out() {
        assert_eq!(variables_in(b"A=\xff\0B=1\0"), [pair("B", "1")]);
    }

    proptest! {
        /// As bash prints a variable with `declare -x`.
        #[test]
        fn what_a_shell_quotes_is_read(value in "[ -~]{0,40}") {
            let escaped: String = value
                .chars()
                .flat_map(|one| matches!(one, '"' | '\\' | '$' | '`').then_some('\\').into_iter().chain([one]))
                .collect();
            let line = format!("declare -x A=\"{escaped}\"\n");
            prop_assert_eq!(variables_in(line.as_bytes()), [pair("A", &value)]);
            let single = value.replace('\'', "'\\''");
            prop_assert_eq!(variables_in(format!("export A='{single}'").as_bytes()), [pair("A", &value)]);
        }
    }
}

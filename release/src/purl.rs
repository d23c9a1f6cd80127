//! Package URLs, the names that bills of materials and provenance use for packages.

use std::str::FromStr;

/// A package URL: `pkg:TYPE/NAMESPACE/NAME@VERSION?QUALIFIERS`, percent-encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Purl {
    /// The URL as it was written.
    pub(crate) text: String,
    /// The last part of the name, decoded.
    pub(crate) name: String,
    /// The version, decoded.
    pub(crate) version: String,
}

impl FromStr for Purl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("'{text}' is not a package URL; write pkg:TYPE/NAME@VERSION");
        let rest = text.strip_prefix("pkg:").ok_or_else(refused)?;
        let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
        let (path, version) = rest.rsplit_once('@').ok_or_else(refused)?;
        let (_, name) = path.rsplit_once('/').ok_or_else(refused)?;
        let (name, version) = (decode(name).ok_or_else(refused)?, decode(version).ok_or_else(refused)?);
        if name.is_empty() || version.is_empty() {
            return Err(refused());
        }
        Ok(Self { text: text.to_owned(), name, version })
    }
}

/// Replaces all but letters, digits and `-._~` by percent and two digits.
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn decode(text: &str) -> Option<String> {
    let mut decoded = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let (high, low) = (char::from(bytes.next()?).to_digit(16)?, char::from(bytes.next()?).to_digit(16)?);
        decoded.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::crates_io("pkg:cargo/serde@1.0.229", "serde", "1.0.229")]
    #[case::namespace_and_qualifier(
        "pkg:deb/debian/libc6-dev@2.36-9%2Bdeb12u14?arch=amd64",
        "libc6-dev",
        "2.36-9+deb12u14"
    )]
    #[case::an_epoch("pkg:deb/debian/gcc@4%3A12.2.0-3", "gcc", "4:12.2.0-3")]
    fn read(#[case] text: &str, #[case] name: &str, #[case] version: &str) {
        let purl: Purl = text.parse().unwrap();
        assert_eq!((purl.text.as_str(), purl.name.as_str(), purl.version.as_str()), (text, name, version));
    }

    #[rstest]
    #[case::not_a_url("libc6-dev")]
    #[case::without_a_version("pkg:deb/debian/libc6-dev")]
    #[case::an_empty_version("pkg:deb/debian/libc6-dev@")]
    #[case::half_an_escape("pkg:deb/debian/libc6-dev@1%2")]
    fn refused(#[case] text: &str) {
        assert_eq!(
            text.parse::<Purl>().unwrap_err(),
            format!("'{text}' is not a package URL; write pkg:TYPE/NAME@VERSION")
        );
    }

    #[test]
    fn encoding_is_undone_by_decoding() {
        for text in ["4:12.2.0-3", "2.36-9+deb12u14", "a b@c/d", "ü"] {
            assert_eq!(decode(&encode(text)).as_deref(), Some(text));
        }
    }
}

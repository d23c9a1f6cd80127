use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Quoted;

/// A hardware address of 6, 8 or 20 octets: what Multus takes as `mac` and `infiniband-guid`.
///
/// Read in the three forms that Multus reads (`00:11:22:33:44:55`, `00-11-22-33-44-55`,
/// `0011.2233.4455`), printed in the first, in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddress {
    length: u8,
    octets: [u8; LONGEST],
}

const LONGEST: usize = 20;

/// The text is not a hardware address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} is not a MAC address: write six octets such as 02:00:00:aa:bb:01", Quoted(.value))]
pub struct MacAddressError {
    /// The text found.
    pub value: String,
}

impl MacAddress {
    /// The octets, first on the wire first.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        self.octets.get(..usize::from(self.length)).unwrap_or_default()
    }

    fn parse(text: &str) -> Option<Self> {
        // Groups of one octet between ':' or '-', of two between '.'; one separator throughout.
        let separator = text.bytes().find(|byte| matches!(byte, b':' | b'-' | b'.'))?;
        let width = if separator == b'.' { 4 } else { 2 };
        let mut address = Self { length: 0, octets: [0; LONGEST] };
        for group in text.as_bytes().split(|byte| *byte == separator) {
            if group.len() != width {
                return None;
            }
            for digits in group.chunks_exact(2) {
                let octet = digits.iter().try_fold(0, |octet, digit| {
                    Some(octet << 4 | u8::try_from(char::from(*digit).to_digit(16)?).ok()?)
                })?;
                *address.octets.get_mut(usize::from(address.length))? = octet;
                address.length += 1;
            }
        }
        matches!(address.length, 6 | 8 | 20).then_some(address)
    }
}

impl FromStr for MacAddress {
    type Err = MacAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).ok_or_else(|| MacAddressError { value: text.to_owned() })
    }
}

impl TryFrom<String> for MacAddress {
    type Error = MacAddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<MacAddress> for String {
    fn from(address: MacAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, octet) in self.octets().iter().enumerate() {
            if index > 0 {
                f.write_str(":")?;
            }
            write!(f, "{octet:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::colons("DE:AD:00:00:be:01", "de:ad:00:00:be:01")]
    #[case::dashes("de-ad-00-00-be-01", "de:ad:00:00:be:01")]
    #[case::dots("dead.0000.be01", "de:ad:00:00:be:01")]
    #[case::eui_64("02:00:5e:10:00:00:00:01", "02:00:5e:10:00:00:00:01")]
    fn reads_what_multus_reads(#[case] text: &str, #[case] printed: &str) {
        assert_eq!(text.parse::<MacAddress>().unwrap().to_string(), printed);
    }

    #[rstest]
    #[case::empty("")]
    #[case::short("de:ad:00:00:be")]
    #[case::seven("de:ad:00:00:be:01:02")]
    #[case::mixed("de:ad-00:00:be:01")]
    #[case::one_digit("d:ad:00:00:be:01")]
    #[case::sign("+e:ad:00:00:be:01")]
    #[case::no_separator("dead0000be01")]
    #[case::trailing_separator("de:ad:00:00:be:01:")]
    #[case::too_long("00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00")]
    #[case::not_ascii("dé:ad:00:00:be:01")]
    fn refuses(#[case] text: &str) {
        let error = text.parse::<MacAddress>().unwrap_err();
        assert_eq!(error, MacAddressError { value: text.to_owned() });
    }

    proptest! {
        #[test]
        fn prints_what_it_parses(octets in prop::array::uniform6(any::<u8>())) {
            let text = octets.map(|octet| format!("{octet:02x}")).join(":");
            prop_assert_eq!(text.parse::<MacAddress>().unwrap().to_string(), text);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = text.parse::<MacAddress>();
        }
    }
}

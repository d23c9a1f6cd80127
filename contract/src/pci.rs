use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Quoted;

/// The address of a PCI function, `dddd:bb:dd.f`: domain, bus, device and function, all hexadecimal.
///
/// The domain has 4 to 8 digits (Linux gives longer ones to functions behind VMD and Hyper-V); the others
/// have just as many as shown. Capitals are read; lower case is printed, as sysfs does. Ordered by number;
/// for the order of the *texts*, by which Multus sorts, sort the texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PciAddress {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

/// The text is not a PCI address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{} is not a PCI address: write domain:bus:device.function such as 0000:65:02.1", Quoted(.value))]
pub struct PciAddressError {
    /// The text found.
    pub value: String,
}

impl PciAddress {
    /// Puts an address together; `None` if `device` is over 31 or `function` over 7.
    #[must_use]
    pub fn new(domain: u32, bus: u8, device: u8, function: u8) -> Option<Self> {
        (device < 32 && function < 8).then_some(Self { domain, bus, device, function })
    }

    /// The domain, also called segment.
    #[must_use]
    pub fn domain(&self) -> u32 {
        self.domain
    }

    /// The bus.
    #[must_use]
    pub fn bus(&self) -> u8 {
        self.bus
    }

    /// The device; libvirt calls it slot. At most 31.
    #[must_use]
    pub fn device(&self) -> u8 {
        self.device
    }

    /// The function. At most 7.
    #[must_use]
    pub fn function(&self) -> u8 {
        self.function
    }

    fn parse(text: &str) -> Option<Self> {
        let (domain, rest) = text.split_once(':')?;
        let (bus, rest) = rest.split_once(':')?;
        let (device, function) = rest.split_once('.')?;
        Self::new(
            hexadecimal(domain, 4..=8)?,
            u8::try_from(hexadecimal(bus, 2..=2)?).ok()?,
            u8::try_from(hexadecimal(device, 2..=2)?).ok()?,
            u8::try_from(hexadecimal(function, 1..=1)?).ok()?,
        )
    }
}

// `from_str_radix` alone would take a sign.
fn hexadecimal(digits: &str, width: std::ops::RangeInclusive<usize>) -> Option<u32> {
    let valid = width.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    valid.then(|| u32::from_str_radix(digits, 16).ok())?
}

impl FromStr for PciAddress {
    type Err = PciAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).ok_or_else(|| PciAddressError { value: text.to_owned() })
    }
}

impl TryFrom<String> for PciAddress {
    type Error = PciAddressError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PciAddress> for String {
    fn from(address: PciAddress) -> Self {
        address.to_string()
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domain, bus, device, function } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function:x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("0000:65:02.1", "0000:65:02.1")]
    #[case::capitals("0000:AF:1F.7", "0000:af:1f.7")]
    #[case::vmd_domain("10000:01:00.0", "10000:01:00.0")]
    #[case::widest_domain("ffffffff:ff:1f.7", "ffffffff:ff:1f.7")]
    #[case::padded_domain("00000000:01:00.0", "0000:01:00.0")]
    fn reads_and_prints(#[case] text: &str, #[case] printed: &str) {
        assert_eq!(text.parse::<PciAddress>().unwrap().to_string(), printed);
    }

    #[rstest]
    #[case::empty("")]
    #[case::no_domain("65:02.1")]
    #[case::short_domain("000:65:02.1")]
    #[case::long_domain("000000000:65:02.1")]
    #[case::device_over_31("0000:65:20.0")]
    #[case::function_over_7("0000:65:02.8")]
    #[case::wide_bus("0000:065:02.1")]
    #[case::sign("0000:65:+2.1")]
    #[case::space(" 0000:65:02.1")]
    #[case::newline("0000:65:02.1\n")]
    #[case::no_hexadecimal("0000:6g:02.1")]
    #[case::prefix("0x0000:65:02.1")]
    #[case::auxiliary_device("mlx5_core.sf.4")]
    fn refuses(#[case] text: &str) {
        assert_eq!(text.parse::<PciAddress>(), Err(PciAddressError { value: text.to_owned() }));
    }

    proptest! {
        #[test]
        fn prints_what_it_parses(domain: u32, bus: u8, device in 0..32u8, function in 0..8u8) {
            let address = PciAddress::new(domain, bus, device, function).unwrap();
            prop_assert_eq!(address.to_string().parse::<PciAddress>(), Ok(address));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".*") {
            let _ = text.parse::<PciAddress>();
        }
    }
}

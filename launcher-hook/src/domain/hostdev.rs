//! What uses a PCI function of the host: hostdevs, and interfaces of the type that libvirt keeps for it.

use std::collections::BTreeMap;

use contract::PciAddress;
use contract::kubevirt::HOSTDEV_ALIAS_PREFIX;

use super::DomainError;
use super::document::{Document, Element, line};
use super::tag::decode;

/// A PCI hostdev of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostdevView {
    /// Its alias as written, such as `ua-sriov-net1`.
    pub alias: Option<String>,
    /// The VMI's network, where the alias names one.
    pub network: Option<String>,
    /// The function on this host.
    pub source: PciAddress,
    /// Where the guest sees it, if that is said.
    pub guest: Option<PciAddress>,
}

/// The PCI hostdevs of a domain, in its order.
///
/// # Errors
/// A domain that cannot be read, or a hostdev in it.
pub fn hostdevs(domain: &str) -> Result<Vec<HostdevView>, DomainError> {
    let document = Document::parse(domain)?;
    let hostdevs = document.hostdevs()?;
    Ok(hostdevs
        .iter()
        .filter(|hostdev| hostdev.pci)
        .filter_map(|hostdev| {
            Some(HostdevView {
                alias: hostdev.alias.clone(),
                network: hostdev.network().map(str::to_owned),
                source: hostdev.source.as_ref()?.address,
                guest: hostdev.guest,
            })
        })
        .collect())
}

/// A hostdev of any kind, or an interface that is one.
#[derive(Debug)]
pub(super) struct Hostdev<'e, 'd> {
    pub(super) element: &'e Element<'d>,
    /// Whether it is a plain PCI hostdev, the only kind that is edited.
    pub(super) pci: bool,
    pub(super) alias: Option<String>,
    pub(super) source: Option<Source<'e, 'd>>,
    /// Where the guest sees a plain PCI hostdev, if that is said.
    pub(super) guest: Option<PciAddress>,
}

/// Where on the host a hostdev's function is.
#[derive(Debug)]
pub(super) struct Source<'e, 'd> {
    /// `<source>`.
    pub(super) element: &'e Element<'d>,
    /// The `<address>` in it.
    pub(super) address_element: &'e Element<'d>,
    pub(super) address: PciAddress,
}

impl Hostdev<'_, '_> {
    /// The VMI's network, where the alias names one.
    pub(super) fn network(&self) -> Option<&str> {
        self.alias.as_deref()?.strip_prefix(HOSTDEV_ALIAS_PREFIX)
    }

    /// How a message names it.
    pub(super) fn label(&self) -> String {
        self.alias.clone().unwrap_or_else(|| format!("{} without alias", self.element.name))
    }
}

impl<'d> Document<'d> {
    /// Everything that may use a function of the host, in the domain's order.
    pub(super) fn hostdevs(&self) -> Result<Vec<Hostdev<'_, 'd>>, DomainError> {
        let children = self.devices()?.map(|devices| devices.children.as_slice()).unwrap_or_default();
        children
            .iter()
            .filter(|child| child.name == "hostdev" || child.has("type", "hostdev"))
            .map(|element| self.hostdev(element))
            .collect()
    }

    /// The addresses of the PCI hostdevs whose aliases name networks, by network.
    ///
    /// # Errors
    /// A hostdev that cannot be read.
    pub fn aliases(&self) -> Result<BTreeMap<String, PciAddress>, DomainError> {
        let hostdevs = self.hostdevs()?;
        let named = hostdevs.iter().filter(|hostdev| hostdev.pci);
        Ok(named
            .filter_map(|hostdev| Some((hostdev.network()?.to_owned(), hostdev.source.as_ref()?.address)))
            .collect())
    }

    fn hostdev<'e>(&self, element: &'e Element<'d>) -> Result<Hostdev<'e, 'd>, DomainError> {
        let text = self.text;
        let alias = element
            .child("alias", text)?
            .and_then(|alias| alias.attribute("name"))
            .map(|name| decode(name.raw).into_owned());
        let hostdev = element.name == "hostdev";
        let pci = hostdev
            && element.has("type", "pci")
            && (element.attribute("mode").is_none() || element.has("mode", "subsystem"));
        // The address of a USB or SCSI device has another form.
        let address = match element.child("source", text)? {
            Some(source) if pci || !hostdev => source
                .child("address", text)?
                .filter(|address| hostdev || address.has("type", "pci"))
                .map(|address| (source, address)),
            _ => None,
        };
        let source = address
            .map(|(element, address_element)| {
                Ok(Source { element, address_element, address: pci_address(address_element, text)? })
            })
            .transpose()?;
        let guest = match element.child("address", text)? {
            Some(address) if pci && address.has("type", "pci") => Some(pci_address(address, text)?),
            _ => None,
        };
        Ok(Hostdev { element, pci, alias, source, guest })
    }
}

/// Reads `domain`, `bus`, `slot` and `function`; each is 0 where it is not there.
pub(super) fn pci_address(element: &Element<'_>, text: &str) -> Result<PciAddress, DomainError> {
    let error = |field, value: &str| DomainError::AddressField {
        line: line(text, element.tag.start),
        field,
        value: value.to_owned(),
    };
    let field = |name: &'static str, limit: u32| match element.attribute(name) {
        None => Ok(0),
        Some(attribute) => number(&decode(attribute.raw))
            .filter(|&number| number <= limit)
            .ok_or_else(|| error(name, attribute.raw)),
    };
    let (domain, bus) = (field("domain", u32::MAX)?, field("bus", 0xff)?);
    let (slot, function) = (field("slot", 0x1f)?, field("function", 7)?);
    u8::try_from(bus)
        .ok()
        .zip(u8::try_from(slot).ok().zip(u8::try_from(function).ok()))
        .and_then(|(bus, (slot, function))| PciAddress::new(domain, bus, slot, function))
        .ok_or_else(|| error("address", text.get(element.tag.clone()).unwrap_or_default()))
}

/// A number as libvirt reads it: `0x` hexadecimal, a leading `0` octal, otherwise decimal.
pub(super) fn number(text: &str) -> Option<u32> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, radix) = match (hexadecimal, text.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (text, 10),
    };
    // `from_str_radix` alone would take a sign.
    let valid = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    valid.then(|| u32::from_str_radix(digits, radix).ok())?
}

#[cfg(test)]
mod tests {
    use super::number;
    use rstest::rstest;

    #[rstest]
    #[case::hexadecimal("0x1f", Some(31))]
    #[case::capitals("0X1F", Some(31))]
    #[case::decimal("31", Some(31))]
    #[case::octal("037", Some(31))]
    #[case::zero("0", Some(0))]
    #[case::no_octal("08", None)]
    #[case::empty("", None)]
    #[case::only_prefix("0x", None)]
    #[case::sign("+1", None)]
    #[case::space(" 1", None)]
    #[case::too_large("0x100000000", None)]
    fn numbers(#[case] text: &str, #[case] expected: Option<u32>) {
        assert_eq!(number(text), expected);
    }
}

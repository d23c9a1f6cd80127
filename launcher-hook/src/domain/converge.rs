//! From the domain that is there to the one that should be, in as few edits as possible.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use contract::PciAddress;
use contract::kubevirt::HOSTDEV_ALIAS_PREFIX;

use super::DomainError;
use super::document::{Document, Element, line};
use super::hostdev::{Hostdev, Source, number};
use super::layout::Layout;
use super::tag::decode;

/// A hostdev that the domain is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedHostdev {
    /// The network of the VMI; the alias is made of it. Letters, digits, `-`, `_` and `.` only.
    pub network: String,
    /// The function on this host.
    pub address: PciAddress,
    /// The place in the boot order; `None` leaves what is there.
    pub boot_order: Option<u32>,
    /// Where the guest is to see it; `None` leaves what is there.
    pub guest_address: Option<PciAddress>,
}

impl WantedHostdev {
    /// The key that KubeVirt finds the device by.
    #[must_use]
    pub fn alias(&self) -> String {
        format!("{HOSTDEV_ALIAS_PREFIX}{}", self.network)
    }
}

/// Who owns an alias of this kind put it there with a purpose of their own.
const USER_ALIAS_PREFIX: &str = "ua-";

impl<'d> Document<'d> {
    /// The domain with all `wanted` hostdevs in it, each with what is wanted of it; all other bytes stay. The
    /// same text again if it needs no edit.
    ///
    /// A hostdev is found by its alias, then by its source address where no one else has put an alias on it.
    ///
    /// # Errors
    /// If the result would not be a domain with one device for each function and each alias.
    pub fn converge(&self, wanted: &[WantedHostdev]) -> Result<Cow<'d, str>, DomainError> {
        let hostdevs = self.hostdevs()?;
        let owners = owners(&hostdevs, wanted)?;
        self.check_unique(&hostdevs, &owners, wanted)?;

        let mut edits = Edits::default();
        let mut missing = Vec::new();
        for (index, wanted) in wanted.iter().enumerate() {
            match owners.iter().position(|owner| *owner == Some(index)) {
                Some(place) => {
                    if let Some(hostdev) = hostdevs.get(place) {
                        self.correct(hostdev, wanted, &mut edits)?;
                    }
                }
                None => missing.push(wanted),
            }
        }
        if !missing.is_empty() {
            let devices = self.devices()?.ok_or(DomainError::NoDevices)?;
            let last = hostdevs.iter().rev().find(|hostdev| hostdev.element.name == "hostdev");
            let layout = Layout::of_devices(self.text, &self.root, devices, last.map(|last| last.element));
            let mut text = String::new();
            for wanted in missing {
                write_hostdev(&mut text, wanted, &layout);
            }
            if devices.self_closing() {
                let slash = devices.tag.end - 2..devices.tag.end;
                edits.replace(slash, format!(">{text}{}</devices>", layout.outer));
            } else if layout.at == devices.tag.end && devices.end.start == devices.tag.end {
                edits.replace(layout.at..layout.at, format!("{text}{}", layout.outer));
            } else {
                edits.replace(layout.at..layout.at, text);
            }
        }
        Ok(edits.apply(self.text))
    }

    /// The domain in which the hostdevs that carry a network's alias have these addresses on the host; all other
    /// bytes stay, the other attributes of those hostdevs too.
    ///
    /// # Errors
    /// If two would have one function or one alias, or a hostdev with such an alias has no PCI address.
    pub fn readdress(&self, addresses: &BTreeMap<String, PciAddress>) -> Result<Cow<'d, str>, DomainError> {
        let hostdevs = self.hostdevs()?;
        let wanted: Vec<_> = addresses
            .iter()
            .map(|(network, address)| WantedHostdev {
                network: network.clone(),
                address: *address,
                boot_order: None,
                guest_address: None,
            })
            .collect();
        let owners = owners_by_alias(&hostdevs, &wanted);
        self.check_unique(&hostdevs, &owners, &wanted)?;
        let mut edits = Edits::default();
        for (hostdev, owner) in hostdevs.iter().zip(&owners) {
            let Some(wanted) = owner.and_then(|index| wanted.get(index)) else { continue };
            let source = self.source(hostdev, wanted)?;
            edits.address(source.address_element, wanted.address);
        }
        Ok(edits.apply(self.text))
    }

    /// Where on the host the function of a plain PCI hostdev is.
    fn source<'h>(
        &self,
        hostdev: &'h Hostdev<'_, 'd>,
        wanted: &WantedHostdev,
    ) -> Result<&'h Source<'h, 'd>, DomainError> {
        hostdev.source.as_ref().filter(|_| hostdev.pci).ok_or_else(|| DomainError::NoSource {
            line: line(self.text, hostdev.element.tag.start),
            alias: wanted.alias(),
        })
    }

    /// No function and no alias twice, counting everything in the domain as it will be.
    fn check_unique(
        &self,
        hostdevs: &[Hostdev<'_, '_>],
        owners: &[Option<usize>],
        wanted: &[WantedHostdev],
    ) -> Result<(), DomainError> {
        let mut users: BTreeMap<PciAddress, String> = BTreeMap::new();
        let mut claim = |address: PciAddress, label: String| match users.get(&address) {
            None => {
                users.insert(address, label);
                Ok(())
            }
            Some(first) => Err(DomainError::SharedDevice { address, first: first.clone(), second: label }),
        };
        let mut aliases: BTreeMap<&str, ()> = BTreeMap::new();
        for (hostdev, owner) in hostdevs.iter().zip(owners) {
            if let Some(alias) = &hostdev.alias
                && aliases.insert(alias, ()).is_some()
            {
                return Err(DomainError::SharedAlias { alias: alias.clone() });
            }
            if let Some(source) = &hostdev.source
                && owner.is_none()
            {
                claim(source.address, hostdev.label())?;
            } else if hostdev.network().is_some() && hostdev.source.is_none() {
                return Err(DomainError::NoSource {
                    line: line(self.text, hostdev.element.tag.start),
                    alias: hostdev.label(),
                });
            }
        }
        wanted.iter().try_for_each(|wanted| claim(wanted.address, wanted.alias()))
    }

    fn correct(
        &self,
        hostdev: &Hostdev<'_, 'd>,
        wanted: &WantedHostdev,
        edits: &mut Edits,
    ) -> Result<(), DomainError> {
        let element = hostdev.element;
        let source = self.source(hostdev, wanted)?;
        let layout = Layout::of_children(self.text, element, source.element);
        // libvirt writes it, and readers made with libvirt's Go module refuse a hostdev without it.
        if element.attribute("mode").is_none() {
            edits.first_attribute(element, "mode", "subsystem");
        }
        if element.has("managed", "yes") {
            edits.attribute(element, "managed", "no");
        }
        if source.address != wanted.address {
            edits.address(source.address_element, wanted.address);
        }
        let boot = element.child("boot", self.text)?;
        if let Some(order) = wanted.boot_order {
            match boot {
                Some(boot) => {
                    let found = boot.attribute("order").and_then(|order| number(&decode(order.raw)));
                    if found != Some(order) {
                        edits.attribute(boot, "order", &order.to_string());
                    }
                }
                None => edits.insert_after(source.element, format!("{}{}", layout.inner, boot_text(order))),
            }
        }
        if let Some(address) = wanted.guest_address {
            match element.child("address", self.text)? {
                Some(found) => {
                    let pci = found.has("type", "pci");
                    if !pci {
                        edits.attribute(found, "type", "pci");
                    }
                    if !pci || hostdev.guest != Some(address) {
                        edits.address(found, address);
                    }
                }
                None => edits.insert_after(
                    boot.unwrap_or(source.element),
                    format!("{}{}", layout.inner, address_text(address)),
                ),
            }
        }
        match element.child("alias", self.text)? {
            Some(alias) if alias.has("name", &wanted.alias()) => {}
            Some(alias) => edits.attribute(alias, "name", &wanted.alias()),
            None => edits.replace(layout.at..layout.at, format!("{}{}", layout.inner, alias_text(wanted))),
        }
        Ok(())
    }
}

/// For each hostdev the index of what it is in `wanted`.
fn owners(hostdevs: &[Hostdev<'_, '_>], wanted: &[WantedHostdev]) -> Result<Vec<Option<usize>>, DomainError> {
    let mut owners = owners_by_alias(hostdevs, wanted);
    for (index, wanted) in wanted.iter().enumerate() {
        if owners.contains(&Some(index)) {
            continue;
        }
        let user = hostdevs.iter().zip(&mut owners).find(|(hostdev, owner)| {
            let address = hostdev.source.as_ref().map(|source| source.address);
            owner.is_none() && address == Some(wanted.address)
        });
        if let Some((hostdev, owner)) = user {
            let foreign = hostdev.alias.as_ref().is_some_and(|alias| alias.starts_with(USER_ALIAS_PREFIX));
            if foreign || !hostdev.pci {
                return Err(DomainError::SharedDevice {
                    address: wanted.address,
                    first: hostdev.label(),
                    second: wanted.alias(),
                });
            }
            *owner = Some(index);
        }
    }
    Ok(owners)
}

fn owners_by_alias(hostdevs: &[Hostdev<'_, '_>], wanted: &[WantedHostdev]) -> Vec<Option<usize>> {
    let owner = |hostdev: &Hostdev<'_, '_>| {
        let network = hostdev.network()?;
        wanted.iter().position(|wanted| wanted.network == network)
    };
    hostdevs.iter().map(owner).collect()
}

fn write_hostdev(text: &mut String, wanted: &WantedHostdev, layout: &Layout) {
    let Layout { inner, unit, .. } = layout;
    // Without the `type` that KubeVirt writes here: libvirt's schema does not allow it, and libvirt drops it.
    let address = format!("<address{}/>", attributes_text(wanted.address));
    let _ = write!(
        text,
        "{inner}<hostdev mode=\"subsystem\" type=\"pci\" managed=\"no\">{inner}{unit}<source>{inner}{unit}{unit}{address}{inner}{unit}</source>"
    );
    if let Some(order) = wanted.boot_order {
        let _ = write!(text, "{inner}{unit}{}", boot_text(order));
    }
    if let Some(address) = wanted.guest_address {
        let _ = write!(text, "{inner}{unit}{}", address_text(address));
    }
    let _ = write!(text, "{inner}{unit}{}{inner}</hostdev>", alias_text(wanted));
}

fn boot_text(order: u32) -> String {
    format!("<boot order=\"{order}\"/>")
}

fn alias_text(wanted: &WantedHostdev) -> String {
    format!("<alias name=\"{}\"/>", wanted.alias())
}

fn address_text(address: PciAddress) -> String {
    format!("<address type=\"pci\"{}/>", attributes_text(address))
}

fn attributes_text(address: PciAddress) -> String {
    fields(address).map(|(name, _, text)| format!(" {name}=\"{text}\"")).concat()
}

/// Name, value and text of the four attributes, as KubeVirt writes them.
fn fields(address: PciAddress) -> [(&'static str, u32, String); 4] {
    let (domain, bus) = (address.domain(), u32::from(address.bus()));
    let (slot, function) = (u32::from(address.device()), u32::from(address.function()));
    [
        ("domain", domain, format!("{domain:#06x}")),
        ("bus", bus, format!("{bus:#04x}")),
        ("slot", slot, format!("{slot:#04x}")),
        ("function", function, format!("{function:#x}")),
    ]
}

/// Replacements of parts of the text, none overlapping another.
#[derive(Default)]
struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    fn replace(&mut self, place: Range<usize>, text: String) {
        self.0.push((place, text));
    }

    fn insert_after(&mut self, element: &Element<'_>, text: String) {
        self.replace(element.end.end..element.end.end, text);
    }

    /// As [`attribute`](Self::attribute), for one that the element does not have.
    fn first_attribute(&mut self, element: &Element<'_>, name: &str, value: &str) {
        let name_end = element.tag.start + 1 + element.name.len();
        self.replace(name_end..name_end, format!(" {name}=\"{value}\""));
    }

    /// `value` must need no escaping.
    fn attribute(&mut self, element: &Element<'_>, name: &str, value: &str) {
        if let Some(attribute) = element.attribute(name) {
            self.replace(attribute.place.clone(), value.to_owned());
        } else {
            // Behind the last attribute's closing quote, or the name.
            let name_end = element.tag.start + 1 + element.name.len();
            let at = element.attributes.last().map_or(name_end, |last| last.place.end + 1);
            self.replace(at..at, format!(" {name}=\"{value}\""));
        }
    }

    /// Only the fields that differ: the others keep the form in which they were written.
    fn address(&mut self, element: &Element<'_>, address: PciAddress) {
        for (name, value, text) in fields(address) {
            let found = element.attribute(name).map_or(Some(0), |found| number(&decode(found.raw)));
            if found != Some(value) {
                self.attribute(element, name, &text);
            }
        }
    }

    fn apply(mut self, text: &str) -> Cow<'_, str> {
        if self.0.is_empty() {
            return Cow::Borrowed(text);
        }
        // Stable: what is inserted at one place stays in the order of its insertion.
        self.0.sort_by_key(|(place, _)| place.start);
        let added: usize = self.0.iter().map(|(_, text)| text.len()).sum();
        let mut edited = String::with_capacity(text.len() + added);
        let mut copied = 0;
        for (place, replacement) in &self.0 {
            edited.push_str(text.get(copied..place.start).unwrap_or_default());
            edited.push_str(replacement);
            copied = place.end;
        }
        edited.push_str(text.get(copied..).unwrap_or_default());
        Cow::Owned(edited)
    }
}

//! Which entry of Multus' network-status is which attachment's.
//!
//! Multus lists every attachment that it made, those without device-info as well. A network that is not listed was
//! not attached: no CNI plugin has configured a VF for it.

use contract::NadName;
use contract::network_status::NetworkStatus;

use super::attachment::{Attachment, Listing, Owner};
use super::networks::Networks;
use super::selections::{interface_name, is_hashed};

/// What network-status says of each of `attachments`. `first_place` is the index of the first attachment that has a
/// numbered interface, if the attachments' order is known.
pub(super) fn listings(
    attachments: &[Attachment],
    entries: &[NetworkStatus],
    networks: &Networks,
    first_place: Option<usize>,
) -> Vec<Listing> {
    let mut search = Search { attachments, entries, networks, found: vec![None; attachments.len()] };
    search.by_interface();
    search.by_number(first_place);
    search.listings()
}

struct Search<'a> {
    attachments: &'a [Attachment],
    entries: &'a [NetworkStatus],
    networks: &'a Networks,
    /// The entry of each attachment. No entry is found twice.
    found: Vec<Option<usize>>,
}

impl Search<'_> {
    /// An interface has one name, which the pod's selection says, or which KubeVirt makes of the network's.
    fn by_interface(&mut self) {
        for (index, one) in self.attachments.iter().enumerate() {
            let hashed = one.network().map(interface_name);
            let interface = one.interface().or(hashed.as_deref());
            self.find(index, |entry| match one.default {
                // KubeVirt leaves the name of the cluster's own interface to Multus.
                true => entry.default && is_of(entry, one.nad.as_ref()),
                false => {
                    !entry.default
                        && Some(entry.interface.as_str()) == interface
                        && agrees(entry, one.nad.as_ref())
                }
            });
        }
    }

    /// Older pods number their interfaces: net1 is the first network. More of them than networks belong to others
    /// as well, and then the numbers say nothing.
    fn by_number(&mut self, first_place: Option<usize>) {
        let Some(first) = first_place else { return };
        let places = self.attachments.iter().skip(first).count();
        if self.entries.iter().filter(|entry| !entry.default).count() > places {
            return;
        }
        for (index, one) in self.attachments.iter().enumerate().skip(first) {
            let number = format!("net{}", index - first + 1);
            if !one.default && one.interface().is_none() {
                self.find(index, |entry| {
                    !entry.default && entry.interface == number && is_of(entry, one.nad.as_ref())
                });
            }
        }
    }

    fn find(&mut self, index: usize, is_its_own: impl Fn(&NetworkStatus) -> bool) {
        let is_free = |entry: &usize| !self.found.contains(&Some(*entry));
        let own = self.entries.iter().enumerate().filter(|(_, entry)| is_its_own(entry));
        let own = own.map(|(entry, _)| entry).find(is_free);
        if let Some(found) = self.found.get_mut(index).filter(|found| found.is_none()) {
            *found = own;
        }
    }

    fn listings(&self) -> Vec<Listing> {
        let listing = |(one, found): (&Attachment, &Option<usize>)| match (found, one.default) {
            (Some(entry), _) => Listing::Entry(*entry),
            (None, true) => Listing::Absent,
            (None, false) => self.by_nad(one),
        };
        self.attachments.iter().zip(&self.found).map(listing).collect()
    }

    /// What is left of one NAD: enough entries for all of its attachments prove each of them.
    fn by_nad(&self, one: &Attachment) -> Listing {
        let absent = self.networks.list.iter().filter(|network| {
            // Its interface is on its way out: the pod may still have the attachment.
            network.absent && one.interface().is_none() && Some(&network.nad) == one.nad.as_ref()
        });
        let others = self.attachments.iter().zip(&self.found);
        let left = others.filter(|(other, found)| found.is_none() && !other.default && other.nad == one.nad);
        let takers = left.count() + absent.count();
        let entries: Vec<usize> = (0..self.entries.len()).filter(|entry| self.may_be(*entry, one)).collect();
        match (entries.as_slice(), takers) {
            ([entry], 1) if one.nad.is_some() => Listing::Entry(*entry),
            (entries, takers) if entries.len() >= takers => Listing::Unplaced,
            _ => Listing::Absent,
        }
    }

    /// Whether an entry that its interface does not place may be an attachment's.
    fn may_be(&self, index: usize, one: &Attachment) -> bool {
        let Some(entry) = self.entries.get(index) else { return false };
        let taker = self.found.iter().position(|found| *found == Some(index));
        let taker = taker.and_then(|taker| self.attachments.get(taker));
        // A plugin that moves no interface into the pod may name none. With KubeVirt's names of today all have one.
        let is_unnamed = entry.interface.is_empty()
            || one.interface().is_none() && !self.entries.iter().any(|entry| is_hashed(&entry.interface));
        if entry.default || !is_unnamed {
            return false;
        }
        match &one.nad {
            Some(nad) => taker.is_none() && entry.name == nad.as_str(),
            // A selection whose network is not known may be its own.
            None => taker.is_none_or(|taker| taker.owner == Owner::Unknown),
        }
    }
}

/// Whether an entry is that of a NAD, by its name.
fn is_of(entry: &NetworkStatus, nad: Option<&NadName>) -> bool {
    nad.is_some_and(|nad| entry.name == nad.as_str())
}

/// Whether an entry may be that of a NAD: an old Multus writes the name in the CNI configuration, which has no slash.
fn agrees(entry: &NetworkStatus, nad: Option<&NadName>) -> bool {
    nad.is_none() || !entry.name.contains('/') || is_of(entry, nad)
}

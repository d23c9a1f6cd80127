//! All known networks, in little memory. Readers rarely wait for a writer, and only briefly.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use admission::{Lookup, Network, Networks};
use contract::NadName;
use parking_lot::{Mutex, MutexGuard, RwLock};

use super::SourceHealth;
use super::interner::Interner;

/// Each part is locked on its own and for one entry only: readers and writers rarely contend, and only briefly.
const SHARDS: usize = 64;

/// The networks that are known.
///
/// A source writes it in two ways: changes one by one ([`NetworkStore::set`], [`NetworkStore::remove`]), and
/// a whole list between [`NetworkStore::begin_list`] and [`NetworkStore::end_list`]. What is known goes on
/// being known while a list comes in, and only at its end is forgotten what was not in it.
#[derive(Debug)]
pub struct NetworkStore {
    shards: Vec<RwLock<HashMap<NadName, Entry>>>,
    hasher: RandomState,
    interner: Mutex<Interner>,
    list: AtomicU32,
    listed: AtomicBool,
    health: SourceHealth,
}

#[derive(Debug)]
struct Entry {
    network: Arc<Network>,
    /// The list in which it was last seen.
    list: u32,
}

/// How many are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Whose annotations are in order.
    pub valid: usize,
    /// Whose annotations are not.
    pub invalid: usize,
}

impl Default for NetworkStore {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            hasher: RandomState::new(),
            interner: Mutex::default(),
            list: AtomicU32::new(0),
            listed: AtomicBool::new(false),
            health: SourceHealth::default(),
        }
    }
}

impl NetworkStore {
    /// Takes in what a NAD says.
    pub fn set(&self, nad: NadName, network: impl Into<Arc<Network>>) {
        let network = self.interner().share(network.into());
        let entry = Entry { network, list: self.list.load(Ordering::Relaxed) };
        if let Some(shard) = self.shard(nad.as_str()) {
            let before = shard.write().insert(nad, entry);
            self.drop_entry(before);
        }
    }

    /// Forgets a NAD.
    pub fn remove(&self, nad: &NadName) {
        if let Some(shard) = self.shard(nad.as_str()) {
            let before = shard.write().remove(nad);
            self.drop_entry(before);
        }
    }

    /// A whole list begins; its NADs follow with [`NetworkStore::set`].
    pub fn begin_list(&self) {
        self.list.fetch_add(1, Ordering::Relaxed);
    }

    /// The list is complete: what was not in it is gone.
    pub fn end_list(&self) {
        let list = self.list.load(Ordering::Relaxed);
        for shard in &self.shards {
            shard.write().retain(|_, entry| entry.list == list);
        }
        self.interner().prune();
        self.listed.store(true, Ordering::Release);
        self.health.recovered();
    }

    /// Was a list ever complete?
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.listed.load(Ordering::Acquire)
    }

    /// How its source is.
    #[must_use]
    pub fn health(&self) -> &SourceHealth {
        &self.health
    }

    /// How many are known.
    #[must_use]
    pub fn count(&self) -> Count {
        let mut count = Count::default();
        for shard in &self.shards {
            for entry in shard.read().values() {
                match *entry.network {
                    Network::Valid(_) => count.valid += 1,
                    Network::Invalid(_) => count.invalid += 1,
                }
            }
        }
        count
    }

    /// Any NAD that needs a resource, for an example.
    #[must_use]
    pub fn example(&self) -> Option<NadName> {
        let needs = |network: &Network| matches!(network, Network::Valid(requirements) if !requirements.resources.is_empty());
        self.shards.iter().find_map(|shard| {
            let shard = shard.read();
            shard.iter().find(|(_, entry)| needs(&entry.network)).map(|(nad, _)| nad.clone())
        })
    }

    /// Forgets a network that no NAD has. One that a reader holds at that moment stays until the next list ends.
    fn drop_entry(&self, entry: Option<Entry>) {
        if let Some(Entry { network, .. }) = entry
            && Interner::is_last(&network)
        {
            self.interner().forget(&network);
        }
    }

    fn shard(&self, nad: &str) -> Option<&RwLock<HashMap<NadName, Entry>>> {
        let place = usize::try_from(self.hasher.hash_one(nad) % SHARDS as u64).ok()?;
        self.shards.get(place)
    }

    fn interner(&self) -> MutexGuard<'_, Interner> {
        self.interner.lock()
    }
}

impl Networks for NetworkStore {
    fn get(&self, nad: &NadName) -> Lookup {
        let Some(shard) = self.shard(nad.as_str()) else { return Lookup::Missing };
        shard.read().get(nad).map(|entry| Arc::clone(&entry.network)).into()
    }

    fn is_known(&self, nad: &str) -> bool {
        self.shard(nad).is_some_and(|shard| shard.read().contains_key(nad))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use admission::Requirements;
    use contract::annotation;

    fn nad(number: usize) -> NadName {
        NadName::new("default", &format!("net-{number}")).unwrap()
    }

    fn network(resource: &str) -> Network {
        let keys = [annotation::RESOURCE_NAME.to_owned()];
        Network::from_annotations(&keys, [(annotation::RESOURCE_NAME, resource)])
    }

    #[test]
    fn a_list_replaces_what_it_does_not_name_but_only_at_its_end() {
        let store = NetworkStore::default();
        store.begin_list();
        store.set(nad(1), network("a.b/c"));
        store.set(nad(2), network("a.b/c"));
        assert!(!store.is_listed());
        store.end_list();
        assert!(store.is_listed());

        store.begin_list();
        store.set(nad(2), network("a.b/d"));
        assert!(store.get(&nad(1)).known().is_some(), "known until the list ends");
        store.end_list();
        assert_eq!(store.get(&nad(1)), Lookup::Missing);
        assert_eq!(store.get(&nad(2)).known(), Some(&network("a.b/d")));
    }

    #[test]
    fn a_change_between_two_lists_stays() {
        let store = NetworkStore::default();
        store.begin_list();
        store.end_list();
        store.set(nad(1), network("a.b/c"));
        store.begin_list();
        store.set(nad(1), network("a.b/c"));
        store.end_list();
        assert!(store.get(&nad(1)).known().is_some());
        store.remove(&nad(1));
        assert_eq!(store.get(&nad(1)), Lookup::Missing);
    }

    #[test]
    fn a_network_that_turns_invalid_does_not_linger_in_its_old_form() {
        let store = NetworkStore::default();
        store.set(nad(1), network("a.b/c"));
        store.set(nad(1), network("not a resource"));
        assert!(matches!(store.get(&nad(1)).known(), Some(Network::Invalid(_))));
        assert_eq!(store.count(), Count { valid: 0, invalid: 1 });
    }

    #[test]
    fn equal_networks_are_one_and_go_with_the_last_nad() {
        let store = NetworkStore::default();
        store.begin_list();
        for number in 0..1000 {
            store.set(nad(number), network("a.b/c"));
        }
        store.end_list();
        assert_eq!(store.count(), Count { valid: 1000, invalid: 0 });
        assert_eq!(store.interner().len(), 1);
        store.begin_list();
        store.set(nad(1), Network::Valid(Requirements::default()));
        store.end_list();
        assert_eq!(store.interner().len(), 1);
        assert_eq!(store.example(), None);
    }

    #[test]
    fn what_a_network_said_before_is_not_kept() {
        let store = NetworkStore::default();
        for number in 0..100 {
            store.set(nad(1), network(&format!("a.b/{number}")));
            store.set(nad(2), network(&format!("wrong {number}")));
        }
        assert_eq!(store.interner().len(), 2);
        store.remove(&nad(1));
        store.remove(&nad(2));
        assert_eq!(store.interner().len(), 0);
    }
}

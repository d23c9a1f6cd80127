//! A limited number of slots for connections.
//!
//! If none is free, a new connection gets the slot of the one that has been idle longest: clients that
//! hoard connections cannot lock others out. One that a request is being answered on stays, and so does one that is
//! only beginning: in a burst the first ones must be served, rather than none.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::idle_timeout::Activity;
use super::limits::EVICTION;

#[derive(Debug)]
pub(super) struct ConnectionSlots {
    all: usize,
    free: Arc<Semaphore>,
    /// How long a connection must have been idle before it may be evicted.
    rest: Duration,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    last: u64,
    holders: HashMap<u64, Arc<Holder>>,
}

#[derive(Debug)]
struct Holder {
    activity: Arc<Activity>,
    leave: Notify,
}

/// A slot that is taken, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    number: u64,
    holder: Arc<Holder>,
    slots: Arc<ConnectionSlots>,
    _permit: OwnedSemaphorePermit,
}

/// What happened to a new connection.
#[derive(Debug)]
pub(super) enum Admitted {
    /// A slot was free.
    Free(Slot),
    /// Another connection was closed for it.
    InsteadOfAnother(Slot),
    /// All slots are in use.
    Full,
}

impl ConnectionSlots {
    pub(super) fn new(all: usize, rest: Duration) -> Self {
        let all = all.min(Semaphore::MAX_PERMITS);
        Self { all, free: Arc::new(Semaphore::new(all)), rest, taken: Mutex::default() }
    }

    pub(super) async fn admit(self: &Arc<Self>) -> Admitted {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Admitted::Free(self.take(permit));
        }
        if !self.ask_one_to_leave(Instant::now()) {
            return Admitted::Full;
        }
        match timeout(EVICTION, Arc::clone(&self.free).acquire_owned()).await {
            Ok(Ok(permit)) => Admitted::InsteadOfAnother(self.take(permit)),
            _ => Admitted::Full,
        }
    }

    /// Waits for all to leave. Returns the number of those that have not within `grace`.
    pub(super) async fn empty(&self, grace: Duration) -> usize {
        let all = u32::try_from(self.all).unwrap_or(u32::MAX);
        let _ = timeout(grace, self.free.acquire_many(all)).await;
        self.all.saturating_sub(self.free.available_permits())
    }

    fn take(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Slot {
        let holder = Arc::new(Holder { activity: Arc::default(), leave: Notify::new() });
        let mut taken = self.taken.lock();
        taken.last = taken.last.wrapping_add(1);
        let number = taken.last;
        taken.holders.insert(number, Arc::clone(&holder));
        Slot { number, holder, slots: Arc::clone(self), _permit: permit }
    }

    fn ask_one_to_leave(&self, now: Instant) -> bool {
        let mut taken = self.taken.lock();
        let idle = taken.holders.iter().filter_map(|(&number, holder)| {
            let since = holder.activity.idle_since()?;
            (now.duration_since(since) >= self.rest).then_some((since, number))
        });
        let Some((_, number)) = idle.min() else { return false };
        // Gone from the list, it is not asked again while it leaves.
        match taken.holders.remove(&number) {
            Some(holder) => {
                holder.leave.notify_one();
                true
            }
            None => false,
        }
    }
}

impl Slot {
    /// What is known of the connection that has it.
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.holder.activity
    }

    /// Ends when the slot is needed for another connection.
    pub(super) async fn is_needed(&self) {
        self.holder.leave.notified().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock();
        taken.holders.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const REST: Duration = Duration::from_secs(1);

    /// Full of connections that came one second after another.
    async fn full(all: usize) -> (Arc<ConnectionSlots>, Vec<Slot>) {
        let slots = Arc::new(ConnectionSlots::new(all, REST));
        let mut taken = Vec::new();
        for _ in 0..all {
            let Admitted::Free(slot) = slots.admit().await else { panic!("full at {}", taken.len()) };
            taken.push(slot);
            advance(REST).await;
        }
        (slots, taken)
    }

    /// Lets one connection go as soon as it is asked to, and says which.
    fn leaving(taken: Vec<Slot>) -> tokio::task::JoinHandle<usize> {
        tokio::spawn(async move {
            let asked = taken.iter().map(|slot| Box::pin(slot.is_needed()));
            futures_util::future::select_all(asked).await.1
        })
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_leaves() {
        let (slots, taken) = full(3).await;
        // The first came first, and has asked last.
        drop(taken[0].activity().start());
        advance(REST).await;
        let leaving = leaving(taken);
        assert!(matches!(slots.admit().await, Admitted::InsteadOfAnother(_)));
        assert_eq!(leaving.await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn those_at_work_and_those_that_have_just_come_stay() {
        let (slots, taken) = full(2).await;
        let _answering = taken[0].activity().start();
        drop(taken[1].activity().start());
        let leaving = leaving(taken);
        assert!(matches!(slots.admit().await, Admitted::Full));
        advance(REST).await;
        assert!(matches!(slots.admit().await, Admitted::InsteadOfAnother(_)));
        assert_eq!(leaving.await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_given_back() {
        let (slots, taken) = full(2).await;
        drop(taken);
        assert_eq!(slots.empty(Duration::ZERO).await, 0);
        assert!(slots.taken.lock().holders.is_empty());
        assert!(matches!(slots.admit().await, Admitted::Free(_)));
    }
}

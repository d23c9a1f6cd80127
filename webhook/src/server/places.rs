//! Places for connections, so many and no more.
//!
//! Where none is free, a newcomer gets that of the connection that has asked for nothing the longest: clients that
//! hoard connections cannot lock others out. One that a request is being answered on stays, and so does one that is
//! only beginning: in a burst the first ones must be served, rather than none.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::timed::Activity;

/// How long one that was told to go may take; it is at rest, and does not wait for its client.
const DEPARTURE: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Places {
    all: usize,
    free: Arc<Semaphore>,
    /// Idle for so long, a connection is asked to go where its place is needed.
    patience: Duration,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    last: u64,
    guests: HashMap<u64, Arc<Guest>>,
}

#[derive(Debug)]
struct Guest {
    activity: Arc<Activity>,
    leave: Notify,
}

/// A place that is taken, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    number: u64,
    guest: Arc<Guest>,
    places: Arc<Places>,
    _permit: OwnedSemaphorePermit,
}

/// What became of a newcomer.
#[derive(Debug)]
pub(super) enum Admission {
    /// A place was free.
    Free(Place),
    /// Another connection was closed for it.
    InsteadOfAnother(Place),
    /// All places are in use.
    Full,
}

impl Places {
    pub(super) fn new(all: usize, patience: Duration) -> Self {
        let all = all.min(Semaphore::MAX_PERMITS);
        Self { all, free: Arc::new(Semaphore::new(all)), patience, taken: Mutex::default() }
    }

    pub(super) async fn admit(self: &Arc<Self>) -> Admission {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Admission::Free(self.seat(permit));
        }
        if !self.ask_one_to_leave(Instant::now()) {
            return Admission::Full;
        }
        match timeout(DEPARTURE, Arc::clone(&self.free).acquire_owned()).await {
            Ok(Ok(permit)) => Admission::InsteadOfAnother(self.seat(permit)),
            _ => Admission::Full,
        }
    }

    /// Waits for all to leave. Gives the number of those that have not within `grace`.
    pub(super) async fn empty(&self, grace: Duration) -> usize {
        let all = u32::try_from(self.all).unwrap_or(u32::MAX);
        let _ = timeout(grace, self.free.acquire_many(all)).await;
        self.all.saturating_sub(self.free.available_permits())
    }

    fn seat(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Place {
        let guest = Arc::new(Guest { activity: Arc::default(), leave: Notify::new() });
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.last = taken.last.wrapping_add(1);
        let number = taken.last;
        taken.guests.insert(number, Arc::clone(&guest));
        Place { number, guest, places: Arc::clone(self), _permit: permit }
    }

    fn ask_one_to_leave(&self, now: Instant) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = taken.guests.iter().filter_map(|(&number, guest)| {
            let since = guest.activity.idle_since()?;
            (now.duration_since(since) >= self.patience).then_some((since, number))
        });
        let Some((_, number)) = idle.min() else { return false };
        // Gone from the list, it is not asked again while it leaves.
        match taken.guests.remove(&number) {
            Some(guest) => {
                guest.leave.notify_one();
                true
            }
            None => false,
        }
    }
}

impl Place {
    /// What is known of the connection that has it.
    pub(super) fn activity(&self) -> &Arc<Activity> {
        &self.guest.activity
    }

    /// Ends when the place is needed for another.
    pub(super) async fn is_needed(&self) {
        self.guest.leave.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.guests.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const PATIENCE: Duration = Duration::from_secs(1);

    /// Full of connections that came one second after another.
    async fn full(all: usize) -> (Arc<Places>, Vec<Place>) {
        let places = Arc::new(Places::new(all, PATIENCE));
        let mut taken = Vec::new();
        for _ in 0..all {
            let Admission::Free(place) = places.admit().await else { panic!("full at {}", taken.len()) };
            taken.push(place);
            advance(PATIENCE).await;
        }
        (places, taken)
    }

    /// Lets one connection go as soon as it is asked to, and says which.
    fn leaving(taken: Vec<Place>) -> tokio::task::JoinHandle<usize> {
        tokio::spawn(async move {
            let asked = taken.iter().map(|place| Box::pin(place.is_needed()));
            futures_util::future::select_all(asked).await.1
        })
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_leaves() {
        let (places, taken) = full(3).await;
        // The first came first, and has asked last.
        drop(taken[0].activity().start());
        advance(PATIENCE).await;
        let leaving = leaving(taken);
        assert!(matches!(places.admit().await, Admission::InsteadOfAnother(_)));
        assert_eq!(leaving.await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn those_at_work_and_those_that_have_just_come_stay() {
        let (places, taken) = full(2).await;
        let _answering = taken[0].activity().start();
        drop(taken[1].activity().start());
        let leaving = leaving(taken);
        assert!(matches!(places.admit().await, Admission::Full));
        advance(PATIENCE).await;
        assert!(matches!(places.admit().await, Admission::InsteadOfAnother(_)));
        assert_eq!(leaving.await.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_is_given_back() {
        let (places, taken) = full(2).await;
        drop(taken);
        assert_eq!(places.empty(Duration::ZERO).await, 0);
        assert!(places.taken.lock().unwrap().guests.is_empty());
        assert!(matches!(places.admit().await, Admission::Free(_)));
    }
}

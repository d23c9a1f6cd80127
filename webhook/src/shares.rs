//! What one client may use of something that all of them share, so that none can use up all of it. Pure: the time is
//! an argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The address that a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer(pub IpAddr);

/// Clients that are told apart at once. Those beyond share one bucket.
const CLIENTS: usize = 1024;

/// How fast tokens are used and refilled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that can be used at once.
    pub burst: u32,
    /// One more after this time.
    pub refill: Duration,
}

/// A token bucket.
#[derive(Debug)]
pub(crate) struct Bucket {
    rate: Rate,
    tokens: u32,
    /// When tokens were last counted.
    counted: Option<Instant>,
}

/// A token bucket for each client.
#[derive(Debug)]
pub struct Shares {
    rate: Rate,
    buckets: Mutex<HashMap<Option<Peer>, Bucket>>,
}

impl Bucket {
    pub(crate) fn new(rate: Rate) -> Self {
        Self { rate, tokens: rate.burst, counted: None }
    }

    /// Uses a token, if there is one. Returns whether there was.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.refill(now);
        let left = self.tokens.checked_sub(1);
        self.tokens = left.unwrap_or(0);
        left.is_some()
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.refill(now);
        self.tokens == self.rate.burst
    }

    fn refill(&mut self, now: Instant) {
        let since = *self.counted.get_or_insert(now);
        let periods = now.saturating_duration_since(since).as_nanos() / self.rate.refill.as_nanos().max(1);
        if periods > 0 || self.tokens == self.rate.burst {
            let periods = u32::try_from(periods).unwrap_or(u32::MAX);
            self.tokens = self.tokens.saturating_add(periods).min(self.rate.burst);
            self.counted = Some(now);
        }
    }
}

impl Shares {
    /// A bucket with this rate for each client.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Uses a token of `peer`, if it has one left. Returns whether it had. Clients without an address share a bucket.
    pub fn take(&self, peer: Option<Peer>, now: Instant) -> bool {
        let mut buckets = self.buckets.lock();
        if buckets.len() >= CLIENTS && !buckets.contains_key(&peer) {
            // A full bucket is as good as a new one.
            buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        let key = if buckets.len() >= CLIENTS && !buckets.contains_key(&peer) { None } else { peer };
        buckets.entry(key).or_insert_with(|| Bucket::new(self.rate)).take(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, refill: Duration::from_secs(1) };

    fn peer(number: u32) -> Option<Peer> {
        Some(Peer(IpAddr::V4(number.into())))
    }

    fn taken(shares: &Shares, peer: Option<Peer>, now: Instant) -> usize {
        (0..10).filter(|_| shares.take(peer, now)).count()
    }

    #[test]
    fn no_client_uses_anothers_share() {
        let (shares, now) = (Shares::new(RATE), Instant::now());
        assert_eq!((taken(&shares, peer(1), now), taken(&shares, peer(1), now)), (3, 0));
        assert_eq!(taken(&shares, peer(2), now), 3);
    }

    #[test]
    fn tokens_come_again_with_time_up_to_a_burst() {
        let (shares, start) = (Shares::new(RATE), Instant::now());
        taken(&shares, peer(1), start);
        assert_eq!(taken(&shares, peer(1), start + Duration::from_secs(2)), 2);
        assert_eq!(taken(&shares, peer(1), start + Duration::from_secs(100)), 3);
    }

    #[test]
    fn memory_is_bounded_and_idle_clients_make_room() {
        let (shares, start) = (Shares::new(RATE), Instant::now());
        for number in 0..5000 {
            shares.take(peer(number), start);
        }
        assert!(shares.buckets.lock().len() <= CLIENTS + 1);
        assert_eq!(taken(&shares, peer(5001), start), 0, "those beyond share a bucket");
        assert_eq!(taken(&shares, peer(5001), start + Duration::from_secs(1)), 3);
    }
}

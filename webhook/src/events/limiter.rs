//! How often VMIs are told. Pure: the time is an argument.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use super::Refusal;
use crate::shares::{Bucket, Rate};

/// How many events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long nothing is said twice about a VMI.
    pub interval: Duration,
    /// Events that are written.
    pub events: Rate,
    /// VMIs that are looked up for one client.
    pub look_ups: Rate,
    /// VMIs and messages that are remembered.
    pub remembered: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // virt-controller's longest pause between two tries is a quarter of an hour.
            interval: Duration::from_secs(600),
            events: Rate { burst: 25, refill: Duration::from_millis(500) },
            look_ups: Rate { burst: 25, refill: Duration::from_millis(500) },
            remembered: 4096,
        }
    }
}

/// What to do about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Tell the VMI.
    Write,
    /// It was told.
    Known,
    /// Too many are told already.
    TooMany,
}

/// Remembers who was told.
#[derive(Debug)]
pub(super) struct Limiter {
    limits: Limits,
    /// By a hash of VMI and message, which are long: two that are alike by chance cost one event.
    told: HashMap<u64, Instant>,
    hasher: RandomState,
    events: Bucket,
}

impl Limiter {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, told: HashMap::new(), hasher: RandomState::new(), events: Bucket::new(limits.events) }
    }

    /// Whether the VMI was told just now.
    pub(super) fn is_told(&self, now: Instant, refusal: &Refusal) -> bool {
        let told = self.told.get(&self.key(refusal));
        told.is_some_and(|told| now.saturating_duration_since(*told) < self.limits.interval)
    }

    pub(super) fn admit(&mut self, now: Instant, refusal: &Refusal) -> Verdict {
        if self.is_told(now, refusal) {
            return Verdict::Known;
        }
        let interval = self.limits.interval;
        if self.told.len() >= self.limits.remembered {
            self.told.retain(|_, told| now.saturating_duration_since(*told) < interval);
        }
        if self.told.len() >= self.limits.remembered || !self.events.take(now) {
            return Verdict::TooMany;
        }
        self.told.insert(self.key(refusal), now);
        Verdict::Write
    }

    /// It was not told after all.
    pub(super) fn forget(&mut self, refusal: &Refusal) {
        self.told.remove(&self.key(refusal));
    }

    fn key(&self, refusal: &Refusal) -> u64 {
        self.hasher.hash_one((&refusal.vmi, &refusal.message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::VmiReference;

    fn refusal(vmi: &str, message: &str) -> Refusal {
        Refusal {
            vmi: VmiReference { namespace: "ns".to_owned(), name: vmi.to_owned(), uid: vmi.to_owned() },
            pod: String::new(),
            message: message.to_owned(),
        }
    }

    #[test]
    fn the_same_is_said_once_in_an_interval() {
        let limits = Limits::default();
        let mut limiter = Limiter::new(limits);
        let start = Instant::now();
        assert_eq!(limiter.admit(start, &refusal("a", "no net")), Verdict::Write);
        assert_eq!(limiter.admit(start, &refusal("a", "no net")), Verdict::Known);
        assert_eq!(limiter.admit(start, &refusal("a", "other")), Verdict::Write);
        assert_eq!(limiter.admit(start, &refusal("b", "no net")), Verdict::Write);
        limiter.forget(&refusal("b", "no net"));
        assert_eq!(limiter.admit(start, &refusal("b", "no net")), Verdict::Write);
        assert_eq!(limiter.admit(start + limits.interval, &refusal("a", "no net")), Verdict::Write);
    }

    #[test]
    fn many_at_once_are_held_back_and_come_again_with_time() {
        let events = Rate { burst: 3, refill: Duration::from_secs(1) };
        let limits = Limits { events, ..Limits::default() };
        let mut limiter = Limiter::new(limits);
        let start = Instant::now();
        let mut written = |at: u64, prefix: &str| {
            let now = start + Duration::from_secs(at);
            let verdicts =
                (0..10).map(|number| limiter.admit(now, &refusal(&format!("{prefix}{number}"), "x")));
            verdicts.filter(|verdict| *verdict == Verdict::Write).count()
        };
        assert_eq!((written(0, "a"), written(0, "b")), (3, 0));
        assert_eq!((written(2, "c"), written(2, "d")), (2, 0));
        assert_eq!(written(100, "e"), 3);
    }

    #[test]
    fn memory_is_bounded() {
        let events = Rate { burst: u32::MAX, refill: Duration::from_secs(1) };
        let limits = Limits { events, remembered: 5, ..Limits::default() };
        let mut limiter = Limiter::new(limits);
        let start = Instant::now();
        for number in 0..100 {
            limiter.admit(start, &refusal(&number.to_string(), "x"));
        }
        assert_eq!(limiter.told.len(), 5);
        assert_eq!(limiter.admit(start, &refusal("one more", "x")), Verdict::TooMany);
        assert_eq!(limiter.admit(start + limits.interval, &refusal("one more", "x")), Verdict::Write);
    }
}

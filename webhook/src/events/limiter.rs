//! How often VMIs are told. Pure: the time is an argument.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use super::Refusal;

/// How many events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How long nothing is said twice about a VMI.
    pub interval: Duration,
    /// How many at once.
    pub burst: u32,
    /// One more after this time.
    pub refill: Duration,
    /// VMIs and messages that are remembered.
    pub remembered: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // virt-controller's longest pause between two tries is a quarter of an hour.
            interval: Duration::from_secs(600),
            burst: 25,
            refill: Duration::from_millis(500),
            remembered: 4096,
        }
    }
}

/// What is to be done about a refusal.
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
    tokens: u32,
    /// When tokens were last counted.
    refilled: Option<Instant>,
}

impl Limiter {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            told: HashMap::new(),
            hasher: RandomState::new(),
            tokens: limits.burst,
            refilled: None,
        }
    }

    pub(super) fn admit(&mut self, now: Instant, refusal: &Refusal) -> Verdict {
        let interval = self.limits.interval;
        let key = self.key(refusal);
        if self.told.get(&key).is_some_and(|told| now.duration_since(*told) < interval) {
            return Verdict::Known;
        }
        if self.told.len() >= self.limits.remembered {
            self.told.retain(|_, told| now.duration_since(*told) < interval);
        }
        self.refill(now);
        if self.tokens == 0 || self.told.len() >= self.limits.remembered {
            return Verdict::TooMany;
        }
        self.tokens -= 1;
        self.told.insert(key, now);
        Verdict::Write
    }

    /// It was not told after all.
    pub(super) fn forget(&mut self, refusal: &Refusal) {
        self.told.remove(&self.key(refusal));
    }

    fn key(&self, refusal: &Refusal) -> u64 {
        self.hasher.hash_one((&refusal.vmi, &refusal.message))
    }

    fn refill(&mut self, now: Instant) {
        let since = *self.refilled.get_or_insert(now);
        let periods = now.duration_since(since).as_nanos() / self.limits.refill.as_nanos().max(1);
        if periods > 0 || self.tokens == self.limits.burst {
            let periods = u32::try_from(periods).unwrap_or(u32::MAX);
            self.tokens = self.tokens.saturating_add(periods).min(self.limits.burst);
            self.refilled = Some(now);
        }
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
        let limits = Limits { burst: 3, refill: Duration::from_secs(1), ..Limits::default() };
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
        let limits = Limits { burst: u32::MAX, remembered: 5, ..Limits::default() };
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

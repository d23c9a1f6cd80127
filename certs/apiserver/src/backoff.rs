//! Pauses between tries that fail.

use std::time::Duration;

/// Pauses that double from a first to a longest one.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    pause: Duration,
}

impl Backoff {
    /// Begins with `first`.
    #[must_use]
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, pause: first }
    }

    /// For requests to an API server: a few replicas that ask every five seconds do not burden it, and each second
    /// that a watch comes back sooner is one less with outdated knowledge.
    #[must_use]
    pub const fn of_requests() -> Self {
        Self::new(Duration::from_millis(250), Duration::from_secs(5))
    }

    /// How long to wait after one more failure.
    pub fn pause(&mut self) -> Duration {
        let pause = self.pause.min(self.longest);
        self.pause = pause.saturating_mul(2);
        pause
    }

    /// Begins again, after a success.
    pub const fn reset(&mut self) {
        self.pause = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_again() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        let mut seconds = || backoff.pause().as_secs();
        assert_eq!([(); 8].map(|()| seconds()), [1, 2, 4, 8, 16, 32, 60, 60]);
        backoff.reset();
        assert_eq!(backoff.pause().as_secs(), 1);
    }
}

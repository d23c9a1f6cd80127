//! How the source of networks is: when it last spoke, and what is wrong with it.

use std::sync::atomic::{AtomicU64, Ordering};

use apiserver::{Heartbeat, OnChange};
use parking_lot::Mutex;

/// The source's health.
#[derive(Debug, Default)]
pub struct SourceHealth {
    /// When the source last spoke.
    pub heartbeat: Heartbeat,
    failures: AtomicU64,
    problem: Mutex<OnChange<String>>,
}

impl SourceHealth {
    /// Records a failure. Returns true if it differs from the last one.
    pub fn failed(&self, problem: &str) -> bool {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.problem.lock().set(problem.to_owned()).is_some()
    }

    /// Records a recovery. Returns true if there was a failure before.
    pub fn recovered(&self) -> bool {
        self.problem.lock().clear()
    }

    /// What is wrong, if something is.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.problem.lock().get().cloned()
    }

    /// How often it failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_news_once() {
        let health = SourceHealth::default();
        assert!(health.failed("away"));
        assert!(!health.failed("away"));
        assert_eq!(health.problem().as_deref(), Some("away"));
        assert!(health.recovered());
        assert!(!health.recovered());
        assert_eq!(health.problem(), None);
        assert!(health.failed("away"));
        assert_eq!(health.failures(), 3);
    }
}

//! Tasks that run for as long as the program does. One that ends all the same is noticed: without it the program
//! would go on looking well, and live on what it knew.

use std::collections::HashMap;
use std::future::{Future, pending};

use thiserror::Error;
use tokio::task::{Id, JoinSet};

/// A task ended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the task that {task} stopped unexpectedly: if it panicked, the log says where; start the program again, and please \
     report it"
)]
pub(super) struct Stopped {
    /// What it did, as in "the task that … stopped".
    pub(super) task: &'static str,
}

/// The tasks.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    running: JoinSet<()>,
    what: HashMap<Id, &'static str>,
}

impl Tasks {
    /// Starts a task. `what` completes "the task that … stopped unexpectedly".
    pub(super) fn start(&mut self, what: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.running.spawn(task).id();
        self.what.insert(id, what);
    }

    /// Waits for one to end.
    pub(super) async fn stopped(&mut self) -> Stopped {
        let id = match self.running.join_next_with_id().await {
            Some(Ok((id, ()))) => id,
            Some(Err(error)) => error.id(),
            None => pending().await,
        };
        Stopped { task: self.what.get(&id).copied().unwrap_or("runs in the background") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::time::Duration;
    use tokio::time::timeout;

    #[rstest]
    #[case::ends(|| {})]
    #[case::panics(|| panic!("on purpose"))]
    #[tokio::test]
    async fn the_one_that_stops_is_named(#[case] end: fn()) {
        let mut tasks = Tasks::default();
        tasks.start("sleeps", pending());
        tasks.start("is tested", async move { end() });
        let stopped = tasks.stopped().await;
        assert_eq!(stopped, Stopped { task: "is tested" });
        assert!(
            stopped.to_string().starts_with("the task that is tested stopped unexpectedly: "),
            "{stopped}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn without_tasks_nothing_stops() {
        assert!(timeout(Duration::from_secs(1), Tasks::default().stopped()).await.is_err());
    }
}

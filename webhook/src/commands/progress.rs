//! Tells a person at a terminal what a slow command is waiting for.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::timeout;

/// A command that ends earlier shows nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often the spinner moves.
const TICK: Duration = Duration::from_millis(100);

/// What a command is doing now.
#[derive(Debug, Clone)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Replaces what is shown.
    pub(super) fn doing(&self, what: &'static str) {
        self.0.set_message(what);
    }
}

/// Does `work`. If it takes longer than [`PATIENCE`], what it says it does is shown on standard error, where that is a
/// terminal.
pub(super) async fn shown<T, F: Future<Output = T>>(work: impl FnOnce(Progress) -> F) -> T {
    shown_on(ProgressDrawTarget::stderr, work).await
}

async fn shown_on<T, F: Future<Output = T>>(
    target: impl FnOnce() -> ProgressDrawTarget,
    work: impl FnOnce(Progress) -> F,
) -> T {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    bar.set_style(ProgressStyle::default_spinner());
    let mut work = pin!(work(Progress(bar.clone())));
    if let Ok(done) = timeout(PATIENCE, work.as_mut()).await {
        return done;
    }
    bar.set_draw_target(target());
    bar.enable_steady_tick(TICK);
    let done = work.await;
    bar.finish_and_clear();
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::InMemoryTerm;
    use rstest::rstest;

    /// A terminal on which everything that was shown can be read afterwards, cleared or not.
    async fn written(time: Duration) -> (String, String) {
        let terminal = InMemoryTerm::new(5, 80);
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let during = shown_on(
            || target,
            async |progress| {
                progress.doing("reading nodes");
                tokio::time::sleep(time).await;
                // The spinner has a thread of its own, and clocks of this test do not move it.
                std::thread::sleep(TICK * 3);
                terminal.contents()
            },
        );
        let during = during.await;
        (during, terminal.contents())
    }

    #[rstest]
    #[case::at_once(Duration::ZERO, "")]
    #[case::in_time(Duration::from_millis(1_900), "")]
    #[case::slow(Duration::from_millis(2_100), "reading nodes")]
    #[tokio::test(start_paused = true)]
    async fn a_slow_command_says_what_it_does_until_it_is_done(#[case] time: Duration, #[case] shown: &str) {
        let (during, after) = written(time).await;
        assert!(during.ends_with(shown) && during.is_empty() == shown.is_empty(), "{during:?}");
        assert_eq!(after, "");
    }
}

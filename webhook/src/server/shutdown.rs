//! The way from serving to stopped.

use tokio::sync::watch;

/// How far the way is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Normal service.
    Serving,
    /// Not ready, but everything is still answered: load balancers need time to notice.
    Draining,
    /// No new connections; open ones are closed after the request in flight.
    Stopping,
}

/// Tells everybody how far it is. Clones belong together.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Sender<Phase>);

impl Default for Shutdown {
    fn default() -> Self {
        Self(watch::Sender::new(Phase::Serving))
    }
}

impl Shutdown {
    /// Where we are.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Goes on to `phase`; never back.
    pub fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|current| {
            let forward = *current < phase;
            *current = phase.max(*current);
            forward
        });
    }

    /// Ends when `phase` is reached.
    pub async fn reached(&self, phase: Phase) {
        // The sender is ours, so the channel cannot be closed.
        let _ = self.0.subscribe().wait_for(|current| *current >= phase).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn phases_only_go_on() {
        let shutdown = Shutdown::default();
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.reached(Phase::Draining).await }
        });
        shutdown.advance(Phase::Stopping);
        shutdown.advance(Phase::Draining);
        waiting.await.unwrap();
        assert_eq!(shutdown.phase(), Phase::Stopping);
    }
}

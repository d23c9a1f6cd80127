//! A watch that is kept open.
//!
//! kube's watcher reads pages, follows bookmarks, resumes and lists again; this gives up what has gone silent, pauses
//! between failures, and tells in one sentence what went wrong.

use std::fmt::Debug;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use kube::Api;
use kube::runtime::watcher::{self, Event, watcher};
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};

use crate::{Backoff, Failure, Kind, Object};

/// How long one page of a list may take: the API server itself gives up after 60 seconds.
const PAGE: Duration = Duration::from_secs(90);

/// After this much silence a watch with a heartbeat is given up: by then no event, no bookmark and no new watch has
/// come for twice the time that the API server keeps one open.
const SILENCE: Duration = Duration::from_secs(2 * TIMEOUT as u64);

/// How long the API server keeps one watch open; the next one resumes where it ended. A connection that died without
/// notice is detected this late.
const TIMEOUT: u32 = 120;

/// When something was last heard of a watch. Bookmarks count, which kube's watcher does not pass on: between two
/// changes they are all that comes, and without them a quiet cluster looks like a dead connection.
#[derive(Debug)]
pub struct Heartbeat {
    start: Instant,
    /// Milliseconds since `start`.
    heard: AtomicU64,
}

/// A watch on objects.
#[derive(Debug)]
pub struct Watch<'a, K> {
    /// How to list and watch them.
    pub api: Api<K>,
    /// What they are, for messages.
    pub object: Object,
    /// Limits the watch to some of them; the timeout is set here.
    pub config: watcher::Config,
    /// If somebody looks at what comes over the wire: without it, only the connection's own timeout ends silence.
    pub heartbeat: Option<&'a Heartbeat>,
}

/// What a watch tells.
#[derive(Debug)]
pub enum Told<K> {
    /// A change, or a part of a list.
    Event(Event<K>),
    /// A failure. It is tried again.
    Failed(Failure),
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { start: Instant::now(), heard: AtomicU64::new(0) }
    }
}

impl Heartbeat {
    /// Something has come.
    pub fn heard(&self) {
        let milliseconds = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard.fetch_max(milliseconds, Ordering::Relaxed);
    }

    /// For how long nothing has.
    #[must_use]
    pub fn silence(&self) -> Duration {
        let heard = Duration::from_millis(self.heard.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(heard)
    }
}

impl<K> Watch<'_, K>
where
    K: kube::Resource + Clone + Debug + Send + DeserializeOwned + 'static,
{
    /// Watches forever; drop it to stop.
    pub async fn run(self, mut tell: impl FnMut(Told<K>)) {
        let Self { api, object, config, heartbeat } = self;
        let config = config.timeout(TIMEOUT);
        let mut backoff = Backoff::of_requests();
        loop {
            let mut events = pin!(watcher(api.clone(), config.clone()));
            let mut is_listing = true;
            loop {
                let limit = if is_listing { PAGE } else { SILENCE };
                match timeout(limit, events.next()).await {
                    Err(_) if !is_listing && heartbeat.is_none_or(|heart| heart.silence() < limit) => {}
                    Err(_) => {
                        let verb = if is_listing { "list" } else { "watch" };
                        tell(Told::Failed(Failure::new(verb, object.clone(), Kind::TimedOut { limit })));
                        break;
                    }
                    Ok(None) => break,
                    Ok(Some(Ok(event))) => {
                        // A list that has only begun may still fail.
                        if !matches!(event, Event::Init) {
                            backoff.reset();
                        }
                        is_listing = !matches!(event, Event::InitDone | Event::Apply(_) | Event::Delete(_));
                        tell(Told::Event(event));
                    }
                    Ok(Some(Err(error))) if is_expired(&error) => {
                        tracing::info!(
                            "the watch on {object} fell too far behind: listing all of them again"
                        );
                        is_listing = true;
                    }
                    Ok(Some(Err(error))) => {
                        tell(Told::Failed(Failure::of_watch(object.clone(), &error)));
                        sleep(backoff.pause()).await;
                    }
                }
            }
        }
    }
}

/// Whether the API server has forgotten the version to resume from, as happens after a long interruption. The watcher
/// lists again.
fn is_expired(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchError(status) if status.code == 410)
}

//! NADs that are not known are looked up where they live before anybody is refused because of them: a pod
//! often comes right behind its NAD, ahead of the watch.
//!
//! Each NAD is looked up once, however many wait for the answer; the answer is remembered for a moment and
//! never enters the store, which belongs to the watch.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use admission::Lookup;
use apiserver::no_answer;
use contract::NadName;
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::shares::{Peer, Rate, Shares};

/// How long a look-up may take, however long the API server itself waits for us.
const DEADLINE: Duration = Duration::from_secs(2);

/// How long an answer counts.
const MEMORY: Duration = Duration::from_secs(1);

/// NADs that are looked up or remembered at once; beyond, none is looked up.
const CAPACITY: usize = 1024;

/// What one client can have looked up, so that none uses up [`CAPACITY`].
const SHARE: Rate = Rate { burst: 128, refill: Duration::from_millis(20) };

/// One look-up under way.
pub type LookUp = Pin<Box<dyn Future<Output = Lookup> + Send>>;

/// Looks NADs up.
#[derive(Clone)]
pub struct LiveLookup(Arc<Shared>);

struct Shared {
    look_up: Box<dyn Fn(NadName) -> LookUp + Send + Sync>,
    answers: Mutex<HashMap<NadName, Answer>>,
    shares: Shares,
    metrics: LiveMetrics,
}

#[derive(Clone)]
struct Answer {
    cell: Arc<OnceCell<Lookup>>,
    asked: Instant,
}

/// Counts look-ups by their result.
#[derive(Debug, Clone, Default)]
pub struct LiveMetrics {
    look_ups: Family<ResultLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

impl LiveMetrics {
    /// Metrics that `registry` shows.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "live_look_ups",
            "NADs looked up because the watch did not know them, by result",
            metrics.look_ups.clone(),
        );
        // A series that appears with its first event is born at 1, which no `increase()` sees.
        for result in ["found", "missing", "failed", "over_capacity"] {
            drop(metrics.look_ups.get_or_create(&ResultLabels { result }));
        }
        metrics
    }

    fn count(&self, result: &'static str) {
        self.look_ups.get_or_create(&ResultLabels { result }).inc();
    }
}

impl LiveLookup {
    /// Asks with `look_up`, which need not watch the time.
    pub fn new(look_up: impl Fn(NadName) -> LookUp + Send + Sync + 'static, metrics: LiveMetrics) -> Self {
        Self(Arc::new(Shared {
            look_up: Box::new(look_up),
            answers: Mutex::default(),
            shares: Shares::new(SHARE),
            metrics,
        }))
    }

    /// Looks all of `nads` up, side by side, for `peer`, which waits for `patience` at most. No look-up takes longer
    /// than two seconds.
    pub async fn look_up(
        &self,
        nads: BTreeSet<NadName>,
        patience: Duration,
        peer: Option<Peer>,
    ) -> BTreeMap<NadName, Lookup> {
        let mut asked = JoinSet::new();
        for nad in nads {
            let shared = Arc::clone(&self.0);
            asked.spawn(async move {
                let found = shared.find(&nad, patience, peer).await;
                (nad, found)
            });
        }
        // Where a look-up panicked its NAD stays unknown.
        let mut found = BTreeMap::new();
        while let Some(joined) = asked.join_next().await {
            found.extend(joined.ok());
        }
        found
    }
}

impl Shared {
    async fn find(&self, nad: &NadName, patience: Duration, peer: Option<Peer>) -> Lookup {
        let Some(answer) = self.answer_to(nad, peer) else {
            self.metrics.count("over_capacity");
            return Lookup::Unavailable(
                "too many unknown NetworkAttachmentDefinitions are looked up at once".into(),
            );
        };
        let found = answer.get_or_init(|| self.ask(nad));
        if patience >= DEADLINE {
            return found.await.clone();
        }
        // Others may have more patience: they go on where this one gives up.
        match timeout(patience, found).await {
            Ok(found) => found.clone(),
            Err(_) => {
                self.metrics.count("failed");
                silent(patience)
            }
        }
    }

    async fn ask(&self, nad: &NadName) -> Lookup {
        let found = timeout(DEADLINE, (self.look_up)(nad.clone())).await.unwrap_or_else(|_| silent(DEADLINE));
        self.metrics.count(match &found {
            Lookup::Known(_) => "found",
            Lookup::Missing => "missing",
            Lookup::Unavailable(_) => "failed",
        });
        found
    }

    /// The answer that others wait for or have got already, or a new one, which counts as `peer`'s.
    fn answer_to(&self, nad: &NadName, peer: Option<Peer>) -> Option<Arc<OnceCell<Lookup>>> {
        let now = Instant::now();
        let mut answers = self.answers.lock();
        if let Some(answer) = answers.get(nad)
            && answer.counts_at(now)
        {
            return Some(Arc::clone(&answer.cell));
        }
        if answers.len() >= CAPACITY {
            answers.retain(|_, answer| answer.counts_at(now));
        }
        if answers.len() >= CAPACITY || !self.shares.take(peer, now.into_std()) {
            return None;
        }
        let answer = Answer { cell: Arc::default(), asked: now };
        answers.insert(nad.clone(), answer.clone());
        Some(answer.cell)
    }
}

fn silent(limit: Duration) -> Lookup {
    Lookup::Unavailable(no_answer(limit).into())
}

impl Answer {
    /// One that is still awaited counts, too: nobody asks a second time meanwhile.
    fn counts_at(&self, now: Instant) -> bool {
        let limit = if self.cell.initialized() { MEMORY } else { DEADLINE + MEMORY };
        now.duration_since(self.asked) < limit
    }
}

impl fmt::Debug for LiveLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveLookup").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use admission::{Network, Requirements};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn nad(name: &str) -> NadName {
        NadName::new("default", name).unwrap()
    }

    fn slow(time: Duration, found: Lookup) -> (LiveLookup, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let look_up = move |_| -> LookUp {
            counter.fetch_add(1, Ordering::Relaxed);
            let found = found.clone();
            Box::pin(async move {
                tokio::time::sleep(time).await;
                found
            })
        };
        (LiveLookup::new(look_up, LiveMetrics::default()), asked)
    }

    #[tokio::test(start_paused = true)]
    async fn a_nad_is_asked_for_once_and_its_answer_is_forgotten_after_a_second() {
        let network = Lookup::Known(Arc::new(Network::Valid(Requirements::default())));
        let (live, asked) = slow(Duration::from_millis(100), network.clone());
        let mut waiting = JoinSet::new();
        for _ in 0..50 {
            let live = live.clone();
            waiting.spawn(async move { live.look_up([nad("net")].into(), DEADLINE, None).await });
        }
        for found in waiting.join_all().await {
            assert_eq!(found, [(nad("net"), network.clone())].into());
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        tokio::time::sleep(MEMORY).await;
        live.look_up([nad("net")].into(), DEADLINE, None).await;
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_hangs_is_given_up_for_all_at_once() {
        let (live, asked) = slow(Duration::from_secs(60), Lookup::Missing);
        let start = Instant::now();
        let nads: BTreeSet<NadName> = (0..40).map(|number| nad(&format!("net-{number}"))).collect();
        let found = live.look_up(nads, DEADLINE, None).await;
        assert_eq!(start.elapsed(), DEADLINE);
        assert_eq!((found.len(), asked.load(Ordering::Relaxed)), (40, 40));
        let failed = Lookup::Unavailable("the API server did not answer within 2 s".into());
        assert!(found.values().all(|found| *found == failed));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_less_patience_gives_up_first() {
        let (live, asked) = slow(Duration::from_secs(1), Lookup::Missing);
        let start = Instant::now();
        let (short, long) = tokio::join!(
            live.look_up([nad("net")].into(), Duration::from_millis(500), None),
            live.look_up([nad("net")].into(), DEADLINE, None),
        );
        let failed = Lookup::Unavailable("the API server did not answer within 0.5 s".into());
        assert_eq!(short, [(nad("net"), failed)].into());
        assert_eq!(long, [(nad("net"), Lookup::Missing)].into());
        assert_eq!(start.elapsed(), Duration::from_millis(1500));
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    fn peer(number: u8) -> Option<Peer> {
        Some(Peer([10, 0, 0, number].into()))
    }

    fn flood(number: u8) -> BTreeSet<NadName> {
        (0..CAPACITY).map(|name| nad(&format!("net-{number}-{name}"))).collect()
    }

    fn answered(found: &BTreeMap<NadName, Lookup>) -> usize {
        found.values().filter(|found| **found == Lookup::Missing).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_unknown_names_is_bounded_for_each_client() {
        let (live, asked) = slow(Duration::ZERO, Lookup::Missing);
        let found = live.look_up(flood(0), DEADLINE, peer(0)).await;
        assert_eq!((answered(&found), asked.load(Ordering::Relaxed)), (128, 128));
        let found = live.look_up([nad("net")].into(), DEADLINE, peer(1)).await;
        assert_eq!(found, [(nad("net"), Lookup::Missing)].into(), "another client's");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_from_everywhere_is_bounded() {
        let (live, asked) = slow(Duration::ZERO, Lookup::Missing);
        for number in 0..10 {
            live.look_up(flood(number), DEADLINE, peer(number)).await;
        }
        assert_eq!(asked.load(Ordering::Relaxed), CAPACITY);
        tokio::time::sleep(MEMORY).await;
        let found = live.look_up([nad("net")].into(), DEADLINE, peer(0)).await;
        assert_eq!(found, [(nad("net"), Lookup::Missing)].into());
    }
}

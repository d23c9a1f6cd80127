//! Events on the VMIs whose pods are refused: `kubectl describe vmi` shows them to the virtual machine's
//! author, who may not read virt-controller's log.
//!
//! virt-controller tries again and again. One event for each VMI and message in [`Limits::interval`] is enough,
//! and however many are refused, the API server gets no more than a few events a second from here. Nobody
//! waits for an event: what comes too fast is dropped and counted.
//!
//! A review may come from anybody who can reach the port. Unless clients have shown a certificate, an event is
//! written only if the API server knows the VMI by name and uid; what is forged costs the sender's own share of
//! look-ups, and neither an event nor its place in the limits.

mod existence;
mod limiter;

use std::sync::Arc;
use std::time::Instant;

use apiserver::{DEADLINE, Failure, Kind, OnChange, Resource, Scope, within};
use contract::{Quoted, cut, kubevirt};
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client};
use parking_lot::Mutex;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;

use crate::kinds::VMIS;
use crate::shares::{Peer, Shares};
use existence::exists;
pub use limiter::Limits;
use limiter::{Limiter, Verdict};

/// Refusals that wait to become events.
const WAITING: usize = 256;

/// Kubernetes takes no longer message in an event.
const LONGEST: usize = 1024;

/// No name in Kubernetes is longer.
const LONGEST_NAME: usize = 253;

/// Who says it.
const COMPONENT: &str = "sriov-webhook";

/// A VMI's pod that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The VMI.
    pub vmi: VmiReference,
    /// The pod's name, or what it is made from.
    pub pod: String,
    /// The sentence of the refusal.
    pub message: String,
}

/// A VMI, as its pod names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VmiReference {
    /// Its namespace, which is the pod's.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its unique id.
    pub uid: String,
}

/// Takes refusals without waiting.
#[derive(Debug, Clone)]
pub struct VmiEvents {
    sender: mpsc::Sender<Refusal>,
    limiter: Arc<Mutex<Limiter>>,
    /// Of look-ups; `None` if clients are verified and nothing needs to be looked up.
    shares: Option<Arc<Shares>>,
    metrics: EventMetrics,
}

/// Who can send reviews.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clients {
    /// Only who has shown a certificate of a CA that the administrator named.
    Verified,
    /// Anybody who can reach the port.
    Any,
}

/// Counts denials by the fate of their event.
#[derive(Debug, Clone, Default)]
pub struct EventMetrics(Family<ResultLabels, Counter>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

impl EventMetrics {
    /// Metrics that `registry` shows.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "vmi_events",
            "Denials of VMIs' pods, by the fate of the event about them",
            metrics.0.clone(),
        );
        // A series that appears with its first event is born at 1, which no `increase()` sees.
        for result in ["written", "repeated", "unknown_vmi", "dropped", "failed"] {
            drop(metrics.0.get_or_create(&ResultLabels { result }));
        }
        metrics
    }

    fn count(&self, result: &'static str) {
        self.0.get_or_create(&ResultLabels { result }).inc();
    }
}

impl VmiEvents {
    /// Starts the task that writes events. It ends when the last sender is gone.
    #[must_use]
    pub fn start(client: Client, clients: Clients, limits: Limits, metrics: EventMetrics) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let limiter = Arc::new(Mutex::new(Limiter::new(limits)));
        let shares = match clients {
            Clients::Verified => None,
            Clients::Any => Some(Arc::new(Shares::new(limits.look_ups))),
        };
        let writer = Writer {
            client,
            clients,
            limiter: Arc::clone(&limiter),
            metrics: metrics.clone(),
            said: OnChange::default(),
        };
        tokio::spawn(writer.run(receiver));
        Self { sender, limiter, shares, metrics }
    }

    /// Has the VMI told that its pod was refused, unless it was told just now. `peer` is who sent the review.
    pub fn report(&self, refusal: Refusal, peer: Option<Peer>) {
        let Refusal { vmi, pod, message } = refusal;
        // Queued refusals stay in memory and their texts come from users, so they are truncated.
        let refusal = Refusal {
            vmi,
            pod: cut(&pod, LONGEST_NAME).to_owned(),
            message: cut(&message, LONGEST).to_owned(),
        };
        let now = Instant::now();
        if self.limiter.lock().is_told(now, &refusal) {
            self.metrics.count("repeated");
        } else if self.shares.as_ref().is_some_and(|shares| !shares.take(peer, now))
            || self.sender.try_send(refusal).is_err()
        {
            self.metrics.count("dropped");
        }
    }
}

struct Writer {
    client: Client,
    clients: Clients,
    limiter: Arc<Mutex<Limiter>>,
    metrics: EventMetrics,
    said: OnChange<Kind>,
}

impl Writer {
    async fn run(mut self, mut receiver: mpsc::Receiver<Refusal>) {
        while let Some(refusal) = receiver.recv().await {
            let result = self.handle(&refusal).await;
            self.metrics.count(result);
        }
    }

    async fn handle(&mut self, refusal: &Refusal) -> &'static str {
        // It may have been told while this one was queued.
        if self.limiter.lock().is_told(Instant::now(), refusal) {
            return "repeated";
        }
        if self.clients == Clients::Any {
            let vmis = VMIS.within(Scope::Namespace(refusal.vmi.namespace.clone()));
            match within(DEADLINE, "get", &vmis, exists(&self.client, &refusal.vmi)).await {
                Ok(true) => {}
                Ok(false) => return "unknown_vmi",
                Err(failure) => {
                    self.failed(refusal, failure);
                    return "failed";
                }
            }
        }
        let verdict = self.limiter.lock().admit(Instant::now(), refusal);
        match verdict {
            Verdict::Write => self.write(refusal).await,
            Verdict::Known => "repeated",
            Verdict::TooMany => "dropped",
        }
    }

    async fn write(&mut self, refusal: &Refusal) -> &'static str {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &refusal.vmi.namespace);
        let event = event(refusal, Timestamp::now());
        let object = Resource::of::<Event>().within(Scope::Namespace(refusal.vmi.namespace.clone()));
        match within(DEADLINE, "create", &object, events.create(&PostParams::default(), &event)).await {
            Ok(_) => {
                self.said.clear();
                "written"
            }
            Err(failure) => {
                // The VMI is told the next time its pod is refused.
                self.limiter.lock().forget(refusal);
                self.failed(refusal, failure);
                "failed"
            }
        }
    }

    /// Logs a problem once and not for each refusal: without the permission every one fails.
    fn failed(&mut self, refusal: &Refusal, failure: Failure) {
        let sentence = failure.to_string();
        // The namespace may be another each time.
        if self.said.set(failure.kind).is_some() {
            let VmiReference { namespace, name, .. } = &refusal.vmi;
            tracing::warn!(namespace, vmi = name, "no event about a refused pod: {sentence}");
        }
    }
}

fn event(refusal: &Refusal, now: Timestamp) -> Event {
    let Refusal { vmi, pod, message } = refusal;
    // Whatever the message repeats, it stays on one line.
    let message = message.replace(char::is_control, " ");
    let message = format!("pod {} refused: {message}", Quoted(pod));
    Event {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}.", vmi.name)),
            namespace: Some(vmi.namespace.clone()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some(kubevirt::VMI_API_VERSION.to_owned()),
            kind: Some(kubevirt::VMI_KIND.to_owned()),
            namespace: Some(vmi.namespace.clone()),
            name: Some(vmi.name.clone()),
            uid: Some(vmi.uid.clone()),
            ..ObjectReference::default()
        },
        type_: Some("Warning".to_owned()),
        reason: Some("PodRefused".to_owned()),
        message: Some(cut(&message, LONGEST).to_owned()),
        source: Some(EventSource { component: Some(COMPONENT.to_owned()), host: None }),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        count: Some(1),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn refusal(vmi: &str, pod: &str, message: &str) -> Refusal {
        let vmi = VmiReference { namespace: "ns".to_owned(), name: vmi.to_owned(), uid: "1".to_owned() };
        Refusal { vmi, pod: pod.to_owned(), message: message.to_owned() }
    }

    fn message(refusal: &Refusal) -> String {
        event(refusal, Timestamp::UNIX_EPOCH).message.unwrap()
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let message = message(&refusal("vm", "virt-launcher-vm-*", &"ü".repeat(2000)));
        assert!(message.starts_with("pod \"virt-launcher-vm-*\" refused: ü"), "{message}");
        assert!((1023..=1024).contains(&message.len()), "{}", message.len());
    }

    #[test]
    fn nobody_ends_a_line_of_an_event() {
        let message = message(&refusal("vm", "x refused: all is well\nWarning", "annotation\r\n: element 1"));
        assert_eq!(message, "pod \"x refused: all is well\\nWarning\" refused: annotation  : element 1");
    }

    /// Without the task that writes: what is queued stays queued.
    fn events(shares: Option<Arc<Shares>>, waiting: usize) -> (VmiEvents, mpsc::Receiver<Refusal>) {
        let (sender, receiver) = mpsc::channel(waiting);
        let limiter = Arc::new(Mutex::new(Limiter::new(Limits::default())));
        (VmiEvents { sender, limiter, shares, metrics: EventMetrics::default() }, receiver)
    }

    #[test]
    fn queued_texts_are_truncated() {
        let (events, mut receiver) = events(None, 1);
        events.report(refusal("vm", &"p".repeat(1 << 20), &"m".repeat(1 << 20)), None);
        let waiting = receiver.try_recv().unwrap();
        assert!(
            waiting.message.len() <= LONGEST && waiting.message.starts_with("mmm"),
            "{}",
            waiting.message.len()
        );
        assert!(waiting.pod.len() <= LONGEST_NAME, "{}", waiting.pod.len());
        assert!(waiting.message.capacity() + waiting.pod.capacity() < 2 * LONGEST);
    }

    #[test]
    fn a_flood_from_one_client_leaves_room_for_anothers_refusal() {
        let shares = Arc::new(Shares::new(Limits::default().look_ups));
        let (events, mut receiver) = events(Some(shares), WAITING);
        let peer = |last| Some(Peer(Ipv4Addr::new(10, 0, 0, last).into()));
        for number in 0..10_000 {
            events.report(refusal(&format!("forged-{number}"), "p", "m"), peer(1));
        }
        events.report(refusal("real", "p", "m"), peer(2));
        let queued: Vec<String> =
            std::iter::from_fn(|| receiver.try_recv().ok()).map(|refusal| refusal.vmi.name).collect();
        assert!(queued.len() < 100 && queued.last().is_some_and(|last| last == "real"), "{queued:?}");
    }

    #[test]
    fn what_was_told_costs_no_share() {
        let shares = Arc::new(Shares::new(Limits::default().look_ups));
        let (events, mut receiver) = events(Some(shares), WAITING);
        let told = refusal("told", "p", "m");
        events.limiter.lock().admit(Instant::now(), &told);
        for _ in 0..10_000 {
            events.report(told.clone(), None);
        }
        events.report(refusal("new", "p", "m"), None);
        assert_eq!(receiver.try_recv().map(|refusal| refusal.vmi.name), Ok("new".to_owned()));
    }
}

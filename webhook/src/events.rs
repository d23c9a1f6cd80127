//! Events on the VMIs whose pods are refused: `kubectl describe vmi` shows them to the virtual machine's
//! author, who may not read virt-controller's log.
//!
//! virt-controller tries again and again. One event for each VMI and message in [`Limits::interval`] is enough,
//! and however many are refused, the API server gets no more than a few events a second from here. Nobody
//! waits for an event: what comes too fast is dropped and counted.

mod limiter;

use std::time::{Duration, Instant};

use contract::{cut, kubevirt};
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Client, Error};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;
use tokio::time::timeout;

pub use limiter::Limits;
use limiter::{Limiter, Verdict};

/// Refusals that wait to become events.
const WAITING: usize = 256;

/// How long the API server may take for one.
const DEADLINE: Duration = Duration::from_secs(10);

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
    metrics: EventMetrics,
}

/// Counts refusals by what became of their event.
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
            "Refusals of VMIs' pods, by what became of the event about them",
            metrics.0.clone(),
        );
        metrics
    }

    fn count(&self, result: &'static str) {
        self.0.get_or_create(&ResultLabels { result }).inc();
    }
}

impl VmiEvents {
    /// Starts the task that writes events. It ends when the last sender is gone.
    #[must_use]
    pub fn start(client: Client, limits: Limits, metrics: EventMetrics) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let writer = Writer { client, limiter: Limiter::new(limits), metrics: metrics.clone(), said: None };
        tokio::spawn(writer.run(receiver));
        Self { sender, metrics }
    }

    /// Has the VMI told, if it was not told just now.
    pub fn report(&self, refusal: Refusal) {
        let Refusal { vmi, pod, message } = refusal;
        // What waits is kept, and texts of somebody else's are as long as he likes.
        let refusal = Refusal {
            vmi,
            pod: cut(&pod, LONGEST_NAME).to_owned(),
            message: cut(&message, LONGEST).to_owned(),
        };
        if self.sender.try_send(refusal).is_err() {
            self.metrics.count("dropped");
        }
    }
}

struct Writer {
    client: Client,
    limiter: Limiter,
    metrics: EventMetrics,
    said: Option<String>,
}

impl Writer {
    async fn run(mut self, mut receiver: mpsc::Receiver<Refusal>) {
        while let Some(refusal) = receiver.recv().await {
            let verdict = self.limiter.admit(Instant::now(), &refusal);
            let result = match verdict {
                Verdict::Write => self.write(&refusal).await,
                Verdict::Known => "repeated",
                Verdict::TooMany => "dropped",
            };
            self.metrics.count(result);
        }
    }

    async fn write(&mut self, refusal: &Refusal) -> &'static str {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &refusal.vmi.namespace);
        let event = event(refusal, Timestamp::now());
        let problem = match timeout(DEADLINE, events.create(&PostParams::default(), &event)).await {
            Ok(Ok(_)) => {
                self.said = None;
                return "written";
            }
            Ok(Err(Error::Api(status))) => status.message.clone(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("the API server did not answer within {} s", DEADLINE.as_secs()),
        };
        // The VMI is told the next time its pod is refused.
        self.limiter.forget(refusal);
        // Once and not for each: without the permission every one fails.
        if self.said.as_ref() != Some(&problem) {
            tracing::warn!(
                namespace = refusal.vmi.namespace,
                vmi = refusal.vmi.name,
                "cannot write an event about a refused pod: {problem}"
            );
            self.said = Some(problem);
        }
        "failed"
    }
}

fn event(refusal: &Refusal, now: Timestamp) -> Event {
    let Refusal { vmi, pod, message } = refusal;
    let message = format!("pod {pod} refused: {message}");
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

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let refusal = Refusal {
            vmi: VmiReference { namespace: "ns".to_owned(), name: "vm".to_owned(), uid: "1".to_owned() },
            pod: "virt-launcher-vm-*".to_owned(),
            message: "ü".repeat(2000),
        };
        let event = event(&refusal, Timestamp::UNIX_EPOCH);
        let message = event.message.unwrap();
        assert!(message.starts_with("pod virt-launcher-vm-* refused: ü"), "{message}");
        assert!((1023..=1024).contains(&message.len()), "{}", message.len());
    }

    #[test]
    fn what_waits_is_cut() {
        let (sender, mut receiver) = mpsc::channel(1);
        let events = VmiEvents { sender, metrics: EventMetrics::default() };
        events.report(Refusal {
            vmi: VmiReference { namespace: "ns".to_owned(), name: "vm".to_owned(), uid: "1".to_owned() },
            pod: "p".repeat(1 << 20),
            message: "m".repeat(1 << 20),
        });
        let waiting = receiver.try_recv().unwrap();
        assert!(
            waiting.message.len() <= LONGEST && waiting.message.starts_with("mmm"),
            "{}",
            waiting.message.len()
        );
        assert!(waiting.pod.len() <= LONGEST_NAME, "{}", waiting.pod.len());
        assert!(waiting.message.capacity() + waiting.pod.capacity() < 2 * LONGEST);
    }
}

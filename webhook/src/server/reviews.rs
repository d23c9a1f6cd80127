//! `POST /mutate` for pods, `POST /mutate-vmi` for VMIs and `POST /validate` for the final look at pods: from an HTTP
//! request to its answer.
//!
//! Every well-formed review is answered with an AdmissionReview, also when something in here breaks; what is not a
//! review gets an HTTP error and a sentence.

mod deadline;
mod line;
mod metrics;
mod rejection;
mod reviewed;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use admission::{
    Denial, Lookup, Networks, NotWatched, Options, Reason, Request as Review, Unreadable, Verdict, answer,
};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse as _;
use axum::routing::post;
use contract::NadName;
use http::{HeaderValue, Request, Response, header};
use tokio::sync::Semaphore;

use super::body::BodyReader;
use super::limits::RequestLimits;
use crate::events::VmiEvents;
use crate::networks::LiveLookup;
use crate::nodes::NodeStore;
use crate::shares::Peer;
use deadline::look_up_deadline;
use line::Line;
pub use metrics::ReviewMetrics;
use rejection::Rejection;
use reviewed::{FinalPods, LOOKED_UP, Pods, Reviewed, Vmis, first};

/// Where reviews of pods are posted to.
pub const PATH: &str = "/mutate";

/// Where reviews of VMIs are posted to.
pub const VMI_PATH: &str = "/mutate-vmi";

/// Where reviews of pods are posted to once no webhook can change them.
pub const FINAL_PATH: &str = "/validate";

/// Answers reviews.
#[derive(Debug)]
pub struct Reviews<N> {
    /// The NADs that are known.
    pub networks: Arc<N>,
    /// Where those that are not are looked up.
    pub live: Option<LiveLookup>,
    /// What the nodes offer, where they are watched.
    pub nodes: Option<Arc<NodeStore>>,
    /// Who tells VMIs that their pod was refused.
    pub events: Option<VmiEvents>,
    /// How it is decided.
    pub options: Options,
    /// What is counted.
    pub metrics: ReviewMetrics,
}

#[derive(Debug)]
struct Endpoint<N> {
    reviews: Reviews<N>,
    bodies: BodyReader,
    free: Semaphore,
    in_flight: usize,
}

/// Who sent a review.
#[derive(Debug, Clone, Copy)]
struct Sender {
    /// How long look-ups for it may take.
    deadline: Duration,
    /// Its address.
    peer: Option<Peer>,
}

/// The routes of the review listener.
pub fn router<N: Networks + Send + Sync + 'static>(reviews: Reviews<N>, limits: RequestLimits) -> Router {
    let endpoint = Endpoint {
        reviews,
        bodies: BodyReader::new(limits.body),
        free: Semaphore::new(limits.in_flight.min(Semaphore::MAX_PERMITS)),
        in_flight: limits.in_flight,
    };
    Router::new()
        .route(PATH, post(respond::<N, Pods>))
        .route(VMI_PATH, post(respond::<N, Vmis>))
        .route(FINAL_PATH, post(respond::<N, FinalPods>))
        .method_not_allowed_fallback(|request: Request<Body>| async move {
            Rejection::method(&request).into_response()
        })
        .fallback(|request: Request<Body>| async move { Rejection::path(&request).into_response() })
        .with_state(Arc::new(endpoint))
}

async fn respond<N: Networks + Send + Sync + 'static, R: Reviewed + 'static>(
    State(endpoint): State<Arc<Endpoint<N>>>,
    request: Request<Body>,
) -> Response<Body> {
    let metrics = &endpoint.reviews.metrics;
    match endpoint.answer::<R>(request).await {
        Ok(body) => {
            let json = HeaderValue::from_static("application/json");
            ([(header::CONTENT_TYPE, json)], body).into_response()
        }
        Err(rejection) => {
            metrics.refused(rejection.reason);
            // At debug level only: any client that can reach the port could fill the log.
            tracing::debug!(reason = rejection.reason, "{}", rejection.sentence);
            rejection.into_response()
        }
    }
}

impl<N: Networks> Endpoint<N> {
    async fn answer<R: Reviewed>(&self, request: Request<Body>) -> Result<Vec<u8>, Rejection> {
        let Ok(_permit) = self.free.try_acquire() else {
            return Err(Rejection::busy(self.in_flight));
        };
        let _in_flight = self.reviews.metrics.in_flight();
        let (head, body) = request.into_parts();
        Rejection::check_content_type(&head.headers)?;
        let whole = self.bodies.read(&head.headers, body).await?;
        let sender =
            Sender { deadline: look_up_deadline(&head.uri), peer: head.extensions.get::<Peer>().copied() };
        self.reviews.answer::<R>(&whole.bytes, sender).await
    }
}

impl<N: Networks> Reviews<N> {
    /// The answer to a request's body.
    async fn answer<R: Reviewed>(&self, body: &[u8], sender: Sender) -> Result<Vec<u8>, Rejection> {
        let start = Instant::now();
        let read = unwinding(|| R::read(body)).map_err(|Panicked| Rejection::internal())?;
        match read {
            Ok(review) => {
                let verdict = self.decide::<R>(&review, sender).await;
                let denial = verdict.denial();
                let answer = answer::<R::Object<'_>>(&review.uid, &verdict);
                if verdict.helper_added {
                    self.metrics.helper_added();
                }
                let line = Line {
                    uid: &review.uid,
                    namespace: review.namespace(),
                    name: review.subject_name(),
                    kind: R::KIND,
                    outcome: R::outcome(&verdict),
                    denial,
                };
                self.done(start, &line);
                if let Some(events) = &self.events
                    && let Some(refusal) = denial.and_then(|denial| R::refusal(&review, denial))
                {
                    events.report(refusal, sender.peer);
                }
                Ok(answer)
            }
            Err(Unreadable::NoReview(sentence)) => Err(Rejection::no_review(sentence)),
            Err(Unreadable::Answerable { uid, denial }) => {
                let line = Line {
                    uid: &uid,
                    namespace: "",
                    name: "",
                    kind: R::KIND,
                    outcome: "invalid",
                    denial: Some(&denial),
                };
                self.done(start, &line);
                Ok(answer::<R::Object<'_>>(&uid, &Verdict::denied(denial)))
            }
        }
    }

    async fn decide<R: Reviewed>(&self, review: &Review<'_, R::Object<'_>>, sender: Sender) -> Verdict {
        let networks = &*self.networks;
        let verdict = self.decide_from::<R>(review, networks);
        let Some(live) = self.live.as_ref().filter(|_| !verdict.unknown.is_empty()) else {
            return verdict;
        };
        let found = live.look_up(first(&verdict.unknown), sender.deadline, sender.peer).await;
        self.decide_from::<R>(review, &WithFound { networks, found: &found })
    }

    fn decide_from<R: Reviewed>(
        &self,
        review: &Review<'_, R::Object<'_>>,
        networks: &impl Networks,
    ) -> Verdict {
        unwinding(|| match self.nodes.as_deref() {
            Some(nodes) => R::decide(review, networks, nodes, &self.options),
            None => R::decide(review, networks, &NotWatched, &self.options),
        })
        .unwrap_or_else(|Panicked| failed())
    }

    fn done(&self, start: Instant, line: &Line<'_>) {
        let duration = start.elapsed();
        let reason = line.denial.map_or("", |denial| denial.reason.as_str());
        self.metrics.answered(line.kind, line.outcome, reason, duration);
        line.log(duration);
    }
}

/// Something in the pure middle panicked; the hook in [`logging`](crate::logging) has said where.
struct Panicked;

fn unwinding<T>(call: impl FnOnce() -> T) -> Result<T, Panicked> {
    // What the closures touch is only read, so nothing can be left half-changed.
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| Panicked)
}

/// The verdict if deciding failed.
fn failed() -> Verdict {
    let message =
        "the webhook failed while it looked at this: its log says where; please report that with the object";
    Verdict::denied(Denial { reason: Reason::Internal, message: message.to_owned() })
}

/// The networks that are known, and those just looked up.
struct WithFound<'a, N> {
    networks: &'a N,
    found: &'a BTreeMap<NadName, Lookup>,
}

impl<N: Networks> Networks for WithFound<'_, N> {
    fn get(&self, nad: &NadName) -> Lookup {
        match self.networks.get(nad) {
            Lookup::Missing => self.found.get(nad).cloned().unwrap_or_else(not_asked_for),
            known => known,
        }
    }

    fn is_known(&self, nad: &str) -> bool {
        self.networks.is_known(nad) || matches!(self.found.get(nad), Some(Lookup::Known(_)))
    }
}

fn not_asked_for() -> Lookup {
    let reason =
        format!("it was not looked up: at most {LOOKED_UP} unknown ones are looked up for one review");
    Lookup::Unavailable(reason.into())
}

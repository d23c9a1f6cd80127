//! `POST /mutate` for pods and `POST /mutate-vmi` for VMIs: from an HTTP request to its answer.
//!
//! Every well-formed review is answered with an AdmissionReview, also when something in here breaks; what is not a
//! review gets an HTTP error and a sentence.

mod line;
mod metrics;
mod patience;
mod reviewed;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use admission::{Lookup, Networks, NotWatched, Options, Request as Review, Unreadable};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse as _;
use axum::routing::post;
use contract::{NadName, Quoted};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use tokio::sync::Semaphore;

use super::body::{BodyError, BodyLimits, BodyReader};
use crate::events::VmiEvents;
use crate::networks::LiveLookup;
use crate::nodes::NodeStore;
use crate::shares::Peer;
use line::Line;
pub use metrics::ReviewMetrics;
use patience::patience;
use reviewed::{LOOKED_UP, Pods, Reviewed, Vmis};

/// Where reviews of pods are posted to.
pub const PATH: &str = "/mutate";

/// Where reviews of VMIs are posted to.
pub const VMI_PATH: &str = "/mutate-vmi";

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

/// How many requests at once, and how large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Requests that are read and answered at once; a further one gets "try again".
    pub in_flight: usize,
    /// For their bodies.
    pub body: BodyLimits,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { in_flight: 512, body: BodyLimits::default() }
    }
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
    /// How long it waits for look-ups.
    patience: Duration,
    /// Its address.
    peer: Option<Peer>,
}

/// A request that is not a review.
struct Refusal {
    status: StatusCode,
    /// For metrics and logs.
    reason: &'static str,
    sentence: String,
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
        .method_not_allowed_fallback(|request: Request<Body>| async move {
            Refusal::method(&request).into_response()
        })
        .fallback(|request: Request<Body>| async move { Refusal::path(&request).into_response() })
        .with_state(Arc::new(endpoint))
}

async fn respond<N: Networks + Send + Sync + 'static, R: Reviewed<Decision: Send> + 'static>(
    State(endpoint): State<Arc<Endpoint<N>>>,
    request: Request<Body>,
) -> Response<Body> {
    let metrics = &endpoint.reviews.metrics;
    match endpoint.answer::<R>(request).await {
        Ok(body) => {
            let json = HeaderValue::from_static("application/json");
            ([(header::CONTENT_TYPE, json)], body).into_response()
        }
        Err(refusal) => {
            metrics.refused(refusal.reason);
            // At debug level only: any client that can reach the port could fill the log.
            tracing::debug!(reason = refusal.reason, "{}", refusal.sentence);
            refusal.into_response()
        }
    }
}

impl<N: Networks> Endpoint<N> {
    async fn answer<R: Reviewed>(&self, request: Request<Body>) -> Result<Vec<u8>, Refusal> {
        let Ok(_place) = self.free.try_acquire() else {
            return Err(Refusal::busy(self.in_flight));
        };
        let _in_flight = self.reviews.metrics.in_flight();
        let (head, body) = request.into_parts();
        check_content_type(&head.headers)?;
        let whole = self.bodies.read(&head.headers, body).await?;
        let sender = Sender { patience: patience(&head.uri), peer: head.extensions.get::<Peer>().copied() };
        self.reviews.answer::<R>(&whole.bytes, sender).await
    }
}

impl<N: Networks> Reviews<N> {
    /// The answer to a request's body.
    async fn answer<R: Reviewed>(&self, body: &[u8], sender: Sender) -> Result<Vec<u8>, Refusal> {
        let start = Instant::now();
        let read = unwinding(|| R::read(body)).map_err(|Panicked| Refusal::internal())?;
        match read {
            Ok(review) => {
                let decision = self.decide::<R>(&review, sender).await;
                let (outcome, denial) = R::outcome(&decision);
                let answer = R::answer(&review.uid, &decision);
                if R::adds_helper(&decision) {
                    self.metrics.helper_added();
                }
                let line = Line {
                    uid: &review.uid,
                    namespace: review.namespace(),
                    name: review.subject_name(),
                    kind: R::KIND,
                    outcome,
                    denial,
                };
                self.done(start, line);
                if let Some(events) = &self.events
                    && let Some(refusal) = R::refusal(&review, &decision)
                {
                    events.report(refusal, sender.peer);
                }
                Ok(answer)
            }
            Err(Unreadable::NoReview(sentence)) => Err(Refusal::no_review(sentence)),
            Err(Unreadable::Answerable { uid, denial }) => {
                let line = Line {
                    uid: &uid,
                    namespace: "",
                    name: "",
                    kind: R::KIND,
                    outcome: "invalid",
                    denial: Some(&denial),
                };
                self.done(start, line);
                Ok(R::answer_unreadable(&uid, denial))
            }
        }
    }

    async fn decide<R: Reviewed>(&self, review: &Review<'_, R::Object<'_>>, sender: Sender) -> R::Decision {
        let networks = &*self.networks;
        let decision = self.decide_from::<R>(review, networks);
        let unknown = R::unknown(&decision);
        let Some(live) = self.live.as_ref().filter(|_| !unknown.is_empty()) else {
            return decision;
        };
        let found = live.look_up(unknown, sender.patience, sender.peer).await;
        self.decide_from::<R>(review, &WithFound { networks, found: &found })
    }

    fn decide_from<R: Reviewed>(
        &self,
        review: &Review<'_, R::Object<'_>>,
        networks: &impl Networks,
    ) -> R::Decision {
        unwinding(|| match self.nodes.as_deref() {
            Some(nodes) => R::decide(review, networks, nodes, &self.options),
            None => R::decide(review, networks, &NotWatched, &self.options),
        })
        .unwrap_or_else(|Panicked| R::broken())
    }

    fn done(&self, start: Instant, line: Line<'_>) {
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
        format!("nobody answered for it, and for one review at most {LOOKED_UP} unknown ones are asked for");
    Lookup::Unavailable(reason.into())
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let value = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let essence = value.split(|&byte| byte == b';').next().unwrap_or_default();
    if essence.trim_ascii().eq_ignore_ascii_case(b"application/json") {
        return Ok(());
    }
    let sentence = if value.is_empty() {
        "the request has no content type: send application/json".to_owned()
    } else {
        let value = String::from_utf8_lossy(value);
        format!("the content type {} is not spoken here: send application/json", Quoted(&value))
    };
    Err(Refusal { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, reason: "content_type", sentence })
}

impl Refusal {
    fn no_review(sentence: String) -> Self {
        Self { status: StatusCode::BAD_REQUEST, reason: "no_review", sentence }
    }

    fn busy(in_flight: usize) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            reason: "overload",
            sentence: format!(
                "{in_flight} requests are being answered, the limit set with --max-in-flight: try again"
            ),
        }
    }

    fn internal() -> Self {
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            reason: "internal",
            sentence: "the webhook failed while it read the review: its log says where".to_owned(),
        }
    }

    fn method(request: &Request<Body>) -> Self {
        Self {
            status: StatusCode::METHOD_NOT_ALLOWED,
            reason: "method",
            sentence: format!(
                "{} takes POST, not {}",
                request.uri().path(),
                Quoted(request.method().as_str())
            ),
        }
    }

    fn path(request: &Request<Body>) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            reason: "path",
            sentence: format!(
                "there is nothing at {}: reviews of pods go to {PATH}, of VMIs to {VMI_PATH}",
                Quoted(request.uri().path())
            ),
        }
    }

    fn into_response(self) -> Response<Body> {
        let mut response = (self.status, self.sentence + "\n").into_response();
        if self.status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Self { status: error.status(), reason: error.as_str(), sentence: error.to_string() }
    }
}

//! The listener for kubelet and Prometheus: `/livez`, `/readyz`, `/metrics`, `/version`.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::IntoResponse as _;
use axum::routing::get;
use certs::ServingCertificate;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::exposition::{CLASSIC, OPEN_METRICS, classic, wants_open_metrics};
use super::shutdown::{Phase, Shutdown};
use crate::networks::NetworkStore;

/// What the probes look at.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// Listed once?
    pub networks: Arc<NetworkStore>,
    /// Valid?
    pub certificate: Arc<ServingCertificate>,
    /// Not on the way out?
    pub shutdown: Shutdown,
}

impl Readiness {
    /// Each part that reviews need, and what it lacks, if anything.
    fn parts(&self, now: SystemTime) -> [Part; 3] {
        let shutting_down = self.shutdown.phase() != Phase::Serving;
        let networks = (!self.networks.is_listed())
            .then(|| self.networks.health().problem().unwrap_or_else(|| "not listed yet".to_owned()));
        let status = self.certificate.status();
        let certificate = (!status.is_valid_at(now))
            .then(|| status.warning(now).or(status.last_failure).unwrap_or_else(|| "none yet".to_owned()));
        [
            Part { name: "shutdown", problem: shutting_down.then(|| "shutting down".to_owned()) },
            Part { name: "networks", problem: networks.map(|problem| format!("networks: {problem}")) },
            Part {
                name: "certificate",
                problem: certificate.map(|problem| format!("certificate: {problem}")),
            },
        ]
    }
}

/// One of the parts that reviews need.
struct Part {
    name: &'static str,
    /// What it lacks, a sentence.
    problem: Option<String>,
}

#[derive(Debug)]
struct Admin {
    readiness: Readiness,
    registry: Registry,
}

/// The routes of the admin listener.
pub fn router(readiness: Readiness, registry: Registry) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/version", get(version))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there are /livez, /readyz, /metrics and /version\n") })
        .with_state(Arc::new(Admin { readiness, registry }))
}

/// With `?verbose`, each part in a line of its own, as Kubernetes' own programs write it.
async fn readyz(State(admin): State<Arc<Admin>>, RawQuery(query): RawQuery) -> Response<Body> {
    let parts = admin.readiness.parts(SystemTime::now());
    let is_ready = parts.iter().all(|part| part.problem.is_none());
    let code = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let is_verbose = query.is_some_and(|query| query.split('&').any(|one| one.starts_with("verbose")));
    let lines: Vec<String> = match (is_verbose, is_ready) {
        (true, _) => parts.iter().map(Part::line).collect(),
        (false, true) => vec!["ok".to_owned()],
        (false, false) => parts.into_iter().filter_map(|part| part.problem).collect(),
    };
    (code, lines.join("\n") + "\n").into_response()
}

impl Part {
    fn line(&self) -> String {
        match &self.problem {
            None => format!("[+]{} ok", self.name),
            Some(problem) => format!("[-]{} failed: {problem}", self.name),
        }
    }
}

async fn metrics(State(admin): State<Arc<Admin>>, headers: HeaderMap) -> Response<Body> {
    let mut text = String::with_capacity(16 * 1024);
    if encode(&mut text, &admin.registry).is_err() {
        return (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n").into_response();
    }
    let (kind, text) =
        if wants_open_metrics(&headers) { (OPEN_METRICS, text) } else { (CLASSIC, classic(&text)) };
    ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text).into_response()
}

async fn version() -> Response<Body> {
    let version = concat!("{\"version\":\"", env!("CARGO_PKG_VERSION"), "\"}\n");
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], version).into_response()
}

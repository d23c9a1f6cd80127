//! The listener for kubelet and Prometheus: `/livez`, `/readyz`, `/metrics`.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::IntoResponse as _;
use axum::routing::get;
use certs::ServingCertificate;
use http::{HeaderValue, Response, StatusCode, header};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

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
    /// What is missing, each a sentence; nothing when reviews are welcome.
    #[must_use]
    pub fn missing(&self, now: SystemTime) -> Vec<String> {
        let mut missing = Vec::new();
        if self.shutdown.phase() != Phase::Serving {
            missing.push("shutting down".to_owned());
        }
        if !self.networks.is_listed() {
            missing.push(match self.networks.problem() {
                Some(problem) => format!("networks: {problem}"),
                None => "networks: not listed yet".to_owned(),
            });
        }
        let status = self.certificate.status();
        if !status.is_valid_at(now) {
            let reason = status.warning(now).or(status.last_failure);
            missing.push(match reason {
                Some(reason) => format!("certificate: {reason}"),
                None => "certificate: none yet".to_owned(),
            });
        }
        missing
    }
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
        .fallback(|| async { (StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n") })
        .with_state(Arc::new(Admin { readiness, registry }))
}

async fn readyz(State(admin): State<Arc<Admin>>) -> Response<Body> {
    let missing = admin.readiness.missing(SystemTime::now());
    if missing.is_empty() {
        "ok\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n").into_response()
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response<Body> {
    let mut text = String::with_capacity(16 * 1024);
    if encode(&mut text, &admin.registry).is_err() {
        return (StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n").into_response();
    }
    let open_metrics = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    ([(header::CONTENT_TYPE, open_metrics)], text).into_response()
}

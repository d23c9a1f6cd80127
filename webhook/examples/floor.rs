//! The least that a review costs: TLS and HTTP by the same crates, the body read by serde_json into the webhook's own
//! structs, and an answer in which only the uid changes. `tests/bench` starts it beside the webhook.
#![allow(clippy::unwrap_used, reason = "it is measured: what it cannot do is a reason to stop")]

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use axum::Router;
use axum::body::Bytes;
use axum::response::IntoResponse;
use axum::routing::post;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use http::header;

/// What comes before the uid in an answer as long as the webhook's to KubeVirt's pod.
const HEAD: &str = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":""#;

/// What comes after it.
const TAIL: &str = concat!(
    r#"","allowed":true,"patchType":"JSONPatch","patch":"W3sib3AiOiJhZGQiLCJwYXRoIjoiL3NwZWMvY29udGFp"#,
    r#"bmVycy8wL3Jlc291cmNlcy9saW1pdHMvaW50ZWwuY29tfjFzcmlvdl92ZmlvIiwidmFsdWUiOiIyIn0seyJvcCI6ImFkZCIsInBhdGgi"#,
    r#"OiIvc3BlYy9jb250YWluZXJzLzAvcmVzb3VyY2VzL3JlcXVlc3RzL2ludGVsLmNvbX4xc3Jpb3ZfdmZpbyIsInZhbHVlIjoiMiJ9XQ=="}}"#
);

/// Serves with the certificate and key named as arguments until it is killed; logs where, as the webhook does.
#[tokio::main]
async fn main() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap();
    let [certificate, key] = std::env::args().skip(1).collect::<Vec<_>>().try_into().unwrap();
    let tls = RustlsConfig::from_pem_file(certificate, key).await.unwrap();
    let socket = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    println!(r#"{{"message":"listening","https":"{}"}}"#, socket.local_addr().unwrap());
    let router = Router::new().route("/mutate", post(answer));
    axum_server::from_tcp(socket)
        .unwrap()
        .acceptor(RustlsAcceptor::new(tls).acceptor(NoDelayAcceptor::new()))
        .serve(router.into_make_service())
        .await
        .unwrap();
}

async fn answer(body: Bytes) -> impl IntoResponse {
    let review = admission::read(&body).unwrap();
    assert!(review.object.is_some());
    // An API server takes no answer with another uid.
    ([(header::CONTENT_TYPE, "application/json")], [HEAD, &review.uid, TAIL].concat())
}

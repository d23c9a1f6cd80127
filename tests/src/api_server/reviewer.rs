//! Reviews sent to a webhook by the test itself.

use super::{Pod, StoredPod};
use k8s_openapi::ByteString;
use kube::Client;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use std::time::Duration;

/// A TLS client that asks a webhook as the API server does; it needs no API server.
#[derive(Clone)]
pub struct Reviewer {
    client: Client,
    path: String,
}

impl Reviewer {
    /// A client for the webhook at `url`, which must show a certificate from `ca`.
    pub fn new(url: &str, ca: &str) -> Self {
        let (server, path) = url.rsplit_once('/').unwrap();
        let mut config = kube::Config::new(server.parse().unwrap());
        let roots = CertificateDer::pem_slice_iter(ca.as_bytes());
        config.root_cert = Some(roots.map(|root| root.unwrap().to_vec()).collect());
        config.read_timeout = Some(Duration::from_secs(10));
        let client = Client::try_from(config).unwrap();
        Self { client, path: format!("/{path}") }
    }

    /// The devices of `compute` after the webhook's patch, or the message of a refusal.
    pub async fn review(&self, namespace: &str, pod: &Pod) -> Result<String, String> {
        let name = pod.value()["metadata"]["name"].as_str().unwrap();
        let review = json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                "uid": format!("uid-of-{name}"),
                "kind": {"group": "", "version": "v1", "kind": "Pod"},
                "resource": {"group": "", "version": "v1", "resource": "pods"},
                "operation": "CREATE",
                "namespace": namespace,
                "name": name,
                "userInfo": {},
                "object": pod.value(),
                "oldObject": null,
                "dryRun": false,
            },
        });
        let request = axum::http::Request::post(&self.path)
            .header("content-type", "application/json")
            .body(review.to_string().into_bytes())
            .unwrap();
        let answer: Value = match self.client.request(request).await {
            Ok(answer) => answer,
            Err(error) => return Err(format!("no answer: {error:?}")),
        };
        let response = &answer["response"];
        if response["allowed"] != true {
            return Err(response["status"]["message"].as_str().unwrap().to_owned());
        }
        let mut pod = pod.value().clone();
        if !response["patch"].is_null() {
            let patch: ByteString = serde_json::from_value(response["patch"].clone()).unwrap();
            let patch: json_patch::Patch = serde_json::from_slice(&patch.0).unwrap();
            json_patch::patch(&mut pod, &patch).unwrap();
        }
        let pod: k8s_openapi::api::core::v1::Pod = serde_json::from_value(pod).unwrap();
        Ok(StoredPod::from(pod).devices("compute"))
    }
}

//! Other mutating webhooks: one of the kind that service meshes and KubeVirt itself bring along, and one that undoes what
//! others did.

use super::{Pod, Sandbox, ServingCertificate, free_address, manifest};
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use axum_server::tls_rustls::{RustlsConfig, bind_rustls};
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use tokio::runtime::Builder;

/// Serves a webhook that appends a container to every pod it sees, once, and another that takes the resources of each
/// pod's first container away. It runs on a thread of its own for as long as the test program does.
#[derive(Debug)]
pub struct Appender {
    address: SocketAddr,
    ca: String,
    appended: Arc<AtomicUsize>,
}

impl Appender {
    /// The container that it adds.
    pub const CONTAINER: &'static str = "added-later";

    /// Starts serving.
    pub fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let address = free_address();
        let tls = ServingCertificate::issue();
        let ca = tls.ca.clone();
        let appended = Arc::new(AtomicUsize::new(0));
        let router = Router::new().route("/append", post(append)).route("/strip", post(strip));
        let router = router.with_state(Arc::clone(&appended));
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (certificate, key) = (tls.certificate.into(), tls.key.into());
                let config = RustlsConfig::from_pem(certificate, key).await.unwrap();
                bind_rustls(address, config).serve(router.into_make_service()).await.unwrap();
            });
        });
        Self { address, ca, appended }
    }

    /// Registers it for all pods of the sandbox. Webhooks are called in the order of their
    /// registrations' names, and this one's comes after ours.
    pub fn register(&self, sandbox: &Sandbox) {
        let url = format!("https://{}/append", self.address);
        let bundle = json!(ByteString(self.ca.clone().into_bytes()));
        let values =
            [("SANDBOX", sandbox.namespace()), ("URL", &url), ("CA_BUNDLE", bundle.as_str().unwrap())];
        let registration = manifest("appender-configuration.yaml", &values);
        sandbox.register(&registration, &Pod::plain("probe"), Self::CONTAINER);
    }

    /// Where an API server finds the one that takes resources away.
    pub fn stripper(&self) -> Value {
        json!({"url": format!("https://{}/strip", self.address), "caBundle": ByteString(self.ca.clone().into_bytes())})
    }

    /// How many containers it has added.
    pub fn appended(&self) -> usize {
        self.appended.load(Ordering::SeqCst)
    }
}

async fn append(State(appended): State<Arc<AtomicUsize>>, body: String) -> String {
    let review: Value = serde_json::from_str(&body).unwrap();
    let request = &review["request"];
    let containers = request["object"]["spec"]["containers"].as_array().unwrap();
    let mut patch = None;
    if !containers.iter().any(|container| container["name"] == Appender::CONTAINER) {
        appended.fetch_add(1, Ordering::SeqCst);
        let container = json!({"name": Appender::CONTAINER, "image": "registry.example/added"});
        patch = Some(json!([{"op": "add", "path": "/spec/containers/-", "value": container}]));
    }
    answer(request, patch)
}

async fn strip(body: String) -> String {
    let review: Value = serde_json::from_str(&body).unwrap();
    let resources = json!([{"op": "add", "path": "/spec/containers/0/resources", "value": {}}]);
    answer(&review["request"], Some(resources))
}

fn answer(request: &Value, patch: Option<Value>) -> String {
    let mut response = json!({"uid": request["uid"], "allowed": true});
    if let Some(patch) = patch {
        response["patchType"] = json!("JSONPatch");
        response["patch"] = json!(ByteString(patch.to_string().into_bytes()));
    }
    let api_version = "admission.k8s.io/v1";
    json!({"apiVersion": api_version, "kind": "AdmissionReview", "response": response}).to_string()
}

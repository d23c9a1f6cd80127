//! One test's part of the API server.

use super::control_plane::client;
use super::{ControlPlane, Kubectl, Pod, manifest, nads, run_folder};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the API server may take to see a registration; it is a fraction of a second.
const REGISTERED_WITHIN: Duration = Duration::from_secs(20);

/// How long a change in the cluster may take to be acted upon; it is a fraction of a second, and some seconds
/// after a cut.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

/// How much of each log a failed test shows; `tests/cluster/run` keeps them whole.
const LINES_SHOWN: usize = 30;

/// A namespace for pods and networks, another for the webhook, and the webhook's ServiceAccount
/// with the permissions of `tests/cluster/rbac.yaml`. A failed test prints the logs of all parts.
#[derive(Debug)]
pub struct Sandbox {
    name: String,
    folder: PathBuf,
    control_plane: Arc<ControlPlane>,
}

impl Sandbox {
    /// A sandbox in the shared control plane; `name` is the test's and becomes the namespace's.
    pub fn new(name: &str) -> Self {
        Self::in_control_plane(ControlPlane::shared(), name)
    }

    /// A sandbox in a control plane of the test's own.
    pub fn in_control_plane(control_plane: Arc<ControlPlane>, name: &str) -> Self {
        let folder = run_folder().join(name);
        fs::create_dir_all(&folder).unwrap();
        let sandbox = Self { name: name.to_owned(), folder, control_plane };
        let manifest = manifest("sandbox.yaml", &sandbox.values());
        sandbox.kubectl().apply(&manifest).expect_success();
        sandbox.grant(&sandbox.permissions());
        sandbox
    }

    /// Where pods and networks go.
    pub fn namespace(&self) -> &str {
        &self.name
    }

    /// Where the webhook lives.
    pub fn system_namespace(&self) -> String {
        format!("{}-system", self.name)
    }

    /// The name of the webhook's ServiceAccount, its roles and its registration.
    pub fn webhook_name(&self) -> String {
        format!("kubevirt-sriov-{}", self.name)
    }

    /// The name of the webhook within its registration: what the API server calls it.
    pub fn webhook_entry(&self) -> String {
        format!("{}.kubevirt-sriov.io", self.name)
    }

    /// Where this test's files and logs are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The API server it lives in.
    pub fn control_plane(&self) -> &Arc<ControlPlane> {
        &self.control_plane
    }

    /// kubectl as administrator.
    pub fn kubectl(&self) -> Kubectl {
        self.control_plane.kubectl()
    }

    /// kubectl with the webhook's token.
    pub async fn webhook_kubectl(&self) -> Kubectl {
        Kubectl::new(self.webhook_kubeconfig().await)
    }

    /// A client as administrator.
    pub async fn client(&self) -> kube::Client {
        self.control_plane.client().await
    }

    /// A client with the webhook's token.
    pub async fn webhook_client(&self) -> kube::Client {
        client(&self.webhook_kubeconfig().await).await
    }

    /// A kubeconfig with a fresh token of the webhook's ServiceAccount.
    pub async fn webhook_kubeconfig(&self) -> PathBuf {
        self.webhook_kubeconfig_by(self.control_plane.address()).await
    }

    /// The same, with the API server reached at `server`.
    pub async fn webhook_kubeconfig_by(&self, server: SocketAddr) -> PathBuf {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await, &self.system_namespace());
        let request = TokenRequest { spec: TokenRequestSpec::default(), ..TokenRequest::default() };
        let name = self.webhook_name();
        let answer = accounts.create_token_request(&name, &PostParams::default(), &request).await.unwrap();
        let token = answer.status.unwrap().token;
        self.control_plane.kubeconfig(server, "webhook", &token, &self.folder)
    }

    /// The webhook's permissions as the chart grants them.
    pub fn permissions(&self) -> String {
        manifest("rbac.yaml", &self.values())
    }

    /// Puts other permissions in place.
    pub fn grant(&self, permissions: &str) {
        self.kubectl().apply(permissions).expect_success();
    }

    /// A network of the sandbox's namespace; an empty `resource` leaves the annotation out.
    pub fn network(&self, name: &str, resource: &str) -> Value {
        let mut network = json!({
            "apiVersion": "k8s.cni.cncf.io/v1",
            "kind": "NetworkAttachmentDefinition",
            "metadata": {"name": name, "namespace": self.namespace(), "annotations": {}},
            "spec": {"config": r#"{"cniVersion":"1.0.0","name":"net","type":"sriov"}"#},
        });
        if !resource.is_empty() {
            network["metadata"]["annotations"]["k8s.v1.cni.cncf.io/resourceName"] = json!(resource);
        }
        network
    }

    /// `kubectl apply` of a network.
    pub fn apply_network(&self, name: &str, resource: &str) {
        let network = self.network(name, resource);
        self.kubectl().apply(&network.to_string()).expect_success();
    }

    /// The networks of the sandbox's namespace in the API.
    pub fn networks(&self, client: &kube::Client) -> Api<DynamicObject> {
        nads(client.clone(), self.namespace())
    }

    /// Applies a webhook registration and waits until the API server acts on it, which is a moment
    /// after it has stored it: until creating `probe` (a dry run) answers with `sign`.
    pub fn register(&self, registration: &str, probe: &Pod, sign: &str) {
        let kubectl = self.kubectl();
        kubectl.apply(registration).expect_success();
        let probe = probe.in_namespace(self.namespace()).to_string();
        let deadline = Instant::now() + REGISTERED_WITHIN;
        loop {
            let answer = kubectl.dry_run(&probe);
            if answer.stdout.contains(sign) || answer.stderr.contains(sign) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "no '{sign}' in {answer:?} {REGISTERED_WITHIN:?} after the registration"
            );
        }
    }

    /// Tries to create a pod (a dry run) until the output has `sign`.
    pub fn wait_for(&self, pod: &Pod, sign: &str) {
        let pod = pod.in_namespace(self.namespace()).to_string();
        let deadline = Instant::now() + SEEN_WITHIN;
        loop {
            let output = self.kubectl().dry_run(&pod);
            if output.stdout.contains(sign) || output.stderr.contains(sign) {
                return;
            }
            assert!(Instant::now() < deadline, "no '{sign}' after {SEEN_WITHIN:?} in {output:?}");
        }
    }

    /// `kubectl apply` of a pod into the sandbox's namespace.
    pub fn apply_pod(&self, pod: &Pod) -> super::Output {
        let pod = pod.in_namespace(self.namespace());
        self.kubectl().apply(&pod.to_string())
    }

    /// What the placeholders of the files in `tests/cluster` stand for.
    pub(super) fn values(&self) -> [(&'static str, &str); 1] {
        [("SANDBOX", &self.name)]
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for folder in [self.control_plane.folder(), &self.folder] {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.extension().is_some_and(|extension| extension == "log") {
                    let log = fs::read_to_string(&path).unwrap_or_default();
                    let lines: Vec<_> = log.lines().collect();
                    let skipped = lines.len().saturating_sub(LINES_SHOWN);
                    eprintln!("---- {} ({skipped} lines before)", path.display());
                    eprintln!("{}", lines[skipped..].join("\n"));
                }
            }
        }
    }
}

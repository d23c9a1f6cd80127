//! etcd and kube-apiserver on loopback.

use super::{Kubectl, Process, ServingCertificate, asset, free_address, http, manifest, run_folder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use parking_lot::Mutex;
use rcgen::KeyPair;
use serde_json::json;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

/// How long kube-apiserver may take to be ready; 5 s on two idle cores.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// etcd and kube-apiserver with the NetworkAttachmentDefinition CRD; both end with this value.
#[derive(Debug)]
pub struct ControlPlane {
    folder: PathBuf,
    etcd_address: SocketAddr,
    address: SocketAddr,
    etcd: Process,
    api_server: Mutex<Process>,
}

impl ControlPlane {
    /// The one that most tests share, started by the first that asks.
    pub fn shared() -> Arc<Self> {
        static SHARED: LazyLock<Arc<ControlPlane>> = LazyLock::new(|| ControlPlane::start("shared"));
        Arc::clone(&SHARED)
    }

    /// One for a single test, which may stop it or fill it as it likes.
    pub fn start(name: &str) -> Arc<Self> {
        let folder = run_folder().join(format!("{name}-control-plane"));
        fs::create_dir_all(&folder).unwrap();
        ServingCertificate::issue().write(&folder);
        let account = KeyPair::generate().unwrap();
        fs::write(folder.join("account.key"), account.serialize_pem()).unwrap();
        fs::write(folder.join("account.pub"), account.public_key_pem()).unwrap();
        let token = KeyPair::generate().unwrap().serialize_der();
        let token: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
        let user = format!("{token},admin,admin,system:masters\n");
        fs::write(folder.join("tokens.csv"), user).unwrap();

        let etcd_address = free_address();
        let address = free_address();
        let control_plane = Self {
            etcd: start_etcd(&folder, etcd_address),
            api_server: Mutex::new(start_api_server(&folder, etcd_address, address)),
            folder,
            etcd_address,
            address,
        };
        let kubeconfig = control_plane.kubeconfig(address, "admin", &token, &control_plane.folder);
        assert_eq!(kubeconfig, control_plane.admin_kubeconfig());
        control_plane.wait_until_ready();
        control_plane.install_network_crd();
        Arc::new(control_plane)
    }

    /// kubectl as administrator.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.admin_kubeconfig())
    }

    /// A client as administrator, bound to the caller's runtime.
    pub async fn client(&self) -> kube::Client {
        client(&self.admin_kubeconfig()).await
    }

    /// The process ids of the API server and of etcd.
    pub fn processes(&self) -> [u32; 2] {
        [self.api_server.lock().id(), self.etcd.id()]
    }

    /// Where the logs are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The events of the audit log: creations of pods.
    pub fn audit_log(&self) -> Vec<serde_json::Value> {
        let log = fs::read_to_string(self.folder.join("audit.jsonl")).unwrap_or_default();
        // The last line may not be whole yet.
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Where the API server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Writes a kubeconfig into `folder`; `server` is the API server or a [`super::Link`] to it.
    pub fn kubeconfig(&self, server: SocketAddr, user: &str, token: &str, folder: &Path) -> PathBuf {
        let certificate_authority = self.folder.join("ca.crt");
        // JSON is YAML.
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": user}}],
            "clusters": [{"name": "test", "cluster": {
                "server": format!("https://{server}"),
                "certificate-authority": certificate_authority,
            }}],
            "users": [{"name": user, "user": {"token": token}}],
        });
        let path = folder.join(format!("{user}.kubeconfig"));
        fs::write(&path, format!("{kubeconfig:#}\n")).unwrap();
        path
    }

    /// Kills the API server, as a node that loses power would. etcd goes on.
    pub fn kill_api_server(&self) {
        let mut api_server = self.api_server.lock();
        api_server.signal("KILL");
        api_server.wait(Duration::from_secs(10));
    }

    /// Starts a killed API server again, at the same address, and waits until it is ready.
    pub fn restart_api_server(&self) {
        *self.api_server.lock() = start_api_server(&self.folder, self.etcd_address, self.address);
        self.wait_until_ready();
    }

    /// Asks etcd itself, for tests that act on the store behind the API server's back.
    pub fn etcd(&self, path: &str, request: &serde_json::Value) -> serde_json::Value {
        let answer = http::post(self.etcd_address, path, &request.to_string()).unwrap();
        assert_eq!(answer.code, 200, "etcd answers {path} with {}", answer.body);
        serde_json::from_str(&answer.body).unwrap()
    }

    /// The administrator's kubeconfig.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + READY_WITHIN;
        let kubectl = self.kubectl();
        loop {
            let ready = kubectl.run(["get", "--raw", "/readyz"]);
            if ready.success() {
                return;
            }
            let mut api_server = self.api_server.lock();
            let ended = api_server.ended();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "kube-apiserver is not ready after {READY_WITHIN:?} (ended: {ended:?}): {}\n{}",
                ready.stderr,
                api_server.last_lines(30),
            );
            drop(api_server);
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn install_network_crd(&self) {
        let kubectl = self.kubectl();
        let name = "crd/network-attachment-definitions.k8s.cni.cncf.io";
        kubectl.apply(&manifest("nad-crd.yaml", &[])).expect_success();
        kubectl.run(["wait", "--for=condition=Established", "--timeout=60s", name]).expect_success();
    }
}

/// A client for a kubeconfig file, bound to the caller's runtime.
pub(super) async fn client(kubeconfig: &Path) -> kube::Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    kube::Client::try_from(config).unwrap()
}

fn start_etcd(folder: &Path, address: SocketAddr) -> Process {
    let url = format!("http://{address}");
    let peer = format!("http://{}", free_address());
    let arguments = [
        format!("--data-dir={}", folder.join("etcd").display()),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        // The store lives no longer than the test.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=error".to_owned(),
    ];
    Process::start(&folder.join("etcd.log"), &asset("etcd"), arguments)
}

fn start_api_server(folder: &Path, etcd: SocketAddr, address: SocketAddr) -> Process {
    let file = |name: &str| folder.join(name).display().to_string();
    let arguments = [
        format!("--etcd-servers=http://{etcd}"),
        format!("--bind-address={}", address.ip()),
        format!("--secure-port={}", address.port()),
        format!("--tls-cert-file={}", file("tls.crt")),
        format!("--tls-private-key-file={}", file("tls.key")),
        format!("--cert-dir={}", file("certificates")),
        format!("--token-auth-file={}", file("tokens.csv")),
        "--authorization-mode=RBAC".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-signing-key-file={}", file("account.key")),
        format!("--service-account-key-file={}", file("account.pub")),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--allow-privileged=true".to_owned(),
        format!("--audit-policy-file={}", concat!(env!("CARGO_MANIFEST_DIR"), "/cluster/audit-policy.yaml")),
        format!("--audit-log-path={}", file("audit.jsonl")),
        // No controller manager makes the accounts that this plugin asks for.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
    ];
    let log = folder.join("kube-apiserver.log");
    Process::start(&log, &asset("kube-apiserver"), arguments)
}

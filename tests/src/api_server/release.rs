//! The chart, installed by a real helm; its pods are processes here, because there is no kubelet.

use super::webhook::Webhook;
use super::{Balancer, ControlPlane, Kubectl, Output, Pod, free_address, manifest, run_folder, set_by_run};
use serde_json::{Value, json};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long until the API server asks the replicas, certificates included.
const ASKED_WITHIN: Duration = Duration::from_secs(60);

/// Which helm installs the chart: they change objects in different ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Helm {
    /// Sends patches, made out of what was, is and shall be.
    Three,
    /// Applies on the server's side, where each field has an owner.
    Four,
}

impl Helm {
    /// The program, which `tests/cluster/run` has found.
    fn program(self) -> PathBuf {
        set_by_run(match self {
            Self::Three => "HELM",
            Self::Four => "HELM4",
        })
    }
}

/// The chart under a release's name in namespaces of its own, in the shared API server.
#[derive(Debug)]
pub struct Release {
    name: String,
    helm: Helm,
    folder: PathBuf,
    control_plane: Arc<ControlPlane>,
    /// What stands for the Service's address.
    balancer: Balancer,
}

impl Release {
    /// Makes the namespaces for a test of this name, and installs nothing yet.
    pub fn new(name: &str) -> Self {
        Self::in_control_plane(ControlPlane::shared(), name)
    }

    /// The same in an API server of the test's own.
    pub fn in_control_plane(control_plane: Arc<ControlPlane>, name: &str) -> Self {
        let folder = run_folder().join(name);
        fs::create_dir_all(&folder).unwrap();
        let release = Self {
            name: name.to_owned(),
            helm: Helm::Three,
            folder,
            control_plane,
            balancer: Balancer::start(),
        };
        let namespaces =
            [(name, json!({"kubevirt-sriov.test/sandbox": name})), (&release.system(), json!({}))];
        for (namespace, labels) in namespaces {
            let object = json!({
                "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels},
            });
            release.kubectl().apply(&object.to_string()).expect_success();
        }
        release
    }

    /// The same, installed by another helm than the third.
    #[must_use]
    pub fn by(self, helm: Helm) -> Self {
        Self { helm, ..self }
    }

    /// Where pods and networks go.
    pub fn namespace(&self) -> &str {
        &self.name
    }

    /// Where the release is.
    pub fn system(&self) -> String {
        format!("{}-system", self.name)
    }

    /// The release's name, and that of all its objects.
    pub fn full_name(&self) -> String {
        format!("kubevirt-sriov-{}", self.name)
    }

    /// What connections to the Service meet.
    pub fn balancer(&self) -> &Balancer {
        &self.balancer
    }

    /// kubectl as administrator.
    pub fn kubectl(&self) -> Kubectl {
        self.control_plane.kubectl()
    }

    /// A client as administrator.
    pub async fn client(&self) -> kube::Client {
        self.control_plane.client().await
    }

    /// helm as administrator, in the release's namespace.
    pub fn helm(&self, arguments: &[&str]) -> Output {
        let kubeconfig = self.control_plane.admin_kubeconfig().display().to_string();
        let system = self.system();
        let cluster = ["--kubeconfig", &kubeconfig, "--namespace", &system];
        helm(self.helm, &self.folder, &[arguments, &cluster].concat())
    }

    /// `helm install` or `helm upgrade` of the chart with further arguments: the Service has the balancer's
    /// port, and only the test's own namespace is looked at.
    pub fn deploy(&self, verb: &str, arguments: &[&str]) -> Output {
        let port = format!("service.port={}", self.balancer.address().port());
        let label = "webhook.namespaceSelector.matchLabels.kubevirt-sriov\\.test/sandbox";
        let selector = format!("{label}={}", self.name);
        let (name, chart) = (self.full_name(), chart());
        let common = [verb, &name, &chart, "--set", &port, "--set", &selector];
        self.with_service(&[&common[..], arguments].concat())
    }

    /// `helm rollback` to the revision before.
    pub fn rollback(&self) -> Output {
        self.with_service(&["rollback", &self.full_name()])
    }

    /// helm with these arguments, and the Service that it makes led to the balancer.
    fn with_service(&self, arguments: &[&str]) -> Output {
        let (name, system) = (self.full_name(), self.system());
        // What is done to it below makes kubectl the owner of its fields, which no cluster has.
        let delete = ["delete", "service", &name, "--namespace", &system, "--ignore-not-found"];
        self.kubectl().run(delete).expect_success();
        let output = self.helm(arguments);
        if output.success() {
            self.lead_service_to_balancer();
        }
        output
    }

    /// Leads the Service's name to the balancer: no kube-proxy leads a cluster address anywhere, and a name is taken as
    /// it is.
    pub fn lead_service_to_balancer(&self) {
        let (name, system) = (self.full_name(), self.system());
        let by_name = r#"{"spec":{"type":"ExternalName","externalName":"localhost"}}"#;
        let patch = ["patch", "service", &name, "--namespace", &system, "--type", "merge", "-p", by_name];
        self.kubectl().run(patch).expect_success();
    }

    /// An object of the release as the API server has it.
    pub fn object(&self, kind: &str, name: &str) -> Value {
        let system = self.system();
        let output = self.kubectl().run(["get", kind, name, "--namespace", &system, "--output", "json"]);
        serde_json::from_str(&output.expect_success()).unwrap()
    }

    /// A kubeconfig of a ServiceAccount of the release's namespace.
    pub fn kubeconfig(&self, account: &str) -> PathBuf {
        let token = self.token(account);
        self.control_plane.kubeconfig(self.control_plane.address(), account, &token, &self.folder)
    }

    /// A replica as the Deployment describes it, on loopback and with the token of its ServiceAccount; it is
    /// waited for, and not yet behind the Service.
    pub fn replica(&self, log: &str) -> Webhook {
        let addresses = (free_address(), free_address());
        let mut arguments = self.arguments(addresses);
        arguments.push(format!("--kubeconfig={}", self.kubeconfig(&self.account()).display()));
        started(Webhook::run(&self.log(log), None, &arguments, addresses))
    }

    /// The same out of an image's unpacked root, as a container runtime would run it: any user but root, a
    /// read-only root, no capability, and no way to the API server but what a pod has.
    pub fn contained_replica(&self, log: &str, root: &Path, user: u32) -> Webhook {
        let addresses = (free_address(), free_address());
        let account = self.folder.join("account");
        fs::create_dir_all(&account).unwrap();
        fs::copy(self.control_plane.folder().join("ca.crt"), account.join("ca.crt")).unwrap();
        fs::write(account.join("namespace"), self.system()).unwrap();
        fs::write(account.join("token"), self.token(&self.account())).unwrap();
        let api_server = self.control_plane.address();
        let mut arguments =
            [root.display().to_string(), user.to_string(), account.display().to_string()].to_vec();
        arguments.extend([api_server.ip().to_string(), api_server.port().to_string()]);
        arguments.push("/sriov-webhook".to_owned());
        arguments.extend(self.arguments(addresses));
        let contained = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/cluster/contained"));
        started(Webhook::run(&self.log(log), Some(contained), &arguments, addresses))
    }

    /// The arguments of the Deployment's container, on loopback.
    fn arguments(&self, (address, admin_address): (SocketAddr, SocketAddr)) -> Vec<String> {
        let pod = &self.object("deployment", &self.full_name())["spec"]["template"]["spec"];
        let arguments = pod["containers"][0]["args"].as_array().unwrap().iter();
        arguments
            .map(|argument| match argument.as_str().unwrap() {
                listen if listen.starts_with("--listen=") => format!("--listen={address}"),
                listen if listen.starts_with("--admin-listen=") => format!("--admin-listen={admin_address}"),
                other => other.to_owned(),
            })
            .collect()
    }

    fn account(&self) -> String {
        let pod = &self.object("deployment", &self.full_name())["spec"]["template"]["spec"];
        pod["serviceAccountName"].as_str().unwrap().to_owned()
    }

    fn token(&self, account: &str) -> String {
        let system = self.system();
        // The lab's may run for hours, and nothing renews it here.
        let duration = "--duration=24h";
        let token = self.kubectl().run(["create", "token", account, duration, "--namespace", &system]);
        token.expect_success().trim().to_owned()
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// `sriov-webhook doctor` as administrator.
    pub fn doctor(&self, arguments: &[&str]) -> Output {
        let kubeconfig = self.control_plane.admin_kubeconfig().display().to_string();
        let name = self.full_name();
        let common = ["doctor", "--kubeconfig", &kubeconfig, "--webhook-configuration", &name];
        let probe = ["--probe-namespace", &self.name];
        Webhook::command(&[&common[..], &probe[..], arguments].concat())
    }

    /// `sriov-webhook doctor` as administrator, of no release in particular.
    pub fn doctor_of_nothing(&self, arguments: &[&str]) -> Output {
        let kubeconfig = self.control_plane.admin_kubeconfig().display().to_string();
        Webhook::command(&[&["doctor", "--kubeconfig", &kubeconfig], arguments].concat())
    }

    /// `sriov-webhook dump` as administrator.
    pub fn dump(&self, file: &Path) -> Output {
        let kubeconfig = self.control_plane.admin_kubeconfig().display().to_string();
        let (name, file) = (self.full_name(), file.display().to_string());
        let release = ["--webhook-configuration", &name, "--probe-namespace", &self.name];
        Webhook::command(&[&["dump", "--kubeconfig", &kubeconfig, "--output", &file], &release[..]].concat())
    }

    /// A folder of the test's own.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `sriov-webhook review` of what is in the cluster, as administrator.
    pub fn review(&self, arguments: &[&str]) -> Output {
        let kubeconfig = self.control_plane.admin_kubeconfig().display().to_string();
        let common = ["review", "--from-cluster", "--kubeconfig", &kubeconfig];
        Webhook::command(&[&common[..], arguments].concat())
    }

    /// Waits until the API server asks through the Service, and is answered.
    pub fn wait_until_asked(&self) {
        let probe = Pod::virt_launcher("probe").networks("-").in_namespace(&self.name).to_string();
        let deadline = Instant::now() + ASKED_WITHIN;
        loop {
            let output = self.kubectl().dry_run(&probe);
            if output.stderr.contains("admission webhook \"pods.kubevirt-sriov.io\" denied") {
                return;
            }
            assert!(Instant::now() < deadline, "not asked after {ASKED_WITHIN:?}: {output:?}");
        }
    }

    /// `kubectl apply` of a network in the test's namespace.
    pub fn apply_network(&self, name: &str, resource: &str) {
        let network = json!({
            "apiVersion": "k8s.cni.cncf.io/v1",
            "kind": "NetworkAttachmentDefinition",
            "metadata": {
                "name": name, "namespace": self.name,
                "annotations": {"k8s.v1.cni.cncf.io/resourceName": resource},
            },
        });
        self.kubectl().apply(&network.to_string()).expect_success();
    }
}

fn started(webhook: Webhook) -> Webhook {
    webhook.wait_until_ready(ASKED_WITHIN);
    webhook
}

/// Makes the kinds that the chart has objects of and that belong to others known to the shared API server.
pub fn install_fake_crds(kubectl: &Kubectl) {
    kubectl.apply(&manifest("fake-crds.yaml", &[])).expect_success();
    let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd"];
    let all = ["--selector", "kubevirt-sriov.test/fake=true"];
    kubectl.run([&wait[..], &all[..]].concat()).expect_success();
}

/// The archive of the webhook's image, which `tests/cluster/run` has built.
pub fn image() -> PathBuf {
    set_by_run("IMAGE")
}

/// Prometheus' judge of alerts, which `tests/cluster/run` has found.
pub fn promtool() -> PathBuf {
    set_by_run("PROMTOOL")
}

/// The chart's folder.
pub fn chart() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/kubevirt-sriov").to_owned()
}

/// helm without a cluster.
pub fn helm_offline(arguments: &[&str]) -> Output {
    helm(Helm::Three, &run_folder(), arguments)
}

fn helm(helm: Helm, folder: &Path, arguments: &[&str]) -> Output {
    let output = Command::new(helm.program())
        .args(arguments)
        // What a person has set up for helm is not part of the test.
        .env("HELM_CACHE_HOME", folder.join("helm/cache"))
        .env("HELM_CONFIG_HOME", folder.join("helm/config"))
        .env("HELM_DATA_HOME", folder.join("helm/data"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

//! The real KubeVirt in place of the fakes, from the folder that `KUBEVIRT_ASSETS` names.
//!
//! virt-api and virt-controller run on this machine, virt-handler in a pod of the node. virt-operator, which would
//! deploy them, is the one part that is not real: this module creates its objects, certificates and registrations.

mod authority;
pub mod vmi;

use super::NODE;
use crate::api_server::{ControlPlane, Kubectl, Process, free_address, manifest, run_folder};
use authority::Authority;
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use std::env;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// KubeVirt's namespace; its programs take it for granted where they are not in a pod.
pub const SYSTEM: &str = "kubevirt";

/// The image that virt-controller uses for virtual machines; `tests/node/kubevirt-images` names it so.
const LAUNCHER_IMAGE: &str = "kubevirt-sriov.test/virt-launcher:1";

/// How long a part may take on a busy machine.
const UP_WITHIN: Duration = Duration::from_secs(180);

/// How long virt-handler may take, which starts with libvirt's survey of the emulated processor.
const HANDLER_WITHIN: Duration = Duration::from_secs(900);

/// Where the machine finds the API server.
const API_SERVER_IN_MACHINE: [u8; 4] = [10, 0, 2, 2];

/// virt-handler's certificates: the Secret of each, and the common name that its peers look for.
const HANDLER_CERTIFICATES: [(&str, &str); 4] = [
    ("kubevirt-virt-handler-certs", "kubevirt.io:system:client:virt-handler"),
    ("kubevirt-virt-handler-server-certs", "kubevirt.io:system:node:virt-handler"),
    ("kubevirt-virt-handler-migration-client-certs", "kubevirt.io:system:client:migration"),
    ("kubevirt-virt-handler-vsock-client-certs", "kubevirt.io:system:client:vsock"),
];

/// The folder with KubeVirt's programs, if the real KubeVirt is wanted. `tests/node/run` has checked what is in it.
#[must_use]
pub fn assets() -> Option<PathBuf> {
    env::var_os("KUBEVIRT_ASSETS").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// KubeVirt's control plane; it ends with this value.
#[derive(Debug)]
pub struct RealKubevirt {
    kubectl: Kubectl,
    version: String,
    _virt_api: Process,
    _virt_controller: Process,
}

impl RealKubevirt {
    /// Starts virt-api and virt-controller.
    #[must_use]
    pub fn start(assets: &Path, control_plane: &ControlPlane) -> Self {
        let kubectl = control_plane.kubectl();
        let folder = run_folder().join("kubevirt");
        fs::create_dir_all(certificates(&folder)).unwrap();
        install_crds(&kubectl, assets);
        create_objects(&kubectl);
        let authority = Authority::new();
        create_trust(&kubectl, &authority);
        authority.issue("kubevirt.io:system:client:virt-handler").write(&certificates(&folder), "handler");
        let virt_api = start_virt_api(assets, control_plane, &folder, &authority);
        let virt_controller = start_virt_controller(assets, control_plane, &folder);
        Self { kubectl, version: version(assets), _virt_api: virt_api, _virt_controller: virt_controller }
    }

    /// Starts virt-handler on the node and waits until KubeVirt takes the node for one that can run VMs.
    pub fn join_node(&self, control_plane: &ControlPlane) {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "kubevirt-virt-handler-kubeconfig", "namespace": SYSTEM},
            "stringData": {"kubeconfig": handler_kubeconfig(&self.kubectl, control_plane)},
        });
        self.kubectl.apply(&secret.to_string()).expect_success();
        self.kubectl
            .apply(&manifest("../node/kubevirt/virt-handler.yaml", &[("NODE", NODE)]))
            .expect_success();
        let deadline = Instant::now() + HANDLER_WITHIN;
        let path = r"jsonpath={.metadata.labels.kubevirt\.io/schedulable} {.status.allocatable.devices\.kubevirt\.io/kvm}";
        loop {
            let node = self.kubectl.run(["get", "node", NODE, "--output", path]).stdout;
            let (schedulable, devices) = node.split_once(' ').unwrap_or_default();
            if schedulable == "true" && !matches!(devices, "" | "0") {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "virt-handler is not up after {HANDLER_WITHIN:?}: {}",
                self.account()
            );
            thread::sleep(Duration::from_secs(1));
        }
    }

    /// The line about KubeVirt for what is said of the parts.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What there is to know of virt-handler's pod.
    fn account(&self) -> String {
        let run = |arguments: &[&str]| {
            let output = self.kubectl.run([&["--namespace", SYSTEM][..], arguments].concat());
            output.stdout + &output.stderr
        };
        let status = run(&["get", "pod", "virt-handler", "--output", "jsonpath={.status}"]);
        let labeller = run(&["logs", "virt-handler", "--container", "virt-launcher", "--tail", "5"]);
        format!("{status}\n{labeller}\n{}", run(&["logs", "virt-handler", "--tail", "20"]))
    }
}

/// KubeVirt's programs watch this folder, so that no log may be in it.
fn certificates(folder: &Path) -> PathBuf {
    folder.join("certificates")
}

fn install_crds(kubectl: &Kubectl, assets: &Path) {
    let file = assets.join("crds.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let definitions = definitions(&text);
    assert!(!definitions.is_empty(), "{} has no definition of a kind of KubeVirt", file.display());
    let list = json!({"apiVersion": "v1", "kind": "List", "items": definitions}).to_string();
    // They are too long for the annotation that `kubectl apply` would write.
    kubectl.create(&list).expect_success();
    let wait = ["wait", "--for=condition=Established", "--timeout=120s", "--filename", "-"];
    kubectl.run_with_input(wait, &list).expect_success();
}

/// KubeVirt's definitions in a manifest or in what `kubectl get` has printed, without what only the cluster that they
/// come from can know.
fn definitions(text: &str) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    let mut definitions = Vec::new();
    for document in documents {
        let items = document["items"].as_array().cloned().unwrap_or_else(|| vec![document]);
        for item in items {
            let group = item["spec"]["group"].as_str().unwrap_or_default();
            if group == "kubevirt.io" || group.ends_with(".kubevirt.io") {
                definitions.push(json!({
                    "apiVersion": item["apiVersion"],
                    "kind": item["kind"],
                    "metadata": {"name": item["metadata"]["name"]},
                    "spec": item["spec"],
                }));
            }
        }
    }
    definitions
}

fn create_objects(kubectl: &Kubectl) {
    kubectl.apply(&manifest("../node/kubevirt/objects.yaml", &[])).expect_success();
    // virt-operator's part: a KubeVirt object without a phase is ignored, and VMIs get the architecture from it.
    let status = r#"{"status":{"phase":"Deployed","defaultArchitecture":"amd64"}}"#;
    let object = ["patch", "kubevirt", "kubevirt", "--namespace", SYSTEM];
    let patch = ["--subresource=status", "--type=merge", "--patch", status];
    kubectl.run([&object[..], &patch].concat()).expect_success();
}

/// Whom KubeVirt's programs trust, and what virt-handler's pod mounts.
fn create_trust(kubectl: &Kubectl, authority: &Authority) {
    let metadata = |name: &str| json!({"name": name, "namespace": SYSTEM});
    let mut items = vec![
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("kubevirt-ca"),
            "data": {"ca-bundle": authority.bundle()},
        }),
        // kube-apiserver writes it where it has a front proxy, which it has not here; virt-api insists on it.
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
            "data": {
                "client-ca-file": authority.bundle(),
                "requestheader-client-ca-file": authority.bundle(),
                "requestheader-username-headers": r#"["X-Remote-User"]"#,
                "requestheader-group-headers": r#"["X-Remote-Group"]"#,
                "requestheader-extra-headers-prefix": r#"["X-Remote-Extra-"]"#,
            },
        }),
    ];
    for (secret, common_name) in HANDLER_CERTIFICATES {
        let issued = authority.issue(common_name);
        items.push(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": metadata(secret), "type": "kubernetes.io/tls",
            "stringData": {"tls.crt": issued.certificate, "tls.key": issued.key},
        }));
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    kubectl.apply(&list.to_string()).expect_success();
}

fn handler_kubeconfig(kubectl: &Kubectl, control_plane: &ControlPlane) -> String {
    // virt-api takes VMIs' status only from the virt-handler of their node, which the token names, as a pod's does.
    let node = format!("--bound-object-name={NODE}");
    let token = token(kubectl, "kubevirt-handler", &["--bound-object-kind=Node", &node]);
    let ca = fs::read(control_plane.folder().join("ca.crt")).unwrap();
    let server = SocketAddr::from((API_SERVER_IN_MACHINE, control_plane.address().port()));
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "node",
        "contexts": [{"name": "node", "context": {"cluster": "node", "user": "virt-handler"}}],
        "clusters": [{"name": "node", "cluster": {
            "server": format!("https://{server}"),
            "certificate-authority-data": ByteString(ca),
        }}],
        "users": [{"name": "virt-handler", "user": {"token": token}}],
    });
    kubeconfig.to_string()
}

fn token(kubectl: &Kubectl, account: &str, more: &[&str]) -> String {
    let common = ["create", "token", account, "--duration=24h", "--namespace", SYSTEM];
    kubectl.run([&common[..], more].concat()).expect_success().trim().to_owned()
}

fn account_kubeconfig(control_plane: &ControlPlane, folder: &Path, account: &str) -> String {
    let token = token(&control_plane.kubectl(), account, &[]);
    let path = control_plane.kubeconfig(control_plane.address(), account, &token, folder);
    format!("--kubeconfig={}", path.display())
}

fn start_virt_api(
    assets: &Path,
    control_plane: &ControlPlane,
    folder: &Path,
    authority: &Authority,
) -> Process {
    let address = free_address();
    let file = |name: &str| certificates(folder).join(name).display().to_string();
    authority.issue("virt-api.kubevirt.svc").write(&certificates(folder), "virt-api");
    let arguments = [
        format!("--listen={}", address.ip()),
        format!("--port={}", address.port()),
        format!("--tls-cert-file={}", file("virt-api.crt")),
        format!("--tls-key-file={}", file("virt-api.key")),
        format!("--handler-cert-file={}", file("handler.crt")),
        format!("--handler-key-file={}", file("handler.key")),
        account_kubeconfig(control_plane, folder, "kubevirt-apiserver"),
    ];
    let mut process = Process::start(&folder.join("virt-api.log"), &assets.join("virt-api"), arguments);
    let deadline = Instant::now() + UP_WITHIN;
    while TcpStream::connect(address).is_err() {
        let ended = process.ended();
        let well = ended.is_none() && Instant::now() < deadline;
        assert!(well, "virt-api is not up (ended: {ended:?}): {}", process.last_lines(20));
        thread::sleep(Duration::from_millis(200));
    }
    let bundle = json!(ByteString(authority.bundle().into_bytes()));
    let url = format!("https://{address}");
    let values = [("URL", url.as_str()), ("CA_BUNDLE", bundle.as_str().unwrap())];
    let registrations = manifest("../node/kubevirt/webhooks.yaml", &values);
    control_plane.kubectl().apply(&registrations).expect_success();
    process
}

fn start_virt_controller(assets: &Path, control_plane: &ControlPlane, folder: &Path) -> Process {
    let address = free_address();
    let file = |name: &str| certificates(folder).join(name).display().to_string();
    let arguments = [
        format!("--launcher-image={LAUNCHER_IMAGE}"),
        "--exporter-image=kubevirt-sriov.test/none:1".to_owned(),
        format!("--listen={}", address.ip()),
        format!("--port={}", address.port()),
        format!("--prom-cert-file={}", file("virt-api.crt")),
        format!("--prom-key-file={}", file("virt-api.key")),
        account_kubeconfig(control_plane, folder, "kubevirt-controller"),
        "-v=3".to_owned(),
    ];
    Process::start(&folder.join("virt-controller.log"), &assets.join("virt-controller"), arguments)
}

/// What the programs are, as `-ldflags` of KubeVirt's own build name them.
fn version(assets: &Path) -> String {
    let said = fs::read_to_string(assets.join("VERSION")).unwrap_or_default();
    let said = if said.trim().is_empty() { "version unknown" } else { said.trim() };
    format!("virt-api, virt-controller, virt-handler, virt-launcher: real, {said}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const DEFINITION: &str =
        r#"{"apiVersion": "a/v1", "kind": "C", "metadata": {"name": "n"}, "spec": {"group": "kubevirt.io"}}"#;

    #[rstest]
    #[case::documents("---\n{D}\n---\n{D}\n", 2)]
    #[case::a_list("kind: List\nitems: [{D}]\n", 1)]
    #[case::of_a_subgroup("{S}", 1)]
    #[case::somebody_elses("{O}", 0)]
    fn definitions_of_kubevirt(#[case] text: &str, #[case] count: usize) {
        let subgroup = DEFINITION.replace("kubevirt.io", "snapshot.kubevirt.io");
        let others = DEFINITION.replace("kubevirt.io", "notkubevirt.io");
        let text = text.replace("{D}", DEFINITION).replace("{S}", &subgroup).replace("{O}", &others);
        assert_eq!(definitions(&text).len(), count);
    }

    #[test]
    fn what_the_other_cluster_knew_is_left_out() {
        let text = DEFINITION.replace(r#""name": "n""#, r#""name": "n", "resourceVersion": "7""#);
        let expected: Value = serde_saphyr::from_str(DEFINITION).unwrap();
        assert_eq!(definitions(&text), [expected]);
    }
}

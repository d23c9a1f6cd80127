//! A whole node for tests and for people: etcd, kube-apiserver, kube-scheduler and the webhook on this machine;
//! kubelet, containerd and the VFs of an emulated card in a virtual machine.
//!
//! What no real component does here, this module does, and says so: virt-controller's work (pods of VMIs,
//! network-info) is in [`fake_kubevirt`] where KubeVirt is not real ([`real_kubevirt`]), the node controller's (the taint
//! of a node that became ready) in [`Node::start`]. `tests/node/run` makes the programs and the images.

pub mod fake_kubevirt;
pub mod lab;
mod machine;
pub mod real_kubevirt;
mod running;
pub mod tier;

pub use machine::{Answer, Machine};
pub use running::{RunningPod, RunningVmi};

use crate::api_server::{ControlPlane, Kubectl, Process, Release, Webhook, asset};
use fake_kubevirt::Controller;
use parking_lot::Mutex;
use real_kubevirt::RealKubevirt;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The API server finds a kubelet by its node's name, and this name leads to QEMU's forwarded port.
pub const NODE: &str = "localhost";

/// Where the pods are.
pub const NAMESPACE: &str = "default";

/// What the chart is told; all else is as it comes. The processors are emulated, and launcher-hook is not optimised.
const VALUES: [&str; 4] = ["--set", "launcherHook.cpuLimit=1000m", "--set", "launcherHook.memory=64Mi"];

/// How long the node may take from its kernel's start to being ready; two minutes on two idle cores.
const READY_WITHIN: Duration = Duration::from_secs(900);

/// A cluster of one node. Everything in it ends with this value.
#[derive(Debug)]
pub struct Node {
    webhook: Mutex<Option<Webhook>>,
    machine: Machine,
    kubevirt: Kubevirt,
    _scheduler: Process,
    release: Release,
    control_plane: Arc<ControlPlane>,
}

/// What makes pods of VMIs.
#[derive(Debug)]
enum Kubevirt {
    Real(RealKubevirt),
    Fake(#[expect(dead_code, reason = "works until it is dropped")] Controller),
}

impl Node {
    /// Starts all parts and waits until pods can run; `tell` gets a line for each part that came up.
    pub fn start(tell: &(dyn Fn(&str) + Sync)) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let control_plane = ControlPlane::start("node");
        tell("etcd and kube-apiserver are up");
        let machine = Machine::start(&machine::folder(), &control_plane);
        let scheduler = start_scheduler(&control_plane);
        let release = Release::in_control_plane(Arc::clone(&control_plane), NAMESPACE);
        let kubevirt = match real_kubevirt::assets() {
            Some(assets) => Kubevirt::Real(RealKubevirt::start(&assets, &control_plane)),
            None => {
                fake_kubevirt::install(&control_plane.kubectl());
                Kubevirt::Fake(Controller::start(control_plane.kubectl()))
            }
        };
        if let Kubevirt::Real(_) = kubevirt {
            tell("virt-api and virt-controller are up");
        }
        let node = Self {
            webhook: Mutex::new(None),
            machine,
            kubevirt,
            _scheduler: scheduler,
            release,
            control_plane,
        };
        node.kubectl().run(["create", "namespace", "net-admin"]).expect_success();
        node.apply_examples();
        node.release.deploy("install", &VALUES).expect_success();
        tell("helm has installed the chart");
        node.start_webhook();
        tell("sriov-webhook answers");
        node.machine.wait_until_up(READY_WITHIN, tell);
        node.wait_until_ready(tell);
        if let Kubevirt::Real(kubevirt) = &node.kubevirt {
            kubevirt.join_node(&node.control_plane);
            tell("virt-handler is up, and the node can run VMs");
        }
        node
    }

    /// kubectl as administrator; it waits for a kubelet only while the machine goes on.
    pub fn kubectl(&self) -> Kubectl {
        self.control_plane.kubectl().unless(Machine::stands_still)
    }

    /// The virtual machine.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// etcd and kube-apiserver.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// The chart as it is installed.
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// Starts the webhook, or starts it again: a replica as the chart's Deployment describes it, behind the
    /// chart's Service and registration.
    pub fn start_webhook(&self) {
        let replica = self.release.replica("webhook");
        self.release.balancer().add(replica.address());
        self.release.wait_until_asked();
        *self.webhook.lock() = Some(replica);
    }

    /// Upgrades the chart with further arguments, and restarts the webhook as its Deployment then says.
    pub fn redeploy(&self, arguments: &[&str]) {
        let arguments = [&["--reset-values"][..], &VALUES, arguments].concat();
        self.release.deploy("upgrade", &arguments).expect_success();
        self.kill_webhook();
        self.start_webhook();
    }

    /// Which parts are real and which are fakes.
    pub fn versions(&self) -> String {
        let kubevirt = match &self.kubevirt {
            Kubevirt::Real(kubevirt) => kubevirt.version(),
            Kubevirt::Fake(_) => "virt-controller, virt-handler, virt-launcher: fakes of this project",
        };
        format!("{}{kubevirt}\n", self.machine.versions())
    }

    /// Whether KubeVirt is a fake.
    pub fn fakes_kubevirt(&self) -> bool {
        matches!(self.kubevirt, Kubevirt::Fake(_))
    }

    /// Kills the webhook. Its registration stays.
    pub fn kill_webhook(&self) {
        let webhook = self.webhook.lock().take();
        let webhook = webhook.expect("the webhook runs");
        self.release.balancer().remove(webhook.address());
    }

    fn apply_examples(&self) {
        let networks = fake_kubevirt::example("nads.yaml");
        self.kubectl().apply(&networks).expect_success();
    }

    fn wait_until_ready(&self, tell: &(dyn Fn(&str) + Sync)) {
        let ready = format!("node/{NODE}");
        let arguments = ["wait", "--for=condition=Ready", "--timeout=300s", &ready];
        self.kubectl().run(arguments).expect_success();
        // The node controller's work: without one the taint that new nodes have stays.
        let taint = "node.kubernetes.io/not-ready:NoSchedule-";
        self.kubectl().run(["taint", "nodes", NODE, taint]).expect_success();
        let deadline = Instant::now() + Duration::from_secs(180);
        loop {
            let devices = self.devices();
            if devices == "4" {
                break;
            }
            assert!(Instant::now() < deadline, "the node has '{devices}' VFs and not 4");
            std::thread::sleep(Duration::from_millis(500));
        }
        tell("the node is ready and has 4 VFs");
    }

    /// How many VFs the kubelet tells that the node has for pods.
    pub fn devices(&self) -> String {
        let path = r"jsonpath={.status.allocatable.intel\.com/sriov_vfio}";
        self.kubectl().run(["get", "node", NODE, "--output", path]).expect_success()
    }
}

fn start_scheduler(control_plane: &ControlPlane) -> Process {
    let log = control_plane.folder().join("kube-scheduler.log");
    let kubeconfig = control_plane.admin_kubeconfig();
    let arguments = [
        format!("--kubeconfig={}", kubeconfig.display()),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
    ];
    Process::start(&log, &asset("kube-scheduler"), arguments)
}

/// Copies a program or image into a folder of the machine.
fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

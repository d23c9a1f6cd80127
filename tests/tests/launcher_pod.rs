//! A virt-launcher pod on this machine, without a kubelet: the pod as `sriov-webhook review` returns it, the sidecar
//! `launcher-hook` with the arguments that are in it, the postStart hook of `compute`, and in place of virt-launcher a
//! program that behaves like it.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says what went wrong by stopping there"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Long enough for a machine with much else to do.
const LIMIT: Duration = Duration::from_secs(120);

const VF_A: &str = "0000:65:02.1";
const VF_B: &str = "0000:65:02.3";
/// Both VFs, in the order that KubeVirt 1.6 would have taken for the networks', and which is not.
const BOTH: &str = "PCIDEVICE_INTEL_COM_SRIOV_VFIO=0000:65:02.3,0000:65:02.1\n";
const ONE: &str = "PCIDEVICE_INTEL_COM_SRIOV_VFIO=0000:65:02.1\n";

/// A program of this workspace, which `cargo test --workspace` builds before it runs a test.
fn program(name: &str) -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let program = program.parent().unwrap().parent().unwrap().join(name);
    assert!(program.exists(), "{} is missing: cargo build --workspace makes it", program.display());
    program
}

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn json_of(path: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(file(path)).unwrap()).unwrap()
}

/// KubeVirt's pod and VMI, with the first `networks` of their two SR-IOV networks.
struct Virtual {
    pod: Value,
    vmi: Value,
}

impl Virtual {
    fn with(networks: usize) -> Self {
        let mut pod = json_of("webhook/tests/fixtures/virt-launcher-pod.json");
        let mut vmi = json_of("launcher-hook/tests/fixtures/vmi.json");
        // Before them is the pod network.
        for list in ["/spec/domain/devices/interfaces", "/spec/networks"] {
            vmi.pointer_mut(list).unwrap().as_array_mut().unwrap().truncate(1 + networks);
        }
        let annotations = &mut pod["metadata"]["annotations"];
        let key = "k8s.v1.cni.cncf.io/networks";
        let mut selections: Vec<Value> = serde_json::from_str(annotations[key].as_str().unwrap()).unwrap();
        selections.truncate(networks);
        annotations["k8s.v1.cni.cncf.io/network-status"] = json!(network_status(&selections));
        annotations[key] = json!(Value::from(selections).to_string());
        let network = |nad: &str| json!({"nad": nad, "resource": "intel.com/sriov_vfio", "sriov": true});
        let mut known = json!({"sriov-net1": network("default/sriov-net-a")});
        if networks > 1 {
            known["sriov-net2"] = network("net-admin/sriov-net-b");
        }
        annotations["kubevirt-sriov.io/networks"] = json!(known.to_string());
        Self { pod, vmi }
    }
}

/// What Multus writes: the cluster's own network and the selections, here without their devices.
fn network_status(selections: &[Value]) -> String {
    let attached = selections.iter().map(|selection| {
        let name = |key: &str| selection[key].as_str().unwrap();
        json!({"name": format!("{}/{}", name("namespace"), name("name")), "interface": name("interface")})
    });
    let own = json!({"name": "podnet", "interface": "eth0", "default": true});
    Value::from_iter([own].into_iter().chain(attached)).to_string()
}

/// What virt-controller writes: networks with their device, or with none.
fn network_info(networks: &[(&str, Option<&str>)]) -> String {
    let interfaces = networks.iter().map(|(network, address)| match address {
        Some(address) => json!({"network": network, "deviceInfo":
            {"type": "pci", "version": "1.1.0", "pci": {"pci-address": address}}, "mtu": 9000}),
        None => json!({"network": network}),
    });
    json!({"interfaces": interfaces.collect::<Vec<_>>()}).to_string()
}

/// The container, running.
struct Compute {
    child: Child,
    folder: TempDir,
}

impl Compute {
    fn start(machine: &Virtual, environ: &str, arguments: &[&str]) -> Self {
        Self::start_in_mode("compute", machine, environ, arguments)
    }

    fn start_in_mode(mode: &str, machine: &Virtual, environ: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("pod.json"), machine.pod.to_string()).unwrap();
        let reviewed = Command::new(program("sriov-webhook"))
            .args(["review", "--output", "pod", "--launcher-hook", mode])
            .args(["--launcher-hook-image", "registry.example/launcher-hook"])
            .arg("--launcher-hook-argument=--verify=off")
            .args(arguments.iter().map(|argument| format!("--launcher-hook-argument={argument}")))
            .arg("--networks")
            .arg(file("webhook/tests/fixtures/nads.yaml"))
            .arg(path("pod.json"))
            .output()
            .unwrap();
        assert!(reviewed.status.success(), "{reviewed:?}");
        fs::write(path("stored.yaml"), reviewed.stdout).unwrap();
        fs::write(path("environ"), environ).unwrap();
        fs::write(path("vmi.json"), machine.vmi.to_string()).unwrap();
        fs::create_dir(path("work")).unwrap();
        let root = path("root");
        let network_info =
            if mode == "compute" { "launcher-hook-network-info" } else { "network-info-annotation" };
        let child = Command::new(program("fake-kubelet"))
            .args([&path("stored.yaml"), &root, &program("launcher-hook"), &path("environ")])
            .arg(program("fake-launcher"))
            .arg("--hooks")
            .arg(root.join("hook-sidecar-sockets"))
            .arg("--network-info")
            .arg(root.join(network_info).join("network-info"))
            .arg("--vmi")
            .arg(path("vmi.json"))
            .arg("--domain")
            .arg(file("launcher-hook/tests/fixtures/domain.no-hostdev.xml"))
            .arg("--work")
            .arg(path("work"))
            .args(["--read-back", "cat", "--exit-code", "17"])
            .stderr(fs::File::create(path("log")).map(Stdio::from).unwrap())
            .spawn()
            .unwrap();
        Self { child, folder }
    }

    /// What the kubelet does some time after virt-controller has written the annotation.
    fn network_info_arrives(&self, text: &str) {
        for volume in ["launcher-hook-podinfo", "network-info-annotation"] {
            fs::write(self.volume(volume).join("network-info"), text).unwrap();
        }
    }

    fn volume(&self, name: &str) -> PathBuf {
        self.folder.path().join("root").join(name)
    }

    /// The process of a container.
    fn process(&self, container: &str) -> Option<u32> {
        fs::read_to_string(self.volume(&format!("{container}.pid"))).ok()?.parse().ok()
    }

    fn work(&self, name: &str) -> PathBuf {
        self.folder.path().join("work").join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    #[track_caller]
    fn wait_until(&mut self, what: &str, mut true_now: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !true_now(self) {
            assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}\n{}", self.log());
            sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    fn wait_until_defined(&mut self) -> Vec<String> {
        self.wait_until("the domain is defined", |compute| {
            let ended = compute.child.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}\n{}", compute.log());
            compute.work("ready").exists()
        });
        (1..=3)
            .map(|number| fs::read_to_string(self.work(&format!("defined-{number}.xml"))).unwrap())
            .collect()
    }

    fn terminate(&mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let mut status = None;
        self.wait_until("the command ends", |compute| {
            status = compute.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Compute {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Without their kubelet the containers go on.
        let folder = self.folder.path().display().to_string();
        for id in ["compute", "sidecar"].into_iter().filter_map(|container| self.process(container)) {
            let line = fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
            if !line.contains(&folder) {
                continue;
            }
            let _ = Command::new("kill").args(["-KILL", &id.to_string()]).stderr(Stdio::null()).status();
        }
    }
}

/// `address` as libvirt writes it, and the network whose hostdev has it.
fn has_hostdev(domain: &str, network: &str, address: &str) -> bool {
    let source = format!(r#"slot="0x{}" function="0x{}""#, &address[8..10], &address[11..]);
    domain.split("<hostdev").skip(1).any(|hostdev| {
        let hostdev = hostdev.split("</hostdev>").next().unwrap();
        hostdev.contains(&source) && hostdev.contains(&format!(r#"name="ua-sriov-{network}""#))
    })
}

#[test]
fn with_device_info_both_networks_get_the_vf_that_kubevirt_names() {
    let mut compute = Compute::start(&Virtual::with(2), BOTH, &[]);
    compute.wait_until("the file is there", |compute| {
        compute.volume("launcher-hook-network-info").join("network-info").exists()
    });
    // Nobody knows which VF is whose, and KubeVirt finds nothing that would have it start.
    sleep(Duration::from_secs(2));
    assert!(!compute.work("network-info").exists());
    let text = network_info(&[("sriov-net1", Some(VF_A)), ("sriov-net2", Some(VF_B))]);
    compute.network_info_arrives(&text);
    let domains = compute.wait_until_defined();
    assert_eq!(fs::read_to_string(compute.work("network-info")).unwrap(), text);
    for domain in &domains {
        assert!(
            has_hostdev(domain, "sriov-net1", VF_A) && has_hostdev(domain, "sriov-net2", VF_B),
            "{domain}"
        );
    }
    // Its second interface has an address in the guest, which this KubeVirt left out.
    assert!(domains[0].contains(r#"<boot order="2""#), "{}", domains[0]);
    assert_eq!(domains[1], domains[2]);
    assert_eq!(compute.terminate().code(), Some(17));
}

#[rstest]
#[case::annotation_never_comes(None)]
#[case::annotation_has_no_device(Some(network_info(&[("sriov-net1", None)])))]
#[case::annotation_has_nothing(Some("{}".to_owned()))]
fn without_device_info_the_variables_say_it(#[case] annotation: Option<String>) {
    let mut compute = Compute::start(&Virtual::with(1), ONE, &[]);
    if let Some(text) = annotation {
        compute.wait_until("the file is there", |compute| {
            compute.volume("launcher-hook-podinfo").join("network-info").exists()
        });
        compute.network_info_arrives(&text);
    }
    for domain in compute.wait_until_defined() {
        assert!(has_hostdev(&domain, "sriov-net1", VF_A), "{domain}");
        assert_eq!(domain.matches("<hostdev").count(), 1, "{domain}");
    }
    assert_eq!(compute.terminate().code(), Some(17));
}

#[test]
fn two_networks_that_nothing_tells_apart_do_not_start_and_the_log_says_why() {
    let mut compute = Compute::start(&Virtual::with(2), BOTH, &[]);
    compute.wait_until("the start fails", |compute| compute.log().contains("SyncVMI"));
    compute.network_info_arrives(&network_info(&[("sriov-net1", None), ("sriov-net2", None)]));
    let failure = "found no SR-IOV networks to PCI-Address mapping";
    compute.wait_until("the start fails otherwise", |compute| compute.log().contains(failure));
    assert!(!compute.work("network-info").exists());
    let reason = "network-info: incomplete: which of the devices 0000:65:02.1, 0000:65:02.3 belongs to which of the \
                  networks sriov-net1, sriov-net2 is not known";
    compute.wait_until("the helper says why", |compute| compute.log().contains(reason));
}

#[test]
fn a_network_that_multus_did_not_attach_does_not_start_and_the_log_says_why() {
    let mut machine = Virtual::with(1);
    machine.pod["metadata"]["annotations"]["k8s.v1.cni.cncf.io/network-status"] = json!(network_status(&[]));
    let mut compute = Compute::start(&machine, ONE, &["--assign=multus"]);
    let reason =
        "network-info: incomplete: Multus did not attach sriov-net1: network-status names eth0 only; ";
    compute.wait_until("the start fails", |compute| {
        compute.log().contains("SyncVMI") && compute.log().contains(reason)
    });
    assert!(!compute.work("network-info").exists());
}

#[test]
fn the_assignment_of_multus_starts_them_where_it_was_asked_for() {
    let mut compute = Compute::start(&Virtual::with(2), BOTH, &["--assign=multus"]);
    compute.wait_until("the file is there", |compute| {
        compute.volume("launcher-hook-podinfo").join("network-info").exists()
    });
    compute.network_info_arrives(&network_info(&[("sriov-net1", None), ("sriov-net2", None)]));
    for domain in compute.wait_until_defined() {
        assert!(
            has_hostdev(&domain, "sriov-net1", VF_A) && has_hostdev(&domain, "sriov-net2", VF_B),
            "{domain}"
        );
    }
}

/// What a sidecar alone knows is KubeVirt's and Multus' annotations.
#[test]
fn in_mode_sidecar_kubevirt_names_the_vfs() {
    let mut compute = Compute::start_in_mode("sidecar", &Virtual::with(1), ONE, &[]);
    compute.wait_until("the start fails", |compute| compute.log().contains("SyncVMI"));
    compute.network_info_arrives(&network_info(&[("sriov-net1", Some(VF_A))]));
    for domain in compute.wait_until_defined() {
        assert!(has_hostdev(&domain, "sriov-net1", VF_A), "{domain}");
    }
    assert_eq!(compute.terminate().code(), Some(17));
}

/// The words with which a process was started.
fn command_line(process: u32) -> Vec<String> {
    let line = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap();
    line.trim_end_matches('\0').split('\0').map(str::to_owned).collect()
}

#[test]
fn in_compute_there_is_nothing_of_ours_and_the_helper_is_small() {
    let mut compute = Compute::start(&Virtual::with(1), ONE, &[]);
    compute.wait_until_defined();
    let launcher = compute.process("compute").unwrap();
    assert_eq!(fs::read_to_string(compute.work("pid")).unwrap(), launcher.to_string());
    let words = &command_line(launcher)[1..];
    let own = Virtual::with(1).pod["spec"]["containers"][0]["command"].as_array().unwrap()[1..].to_vec();
    let count = words.iter().position(|word| word == "--hook-sidecars").unwrap() + 1;
    for (index, (word, own)) in words.iter().zip(own).enumerate() {
        let own = own.as_str().unwrap();
        // Paths are this machine's here.
        if !own.starts_with('/') {
            assert_eq!(word, if index == count { "1" } else { own });
        }
    }
    let children = fs::read_to_string(format!("/proc/{launcher}/task/{launcher}/children")).unwrap();
    assert_eq!(children, "");

    let helper = compute.process("sidecar").unwrap();
    let rollup = fs::read_to_string(format!("/proc/{helper}/smaps_rollup")).unwrap();
    let kilobytes = |field: &str| -> u64 {
        let line = rollup.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    // Memory of its own: what a cgroup counts for good. Pages of the program itself can be dropped.
    let own = kilobytes("Anonymous:");
    println!("launcher-hook: {own} kB of its own, {} kB resident", kilobytes("Rss:"));
    assert!(own < 8 * 1024, "{rollup}");

    assert_eq!(compute.terminate().code(), Some(17));
    assert!(!Path::new(&format!("/proc/{helper}")).exists(), "the kubelet ends the sidecar after compute");
    assert_eq!(
        fs::read_dir(compute.volume("hook-sidecar-sockets").join("launcher-hook")).unwrap().count(),
        0
    );
    // virt-launcher's Shutdown does not end it: the kubelet would start it again.
    assert!(!compute.log().contains("started again"), "{}", compute.log());
}

#[test]
fn a_helper_that_dies_is_started_again() {
    let mut compute = Compute::start(&Virtual::with(1), ONE, &[]);
    compute.wait_until_defined();
    let first = compute.process("sidecar").unwrap();
    assert!(Command::new("kill").args(["-KILL", &first.to_string()]).status().unwrap().success());
    compute.wait_until("it is started again", |compute| {
        compute.process("sidecar") != Some(first) && compute.log().matches("listening").count() >= 4
    });
    let text = fs::read_to_string(compute.volume("launcher-hook-network-info").join("network-info")).unwrap();
    assert!(text.contains(VF_A), "{text}");
}

#[rstest]
#[case::killed("-KILL", 128 + 9)]
#[case::aborted("-ABRT", 128 + 6)]
fn a_command_that_dies_of_a_signal_is_seen_to(#[case] signal: &str, #[case] code: i32) {
    let mut compute = Compute::start(&Virtual::with(1), ONE, &[]);
    compute.wait_until_defined();
    let launcher = compute.process("compute").unwrap().to_string();
    assert!(Command::new("kill").args([signal, &launcher]).status().unwrap().success());
    assert_eq!(compute.child.wait().unwrap().code(), Some(code));
}

//! The real KubeVirt: from a user's VMI to the guest's pings, in each mode, and what can go wrong on the way.

use super::modes::Silent;
use super::{STORAGE, Scenario, UPLINK};
use serde_json::{Value, json};
use tests::node::real_kubevirt::vmi::{
    virtual_machine, vmi, with_binding_plugin, with_mode, with_users_hook,
};
use tests::node::{Node, RunningVmi};

/// All of them.
pub(crate) const ALL: [Scenario; 8] = [
    ("KubeVirt: a VMI with two networks in mode off, to answered pings", off),
    ("KubeVirt: a VMI with two networks in mode compute, its helper killed", compute),
    ("KubeVirt: mode sidecar beside a hook of the user's that starts late", sidecar_and_late_hook),
    ("KubeVirt: mode compute beside a hook of the user's, restarted", compute_and_hook_restarted),
    ("KubeVirt: a VMI without device-info in mode compute, to answered pings", without_device_info),
    ("KubeVirt: a VMI whose hostdevs a binding plugin leaves to the helper", binding_plugin),
    ("KubeVirt: a network is hot-plugged", hotplug),
    ("KubeVirt: a helper whose image cannot be pulled", image_is_missing),
];

/// What the process 1 of `compute` has without a helper: KubeVirt's user, the one capability, and no way to get more.
const STATUS: [&str; 4] =
    ["Uid:\t107\t107\t107\t107", "CapPrm:\t0000000000000400", "CapBnd:\t0000000000000400", "NoNewPrivs:\t1"];

/// The networks of the two NICs, with the address of the PF on each. Their names and their MACs are in one order and
/// the VFs in whatever order the kubelet has them.
const NETWORKS: [((&str, &str, &str), &str); 2] =
    [(UPLINK, "02:00:00:00:02:00"), (STORAGE, "02:00:00:00:01:00")];

fn two_networks(name: &str) -> Value {
    vmi(name, &NETWORKS.map(|((name, nad, _), mac)| (name, nad, mac)))
}

/// KubeVirt alone, with the VFs that the webhook requested.
fn off(node: &Node) {
    let vmi = RunningVmi::create(node, &with_mode(two_networks("off"), "off")).unwrap();
    answers_on_both(&vmi);
    same_process(&vmi);
    assert_eq!(vmi.pod_field(".spec.containers[*].name"), "compute");
    assert_eq!(vmi.pod_field(".spec.initContainers[*].name"), "guest-console-log volumekernel-boot-volume");
}

fn compute(node: &Node) {
    let vmi = RunningVmi::create(node, &with_mode(two_networks("compute"), "compute")).unwrap();
    answers_on_both(&vmi);
    same_process(&vmi);
    defined(&vmi, &["devices=2", "changed=false"]);
    println!("  {}", kill_helper(node, &vmi));
}

/// virt-launcher collects as many sockets as it was told, and the user's comes last.
fn sidecar_and_late_hook(node: &Node) {
    let vmi = with_users_hook(with_mode(two_networks("sidecar"), "sidecar"), 40);
    let vmi = RunningVmi::create(node, &vmi).unwrap();
    answers_on_both(&vmi);
    same_process(&vmi);
    defined(&vmi, &["devices=2", "changed=false"]);
    users_hook_was_asked(&vmi);
}

fn compute_and_hook_restarted(node: &Node) {
    let machine = virtual_machine(&with_users_hook(with_mode(two_networks("restarted"), "compute"), 0));
    let vm = RunningVmi::create(node, &machine).unwrap();
    vm.wait_for("VMI of the VirtualMachine", || !vm.field(".metadata.uid").is_empty());
    answers_on_both(&vm);
    users_hook_was_asked(&vm);
    let before = vm.field(".metadata.uid");
    // What `virtctl restart` comes down to.
    node.kubectl().run(["delete", "virtualmachineinstance", vm.name(), "--wait=false"]).expect_success();
    vm.wait_for("another VMI of the VirtualMachine", || {
        let uid = vm.field(".metadata.uid");
        !uid.is_empty() && uid != before
    });
    let pod = || vm.pod_field(r".metadata.labels.kubevirt\.io/created-by") == vm.field(".metadata.uid");
    vm.wait_for("pod of the new VMI", pod);
    answers_on_both(&vm);
    users_hook_was_asked(&vm);
}

/// KubeVirt itself needs network-info to name a device, and Multus has none to report: the helper completes it from the
/// variables that `compute` reports.
fn without_device_info(node: &Node) {
    let _silent = Silent::start(node);
    let (name, nad, address) = STORAGE;
    let mac = "02:00:00:00:01:00";
    let vmi = RunningVmi::create(node, &with_mode(vmi("silent", &[(name, nad, mac)]), "compute")).unwrap();
    vmi.answers(mac, address);
    assert!(vmi.vfs().is_empty(), "Multus has reported {:?}", vmi.vfs());
    let completed = vmi.exec("compute", &["cat", "/etc/podinfo/network-info"]).expect_success();
    assert!(completed.contains("pci-address"), "{completed}");
    println!("  network-info in compute: {}", completed.trim());
}

/// KubeVirt leaves these hostdevs to the helper.
fn binding_plugin(node: &Node) {
    let networks = NETWORKS.map(|((name, nad, _), mac)| (name, nad, mac));
    let vmi = with_mode(with_binding_plugin(vmi("binding", &networks)), "compute");
    let vmi = RunningVmi::create(node, &vmi).unwrap();
    answers_on_both(&vmi);
    defined(&vmi, &["devices=2", "changed=true"]);
}

/// The VMI's change passes the webhook, and the pod to which KubeVirt would migrate it has the third VF and its helper.
/// There is no second node for it.
fn hotplug(node: &Node) {
    let machine = virtual_machine(&with_mode(two_networks("growing"), "compute"));
    let vm = RunningVmi::create(node, &machine).unwrap();
    vm.wait_for("VMI of the VirtualMachine", || !vm.field(".metadata.uid").is_empty());
    answers_on_both(&vm);
    let template = "/spec/template/spec";
    let added = vm.patch_json(&json!([
        {"op": "add", "path": format!("{template}/networks/-"),
            "value": {"name": "third", "multus": {"networkName": "default/storage"}}},
        {"op": "add", "path": format!("{template}/domain/devices/interfaces/-"),
            "value": {"name": "third", "sriov": {}, "macAddress": "02:00:00:01:01:00"}},
    ]));
    added.expect_success();
    vm.wait_for("VMI with three networks", || vm.field(".spec.networks[*].name").ends_with(" third"));
    let migration = json!({
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstanceMigration",
        "metadata": {"name": "growing", "namespace": "default"},
        "spec": {"vmiName": "growing"},
    });
    node.kubectl().create(&migration.to_string()).expect_success();
    let source = vm.field(".status.activePods");
    vm.wait_for("pod for the migration", || {
        !vm.pod_field(r".metadata.labels.kubevirt\.io/migrationJobUID").is_empty()
    });
    assert_eq!(
        vm.pod_field(r".spec.containers[?(@.name=='compute')].resources.limits.intel\.com/sriov_vfio"),
        "3"
    );
    println!("  source {source}, target {} with 3 VFs", vm.pod());
    node.kubectl().run(["delete", "virtualmachineinstancemigration", "growing"]).expect_success();
}

/// A pod that cannot start says so where its user looks: KubeVirt copies the reason to the VMI.
fn image_is_missing(node: &Node) {
    node.redeploy(&["--set", "launcherHook.image.tag=missing"]);
    let _back = Back(node);
    let (name, nad, _) = STORAGE;
    let vmi = with_mode(vmi("imageless", &[(name, nad, "02:00:00:00:01:00")]), "compute");
    let vmi = RunningVmi::create(node, &vmi).unwrap();
    let condition = || {
        let part = |part: &str| vmi.field(&format!(".status.conditions[?(@.type=='Synchronized')].{part}"));
        format!("{}: {}", part("reason"), part("message"))
    };
    vmi.wait_for("condition about the image", || {
        let told = condition();
        (told.starts_with("ErrImagePull") || told.starts_with("ImagePullBackOff"))
            && told.contains("launcher-hook:missing")
    });
    println!("  {}", condition());
}

/// The chart as it was.
struct Back<'n>(&'n Node);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        self.0.redeploy(&[]);
    }
}

#[track_caller]
fn answers_on_both(vmi: &RunningVmi) {
    for ((_, _, address), mac) in NETWORKS {
        vmi.answers(mac, address);
    }
    let limits = ".spec.containers[?(@.name=='compute')].resources.limits.intel\\.com/sriov_vfio";
    assert_eq!(vmi.pod_field(limits), "2");
    let variable = vmi.exec("compute", &["printenv", "PCIDEVICE_INTEL_COM_SRIOV_VFIO"]).stdout;
    println!("  {:?} for uplink and storage; the variable says {}", vmi.vfs(), variable.trim());
}

/// The container's first process is KubeVirt's, and is allowed what it is allowed without a helper.
#[track_caller]
fn same_process(vmi: &RunningVmi) {
    let status = vmi.exec("compute", &["cat", "/proc/1/status"]).expect_success();
    let command = vmi.exec("compute", &["cat", "/proc/1/cmdline"]).expect_success();
    assert!(command.starts_with("/usr/bin/virt-launcher-monitor\0"), "{command}");
    for line in STATUS {
        assert!(status.lines().any(|said| said == line), "no line '{line}' in {status}");
    }
    println!("  process 1: virt-launcher-monitor, {}", STATUS.join(", ").replace('\t', " "));
}

/// The helper was asked, and said this of the domain.
#[track_caller]
fn defined(vmi: &RunningVmi, words: &[&str]) {
    let words = [&["domain defined"], words].concat();
    println!("  {}", vmi.wait_for_line("launcher-hook", &words));
}

/// The user's hook has had its say, and libvirt has it.
#[track_caller]
fn users_hook_was_asked(vmi: &RunningVmi) {
    vmi.wait_for_line("hook-sidecar-0", &["the user's hook was asked"]);
    let domain = vmi.exec("compute", &["virsh", "dumpxml", "1"]).expect_success();
    let maker = domain.lines().find(|line| line.contains(">the user<"));
    println!("  {}", maker.unwrap_or_else(|| panic!("the user's change is not in {domain}")).trim());
}

/// Ends the helper's process; what tells of it.
fn kill_helper(node: &Node, vmi: &RunningVmi) -> String {
    let restarts = || {
        let path = ".status.initContainerStatuses[?(@.name=='launcher-hook')].restartCount";
        vmi.pod_field(path)
    };
    assert_eq!(restarts(), "0");
    node.machine().expect("pkill -KILL -x launcher-hook");
    vmi.wait_for("helper that was started again", || restarts() == "1");
    assert_eq!(vmi.field(".status.phase"), "Running");
    let events = vmi.events();
    events.lines().filter(|line| line.contains("launcher-hook")).collect::<Vec<_>>().join("\n  ")
}

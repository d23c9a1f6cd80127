//! Pods whose VFs are neighbours on one card.

use super::{STORAGE, answers, card, idle, pod_on, vfs, with_mode};
use contract::{annotation, helper};
use serde_json::{Value, json};
use std::thread;
use tests::node::fake_kubevirt::{pod_of, vmi};
use tests::node::{Node, RunningPod};

/// Two guests at once; kubelet and device plugin restarted under them; a VF that is used again.
pub(crate) fn reuse(node: &Node) {
    let (first, first_mac) = pod_on(STORAGE, "first", 4);
    let (second, second_mac) = pod_on(STORAGE, "second", 5);
    let first = RunningPod::create(node, &with_mode(first, "compute")).unwrap();
    let second = RunningPod::create(node, &with_mode(second, "compute")).unwrap();
    answers(&first, STORAGE, &first_mac);
    answers(&second, STORAGE, &second_mac);
    let (first_vfs, second_vfs) = (vfs(&first), vfs(&second));
    assert!(
        first_vfs.len() == 1 && second_vfs.len() == 1 && first_vfs != second_vfs,
        "{first_vfs:?} {second_vfs:?}"
    );

    // Under a running guest: the node is the same afterwards, and so is the guest.
    node.machine()
        .expect("since=$(kubelet_log_size); restart sriovdp; restart kubelet; kubelet_knows \"$since\" 4");
    for pod in [&first, &second] {
        // Through the new kubelet: the old one is dead.
        let running = || pod.exec(&["virsh", "list", "--name"]).stdout.trim() != "";
        pod.wait_for("guest behind the new kubelet", running);
        assert_eq!(pod.field(".status.phase"), "Running");
        assert_eq!(pod.field(".status.containerStatuses[0].restartCount"), "0");
    }
    second.wait_for("node with 4 VFs after the restart", || node.devices() == "4");

    // All others are taken, so that the next pod gets the one that is given back.
    let networks =
        [("a", "default/storage", "02:00:00:06:01:00"), ("b", "default/storage", "02:00:00:07:01:00")];
    let others = RunningPod::create(node, &idle(pod_of(&vmi("others", &networks)))).unwrap();
    others.wait_for("network status", || !others.annotation(annotation::NETWORK_STATUS).is_empty());
    assert!(card(node).contains(&first_mac));
    first.delete();
    assert!(!card(node).contains(&first_mac), "the VF kept the MAC of its pod: {}", card(node));
    let (third, third_mac) = pod_on(STORAGE, "third", 8);
    let third = RunningPod::create(node, &with_mode(third, "compute")).unwrap();
    answers(&third, STORAGE, &third_mac);
    assert_eq!(vfs(&third), first_vfs, "the VF that was given back");
}

/// The helper says which VF is gone, instead of libvirt saying something else.
pub(crate) fn taken_away(node: &Node) {
    let (pod, _) = pod_on(STORAGE, "unlucky", 9);
    let pod = behind_gate(pod);
    let pod = RunningPod::create(node, &with_mode(pod, "compute")).unwrap();
    pod.wait_for_line(&["launcher: the gate is closed"]);
    let vf = vfs(&pod).remove(0);
    let _away = Away::take(node, &vf);
    open_gate(&pod, "compute");
    pod.wait_for_line(&["launcher: SyncVMI: ", &format!("{vf} must be manually detached from the host")]);
    let log = pod.log(helper::CONTAINER);
    let told = log
        .lines()
        .find(|line| line.contains(&format!("VF {vf} is on no driver now, and the pod was given")));
    println!("  {}", told.unwrap_or_else(|| panic!("the helper does not say what happened to {vf}: {log}")));
}

/// A VF that goes even before the container is made: nobody but the container runtime can say so, and the pod
/// comes when the VF is back.
pub(crate) fn taken_away_before(node: &Node) {
    let (pod, _) = pod_on(STORAGE, "unluckier", 18);
    let mut pod = idle(pod);
    let image = pod["spec"]["containers"][0]["image"].clone();
    let wait = format!("until [ -e {GATE} ]; do sleep 1; done");
    pod["spec"]["initContainers"] = json!([{
        "name": "gate",
        "image": image,
        "command": ["/usr/bin/sh", "-c", wait],
    }]);
    let pod = RunningPod::create(node, &pod).unwrap();
    let gate = || pod.field(".status.initContainerStatuses[?(@.name==\"gate\")].state.running");
    pod.wait_for("running init container", || !gate().is_empty());
    let vf = vfs(&pod).remove(0);
    let group = node.machine().expect(&format!("vf_group {vf}"));
    {
        let _away = Away::take(node, &vf);
        open_gate(&pod, "gate");
        let message = format!("/dev/vfio/{}: no such file or directory", group.trim());
        pod.wait_for("event about the VF", || pod.events().contains(&message));
        let events = pod.events();
        println!("  {}", events.lines().find(|line| line.contains(&message)).unwrap_or_default());
    }
    pod.wait_for("running pod once the VF is back", || pod.field(".status.phase") == "Running");
}

/// What the pods here wait for.
const GATE: &str = "/tmp/gate";

/// A launcher that waits for [`GATE`] before it does anything; the helper runs already.
fn behind_gate(mut pod: Value) -> Value {
    let variables = pod["spec"]["containers"][0]["env"].as_array_mut().unwrap();
    variables.push(json!({"name": "GATE", "value": GATE}));
    pod
}

fn open_gate(pod: &RunningPod, container: &str) {
    pod.exec_in(container, &["/usr/bin/sh", "-c", &format!(": >{GATE}")]).expect_success();
}

/// A VF that no driver has, until this is dropped.
struct Away<'n> {
    node: &'n Node,
    vf: String,
}

impl<'n> Away<'n> {
    fn take(node: &'n Node, vf: &str) -> Self {
        let away = Self { node, vf: vf.to_owned() };
        node.machine().expect(&format!("vf_bind {vf} ''"));
        away
    }
}

impl Drop for Away<'_> {
    fn drop(&mut self) {
        let answer = self.node.machine().call(&format!("vf_bind {} vfio-pci", self.vf));
        assert!(thread::panicking() || answer.status == 0, "{answer:?}");
    }
}

//! Pods whose VFs are neighbours on one card.

use super::{STORAGE, answers, idle, pod_on, vfs, with_mode};
use crate::node::kubevirt::{pod_of, vmi};
use crate::node::{Node, RunningPod};
use contract::annotation;

/// Two guests at once; kubelet and device plugin restarted under them; a VF that is used again.
pub(super) fn reuse(node: &Node) {
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
    node.machine().expect("restart sriovdp; restart kubelet");
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
pub(super) fn taken_away(node: &Node) {
    let (pod, _) = pod_on(STORAGE, "unlucky", 9);
    let pod = RunningPod::create(node, &with_mode(pod, "compute")).unwrap();
    pod.wait_for("network status", || !pod.annotation(annotation::NETWORK_STATUS).is_empty());
    let vf = vfs(&pod).remove(0);
    node.machine().expect(&format!("vf_bind {vf} ''"));
    pod.wait_for("end of the launcher", || pod.log("compute").contains("FAILED: "));
    let log = pod.log("compute");
    println!("  {}", log.lines().filter(|line| line.contains(&vf)).collect::<Vec<_>>().join("\n  "));
    assert!(log.contains(&vf) && log.contains("vfio-pci"), "{log}");
    pod.wait_for("node with 3 VFs", || node.devices() == "3");
    node.machine().expect(&format!("vf_bind {vf} vfio-pci"));
    pod.wait_for("node with 4 VFs again", || node.devices() == "4");
}

/// What the PF says of its VFs.
fn card(node: &Node) -> String {
    node.machine().expect("ip link show dev \"$(pf_interface)\"")
}

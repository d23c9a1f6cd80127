//! How the helper gets into the pod, and where it learns of devices.

use super::{STORAGE, UPLINK, answers, pod_on, with_mode};
use crate::node::{Node, RunningPod};
use contract::{annotation, helper};
use std::thread;

/// Off: the pod has its VF and nobody puts it into the domain. Sidecar: the helper has network-info alone.
pub(super) fn off_and_sidecar(node: &Node) {
    let (off, _) = pod_on(STORAGE, "off", 1);
    let (sidecar, mac) = pod_on(UPLINK, "sidecar", 2);
    let off = RunningPod::create(node, &with_mode(off, "off")).unwrap();
    let sidecar = RunningPod::create(node, &with_mode(sidecar, "sidecar")).unwrap();
    for pod in [&off, &sidecar] {
        assert_eq!(pod.field(r".spec.containers[0].resources.limits.intel\.com/sriov_vfio"), "1");
    }
    for (pod, expected) in [(&off, ""), (&sidecar, helper::CONTAINER)] {
        assert_eq!(pod.field(".spec.containers[*].name"), "compute");
        assert_eq!(pod.field(".spec.initContainers[*].name"), expected);
    }

    answers(&sidecar, UPLINK, &mac);
    off.wait_for_line(&["guest: up"]);
    let log = off.log("compute");
    assert!(!log.contains("guest: nic"), "a guest without the helper has a VF: {log}");
}

/// A device plugin that tells Multus nothing: the variables do, where they leave no doubt.
pub(super) fn without_device_info(node: &Node) {
    let _silent = Silent::start(node);
    let (pod, mac) = pod_on(STORAGE, "silent", 3);
    let pod = RunningPod::create(node, &with_mode(pod, "compute")).unwrap();
    answers(&pod, STORAGE, &mac);
    let status = pod.annotation(annotation::NETWORK_STATUS);
    assert!(status.contains(&mac) && !status.contains("device-info"), "{status}");
}

/// The stand-in in the device plugin's place, keeping what it knows to itself, until this is dropped.
pub(super) struct Silent<'n>(&'n Node);

impl<'n> Silent<'n> {
    pub(super) fn start(node: &'n Node) -> Self {
        let silent = Self(node);
        node.machine().expect(
            "silent() { rm -rf /var/run/k8s.cni.cncf.io; start silent \"$SHARED/programs/silent/sriovdp\" \
                --config-file \"$HERE/sriovdp.json\" --no-device-info; }; replace_plugin sriovdp 4 silent",
        );
        silent
    }
}

impl Drop for Silent<'_> {
    fn drop(&mut self) {
        let answer = self.0.machine().call("replace_plugin silent 4 again sriovdp");
        assert!(thread::panicking() || answer.status == 0, "{answer:?}");
    }
}

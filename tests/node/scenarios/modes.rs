//! How the helper gets into the pod, and where it learns of devices.

use super::{STORAGE, UPLINK, answers, card, pod_on, with_mode};
use contract::{annotation, helper};
use serde_json::json;
use std::thread;
use std::time::Duration;
use tests::node::{Node, RunningPod};

/// Off: KubeVirt alone, by network-info. Sidecar: the helper has network-info alone, too.
pub(crate) fn off_and_sidecar(node: &Node) {
    let (off, off_mac) = pod_on(STORAGE, "off", 1);
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
    answers(&off, STORAGE, &off_mac);
}

/// Whatever is executed before KubeVirt's monitor costs it its capability, and the pod ends. It is why the webhook leaves
/// the command of `compute` alone, and here it shows that this node's monitor is as particular as KubeVirt's.
pub(crate) fn in_front_of_the_monitor(node: &Node) {
    let (mut pod, _) = pod_on(STORAGE, "preceded", 20);
    let command = pod["spec"]["containers"][0]["command"].as_array_mut().unwrap();
    command.insert(0, json!("/usr/bin/env"));
    let pod = RunningPod::create(node, &with_mode(pod, "off")).unwrap();
    pod.wait_for("failed pod", || pod.field(".status.phase") == "Failed");
    let log = pod.log("compute");
    println!("  {}", log.trim());
    assert!(log.contains("Operation not permitted") && !log.contains("launcher: 107"), "{log}");
}

/// A device plugin that tells Multus nothing: the variables do, where they leave no doubt.
pub(crate) fn without_device_info(node: &Node) {
    let _silent = Silent::start(node);
    let (pod, mac) = pod_on(STORAGE, "silent", 3);
    let pod = RunningPod::create(node, &with_mode(pod, "compute")).unwrap();
    answers(&pod, STORAGE, &mac);
    let status = pod.annotation(annotation::NETWORK_STATUS);
    assert!(status.contains(&mac) && !status.contains("device-info"), "{status}");
}

/// The kubelet has allocated the pod's devices, and the container runtime runs another CNI plugin than Multus, as it does
/// while Multus is not ready on a node. So nobody has configured the VF, and no guest may have it; the helper's log,
/// doctor and check say why. With Multus back the virtual machine starts.
pub(crate) fn without_multus(node: &Node) {
    let _silent = Silent::start(node);
    let (pod, mac) = pod_on(STORAGE, "unattached", 19);
    let pod = with_mode(pod, "compute");
    {
        let _before = BeforeMultus::start(node);
        let pod = RunningPod::create(node, &pod).unwrap();
        let words = ["network-info: incomplete: whether Multus has attached storage is not known"];
        println!("  {}", pod.wait_for_line_of(helper::CONTAINER, &words));
        let given = pod.exec(&["printenv", "PCIDEVICE_INTEL_COM_SRIOV_VFIO"]).expect_success();
        println!(
            "  {}",
            pod.wait_for_line(&["launcher: SyncVMI: ", "whether Multus has attached storage is not known"])
        );
        // In that time other guests have started.
        thread::sleep(Duration::from_secs(30));
        let log = pod.log("compute");
        assert!(!log.contains("launcher: started") && !log.contains("guest: "), "a guest has {given}: {log}");
        let last = pod.log(helper::CONTAINER).lines().last().unwrap_or_default().to_owned();
        assert!(last.contains("whether Multus has attached storage is not known"), "{last}");
        assert_eq!(pod.annotation(annotation::NETWORK_STATUS), "");
        assert!(!card(node).contains(&mac), "{given} has been configured: {}", card(node));

        pod.report();
        let doctor = node.release().doctor(&["--only", "vmi"]);
        let place = format!("default/unattached: pod {} runs, and Multus has not written", pod.name());
        println!("{}", doctor.stdout.trim());
        assert!(doctor.stdout.contains(&place) && doctor.code == Some(1), "{doctor:?}");
        let check =
            pod.exec_with_input(&["/var/run/launcher-hook/launcher-hook", "check", "--vmi", "-"], &pod.vmi());
        println!("{}", check.stdout.trim());
        assert!(check.stdout.contains("whether Multus has attached storage is not known"), "{check:?}");
        assert_ne!(check.code, Some(0), "{check:?}");
    }
    let pod = RunningPod::create(node, &pod).unwrap();
    answers(&pod, STORAGE, &mac);
}

/// The pods' default network alone, in a file that comes before Multus' own, until this is dropped.
struct BeforeMultus<'n>(&'n Node);

impl<'n> BeforeMultus<'n> {
    fn start(node: &'n Node) -> Self {
        let before = Self(node);
        node.machine().expect("cp \"$SHARED/podnet.conf\" /etc/cni/net.d/00-before-multus.conf");
        thread::sleep(CONFIGURATION_READ);
        before
    }
}

impl Drop for BeforeMultus<'_> {
    fn drop(&mut self) {
        let answer = self.0.machine().call("rm /etc/cni/net.d/00-before-multus.conf");
        thread::sleep(CONFIGURATION_READ);
        assert!(thread::panicking() || answer.status == 0, "{answer:?}");
    }
}

/// How long containerd takes at most to see that its CNI configuration has changed.
const CONFIGURATION_READ: Duration = Duration::from_secs(5);

/// The fake in the device plugin's place, keeping what it knows to itself, until this is dropped.
pub(crate) struct Silent<'n>(&'n Node);

impl<'n> Silent<'n> {
    pub(crate) fn start(node: &'n Node) -> Self {
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

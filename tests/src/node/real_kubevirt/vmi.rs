//! Virtual machines as a user writes them, small enough for an emulated node.

use crate::node::fake_kubevirt;
use contract::annotation;
use serde_json::{Value, json};

/// A VMI with SR-IOV networks: the name of each, its NAD and the MAC of the NIC on it. It boots the lab's own guest,
/// which pings the PF through each NIC.
#[must_use]
pub fn vmi(name: &str, networks: &[(&str, &str, &str)]) -> Value {
    let mut vmi = fake_kubevirt::vmi(name, networks);
    let spec = &mut vmi["spec"];
    spec["terminationGracePeriodSeconds"] = json!(0);
    let domain = &mut spec["domain"];
    domain["cpu"] = json!({"cores": 1, "model": "host-passthrough"});
    domain["memory"] = json!({"guest": "96Mi"});
    domain["firmware"] = json!({"kernelBoot": {
        "container": {
            "image": "kubevirt-sriov.test/guest:1",
            "imagePullPolicy": "Never",
            "kernelPath": "/boot/vmlinuz",
            "initrdPath": "/boot/initrd",
        },
        "kernelArgs": "console=ttyS0 quiet panic=-1 mitigations=off nokaslr cryptomgr.notests random.trust_cpu=on lab.stay",
    }});
    let devices = &mut domain["devices"];
    // What costs an emulated processor time and is not looked at.
    devices["autoattachGraphicsDevice"] = json!(false);
    devices["autoattachMemBalloon"] = json!(false);
    devices["autoattachPodInterface"] = json!(false);
    devices["logSerialConsole"] = json!(true);
    vmi
}

/// With a mode of the webhook's for this VMI alone.
#[must_use]
pub fn with_mode(vmi: Value, mode: &str) -> Value {
    annotated(vmi, annotation::LAUNCHER_HOOK, mode)
}

/// With an annotation.
#[must_use]
pub fn annotated(mut vmi: Value, key: &str, value: &str) -> Value {
    vmi["metadata"]["annotations"][key] = json!(value);
    vmi
}

/// With the user's own hook: KubeVirt's sidecar-shim, which runs `tests/node/kubevirt/onDefineDomain` and starts
/// `seconds` late.
#[must_use]
pub fn with_users_hook(vmi: Value, seconds: u32) -> Value {
    let script = format!("sleep {seconds}; exec /usr/bin/sidecar-shim --version v1alpha3");
    let sidecars = json!([{
        "image": "kubevirt-sriov.test/sidecar-shim:1",
        "imagePullPolicy": "Never",
        "command": ["/usr/bin/sh", "-c", script],
    }]);
    annotated(vmi, "hooks.kubevirt.io/hookSidecars", &sidecars.to_string())
}

/// With the binding plugin `sriov` for each network, so that the hostdevs are launcher-hook's to write. KubeVirt
/// then neither reserves memory for VFIO nor lets QEMU lock it unless the VMI asks for both.
#[must_use]
pub fn with_binding_plugin(mut vmi: Value) -> Value {
    let domain = &mut vmi["spec"]["domain"];
    domain["memory"]["reservedOverhead"] = json!({"addedOverhead": "1Gi", "memLock": "Required"});
    for interface in domain["devices"]["interfaces"].as_array_mut().unwrap() {
        let interface = interface.as_object_mut().unwrap();
        interface.remove("sriov");
        interface.insert("binding".to_owned(), json!({"name": "sriov"}));
    }
    vmi
}

/// A VirtualMachine that makes this VMI, and another when that has ended.
#[must_use]
pub fn virtual_machine(vmi: &Value) -> Value {
    let metadata = json!({"name": vmi["metadata"]["name"], "namespace": vmi["metadata"]["namespace"]});
    json!({
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": metadata,
        "spec": {
            "runStrategy": "Always",
            "template": {"metadata": {"annotations": vmi["metadata"]["annotations"]}, "spec": vmi["spec"]},
        },
    })
}

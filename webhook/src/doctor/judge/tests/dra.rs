//! Resources that a DeviceClass serves, and claimed networks.

use std::slice::from_ref;

use super::*;
use crate::doctor::facts::{Claim, DeviceClass, Dra, Offer};
use crate::kinds::{DEVICE_CLASSES, RESOURCE_CLAIMS, RESOURCE_SLICES};

fn object<T>(object: Value, read: impl Fn(&kube::api::DynamicObject) -> T) -> T {
    read(&serde_json::from_value(object).unwrap())
}

fn class(selector: &str) -> DeviceClass {
    let spec = json!({"extendedResourceName": RESOURCE, "selectors": [{"cel": {"expression": selector}}]});
    object(json!({"metadata": {"name": "vfs"}, "spec": spec}), DeviceClass::read)
}

/// A slice of node `a` with these VFs.
fn offer(vfs: &[&str]) -> Offer {
    let device = |vf: &&str| {
        let attributes = json!({"resource.kubernetes.io/pciBusID": {"string": vf}});
        json!({"name": vf.replace([':', '.'], "-"), "attributes": attributes})
    };
    let pool = json!({"name": "a", "generation": 1, "resourceSliceCount": 1});
    let devices: Vec<_> = vfs.iter().map(device).collect();
    let spec = json!({"driver": "vf.test", "nodeName": "a", "pool": pool, "devices": devices});
    object(json!({"metadata": {"name": "s"}, "spec": spec}), |slice| Offer::read(from_ref(slice)))
}

/// A claim of a pod for these requests, each of which has some VFs.
fn claim(name: &str, pod: &str, requests: &[(&str, &[&str])]) -> Claim {
    let request = |(name, _): &(&str, &[&str])| json!({"name": name, "exactly": {"deviceClassName": "vfs", "count": 1}});
    let results = requests.iter().flat_map(|(name, vfs)| {
        vfs.iter().map(move |vf| {
            json!({"request": name, "driver": "vf.test", "pool": "a", "device": vf.replace([':', '.'], "-")})
        })
    });
    let claim = json!({
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"devices": {"requests": requests.iter().map(request).collect::<Vec<_>>()}},
        "status": {
            "allocation": {"devices": {"results": results.collect::<Vec<_>>()}},
            "reservedFor": [{"resource": "pods", "name": pod, "uid": "1"}],
        },
    });
    object(claim, |claim| Claim::read(claim).unwrap())
}

const VFS: [&str; 2] = ["0000:01:10.0", "0000:01:10.2"];
const POD: &str = "virt-launcher-database-abcde";

/// No node advertises the resource, and a DeviceClass serves it: two devices, of which the pod has one.
fn served() -> Facts {
    let classes = vec![class(r#"device.driver == "vf.test""#)];
    let claims = vec![claim("database-x7k2p", POD, &[("container-0-request-0", &VFS[..1])])];
    Facts {
        nodes: Some(Ok(vec![node("a", &[("devices.kubevirt.io/kvm", 1000)])])),
        dra: Some(Ok(Dra { classes, offer: Ok(offer(&VFS)), claims: Ok(claims) })),
        ..well()
    }
}

fn dra(facts: &mut Facts) -> &mut Dra {
    facts.dra.as_mut().unwrap().as_mut().unwrap()
}

/// What is said of resources after a change.
fn said(change: impl FnOnce(&mut Facts)) -> String {
    let mut facts = served();
    change(&mut facts);
    let report = judge(&facts, &[Check::Resource], &release::decisions(Options::default()));
    let line = |finding: &Finding| {
        let remedy = finding.remedy.as_ref().map(|remedy| format!("\n-> {remedy}")).unwrap_or_default();
        format!("{} {}{remedy}", finding.state.as_str(), finding.found)
    };
    report.findings.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn waiting(facts: &mut Facts) {
    let reason = "0/1 nodes are available: 1 cannot allocate all claims. still not schedulable, preemption: 0/1 nodes are \
                  available: 1 Preemption is not helpful for scheduling.";
    let late = LauncherPod {
        name: "late".to_owned(),
        created_by: "late".to_owned(),
        node: None,
        unschedulable: Some(reason.to_owned()),
        ..pod("storage", &json!({RESOURCE: "1"}))
    };
    facts.pods.as_mut().unwrap().as_mut().unwrap().push(late);
}

#[test]
fn a_resource_that_a_device_class_serves() {
    insta::assert_snapshot!(said(|_| {}), @r"ok intel.com/sriov_vfio: 2 on 1 node, 1 free, by DeviceClass vfs (DRA); held: 1 by claim default/database-x7k2p of pod virt-launcher-database-abcde; named by default/storage");
    insta::assert_snapshot!(said(|facts| dra(facts).claims = Ok(Vec::new())), @r"ok intel.com/sriov_vfio: 2 on 1 node, 2 free, by DeviceClass vfs (DRA); no claim holds one; named by default/storage");
    insta::assert_snapshot!(said(waiting), @r"
    warning intel.com/sriov_vfio: 2 on 1 node, 1 free, by DeviceClass vfs (DRA); 1 pod waits for it: default/late (the scheduler says: 0/1 nodes are available: 1 cannot allocate all claims. still not schedulable, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.); held: 1 by claim default/database-x7k2p of pod virt-launcher-database-abcde; named by default/storage
    -> create more VFs, or stop a virtual machine that holds some; those that seem free are on nodes where the pod cannot run, or are fewer than it needs
    ");
    insta::assert_snapshot!(said(|facts| dra(facts).offer = Ok(Offer::default())), @r"
    WRONG intel.com/sriov_vfio: DeviceClass vfs serves it (DRA), and no ResourceSlice offers a device that it selects; named by default/storage
    -> does the DRA driver run on the nodes? kubectl get resourceslices -o yaml shows what it offers, kubectl get deviceclass vfs -o yaml what is selected
    ");
    // One node has it from the device plugin, another from the class.
    insta::assert_snapshot!(said(|facts| facts.nodes = well().nodes), @r"
    ok intel.com/sriov_vfio: 6 on 2 nodes; named by default/storage
    ok intel.com/sriov_vfio: 2 on 1 node, 1 free, by DeviceClass vfs (DRA); held: 1 by claim default/database-x7k2p of pod virt-launcher-database-abcde; on nodes that do not advertise it
    ");
    // The device plugin of this node has ended, which leaves a zero.
    insta::assert_snapshot!(said(|facts| facts.nodes = Some(Ok(vec![node("a", &[(RESOURCE, 0)])]))), @r"ok intel.com/sriov_vfio: 2 on 1 node, 1 free, by DeviceClass vfs (DRA); held: 1 by claim default/database-x7k2p of pod virt-launcher-database-abcde; named by default/storage");
}

#[test]
fn what_cannot_be_counted_is_not_guessed() {
    let of_kubernetes = r#"device.capacity["a"].b.compareTo(quantity("1Gi")) >= 0"#;
    insta::assert_snapshot!(said(|facts| dra(facts).classes = vec![class(of_kubernetes)]), @r#"ok intel.com/sriov_vfio: an unknown number of devices (DeviceClass vfs has the selector 'device.capacity["a"].b.compareTo(quantity("1Gi")) >= 0', which cannot be evaluated here) by DeviceClass vfs (DRA); held: 1 by claim default/database-x7k2p of pod virt-launcher-database-abcde; named by default/storage"#);
    insta::assert_snapshot!(said(|facts| dra(facts).offer = forbidden(RESOURCE_SLICES)), @r"ok intel.com/sriov_vfio: an unknown number of devices (not allowed to list resourceslices.resource.k8s.io in all namespaces (the API server says: no)) by DeviceClass vfs (DRA); held: 1 by claim default/database-x7k2p of pod virt-launcher-database-abcde; named by default/storage");
    insta::assert_snapshot!(said(|facts| dra(facts).claims = forbidden(RESOURCE_CLAIMS)), @r"ok intel.com/sriov_vfio: 2 on 1 node by DeviceClass vfs (DRA); who holds them is unknown: not allowed to list resourceclaims.resource.k8s.io in all namespaces (the API server says: no); named by default/storage");
}

#[test]
fn a_class_that_serves_another_resource_or_cannot_be_seen() {
    insta::assert_snapshot!(said(|facts| dra(facts).classes.clear()), @r"
    WRONG intel.com/sriov_vfio: no node advertises it, and no DeviceClass serves it (DRA); named by default/storage
    -> compare resourcePrefix and resourceName of the device plugin's configuration, or resourceName of the SriovNetworkNodePolicy, with the NAD's annotation; launcher-hook check on the node says whether it is fit
    ");
    insta::assert_snapshot!(said(|facts| facts.dra = Some(not_served(DEVICE_CLASSES))), @r"
    WRONG intel.com/sriov_vfio: no node advertises it, and the cluster has no DeviceClasses that could serve it (Kubernetes 1.34 and later have them); named by default/storage
    -> compare resourcePrefix and resourceName of the device plugin's configuration, or resourceName of the SriovNetworkNodePolicy, with the NAD's annotation; launcher-hook check on the node says whether it is fit
    ");
    insta::assert_snapshot!(said(|facts| facts.dra = Some(forbidden(DEVICE_CLASSES))), @r"
    unknown intel.com/sriov_vfio: no node advertises it, and whether a DeviceClass serves it (DRA) is unknown: not allowed to list deviceclasses.resource.k8s.io in all namespaces (the API server says: no); named by default/storage
    -> use a kubeconfig that may list deviceclasses, resourceslices and resourceclaims (examples/doctor.yaml)
    ");
    // Nothing depends on it.
    insta::assert_snapshot!(said(|facts| {
        facts.dra = Some(forbidden(DEVICE_CLASSES));
        facts.nodes = well().nodes;
    }), @r"
    ok intel.com/sriov_vfio: 6 on 2 nodes; named by default/storage
    ok DeviceClasses (DRA) are not looked at: not allowed to list deviceclasses.resource.k8s.io in all namespaces (the API server says: no)
    ");
    assert!(
        !said(|facts| {
            facts.dra = Some(not_served(DEVICE_CLASSES));
            facts.nodes = well().nodes;
        })
        .contains("DeviceClass")
    );
}

/// A VMI with one network whose device is from a claim, and its pod.
fn claimed(results: &[&str]) -> Facts {
    let mut facts = served();
    let reference = json!({"claimName": "vfs", "requestName": "first"});
    let vmi = json!({
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {"name": "database", "namespace": "default", "uid": "uid-of-database"},
        "spec": {
            "domain": {"devices": {"interfaces": [{"name": "fast", "sriov": {}}]}},
            "networks": [{"name": "fast", "multus": {"networkName": "storage", "resourceClaim": reference}}],
            "resourceClaims": [{"name": "vfs", "resourceClaimName": "my-vfs"}],
        },
        "status": {"phase": "Running"},
    });
    facts.machines = Some(Ok(vec![object(vmi, Machine::read)]));
    facts.networks = nads([(nad("storage"), network("a_name_for_multus"))]);
    let pod = pod_of(
        "database",
        "storage",
        &json!({}),
        &json!({
            "metadata": {"annotations": {(annotation::NETWORKS_OF_VMI):
                r#"{"fast":{"nad":"default/storage","claim":{"kind":"resourceclaims","claim":"my-vfs","request":"first"}}}"#}},
            "spec": {
                "resourceClaims": [{"name": "vfs", "resourceClaimName": "my-vfs"}],
                "containers": [{"name": "compute", "resources": {"claims": [{"name": "vfs"}]}}],
            },
        }),
    );
    facts.pods = Some(Ok(vec![pod]));
    dra(&mut facts).claims = Ok(vec![claim("my-vfs", POD, &[("first", results)])]);
    facts
}

fn of_vmis(facts: &Facts) -> String {
    table(&judge(facts, &[Check::Nad, Check::Vmi], &release::decisions(Options::default())))
}

#[test]
fn a_claimed_network() {
    insta::assert_snapshot!(of_vmis(&claimed(&VFS[1..])), @r#"
    warning  nad       default/storage: its annotation k8s.v1.cni.cncf.io/resourceName: "a_name_for_multus" is not a resource name of the form prefix/name, such as intel.com/sriov_vfio; a VMI claims its device, for which it is only the name under which Multus finds the device
                       -> if all claim it, kubectl --namespace default annotate net-attach-def storage kubevirt-sriov.io/device-source=resource-claim; until then other pods that name it are denied [nad-name-for-claim]
    ok       vmi       1 of 1 VMI with networks that need devices hold them; of 1 Multus has not yet said what it attached

    Each [code] is explained at https://github.com/kubevirt-sriov/kubevirt-sriov/blob/main/docs/findings.md
    Nothing is wrong; 1 thing to look at.
    "#);
    insta::assert_snapshot!(of_vmis(&claimed(&VFS)), @r#"
    warning  nad       default/storage: its annotation k8s.v1.cni.cncf.io/resourceName: "a_name_for_multus" is not a resource name of the form prefix/name, such as intel.com/sriov_vfio; a VMI claims its device, for which it is only the name under which Multus finds the device
                       -> if all claim it, kubectl --namespace default annotate net-attach-def storage kubevirt-sriov.io/device-source=resource-claim; until then other pods that name it are denied [nad-name-for-claim]
    WRONG    vmi       default/database: pod virt-launcher-database-abcde: request first of claim my-vfs has 2 devices (0000:01:10.0, 0000:01:10.2), and network fast needs one
                       -> kubectl --namespace default describe resourceclaims shows what was allocated; let the request have count: 1, and restart the virtual machine [claim-device-count]

    Each [code] is explained at https://github.com/kubevirt-sriov/kubevirt-sriov/blob/main/docs/findings.md
    1 thing is wrong.
    "#);
    let mut facts = claimed(&VFS[1..]);
    dra(&mut facts).claims = Ok(Vec::new());
    insta::assert_snapshot!(of_vmis(&facts), @r#"
    warning  nad       default/storage: its annotation k8s.v1.cni.cncf.io/resourceName: "a_name_for_multus" is not a resource name of the form prefix/name, such as intel.com/sriov_vfio; a VMI claims its device, for which it is only the name under which Multus finds the device
                       -> if all claim it, kubectl --namespace default annotate net-attach-def storage kubevirt-sriov.io/device-source=resource-claim; until then other pods that name it are denied [nad-name-for-claim]
    WRONG    vmi       default/database: pod virt-launcher-database-abcde: request first of claim my-vfs has no device, and network fast needs one
                       -> kubectl --namespace default describe resourceclaims shows what was allocated; let the request have count: 1, and restart the virtual machine [claim-device-count]

    Each [code] is explained at https://github.com/kubevirt-sriov/kubevirt-sriov/blob/main/docs/findings.md
    1 thing is wrong.
    "#);
    facts.dra = Some(forbidden(DEVICE_CLASSES));
    insta::assert_snapshot!(of_vmis(&facts), @r#"
    warning  nad       default/storage: its annotation k8s.v1.cni.cncf.io/resourceName: "a_name_for_multus" is not a resource name of the form prefix/name, such as intel.com/sriov_vfio; a VMI claims its device, for which it is only the name under which Multus finds the device
                       -> if all claim it, kubectl --namespace default annotate net-attach-def storage kubevirt-sriov.io/device-source=resource-claim; until then other pods that name it are denied [nad-name-for-claim]
    unknown  vmi       default/database: pod virt-launcher-database-abcde: the devices of its claims cannot be seen: not allowed to list deviceclasses.resource.k8s.io in all namespaces (the API server says: no)
                       -> use a kubeconfig that may list deviceclasses, resourceslices and resourceclaims (examples/doctor.yaml) [cannot-read]

    Each [code] is explained at https://github.com/kubevirt-sriov/kubevirt-sriov/blob/main/docs/findings.md
    Nothing wrong was seen; 1 thing to look at; 1 thing could not be seen.
    "#);
}

/// The map has the VF of a network from the claim, with a resource and without.
#[test]
fn the_map_shows_claims() {
    let map = |facts: &Facts| {
        let map = crate::doctor::map::map(facts, &[], &release::decisions(Options::default()));
        let network = map.machines[0].pods[0].networks[0].clone();
        (network.resource.value.unwrap_or_default(), network.vf.value.unwrap_or_default())
    };
    let owned = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    assert_eq!(map(&served()), owned("intel.com/sriov_vfio 1/1", VFS[0]));
    assert_eq!(map(&claimed(&VFS[1..])), owned("claim my-vfs/first", VFS[1]));
    let mut facts = claimed(&VFS[1..]);
    dra(&mut facts).claims = Ok(Vec::new());
    assert_eq!(map(&facts), owned("claim my-vfs/first", ""));
}

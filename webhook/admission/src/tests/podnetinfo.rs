use super::*;

fn options() -> Options {
    Options { scope: Scope::AllPods, podnetinfo: true, ..Options::default() }
}

/// A pod that has nothing to do with KubeVirt.
fn dpdk() -> Value {
    json!({
        "metadata": {"name": "dpdk", "annotations": {annotation::NETWORKS: "vf"}},
        "spec": {"containers": [
            {
                "name": "app",
                "env": [{"name": "A", "value": "B"}],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                "resources": {"limits": {"hugepages-1Gi": "2Gi"}, "requests": {"hugepages-1Gi": "2Gi"}}
            },
            {"name": "beside"}
        ], "volumes": [{"name": "data", "emptyDir": {}}]}
    })
}

#[test]
fn every_container_gets_the_files_once() {
    let pod = dpdk();
    let once = patched(&pod, &decide_pod(&pod, &options()));
    let mount = json!({"name": "podnetinfo", "mountPath": "/etc/podnetinfo", "readOnly": true});
    let containers = &once["spec"]["containers"];
    assert_eq!(containers[0]["volumeMounts"], json!([{"name": "data", "mountPath": "/data"}, mount]));
    assert_eq!(
        containers[0]["env"],
        json!([{"name": "A", "value": "B"}, {"name": "CONTAINER_NAME", "value": "app"}])
    );
    // No hugepages, so nothing to find its own by.
    assert_eq!((&containers[1]["volumeMounts"], &containers[1]["env"]), (&json!([mount]), &Value::Null));
    let file = |path: &str, resource: &str| {
        let reference = json!({"containerName": "app", "resource": resource, "divisor": "1Mi"});
        json!({"path": path, "resourceFieldRef": reference})
    };
    assert_eq!(
        once["spec"]["volumes"],
        json!([{"name": "data", "emptyDir": {}}, {"name": "podnetinfo", "downwardAPI": {"items": [
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "annotations", "fieldRef": {"fieldPath": "metadata.annotations"}},
            file("hugepages_1G_request_app", "requests.hugepages-1Gi"),
            file("hugepages_1G_limit_app", "limits.hugepages-1Gi"),
        ]}}])
    );
    assert_eq!(decide_pod(&once, &options()).verdict.outcome, Outcome::Unchanged);
}

#[test]
fn a_container_with_a_mount_of_its_own_there_is_passed_over() {
    let mut pod = dpdk();
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "data", "mountPath": "/etc/podnetinfo/"}]);
    let after = patched(&pod, &decide_pod(&pod, &options()));
    let containers = &after["spec"]["containers"];
    for field in ["volumeMounts", "env"] {
        assert_eq!(containers[0][field], pod["spec"]["containers"][0][field]);
    }
    assert_eq!(containers[1]["volumeMounts"][0]["name"], "podnetinfo");
    assert!(!after["spec"]["volumes"].to_string().contains("hugepages"), "{after}");

    // With nobody left there is no volume to mount either.
    pod["spec"]["containers"].as_array_mut().unwrap().pop();
    let after = patched(&pod, &decide_pod(&pod, &options()));
    assert_eq!(after["spec"]["volumes"], pod["spec"]["volumes"]);
}

#[test]
fn who_did_not_ask_gets_nothing() {
    let without = patched(&dpdk(), &decide_pod(&dpdk(), &Options { podnetinfo: false, ..options() }));
    assert!(!without.to_string().contains("podnetinfo"));
    // KubeVirt's pods have files of their own, and a pod without such networks needs none.
    let launcher = pod("vf");
    assert!(!patched(&launcher, &decide_pod(&launcher, &options())).to_string().contains("podnetinfo"));
    let mut bridged = dpdk();
    bridged["metadata"]["annotations"][annotation::NETWORKS] = json!("bridge");
    assert_eq!(decide_pod(&bridged, &options()).verdict.outcome, Outcome::Unchanged);
}

#[test]
fn what_cannot_be_read_is_refused() {
    let mut pod = dpdk();
    pod["spec"]["volumes"] = json!([{"emptyDir": {}}]);
    let Outcome::Denied(denial) = decide_pod(&pod, &options()).verdict.outcome else { panic!("it passed") };
    assert_eq!(denial.reason, Reason::ObjectUnreadable);
}

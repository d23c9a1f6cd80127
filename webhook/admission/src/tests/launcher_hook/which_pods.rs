//! Which pods get launcher-hook, and what they keep.

use super::*;

#[rstest]
fn a_second_call_changes_nothing(
    #[values(Mode::Off, Mode::Sidecar, Mode::Compute)] mode: Mode,
    #[values(
        kubevirt_pod(),
        fixture("hook-sidecar"),
        fixture("binding-plugin"),
        fixture("dedicated-cpus"),
        pod("vf")
    )]
    pod: Value,
) {
    let once = injected(&pod, mode);
    for again in [Mode::Off, Mode::Sidecar, Mode::Compute] {
        let outcome = decide_pod(&once, &options(again)).verdict.outcome;
        assert!(outcome == Outcome::Unchanged || mode == Mode::Off, "{outcome:?}");
    }
}

#[test]
fn a_pod_with_another_hook_after_its_start_keeps_it() {
    let mut pod = kubevirt_pod();
    let other = json!({"exec": {"command": ["/bin/true"]}});
    compute_of(&mut pod)["lifecycle"] = json!({"preStop": other});
    let lifecycle = compute(&injected(&pod, Mode::Compute))["lifecycle"].clone();
    assert_eq!(lifecycle["preStop"], other);
    assert_eq!(lifecycle["postStart"]["exec"]["command"][1], "report-devices");
}

#[rstest]
#[case::flag_alone(None, Mode::Compute, true)]
#[case::annotation_on("compute".into(), Mode::Off, true)]
#[case::annotation_off("off".into(), Mode::Compute, false)]
fn the_annotation_wins_over_the_flag(
    #[case] annotation: Option<&str>,
    #[case] flag: Mode,
    #[case] expected: bool,
) {
    let mut pod = kubevirt_pod();
    if let Some(mode) = annotation {
        pod["metadata"]["annotations"][annotation::LAUNCHER_HOOK] = json!(mode);
    }
    let after = injected(&pod, flag);
    assert_eq!(helper(&after).is_some(), expected);
}

#[rstest]
#[case::provisioning(|pod: &mut Value| pod["metadata"]["annotations"]["kubevirt.io/ephemeral-provisioning-object"] = json!(""))]
#[case::no_resource(|pod: &mut Value| pod["metadata"]["annotations"][annotation::NETWORKS] = json!("ns/bridge"))]
fn pods_that_do_not_need_it_do_not_get_it(#[case] change: fn(&mut Value)) {
    let mut pod = kubevirt_pod();
    change(&mut pod);
    let after = injected(&pod, Mode::Compute);
    assert!(helper(&after).is_none());
    assert_eq!(sockets(&after).as_deref(), Some("0"));
}

#[test]
fn only_virt_launcher_pods_get_it() {
    let mut pod = kubevirt_pod();
    pod["metadata"]["labels"] = json!({});
    let all = Options { scope: Scope::AllPods, ..options(Mode::Compute) };
    let after = patched(&pod, &decide_pod(&pod, &all));
    assert!(helper(&after).is_none());
}

#[rstest]
#[case::unknown_mode(
    |pod: &mut Value| pod["metadata"]["annotations"][annotation::LAUNCHER_HOOK] = json!("yes"),
    r#"annotation kubevirt-sriov.io/launcher-hook: "yes" is not a mode: write off, sidecar or compute"#
)]
#[case::no_count(
    |pod: &mut Value| compute_of(pod)["args"] = json!(["--hook-sidecars", "many"]),
    r#"container compute: flag --hook-sidecars: "many" is not a number of hook sidecars: write one, as KubeVirt does"#
)]
#[case::no_joined_count(
    |pod: &mut Value| compute_of(pod)["args"] = json!(["--hook-sidecars=many"]),
    r#"container compute: flag --hook-sidecars: "many" is not a number of hook sidecars: write one, as KubeVirt does"#
)]
#[case::count_missing(
    |pod: &mut Value| compute_of(pod)["args"] = json!(["--hook-sidecars"]),
    r#"container compute: flag --hook-sidecars: "" is not a number of hook sidecars: write one, as KubeVirt does"#
)]
#[case::another_post_start(
    |pod: &mut Value| compute_of(pod)["lifecycle"] = json!({"postStart": {"exec": {"command": ["/bin/true"]}}}),
    "container compute has a lifecycle.postStart, which launcher-hook needs for itself in mode compute: remove it, or \
     write sidecar or off into annotation kubevirt-sriov.io/launcher-hook"
)]
#[case::mounts_unreadable(
    |pod: &mut Value| pod["spec"]["containers"][0]["volumeMounts"] = json!("none"),
    "the pod in the review cannot be read: invalid type: string"
)]
fn refusals(#[case] change: fn(&mut Value), #[case] start: &str) {
    let mut pod = kubevirt_pod();
    change(&mut pod);
    let Outcome::Denied(denial) = decide_pod(&pod, &options(Mode::Compute)).verdict.outcome else {
        panic!("passed")
    };
    assert!(denial.message.starts_with(start), "{}", denial.message);
}

#[test]
fn without_an_image_a_pod_that_asks_for_the_helper_is_refused() {
    let mut pod = kubevirt_pod();
    pod["metadata"]["annotations"][annotation::LAUNCHER_HOOK] = json!("compute");
    let Outcome::Denied(denial) = decide_pod(&pod, &Options::default()).verdict.outcome else {
        panic!("passed")
    };
    assert!(denial.message.contains("--launcher-hook-image"), "{}", denial.message);
}

#[rstest]
#[case::burstable("plain", "5m")]
#[case::guaranteed("dedicated-cpus", "100m")]
fn the_pod_keeps_its_qos_class(
    #[case] pod: &str,
    #[case] cpu_request: &str,
    #[values("compute", "sidecar")] mode: &str,
) {
    let mut pod = fixture(pod);
    pod["metadata"]["annotations"][annotation::LAUNCHER_HOOK] = json!(mode);
    let after = injected(&pod, Mode::Off);
    assert_eq!(
        helper(&after).unwrap()["resources"],
        json!({
            "requests": {"cpu": cpu_request, "memory": "16Mi"},
            "limits": {"cpu": "100m", "memory": "16Mi"}
        })
    );
}

/// The ServiceAccount's own are in the pod before a webhook sees it.
#[rstest]
#[case::none_there(None, json!([{"name": "pull"}]))]
#[case::others_there(Some(json!([{"name": "team"}])), json!([{"name": "team"}, {"name": "pull"}]))]
#[case::it_is_there(Some(json!([{"name": "pull"}])), json!([{"name": "pull"}]))]
fn the_pull_secret_stands_beside_those_of_the_pod(#[case] before: Option<Value>, #[case] expected: Value) {
    let mut pod = kubevirt_pod();
    if let Some(before) = before {
        pod["spec"]["imagePullSecrets"] = before;
    }
    let mut options = options(Mode::Sidecar);
    options.launcher_hook.image_pull_secret = Some("pull".to_owned());
    let after = patched(&pod, &decide_pod(&pod, &options));
    assert_eq!(after["spec"]["imagePullSecrets"], expected);
    // Nothing of it without the helper, and nothing without the setting.
    options.launcher_hook.mode = Mode::Off;
    let without = patched(&pod, &decide_pod(&pod, &options));
    assert_eq!(without["spec"]["imagePullSecrets"], pod["spec"]["imagePullSecrets"]);
    let after = injected(&pod, Mode::Sidecar);
    assert_eq!(after["spec"]["imagePullSecrets"], pod["spec"]["imagePullSecrets"]);
}

use rstest::rstest;

use super::*;

fn looked(pod: &Value, options: &Options) -> Decision {
    let body = review(pod).to_string();
    decide_final(&read(body.as_bytes()).unwrap(), &networks(), options)
}

fn with_helper() -> Options {
    let launcher_hook =
        LauncherHook { mode: Mode::Sidecar, image: Some("helper:1".to_owned()), ..LauncherHook::default() };
    Options { launcher_hook, ..Options::default() }
}

/// The pod as the webhook left it.
fn complete(networks: &str, options: &Options) -> Value {
    let pod = pod(networks);
    patched(&pod, &decide_pod(&pod, options))
}

fn stripped(pod: &Value, path: &str) -> Value {
    let mut pod = pod.clone();
    let (parent, key) = path.rsplit_once('/').unwrap();
    match pod.pointer_mut(parent).unwrap() {
        Value::Object(map) => drop(map.remove(key).unwrap()),
        Value::Array(list) => drop(list.remove(key.parse().unwrap())),
        other => panic!("{other}"),
    }
    pod
}

#[rstest]
#[case::devices("vf,vf", Options::default())]
#[case::labels("rack1", Options::default())]
#[case::helper("vf", with_helper())]
#[case::no_resource("bridge", Options::default())]
fn a_pod_that_was_left_alone_passes(#[case] networks: &str, #[case] options: Options) {
    let verdict = looked(&complete(networks, &options), &options).verdict;
    assert_eq!((verdict.outcome, verdict.warnings), (Outcome::Unchanged, Vec::new()));
}

#[test]
fn what_is_missing_is_named() {
    let said = |pod: &Value, options: &Options| {
        let decision = looked(pod, options);
        let denial = decision.verdict.denial().unwrap();
        assert_eq!((denial.reason, decision.verdict.helper_added), (Reason::Incomplete, false));
        denial.message.split(". ").next().unwrap().to_owned()
    };
    let (plain, helper) = (Options::default(), with_helper());
    let two = complete("vf,vf", &plain);
    let mut one = two.clone();
    for field in ["requests", "limits"] {
        one["spec"]["containers"][0]["resources"][field]["intel.com/sriov_vfio"] = json!("1");
    }
    let lines = [
        said(&pod("vf,vf,cx6"), &plain),
        said(&one, &plain),
        said(&stripped(&two, "/spec/containers/0/resources"), &plain),
        said(&stripped(&two, "/spec/containers/0/resources/limits"), &plain),
        said(&stripped(&complete("rack1", &plain), "/spec/nodeSelector"), &plain),
        said(&stripped(&complete("vf", &helper), "/spec/initContainers/0"), &helper),
        said(&pod("vf"), &helper),
    ];
    insta::assert_snapshot!(lines.join("\n"));
    let whole = looked(&pod("vf"), &plain);
    insta::assert_snapshot!(whole.verdict.denial().unwrap().message, @"the pod would be stored without what its networks need: it requests 0 of 1 intel.com/sriov_vfio. The webhook that adds it was not called or did not answer, or another one undid its changes afterwards: find it among `kubectl get mutatingwebhookconfigurations`, then create the pod again");
}

#[test]
fn a_pod_that_nobody_could_decide_is_refused_for_the_same_reason() {
    let verdict = looked(&pod("nowhere"), &Options::default()).verdict;
    assert_eq!(verdict.denial().unwrap().reason, Reason::NetworkUnknown);
    assert_eq!(verdict.unknown, ["ns/nowhere".parse().unwrap()]);
}

#[test]
fn one_that_warns_lets_everything_pass() {
    let options = Options { final_look: FinalLook::Warn, ..Options::default() };
    for (networks, part) in
        [("vf", "it requests 0 of 1 intel.com/sriov_vfio"), ("nowhere", "ns/nowhere does not exist")]
    {
        let verdict = looked(&pod(networks), &options).verdict;
        assert_eq!(verdict.outcome, Outcome::Unchanged);
        let [warning] = verdict.warnings.as_slice() else { panic!("{:?}", verdict.warnings) };
        assert!(warning.contains(part), "{warning}");
    }
}

#[test]
fn pods_that_are_not_ours_are_not_looked_at() {
    let mut other = pod("vf");
    other["metadata"]["labels"] = json!({});
    assert_eq!(looked(&other, &Options::default()).verdict.outcome, Outcome::OutOfScope);
    let options = Options { scope: Scope::AllPods, ..Options::default() };
    assert!(looked(&other, &options).verdict.denial().is_some());
}

#[test]
fn files_that_were_added_are_looked_for() {
    let options = Options { scope: Scope::AllPods, podnetinfo: true, ..Options::default() };
    let mut pod = pod("vf");
    pod["metadata"]["labels"] = json!({});
    let complete = patched(&pod, &decide_pod(&pod, &options));
    assert_eq!(looked(&complete, &options).verdict.outcome, Outcome::Unchanged);
    let without = stripped(&stripped(&complete, "/spec/volumes"), "/spec/containers/0/volumeMounts");
    let decision = looked(&without, &options);
    let message = &decision.verdict.denial().unwrap().message;
    assert!(message.contains("need: /etc/podnetinfo is not mounted. "), "{message}");
}

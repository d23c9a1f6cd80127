//! The chart installed, upgraded, tested and taken away, with the webhook running as it says.

use k8s_openapi::api::core::v1::Pod as ApiPod;
use kube::Api;
use kube::api::PostParams;
use rstest::rstest;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tests::api_server::release::Helm;
use tests::api_server::{Pod, Release, StoredPod, Webhook};

/// How long a replica may take to drain and end.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

async fn devices(release: &Release, name: &str) -> String {
    let pods: Api<ApiPod> = Api::namespaced(release.client().await, release.namespace());
    let pod = Pod::virt_launcher(name).networks("sriov-net, sriov-net").in_namespace(release.namespace());
    let pod: ApiPod = serde_json::from_value(pod.value().clone()).unwrap();
    let created = pods.create(&PostParams::default(), &pod).await.unwrap();
    StoredPod::from(created).devices("compute")
}

#[rstest]
#[case::helm_3(Helm::Three, "release")]
#[case::helm_4(Helm::Four, "release4")]
#[tokio::test(flavor = "multi_thread")]
async fn install_test_upgrade_rollback_uninstall(#[case] helm: Helm, #[case] name: &str) {
    let release = Release::new(name).by(helm);
    release.apply_network("sriov-net", "intel.com/sriov_vfio");
    let notes = release.deploy("install", &[]).expect_success();
    assert!(notes.contains(&format!("helm test {}", release.full_name())), "{notes}");

    let replica = release.replica("replica");
    release.balancer().add(replica.address());
    release.wait_until_asked();
    assert_eq!(devices(&release, "after-install").await, "intel.com/sriov_vfio=2");

    // What only a webhook with a cluster shows; webhook/tests/documentation.rs looks at the others.
    let unknown = Pod::virt_launcher("unknown").networks("no-such-net").in_namespace(release.namespace());
    let refused = release.kubectl().dry_run(&unknown.to_string()).expect_failure();
    assert!(refused.contains("no-such-net"), "{refused}");
    let metrics = replica.admin("/metrics").unwrap().body;
    assert!(metrics.contains("sriov_webhook_live_look_ups_total{result=\"missing\"} 1"), "{metrics}");

    helm_test(&release);
    doctor(&release);

    // The certificates are the replicas', and an upgrade must not touch them.
    let bundle = |release: &Release| {
        let registration = release.object("mutatingwebhookconfiguration", &release.full_name());
        let entries = registration["webhooks"].as_array().unwrap();
        let bundles: Vec<String> =
            entries.iter().map(|one| one["clientConfig"]["caBundle"].as_str().unwrap().to_owned()).collect();
        assert!(bundles.len() == 2 && bundles.iter().all(|one| !one.is_empty()), "{registration}");
        let secret = format!("{}-tls", release.full_name());
        (bundles, release.object("secret", &secret)["data"].clone())
    };
    let before = bundle(&release);
    release
        .deploy("upgrade", &["--set", "log.level=debug", "--set", "webhook.timeoutSeconds=7"])
        .expect_success();
    assert_eq!(bundle(&release), before);
    let registration = release.object("mutatingwebhookconfiguration", &release.full_name());
    assert_eq!(registration["webhooks"][0]["timeoutSeconds"], 7);
    let upgraded = release.replica("upgraded");
    release.balancer().add(upgraded.address());
    release.balancer().remove(replica.address());
    drop(replica);
    release.wait_until_asked();
    assert_eq!(devices(&release, "after-upgrade").await, "intel.com/sriov_vfio=2");

    release.rollback().expect_success();
    assert_eq!(bundle(&release), before);
    let registration = release.object("mutatingwebhookconfiguration", &release.full_name());
    assert_eq!(registration["webhooks"][0]["timeoutSeconds"], 5);

    release.helm(&["uninstall", &release.full_name(), "--wait"]).expect_success();
    let label = format!("app.kubernetes.io/instance={}", release.full_name());
    let kinds = "deployments,services,secrets,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,\
                 mutatingwebhookconfigurations,poddisruptionbudgets,networkpolicies,configmaps";
    let left = ["get", kinds, "--all-namespaces", "--selector", &label, "--output", "name"];
    assert_eq!(release.kubectl().run(left).expect_success(), "");
    // The webhook is no longer called, and does not stand in the way.
    assert_eq!(devices(&release, "after-uninstall").await, "");
}

/// What the runbook has people do by hand, and the upgrade that puts things back. kubectl owns the fields that it wrote,
/// so the fourth helm has to be told to take them.
#[rstest]
#[case::helm_3(Helm::Three, "runbook", &[])]
#[case::helm_4(Helm::Four, "runbook4", &["--force-conflicts"])]
fn an_upgrade_puts_back_what_the_runbook_had_people_change(
    #[case] helm: Helm,
    #[case] name: &str,
    #[case] further: &[&str],
) {
    let release = Release::new(name).by(helm);
    release.deploy("install", &[]).expect_success();
    let (name, system) = (release.full_name(), release.system());
    let replica = release.replica("before");
    release.balancer().add(replica.address());
    release.wait_until_asked();

    // Virtual machines must start now.
    let ignore = r#"[{"op":"replace","path":"/webhooks/0/failurePolicy","value":"Ignore"}]"#;
    let patch = ["patch", "mutatingwebhookconfiguration", &name, "--type", "json", "--patch", ignore];
    release.kubectl().run(patch).expect_success();
    let again = |further: &[&str]| release.deploy("upgrade", &[&["--reuse-values"], further].concat());
    if helm == Helm::Four {
        let refused = again(&[]).expect_failure();
        assert!(refused.contains("conflict"), "{refused}");
    }
    again(further).expect_success();
    let registration = release.object("mutatingwebhookconfiguration", &name);
    assert_eq!(registration["webhooks"][0]["failurePolicy"], "Fail");
    release.wait_until_asked();

    // A key has leaked.
    release.kubectl().run(["delete", "deployment", &name, "--namespace", &system]).expect_success();
    release.balancer().remove(replica.address());
    drop(replica);
    let secret = format!("{name}-tls");
    let old = release.object("secret", &secret)["data"].clone();
    release.kubectl().run(["delete", "secret", &secret, "--namespace", &system]).expect_success();
    let remove = r#"[{"op":"remove","path":"/webhooks/0/clientConfig/caBundle"},
                     {"op":"remove","path":"/webhooks/1/clientConfig/caBundle"}]"#;
    let patch = ["patch", "mutatingwebhookconfiguration", &name, "--type", "json", "--patch", remove];
    release.kubectl().run(patch).expect_success();
    again(further).expect_success();
    assert_eq!(release.object("deployment", &name)["spec"]["replicas"], 2);
    let replica = release.replica("after");
    release.balancer().add(replica.address());
    release.wait_until_asked();
    assert_ne!(release.object("secret", &secret)["data"], old);
}

/// `helm test` as far as it goes without a kubelet: its objects are made, and its container is a process.
fn helm_test(release: &Release) {
    let manifest = release.helm(&["get", "hooks", &release.full_name()]).expect_success();
    release.kubectl().apply(&manifest).expect_success();
    let name = format!("{}-test", release.full_name());
    let pod = &release.object("pod", &name)["spec"];
    let kubeconfig = release.kubeconfig(pod["serviceAccountName"].as_str().unwrap());
    let mut arguments: Vec<String> = pod["containers"][0]["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|argument| argument.as_str().unwrap().replace("=default", &format!("={}", release.namespace())))
        .collect();
    arguments.push(format!("--kubeconfig={}", kubeconfig.display()));
    // The test asks in a namespace that this release does not look at, and says so.
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outside = Webhook::command(&arguments);
    assert!(outside.stdout.contains("whether it answers is not known"), "{outside:?}");

    // In the namespace that it is for.
    let role =
        ["create", "role", "asks", "--verb=create", "--resource=pods", "--namespace", release.namespace()];
    release.kubectl().run(role).expect_success();
    let account = format!("--serviceaccount={}:{name}", release.system());
    let binding =
        ["create", "rolebinding", "asks", "--role=asks", &account, "--namespace", release.namespace()];
    release.kubectl().run(binding).expect_success();
    let inside = Webhook::command(&arguments);
    assert_eq!(inside.code, Some(0), "{inside:?}");
    assert!(inside.stdout.contains("the API server reaches it and trusts its certificate"), "{inside:?}");
    // As helm does after a test that passed.
    release.kubectl().delete(&manifest).expect_success();
}

/// `test.afterInstall`: helm waits for the Job, and says how it ended. The kubelet's and the Job controller's parts are
/// played.
#[rstest]
#[case::helm_3(Helm::Three, "checked")]
#[case::helm_4(Helm::Four, "checked4")]
fn an_upgrade_ends_as_its_check_does(#[case] helm: Helm, #[case] name: &str) {
    let release = Release::new(name).by(helm);
    release.deploy("install", &[]).expect_success();
    let replica = release.replica("replica");
    release.balancer().add(replica.address());
    release.wait_until_asked();
    let namespace = format!("test.namespace={name}");
    let checked = ["--set", "test.afterInstall=true", "--set", &namespace, "--timeout", "2m"];
    let upgrade = || {
        thread::scope(|scope| {
            let job = scope.spawn(|| play_job(&release));
            (release.deploy("upgrade", &checked), job.join().unwrap())
        })
    };

    let (upgraded, said) = upgrade();
    upgraded.expect_success();
    assert!(said.contains("the API server reaches it and trusts its certificate"), "{said}");

    // API servers keep their connections: only a replica that has ended does not answer.
    release.balancer().remove(replica.address());
    drop(replica);
    let (upgraded, said) = upgrade();
    let refused = upgraded.expect_failure();
    assert!(refused.contains("post-upgrade"), "{refused}");
    assert!(said.contains("WRONG"), "{said}");
    // What it said can be read, and what it was permitted is taken back by the next upgrade that passes.
    let job = release.object("job", &format!("{}-check", release.full_name()));
    assert_eq!(job["status"]["failed"], 1, "{job}");
    let replica = release.replica("another");
    release.balancer().add(replica.address());
    upgrade().0.expect_success();
    let system = release.system();
    let left = ["get", "jobs,serviceaccounts", "--namespace", &system, "--output", "name"];
    let left = release.kubectl().run(left).expect_success();
    assert_eq!(left.trim(), format!("serviceaccount/{}", release.full_name()));
}

/// Waits for the Job that helm creates, runs its container as a process, ends the Job as that ended, and returns what it
/// printed.
fn play_job(release: &Release) -> String {
    let name = format!("{}-check", release.full_name());
    let (kubectl, system) = (release.kubectl(), release.system());
    let deadline = Instant::now() + ENDS_WITHIN;
    let job = loop {
        let output = kubectl.run(["get", "job", &name, "--namespace", &system, "--output", "json"]);
        // helm removes the one before first.
        let job: Value = serde_json::from_str(&output.stdout).unwrap_or_default();
        if output.success() && job["status"]["failed"].is_null() {
            break job;
        }
        assert!(Instant::now() < deadline, "no job {name}: {output:?}");
        thread::sleep(Duration::from_millis(100));
    };
    release.lead_service_to_balancer();
    let pod = &job["spec"]["template"]["spec"];
    let kubeconfig = release.kubeconfig(pod["serviceAccountName"].as_str().unwrap());
    let arguments = pod["containers"][0]["args"].as_array().unwrap().iter();
    let mut arguments: Vec<String> =
        arguments.map(|argument| argument.as_str().unwrap().to_owned()).collect();
    arguments.push(format!("--kubeconfig={}", kubeconfig.display()));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ended = Webhook::command(&arguments);
    let time = &job["metadata"]["creationTimestamp"];
    let status = |first: &str, last: &str| json!([{"type": first, "status": "True"}, {"type": last, "status": "True"}]);
    let status = if ended.code == Some(0) {
        json!({"startTime": time, "completionTime": time, "succeeded": 1,
               "conditions": status("SuccessCriteriaMet", "Complete")})
    } else {
        json!({"startTime": time, "failed": 1, "conditions": status("FailureTarget", "Failed")})
    };
    let status = json!({"status": status}).to_string();
    let patch = [
        "patch",
        "job",
        &name,
        "--namespace",
        &system,
        "--subresource=status",
        "--type=merge",
        "-p",
        &status,
    ];
    kubectl.run(patch).expect_success();
    ended.stdout
}

fn doctor(release: &Release) {
    let report = release.doctor(&[]);
    assert!(report.stdout.contains("WRONG    kubevirt  KubeVirt is not installed"), "{report:?}");
    assert!(report.stdout.contains("no node advertises it"), "{report:?}");
    assert_eq!(report.code, Some(1));
}

/// Two replicas are replaced one by one, as the Deployment has it, while pods are created without a pause.
#[tokio::test(flavor = "multi_thread")]
async fn no_pod_fails_while_replicas_are_replaced() {
    let release = Release::new("rolling");
    release.apply_network("sriov-net", "intel.com/sriov_vfio");
    release.deploy("install", &[]).expect_success();
    let mut old = vec![release.replica("old-0"), release.replica("old-1")];
    for replica in &old {
        release.balancer().add(replica.address());
    }
    release.wait_until_asked();

    let (stop, created) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let release = Arc::new(release);
    let streams: Vec<_> = (0..3)
        .map(|stream| {
            let (release, stop, created) = (Arc::clone(&release), Arc::clone(&stop), Arc::clone(&created));
            tokio::spawn(async move {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    // A refusal or a lost answer fails the test right here.
                    let got = devices(&release, &format!("stream-{stream}-{number}")).await;
                    assert_eq!(got, "intel.com/sriov_vfio=2", "stream-{stream}-{number}");
                    created.fetch_add(1, Ordering::Relaxed);
                    number += 1;
                }
            })
        })
        .collect();

    let mut new = Vec::new();
    for (number, mut replica) in old.drain(..).enumerate() {
        let before = created.load(Ordering::Relaxed);
        let next = release.replica(&format!("new-{number}"));
        release.balancer().add(next.address());
        new.push(next);
        replica.process().signal("TERM");
        // So long may the news take to reach every node; --drain-delay is there for it.
        thread::sleep(Duration::from_secs(1));
        release.balancer().remove(replica.address());
        let status = replica.process().wait(ENDS_WITHIN);
        assert_eq!(status.code(), Some(0), "{}", replica.process().last_lines(20));
        let during = created.load(Ordering::Relaxed) - before;
        assert!(during > 0, "no pod was created while replica {number} was replaced");
    }
    let last = created.load(Ordering::Relaxed);
    while created.load(Ordering::Relaxed) < last + 10 && streams.iter().all(|stream| !stream.is_finished()) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for stream in streams {
        stream.await.unwrap();
    }
    println!("{} pods were created meanwhile", created.load(Ordering::Relaxed));
}

//! `doctor` on a release that runs, and after each part of it was broken; `dump` of the same.

use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, SystemTime};
use std::{io, thread};

use certs::issue::{Authority, pair_pem};
use serde_json::{Value, json};
use tests::api_server::{ControlPlane, Release, Webhook, manifest};

const DAY: Duration = Duration::from_secs(86_400);

/// What doctor finds about the webhook and its release that is not ok, as `state code object`.
fn found(release: &Release) -> Vec<String> {
    let output = release.doctor(&["--only", "webhook", "--only", "release", "--output", "short"]);
    let line = |line: &str| {
        let words: Vec<&str> = line.splitn(5, ' ').collect();
        (words[0] != "ok").then(|| format!("{} {} {}", words[0], words[2], words[3]))
    };
    println!("{}", output.stdout);
    output.stdout.lines().filter_map(line).collect()
}

/// Sets what a controller would write of the Deployment's pods; there is none here.
fn report(release: &Release, ready: u32, updated: u32) {
    // Whatever generation comes, it was observed.
    let status = json!({"status": {"observedGeneration": 1000, "replicas": 2, "readyReplicas": ready, "updatedReplicas": updated}});
    let (name, system) = (release.full_name(), release.system());
    let patch = [
        "patch",
        "deployment",
        &name,
        "--namespace",
        &system,
        "--subresource=status",
        "--type",
        "merge",
        "--patch",
    ];
    release.kubectl().run([&patch[..], &[status.to_string().as_str()]].concat()).expect_success();
}

/// An address of this machine that is not loopback, which an API server would not connect to as a pod's.
fn address_of_machine() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent: the system only chooses the address that it would send from.
    socket.connect("192.0.2.1:9").expect("this machine has no network beside loopback");
    socket.local_addr().unwrap().ip()
}

/// Passes connections to `port` of the machine's address on to `target`, as the network of pods does.
fn forward(from: SocketAddr, target: SocketAddr) {
    let listener = TcpListener::bind(from).unwrap();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(target).unwrap();
            let (mut reader, mut writer) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || io::copy(&mut reader, &mut writer));
            let (mut reader, mut writer) = (server, client);
            thread::spawn(move || {
                let _ = io::copy(&mut reader, &mut writer);
                let _ = writer.shutdown(std::net::Shutdown::Both);
            });
        }
    });
}

/// The object that stands for the replica, so that the API server leads to its metrics.
fn pod(release: &Release, replica: &Webhook, port: u16) -> String {
    let address = address_of_machine();
    forward(SocketAddr::new(address, port), replica.admin_address());
    let deployment = release.object("deployment", &release.full_name());
    let name = format!("{}-1", release.full_name());
    let object = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": release.system(), "labels": deployment["spec"]["template"]["metadata"]["labels"]},
        "spec": {"nodeName": "node-1", "containers": [{"name": "webhook", "image": "none"}]},
    });
    release.kubectl().apply(&object.to_string()).expect_success();
    let address = address.to_string();
    let status = json!({"status": {
        "phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": [{"type": "Ready", "status": "True"}],
    }});
    let system = release.system();
    let patch =
        ["patch", "pod", &name, "--namespace", &system, "--subresource=status", "--type", "merge", "--patch"];
    release.kubectl().run([&patch[..], &[status.to_string().as_str()]].concat()).expect_success();
    name
}

/// Puts a certificate in place of the release's, and its CA in place of the registration's.
fn serve(release: &Release, lifetime: Duration, age: Duration) {
    let then = SystemTime::now() - age;
    let authority = Authority::generate("of the test", DAY * 3650, then).unwrap();
    let name = format!("{}.{}.svc", release.full_name(), release.system());
    let (certificate, _) = pair_pem(&authority.sign(&[name], lifetime, then).unwrap());
    patch_secret(release, &json!({"stringData": {"tls.crt": certificate}}));
    trust(release, &authority.certificate_pem());
}

fn patch_secret(release: &Release, patch: &Value) {
    let (secret, system) = (format!("{}-tls", release.full_name()), release.system());
    let arguments = ["patch", "secret", &secret, "--namespace", &system, "--type", "merge", "--patch"];
    release.kubectl().run([&arguments[..], &[patch.to_string().as_str()]].concat()).expect_success();
}

/// Writes a caBundle into both entries of the registration.
fn trust(release: &Release, bundle: &str) {
    use k8s_openapi::ByteString;
    let bundle = ByteString(bundle.as_bytes().to_vec());
    let entry = |name: &str| json!({"name": name, "clientConfig": {"caBundle": bundle}});
    let patch = json!({"webhooks": [entry("pods.kubevirt-sriov.io"), entry("vmis.kubevirt-sriov.io")]});
    let name = release.full_name();
    let arguments = ["patch", "mutatingwebhookconfiguration", &name, "--type", "strategic", "--patch"];
    release.kubectl().run([&arguments[..], &[patch.to_string().as_str()]].concat()).expect_success();
}

#[test]
fn each_broken_part_of_a_release_is_found_by_its_code() {
    let release = Release::in_control_plane(ControlPlane::start("doctor-release"), "doctor-release");
    let kubectl = release.kubectl();
    kubectl.apply(&manifest("kubevirt-crds.yaml", &[])).expect_success();
    let port = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
    let port_value = format!("server.adminPort={port}");
    let set = ["--set", "decisions.namespaceIsolation=true", "--set", &port_value];
    release.deploy("install", &set).expect_success();
    let replica = release.replica("replica");
    release.balancer().add(replica.address());
    release.wait_until_asked();
    report(&release, 2, 2);
    let (name, system) = (release.full_name(), release.system());
    let deployment = format!("Deployment/{system}/{name}");
    let registration = format!("MutatingWebhookConfiguration/{name}");
    let secret = format!("Secret/{system}/{name}-tls");

    // As it should be, with what the replica itself counted.
    let pod = pod(&release, &replica, port);
    assert_eq!(found(&release), Vec::<String>::new());
    let well = release.doctor(&["--only", "release"]).stdout;
    for text in [
        "2 of 2 replicas are ready",
        "--namespace-isolation",
        format!("replica {pod} since its start:").as_str(),
        format!("the serving certificate in Secret {system}/{name}-tls is valid until").as_str(),
    ] {
        assert!(well.contains(text), "{text} is not in {well}");
    }

    // Its flags decide, and a flag that is given takes their place.
    let flags = |arguments: &[&str]| release.doctor(&[&["--only", "release"], arguments].concat()).stdout;
    assert!(flags(&["--on-unresolved", "warn"]).contains("--namespace-isolation --on-unresolved=warn"));
    assert!(
        flags(&["--no-release-flags"])
            .contains("note     release   pods are decided by the flags of this command line")
    );

    // A replica is missing, then both.
    report(&release, 1, 2);
    assert_eq!(found(&release), [format!("warning release-replicas-missing {deployment}")]);
    report(&release, 0, 0);
    assert_eq!(found(&release), [format!("wrong release-not-ready {deployment}")]);
    report(&release, 2, 1);
    assert_eq!(found(&release), [format!("warning release-rollout-unfinished {deployment}")]);
    report(&release, 2, 2);

    // The bundle of a release that runs.
    let output = release.dump(&release.folder().join("dump.tar.gz"));
    println!("{}", output.stdout);
    for part in [
        "doctor.json",
        "registrations/mutating.json",
        "release/deployments.json",
        format!("release/metrics/{pod}.txt").as_str(),
    ] {
        assert!(output.stdout.contains(&format!("  {part}\n")), "{part} is not in {output:?}");
    }
    // There is no kubelet that has a log.
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stdout.contains(&format!("missing  release/logs/{pod}.log: ")), "{output:?}");

    // An old image, as nobody says otherwise.
    kubectl
        .run(["delete", "pod", &pod, "--namespace", &system, "--force", "--grace-period=0"])
        .expect_success();
    let old = json!({"spec": {"template": {"spec": {"containers": [{"name": "webhook", "image": "example.com/webhook:0.0.1"}]}}}});
    let patch = ["patch", "deployment", &name, "--namespace", &system, "--type", "strategic", "--patch"];
    kubectl.run([&patch[..], &[old.to_string().as_str()]].concat()).expect_success();
    assert_eq!(found(&release), [format!("warning release-version-differs {deployment}")]);

    // Flags of another version.
    let path =
        json!([{"op": "add", "path": "/spec/template/spec/containers/0/args/-", "value": "--of-tomorrow"}]);
    let patch = ["patch", "deployment", &name, "--namespace", &system, "--type", "json", "--patch"];
    kubectl.run([&patch[..], &[path.to_string().as_str()]].concat()).expect_success();
    assert_eq!(
        found(&release),
        [
            format!("warning release-version-differs {deployment}"),
            "unknown release-flags-unknown -".to_owned()
        ]
    );
    let patch = json!([{"op": "remove", "path": "/spec/template/spec/containers/0/args"},
                       {"op": "add", "path": "/spec/template/spec/containers/0/args", "value": ["serve", format!("--tls-secret={system}/{name}-tls")]},
                       {"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "example.com/webhook"}]);
    let arguments = ["patch", "deployment", &name, "--namespace", &system, "--type", "json", "--patch"];
    kubectl.run([&arguments[..], &[patch.to_string().as_str()]].concat()).expect_success();

    // Without a replica nobody repairs what follows.
    release.balancer().remove(replica.address());
    drop(replica);
    let not_reached = format!("wrong webhook-not-reached {registration}");
    assert_eq!(found(&release), std::slice::from_ref(&not_reached));
    let other = Authority::generate("of nobody", DAY, SystemTime::now()).unwrap().certificate_pem();
    trust(&release, &other);
    assert_eq!(
        found(&release),
        [
            not_reached.clone(),
            format!("wrong release-ca-mismatch {registration}"),
            format!("warning release-ca-mismatch {registration}"),
        ]
    );
    serve(&release, DAY * 10, DAY * 20);
    assert_eq!(found(&release), [not_reached.clone(), format!("wrong release-certificate-expired {secret}")]);
    serve(&release, DAY * 10, DAY * 9);
    assert_eq!(
        found(&release),
        [not_reached.clone(), format!("warning release-certificate-ending {secret}")]
    );
    kubectl.run(["delete", "secret", &format!("{name}-tls"), "--namespace", &system]).expect_success();
    assert_eq!(found(&release), [not_reached.clone(), format!("wrong release-certificate-missing {secret}")]);
    kubectl.run(["delete", "service", &name, "--namespace", &system]).expect_success();
    assert!(found(&release).contains(&format!("wrong release-service-missing Service/{system}/{name}")));
    kubectl.run(["delete", "mutatingwebhookconfiguration", &name]).expect_success();
    assert_eq!(
        found(&release),
        [
            "wrong webhook-not-registered -",
            "wrong webhook-not-called -",
            "unknown release-deployment-unknown -"
        ]
    );
}

/// What an install needs is there, or its code is said.
#[test]
fn before_an_install() {
    let release = Release::in_control_plane(ControlPlane::start("doctor-pre"), "doctor-pre");
    let pre = || release.doctor_of_nothing(&["--pre", "--output", "short"]);
    let codes = |stdout: &str| -> Vec<String> {
        let words = stdout.lines().map(|line| line.split(' ').take(3).collect::<Vec<_>>().join(" "));
        words.filter(|line| !line.starts_with("ok ")).collect()
    };
    let output = pre();
    println!("{}", output.stdout);
    assert_eq!(
        codes(&output.stdout),
        [
            "wrong kubevirt kubevirt-missing",
            "warning nad nad-none",
            "warning resource resource-not-advertised"
        ]
    );
    assert!(output.stdout.contains("this user may create what the chart has"), "{}", output.stdout);
    release.kubectl().apply(&manifest("kubevirt-crds.yaml", &[])).expect_success();
    let start = std::time::Instant::now();
    let waited = release.doctor_of_nothing(&["--pre", "--wait", "6s", "--output", "short"]);
    assert!(start.elapsed() >= Duration::from_secs(6), "{:?}", start.elapsed());
    assert_eq!(waited.code, Some(1), "{waited:?}");
}

//! Replicas die, networks come and go, the CA changes: and every pod gets what its networks need.

use k8s_openapi::api::core::v1::Pod as ApiPod;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;
use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tests::api_server::{ControlPlane, Pod, Release, StoredPod, Webhook, nads};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Pods that are created side by side at most.
const SIDE_BY_SIDE: usize = 32;

/// Networks of the churn that exist at once.
const CHURNED: usize = 50;

/// How long a killed replica's address goes on being given to new connections.
const NOTICED_AFTER: Duration = Duration::from_millis(500);

/// A number of the run: `CHAOS_PODS=10000` is the long one.
fn setting(name: &str, otherwise: usize) -> usize {
    env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[derive(Default)]
struct Counts {
    created: AtomicUsize,
    /// Creations that failed because a replica died with the review in its hands. The creator of the pod (for
    /// virtual machines, virt-controller) tries again.
    lost: AtomicUsize,
    churned: AtomicUsize,
    /// All that was to happen meanwhile has happened.
    happened: AtomicBool,
    stop: AtomicBool,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pod_gets_its_devices_whatever_else_happens() {
    let (pods, rate) = (setting("CHAOS_PODS", 400), setting("CHAOS_RATE", 200));
    // One every 20 seconds of the long run, and still some in a short one.
    let kill_every = (20 * rate).min(pods / 4);
    let release = Release::new("chaos");
    release.apply_network("sriov-net", "intel.com/sriov_vfio");
    release.apply_network("other-net", "mellanox.com/cx6_vfio");
    // The new CA signs within the run.
    release.deploy("install", &["--set", "certificates.managed.caSettle=5s"]).expect_success();
    let mut replicas = vec![release.replica("first"), release.replica("second")];
    for replica in &replicas {
        release.balancer().add(replica.address());
    }
    release.wait_until_asked();

    let counts = Arc::new(Counts::default());
    let client = release.client().await;
    let churn = tokio::spawn(churn(client.clone(), release.namespace().to_owned(), Arc::clone(&counts)));
    let creating =
        tokio::spawn(create(client, release.namespace().to_owned(), pods, rate, Arc::clone(&counts)));

    let mut killed = 0;
    let mut rolled = false;
    while !creating.is_finished() {
        sleep(Duration::from_millis(20)).await;
        let created = counts.created.load(Ordering::Relaxed);
        if !rolled && created >= pods / 2 {
            roll_ca(&release);
            rolled = true;
        }
        if created >= (killed + 1) * kill_every && (created < pods || killed == 0) {
            let mut dying = replicas.remove(0);
            // In turn as a node that loses power and as kubelet ends a pod.
            let signal = if killed % 2 == 0 { "KILL" } else { "TERM" };
            dying.process().signal(signal);
            sleep(NOTICED_AFTER).await;
            release.balancer().remove(dying.address());
            let next = release.replica(&format!("next-{killed}"));
            release.balancer().add(next.address());
            replicas.push(next);
            dying.process().wait(Duration::from_secs(60));
            killed += 1;
        }
        counts.happened.store(rolled && killed > 0, Ordering::Relaxed);
    }
    creating.await.unwrap();
    counts.stop.store(true, Ordering::Relaxed);
    churn.await.unwrap();
    let lost = counts.lost.load(Ordering::Relaxed);
    println!(
        "{} pods created, none refused and none without its devices; {killed} replicas killed, {} networks made \
         and removed, the CA rolled; {lost} reviews died with their replica and were asked again",
        counts.created.load(Ordering::Relaxed),
        counts.churned.load(Ordering::Relaxed),
    );
    assert!(killed > 0 && rolled, "{killed} killed, CA rolled: {rolled}");
    assert!(lost <= killed * SIDE_BY_SIDE, "{lost} reviews lost with {killed} replicas");
}

/// Creates pods, `rate` a second as far as the machine can, and looks at what each was given; more of them where not
/// everything has happened yet.
async fn create(client: kube::Client, namespace: String, pods: usize, rate: usize, counts: Arc<Counts>) {
    let places = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let mut clock = interval(Duration::from_secs(1) / u32::try_from(rate).unwrap());
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut running = JoinSet::new();
    for number in 0.. {
        if number >= pods && counts.happened.load(Ordering::Relaxed) {
            break;
        }
        clock.tick().await;
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        let (api, counts) = (Api::<ApiPod>::namespaced(client.clone(), &namespace), Arc::clone(&counts));
        let namespace = namespace.clone();
        running.spawn(async move {
            let networks = "sriov-net, other-net, sriov-net";
            let pod =
                Pod::virt_launcher(&format!("chaos-{number}")).networks(networks).in_namespace(&namespace);
            let pod: ApiPod = serde_json::from_value(pod.value().clone()).unwrap();
            let stored = loop {
                match api.create(&PostParams::default(), &pod).await {
                    Ok(stored) => break stored,
                    Err(kube::Error::Api(status)) if status.message.contains("failed calling webhook") => {
                        let lost = counts.lost.fetch_add(1, Ordering::Relaxed);
                        println!("lost {lost}: {}", status.message);
                        sleep(Duration::from_millis(100)).await;
                    }
                    Err(error) => panic!("chaos-{number}: {error}"),
                }
            };
            let devices = StoredPod::from(stored).devices("compute");
            assert_eq!(devices, "intel.com/sriov_vfio=2, mellanox.com/cx6_vfio=1", "chaos-{number}");
            counts.created.fetch_add(1, Ordering::Relaxed);
            drop(place);
        });
        while let Some(ended) = running.try_join_next() {
            ended.unwrap();
        }
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
}

/// Makes and removes networks, a hundred times a second as far as the machine can.
async fn churn(client: kube::Client, namespace: String, counts: Arc<Counts>) {
    let api = nads(client, &namespace);
    let mut clock = interval(Duration::from_millis(10));
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut made: usize = 0;
    while !counts.stop.load(Ordering::Relaxed) {
        clock.tick().await;
        let network = json!({
            "apiVersion": "k8s.cni.cncf.io/v1",
            "kind": "NetworkAttachmentDefinition",
            "metadata": {
                "name": format!("churned-{made}"),
                "annotations": {"k8s.v1.cni.cncf.io/resourceName": format!("intel.com/sriov_{}", made % 7)},
            },
        });
        api.create(&PostParams::default(), &serde_json::from_value(network).unwrap()).await.unwrap();
        made += 1;
        if let Some(old) = made.checked_sub(CHURNED + 1) {
            api.delete(&format!("churned-{old}"), &DeleteParams::default()).await.unwrap();
            counts.churned.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn roll_ca(release: &Release) {
    let kubeconfig = ControlPlane::shared().admin_kubeconfig().display().to_string();
    let (system, name) = (release.system(), release.full_name());
    let (secret, service) = (format!("{system}/{name}-tls"), format!("{system}/{name}"));
    let output = Webhook::command(&[
        "certs",
        "roll-ca",
        "--kubeconfig",
        &kubeconfig,
        "--tls-secret",
        &secret,
        "--service",
        &service,
        "--webhook-configuration",
        &name,
    ]);
    assert!(output.success(), "{output:?}");
}

//! Reviews as they come in, without a socket.

use admission::{Network, review_of};
use axum::body::to_bytes;
use contract::annotation;
use rstest::rstest;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::networks::{LiveMetrics, LookUp, NetworkStore};

/// Knows no network; looked up, those whose names start with `late` are there, and `default/broken` breaks what looks.
fn reviews() -> Reviews<NetworkStore> {
    let look_up = |nad: NadName| -> LookUp {
        Box::pin(async move {
            match nad.name() {
                "broken" => panic!("as a fault in here would"),
                name if name.starts_with("late") => {
                    Lookup::Known(Arc::new(Network::from_annotations(&[], [])))
                }
                _ => Lookup::Missing,
            }
        })
    };
    Reviews {
        networks: Arc::default(),
        live: Some(LiveLookup::new(look_up, LiveMetrics::default())),
        nodes: None,
        events: None,
        options: Options::default(),
        metrics: ReviewMetrics::register(&mut crate::metrics::registry()),
    }
}

/// Why a pod that names these networks is refused.
async fn denial_of(networks: &[String]) -> Denial {
    let body = review_of(&json!({
        "metadata": {
            "labels": {"kubevirt.io": "virt-launcher"},
            "annotations": {annotation::NETWORKS: networks.join(",")},
        },
        "spec": {"containers": [{"name": "compute"}]},
    }));
    let body = body.to_string();
    let review = admission::read(body.as_bytes()).unwrap();
    let verdict = reviews().decide::<Pods>(&review, Sender { deadline: Duration::MAX, peer: None }).await;
    verdict.denial().unwrap().clone()
}

#[tokio::test]
async fn one_unknown_network_named_often_is_looked_up_once() {
    let names = [vec!["gone".to_owned(); 100], vec!["late".to_owned()]].concat();
    let Denial { reason, message } = denial_of(&names).await;
    assert_eq!(reason, Reason::NetworkUnknown);
    assert!(message.contains("default/gone does not exist") && !message.contains("late"), "{message}");
}

#[rstest]
#[case::too_many_before_it((0..=64).map(|number| format!("late-{number}")).collect::<Vec<_>>())]
#[case::the_look_up_broke(vec!["broken".to_owned()])]
#[tokio::test]
async fn a_network_that_was_not_looked_up_is_not_called_missing(#[case] names: Vec<String>) {
    let Denial { reason, message } = denial_of(&names).await;
    assert_eq!(reason, Reason::NetworkUnavailable, "{message}");
    assert!(message.contains(names.last().unwrap()), "{message}");
}

async fn post(path: &str, body: &Value) -> Value {
    let request = Request::post(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let answer = router(reviews(), RequestLimits::default()).oneshot(request).await.unwrap();
    serde_json::from_slice(&to_bytes(answer.into_body(), usize::MAX).await.unwrap()).unwrap()
}

#[rstest]
#[case::field_of_another_kind("/request/object/spec", json!("none"), "the VMI in the review cannot be read: invalid type: string")]
#[case::no_object("/request/object", json!(null), "has no object")]
#[case::other_version_of_kubevirt("/request/kind/version", json!("v2"), "the review is about \"kubevirt.io/v2 VirtualMachineInstance\"")]
#[tokio::test]
async fn a_vmi_that_cannot_be_read_passes_with_a_warning(
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] part: &str,
) {
    let mut review = review_of(&json!({"metadata": {"name": "vm"}, "spec": {}}));
    review["request"]["kind"] =
        json!({"group": "kubevirt.io", "version": "v1", "kind": "VirtualMachineInstance"});
    *review.pointer_mut(pointer).unwrap() = value;
    let answer = post(VMI_PATH, &review).await;
    let response = &answer["response"];
    assert_eq!((&response["uid"], &response["allowed"]), (&json!("review"), &json!(true)), "{answer}");
    assert!(response["warnings"][0].as_str().unwrap().contains(part), "{answer}");
}

#[tokio::test]
async fn a_pod_that_cannot_be_read_does_not_pass() {
    let answer = post(PATH, &review_of(&json!({"spec": "none"}))).await;
    assert_eq!(answer["response"]["allowed"], false, "{answer}");
}

#[rstest]
#[case::a_vmi("ns", "vm", "705ab4f5", true)]
#[case::namespace_that_is_a_path("../../nodes", "vm", "705ab4f5", false)]
#[case::name_that_is_a_path("ns", "../vm", "705ab4f5", false)]
#[case::uid_without_end("ns", "vm", &"7".repeat(64), false)]
fn events_are_about_vmis_that_may_exist(
    #[case] namespace: &str,
    #[case] name: &str,
    #[case] uid: &str,
    #[case] told: bool,
) {
    let owner = json!({"kind": "VirtualMachineInstance", "name": name, "uid": uid});
    let mut body = review_of(&json!({"metadata": {"ownerReferences": [owner]}}));
    body["request"]["namespace"] = json!(namespace);
    let body = body.to_string();
    let refusal = Pods::refusal(&admission::read(body.as_bytes()).unwrap(), failed().denial().unwrap());
    assert_eq!(refusal.is_some(), told, "{refusal:?}");
}

#[test]
fn a_review_that_failed_counts_as_internal_whatever_it_was_about() {
    assert_eq!(failed().denial().unwrap().reason, Reason::Internal);
    assert_eq!((Pods::outcome(&failed()), Vmis::outcome(&failed())), ("denied", "invalid"));
    let vmi = String::from_utf8(answer::<contract::vmi::Vmi>("1", &failed())).unwrap();
    assert!(vmi.contains(r#""allowed":true"#) && vmi.contains("the webhook failed"), "{vmi}");
}

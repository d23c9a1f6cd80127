//! The webhook with one permission too few says which, in one line.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;
use rstest::rstest;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;
use tests::api_server::{Sandbox, Webhook};

/// The permissions without one verb on one resource.
fn without(permissions: &str, verb: &str, resource: &str) -> String {
    let (before, rule) = permissions.split_once(&format!("resources: [{resource}]")).unwrap();
    let (names, verbs) = rule.split_once("verbs: [").unwrap();
    let (verbs, after) = verbs.split_once(']').unwrap();
    let left: Vec<_> = verbs.split(", ").filter(|one| *one != verb).collect();
    assert_eq!(left.len() + 1, verbs.split(", ").count(), "{verb} in {verbs}");
    format!("{before}resources: [{resource}]{names}verbs: [{}]{after}", left.join(", "))
}

/// A registration before the webhook is there: one that starts without any shows its certificate at once,
/// because nobody has to trust it.
fn register(sandbox: &Sandbox) {
    Webhook::apply_registration(sandbox, SocketAddr::from(([127, 0, 0, 1], 1)), "");
}

/// Waits until the API server acts on other permissions.
async fn wait_until_allowed(sandbox: &Sandbox, verb: &str, resource: &str, allowed: bool) {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(sandbox.webhook_client().await);
    let (group, namespace, name) = match resource {
        "secrets" => ("", sandbox.system_namespace(), format!("{}-tls", sandbox.webhook_name())),
        "mutatingwebhookconfigurations" => {
            ("admissionregistration.k8s.io", String::new(), sandbox.webhook_name())
        }
        _ => ("k8s.cni.cncf.io", String::new(), String::new()),
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(group.to_owned()),
                resource: Some(resource.to_owned()),
                namespace: Some(namespace),
                name: Some(name),
                verb: Some(verb.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    while reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed != allowed {}
}

#[rstest]
#[case::get_networks("get", "network-attachment-definitions")]
#[case::list_networks("list", "network-attachment-definitions")]
#[case::watch_networks("watch", "network-attachment-definitions")]
#[case::get_secret("get", "secrets")]
#[case::patch_secret("patch", "secrets")]
#[case::get_registration("get", "mutatingwebhookconfigurations")]
#[case::patch_registration("patch", "mutatingwebhookconfigurations")]
#[tokio::test]
async fn it_says_which_and_is_not_ready_until_it_is_granted(#[case] verb: &str, #[case] resource: &str) {
    let short = &resource[..3];
    let sandbox = Sandbox::new(&format!("no-{verb}-{short}"));
    let all = sandbox.permissions();
    sandbox.grant(&without(&all, verb, resource));
    wait_until_allowed(&sandbox, verb, resource, false).await;
    let sentence = format!("not allowed to {verb} {}", object(&sandbox, resource));

    let kubeconfig = sandbox.webhook_kubeconfig().await;
    register(&sandbox);
    let webhook = Webhook::spawn_managed(&sandbox, "webhook", &kubeconfig, &[]);
    webhook.logged(&sentence);
    // Tried again a few times, and said once.
    thread::sleep(Duration::from_secs(3));
    let lines = webhook.logged(&sentence);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains(&format!(r#": grant \"{verb}\" on "#)), "{}", lines[0]);
    let ready = webhook.admin("/readyz").unwrap();
    assert_eq!(ready.code, 503);
    assert!(ready.body.contains(&sentence), "{}", ready.body);
    assert_eq!(ready.body.lines().count(), 1, "{}", ready.body);

    sandbox.grant(&all);
    webhook.wait_until_ready(Duration::from_secs(90));
}

/// What messages call the object that a permission on `resource` is about.
fn object(sandbox: &Sandbox, resource: &str) -> String {
    let ours = sandbox.webhook_name();
    match resource {
        "secrets" => format!("Secret {}/{ours}-tls", sandbox.system_namespace()),
        "mutatingwebhookconfigurations" => format!("MutatingWebhookConfiguration {ours}"),
        networks => format!("{networks}.k8s.cni.cncf.io in all namespaces"),
    }
}

#[rstest]
#[case("list", "secrets")]
#[case("watch", "secrets")]
#[case("list", "mutatingwebhookconfigurations")]
#[case("watch", "mutatingwebhookconfigurations")]
#[tokio::test]
async fn what_is_not_needed_to_serve_is_said_too(#[case] verb: &str, #[case] resource: &str) {
    let sandbox = Sandbox::new(&format!("no-{verb}-{}", &resource[..3]));
    sandbox.grant(&without(&sandbox.permissions(), verb, resource));
    wait_until_allowed(&sandbox, verb, resource, false).await;
    let kubeconfig = sandbox.webhook_kubeconfig().await;
    register(&sandbox);
    let webhook = Webhook::spawn_managed(&sandbox, "webhook", &kubeconfig, &[]);
    webhook.wait_until_ready(Duration::from_secs(90));
    let lines = webhook.logged(&format!("not allowed to {verb} {}", object(&sandbox, resource)));
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("it is still looked at on a timer"), "{}", lines[0]);
}

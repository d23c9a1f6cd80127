//! The webhook's ServiceAccount may do what it needs and nothing else.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::Api;
use kube::api::PostParams;
use std::collections::BTreeSet;
use tests::api_server::Sandbox;

const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];

/// A kind of object, where it is and which: what the verbs are tried on.
struct Target {
    called: &'static str,
    group: &'static str,
    resource: &'static str,
    namespace: String,
    name: String,
}

impl Target {
    fn new(called: &'static str, kind: (&'static str, &'static str), namespace: &str, name: &str) -> Self {
        let (group, resource) = kind;
        Self { called, group, resource, namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

async fn is_allowed(client: &kube::Client, target: &Target, verb: &str) -> bool {
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(target.group.to_owned()),
                resource: Some(target.resource.to_owned()),
                namespace: Some(target.namespace.clone()),
                name: Some(target.name.clone()),
                verb: Some(verb.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await.unwrap();
    answer.status.unwrap().allowed
}

#[tokio::test]
async fn the_service_account_may_do_exactly_this() {
    let sandbox = Sandbox::new("permissions");
    let client = sandbox.webhook_client().await;
    let (system, pods) = (sandbox.system_namespace(), sandbox.namespace());
    let ours = sandbox.webhook_name();
    let secret = format!("{ours}-tls");

    let networks = ("k8s.cni.cncf.io", "network-attachment-definitions");
    let registrations = ("admissionregistration.k8s.io", "mutatingwebhookconfigurations");
    let validating = ("admissionregistration.k8s.io", "validatingwebhookconfigurations");
    let secrets = ("", "secrets");
    let events = ("", "events");
    let vmis = ("kubevirt.io", "virtualmachineinstances");
    let targets = [
        Target::new("any network", networks, pods, "sriov-net"),
        Target::new("networks everywhere", networks, "", ""),
        Target::new("our registration", registrations, "", &ours),
        Target::new("another registration", registrations, "", "another"),
        Target::new("a validating registration", validating, "", &ours),
        Target::new("our Secret", secrets, &system, &secret),
        Target::new("another Secret beside it", secrets, &system, "another"),
        Target::new("all Secrets beside it", secrets, &system, ""),
        Target::new("a Secret elsewhere", secrets, pods, &secret),
        Target::new("events beside us", events, &system, ""),
        Target::new("events elsewhere", events, pods, ""),
        Target::new("a VMI", vmis, pods, "vm"),
        Target::new("all VMIs", vmis, "", ""),
        Target::new("a VM", ("kubevirt.io", "virtualmachines"), pods, "vm"),
        Target::new("pods", ("", "pods"), pods, ""),
        Target::new("nodes", ("", "nodes"), "", ""),
        Target::new("namespaces", ("", "namespaces"), "", ""),
        Target::new("ConfigMaps", ("", "configmaps"), &system, ""),
        Target::new("roles", ("rbac.authorization.k8s.io", "clusterroles"), "", ""),
    ];
    let mut allowed = BTreeSet::new();
    for target in &targets {
        for verb in VERBS {
            if is_allowed(&client, target, verb).await {
                allowed.insert((target.called, verb));
            }
        }
    }
    let expected = BTreeSet::from([
        ("any network", "get"),
        ("any network", "list"),
        ("any network", "watch"),
        ("networks everywhere", "get"),
        ("networks everywhere", "list"),
        ("networks everywhere", "watch"),
        ("our registration", "get"),
        ("our registration", "list"),
        ("our registration", "watch"),
        ("our registration", "patch"),
        ("our Secret", "get"),
        ("our Secret", "list"),
        ("our Secret", "watch"),
        ("our Secret", "patch"),
        ("events beside us", "create"),
        ("events elsewhere", "create"),
        ("a VMI", "get"),
        ("all VMIs", "get"),
    ]);
    assert_eq!(allowed, expected);
}

#[tokio::test]
async fn the_token_works_and_is_refused_by_name() {
    let sandbox = Sandbox::new("token");
    sandbox.apply_network("sriov-net", "intel.com/sriov_vfio");
    let kubectl = sandbox.webhook_kubectl().await;

    let networks = kubectl.run(["get", "nad", "--namespace", "token", "--output", "name"]);
    assert_eq!(networks.expect_success(), "networkattachmentdefinition.k8s.cni.cncf.io/sriov-net\n");
    let refused = kubectl.run(["get", "secrets", "--namespace", "token-system"]);
    let refused = refused.expect_failure();
    let account = "system:serviceaccount:token-system:kubevirt-sriov-token";
    assert!(refused.contains("Forbidden") && refused.contains(account), "{refused}");
}

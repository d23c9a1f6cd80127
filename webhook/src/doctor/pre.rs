//! What has to be there before the chart is installed.
//!
//! [`collect`] asks the API server, [`judge`] decides from what was seen alone.

use apiserver::{DEADLINE, Failure, Resource, within};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::PostParams;
use kube::{Api, Client};

use super::facts::Facts;
use super::judge::before_install;
use super::{Check, Code, Finding, Report};

/// The minor version of the oldest Kubernetes that the chart installs on, as its `kubeVersion` says.
pub const OLDEST_MINOR: u32 = 30;

/// The checks that make sense before an install.
pub const CHECKS: [Check; 5] =
    [Check::Cluster, Check::Injector, Check::Kubevirt, Check::Nad, Check::Resource];

/// What helm creates, each with its API group and whether it is in the release's namespace.
const CREATED: [(&str, &str, bool); 10] = [
    ("", "serviceaccounts", true),
    ("", "services", true),
    ("", "secrets", true),
    ("apps", "deployments", true),
    ("policy", "poddisruptionbudgets", true),
    ("networking.k8s.io", "networkpolicies", true),
    ("rbac.authorization.k8s.io", "roles", true),
    ("rbac.authorization.k8s.io", "clusterroles", false),
    ("rbac.authorization.k8s.io", "clusterrolebindings", false),
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", false),
];

/// What is known of the cluster before an install.
#[derive(Debug, Clone)]
pub struct Before {
    /// The API server's version, as `/version` has it.
    pub version: (String, String),
    /// What this user may not create; or why that is not known.
    pub forbidden: Result<Vec<String>, Failure>,
    /// The namespace that permissions were asked for.
    pub namespace: String,
}

/// Asks what this user may create.
pub async fn collect(client: &Client, version: (String, String), namespace: String) -> Before {
    let mut forbidden = Vec::new();
    for (group, plural, is_namespaced) in CREATED {
        let wanted = ResourceAttributes {
            group: Some(group.to_owned()),
            resource: Some(plural.to_owned()),
            verb: Some("create".to_owned()),
            namespace: is_namespaced.then(|| namespace.clone()),
            ..ResourceAttributes::default()
        };
        match may(client, wanted).await {
            Ok(true) => {}
            Ok(false) if group.is_empty() => forbidden.push(plural.to_owned()),
            Ok(false) => forbidden.push(format!("{plural}.{group}")),
            Err(failure) => return Before { version, forbidden: Err(failure), namespace },
        }
    }
    Before { version, forbidden: Ok(forbidden), namespace }
}

async fn may(client: &Client, wanted: ResourceAttributes) -> Result<bool, Failure> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(wanted),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let object = Resource::of::<SelfSubjectAccessReview>().within(apiserver::Scope::Cluster);
    let parameters = PostParams::default();
    let answer = within(DEADLINE, "create", &object, reviews.create(&parameters, &review)).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// Judges what was seen before an install.
#[must_use]
pub fn judge(before: &Before, facts: &Facts) -> Report {
    let mut findings = vec![version(before), permissions(before)];
    findings.extend(before_install(facts));
    Report::of(findings)
}

fn version(before: &Before) -> Finding {
    let (major, minor) = &before.version;
    // Some clouds write 33+.
    let number = |text: &str| text.trim_end_matches('+').parse::<u32>().ok();
    match (number(major), number(minor)) {
        (Some(major), Some(minor)) if (major, minor) >= (1, OLDEST_MINOR) => Finding::ok(
            Check::Cluster,
            format!("Kubernetes {major}.{minor} (1.{OLDEST_MINOR} or later is needed)"),
        ),
        (Some(major), Some(minor)) => Finding::wrong(
            Check::Cluster,
            Code::KubernetesTooOld,
            format!("Kubernetes {major}.{minor} is older than 1.{OLDEST_MINOR}"),
            "upgrade the cluster: the registration needs matchConditions, which older API servers ignore",
        ),
        _ => Finding::unknown(
            Check::Cluster,
            Code::KubernetesVersionUnknown,
            format!("version {major:?}.{minor:?} of the API server is not understood"),
            format!("the chart needs Kubernetes 1.{OLDEST_MINOR} or later"),
        ),
    }
}

fn permissions(before: &Before) -> Finding {
    let namespace = &before.namespace;
    match &before.forbidden {
        Ok(forbidden) if forbidden.is_empty() => Finding::ok(
            Check::Cluster,
            format!("this user may create what the chart has, in namespace {namespace} and in the cluster"),
        ),
        Ok(forbidden) => Finding::wrong(
            Check::Cluster,
            Code::InstallNotPermitted,
            format!("this user may not create {} (release in namespace {namespace})", forbidden.join(", ")),
            "install as a user who may; the chart needs objects of the cluster: rbac.create=false leaves the roles to others",
        ),
        Err(failure) => Finding::unknown(
            Check::Cluster,
            Code::CannotRead,
            failure.sentence(),
            "kubectl auth can-i create mutatingwebhookconfigurations tells it, too",
        ),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::doctor::State;

    fn before(major: &str, minor: &str) -> Before {
        Before {
            version: (major.to_owned(), minor.to_owned()),
            forbidden: Ok(Vec::new()),
            namespace: "hooks".to_owned(),
        }
    }

    #[rstest]
    #[case::oldest("1", "30", State::Ok)]
    #[case::of_a_cloud("1", "33+", State::Ok)]
    #[case::too_old("1", "29", State::Wrong)]
    #[case::odd("one", "", State::Unknown)]
    fn versions(#[case] major: &str, #[case] minor: &str, #[case] expected: State) {
        assert_eq!(version(&before(major, minor)).state, expected);
    }

    #[test]
    fn the_oldest_version_is_the_charts() {
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/kubevirt-sriov/Chart.yaml");
        let chart = std::fs::read_to_string(chart).unwrap();
        assert!(chart.contains(&format!("kubeVersion: \">=1.{OLDEST_MINOR}.0-0\"")), "{chart}");
    }

    #[test]
    fn missing_permissions_are_named_together() {
        let forbidden = vec!["secrets".to_owned(), "clusterroles.rbac.authorization.k8s.io".to_owned()];
        let found = permissions(&Before { forbidden: Ok(forbidden), ..before("1", "33") });
        insta::assert_snapshot!(found.found, @"this user may not create secrets, clusterroles.rbac.authorization.k8s.io (release in namespace hooks)");
        assert_eq!((found.state, found.code), (State::Wrong, Some(Code::InstallNotPermitted)));
    }
}

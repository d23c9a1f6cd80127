//! May we do what we need? The API server is asked, as `kubectl auth can-i` does.

use apiserver::{DEADLINE, Failure, Kind, Scope, within};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use kube::{Client, Error};

use crate::kinds::NADS;

const VERBS: [&str; 3] = ["get", "list", "watch"];

/// What a failure to answer keeps us from, as a verb.
const ASK: &str = "ask for permissions on";

/// Succeeds where everything is allowed, and where the API server does not say: then the watch itself will
/// show.
pub(super) async fn check(client: &Client, scope: &Scope) -> Result<(), Failure> {
    let nads = NADS.within(scope.clone());
    let mut missing = Vec::new();
    for verb in VERBS {
        let answer = async { Ok(is_allowed(client, scope, verb).await) };
        match within(DEADLINE, ASK, &nads, answer).await? {
            Ok(true) => {}
            Ok(false) => missing.push(verb),
            Err(Error::Api(status)) if matches!(status.code, 403..=405) => {
                tracing::debug!("the API server does not say what is allowed: {}", status.message);
                return Ok(());
            }
            Err(error) => return Err(Failure::of_request(ASK, nads, &error)),
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure { verbs: missing, object: Box::new(nads), kind: Kind::Forbidden { reason: String::new() } })
}

async fn is_allowed(client: &Client, scope: &Scope, verb: &str) -> Result<bool, Error> {
    let namespace = match scope {
        Scope::Namespace(namespace) => Some(namespace.clone()),
        Scope::Cluster | Scope::AllNamespaces => None,
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(NADS.group.to_owned()),
                resource: Some(NADS.plural.to_owned()),
                verb: Some(verb.to_owned()),
                namespace,
                ..ResourceAttributes::default()
            }),
            ..SelfSubjectAccessReviewSpec::default()
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

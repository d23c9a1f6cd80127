//! May we do what we need? The API server is asked, as `kubectl auth can-i` does.

use std::time::Duration;

use contract::nad::{GROUP, PLURAL};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, PostParams};
use kube::{Client, Error};

use super::problem::{Place, Problem};

const VERBS: [&str; 3] = ["get", "list", "watch"];

/// What an answer that does not come keeps us from, in the words of [`Problem`].
const ASK: &str = "ask for permissions on";

/// How long one answer may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Succeeds where everything is allowed, and where the API server does not say: then the watch itself will
/// show.
pub(super) async fn check(client: &Client, place: &Place) -> Result<(), Problem> {
    let mut missing = Vec::new();
    for verb in VERBS {
        match tokio::time::timeout(DEADLINE, is_allowed(client, place, verb)).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => missing.push(verb),
            Ok(Err(Error::Api(status))) if matches!(status.code, 403..=405) => {
                tracing::debug!("the API server does not say what is allowed: {}", status.message);
                return Ok(());
            }
            Ok(Err(error)) => return Err(Problem::of_request(place.clone(), ASK, &error)),
            Err(_) => return Err(Problem::silent(place.clone(), ASK, DEADLINE)),
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(Problem::Forbidden { verbs: missing, place: place.clone() }) }
}

async fn is_allowed(client: &Client, place: &Place, verb: &str) -> Result<bool, Error> {
    let namespace = match place {
        Place::Everywhere => None,
        Place::Namespace(namespace) => Some(namespace.clone()),
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some(GROUP.to_owned()),
                resource: Some(PLURAL.to_owned()),
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

//! Requests with a deadline.

use std::future::Future;
use std::time::Duration;

use kube::api::{ListParams, ObjectList};
use tokio::time::timeout;

use crate::{Failure, Kind, Object};

/// An API server that has not answered a small request by then does not answer.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// For one page of a list.
const PAGE_DEADLINE: Duration = Duration::from_secs(30);

/// Objects in one page of a list.
const PAGE: u32 = 500;

/// Waits for the answer to a request until `limit`.
///
/// # Errors
/// If there is none in time, or it is not what was requested.
pub async fn within<T>(
    limit: Duration,
    verb: &'static str,
    object: &Object,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, Failure> {
    match timeout(limit, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Failure::of_request(verb, object.clone(), &error)),
        Err(_) => Err(Failure::new(verb, object.clone(), Kind::TimedOut { limit })),
    }
}

/// All objects, page by page, of which `list` gets one.
///
/// # Errors
/// If a page cannot be had.
pub async fn list<T, F>(
    object: &Object,
    parameters: ListParams,
    list: impl Fn(ListParams) -> F,
) -> Result<Vec<T>, Failure>
where
    T: Clone,
    F: Future<Output = kube::Result<ObjectList<T>>>,
{
    let mut objects = Vec::new();
    let mut next = parameters.limit(PAGE);
    loop {
        let page = within(PAGE_DEADLINE, "list", object, list(next.clone())).await?;
        objects.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => next = next.continue_token(&token),
            None => return Ok(objects),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_ends_at_the_deadline() {
        let object = Object::of_cluster("Thing", "x");
        let failure = within::<()>(DEADLINE, "get", &object, pending()).await.unwrap_err();
        assert_eq!(failure, Failure::new("get", object, Kind::TimedOut { limit: DEADLINE }));
    }
}

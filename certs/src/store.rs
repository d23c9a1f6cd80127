//! The Secret in a real cluster, and the clock of its API server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::StreamExt as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::client::Body;
use kube::core::{PartialObjectMeta, Status};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, Resource as _};
use tokio::sync::Notify;

use crate::ca_bundle::{self, Ours};
use crate::managed::{Cluster, ClusterError, Registration, SecretReading};

/// Who wrote a field, as `kubectl get --show-managed-fields` names it.
pub(crate) const FIELD_MANAGER: &str = "sriov-webhook";

/// An API server that has not answered by then is away.
const DEADLINE: Duration = Duration::from_secs(10);

/// A Secret and a webhook configuration, by name.
#[derive(Clone)]
pub struct KubernetesCluster {
    client: Client,
    namespace: String,
    secret: String,
    configuration: Option<String>,
    ours: Ours,
}

impl KubernetesCluster {
    /// The Secret `namespace/secret`, and the MutatingWebhookConfiguration whose entries that are
    /// `ours` get the bundle. Without a configuration the bundle is only kept in the Secret (`ca.crt`).
    ///
    /// It needs, as RBAC: `get`, `list`, `watch`, `patch` on that Secret, `create` on Secrets of the
    /// namespace unless an empty one is there already, and `get`, `list`, `watch`, `patch` on that
    /// MutatingWebhookConfiguration.
    pub fn new(
        client: Client,
        namespace: impl Into<String>,
        secret: impl Into<String>,
        configuration: Option<String>,
        ours: Ours,
    ) -> Self {
        Self { client, namespace: namespace.into(), secret: secret.into(), configuration, ours }
    }

    /// Notifies `wake` whenever one of the two objects changes. Never ends; drop it to stop. Without
    /// the permission to watch, the timer of [`crate::managed::Keeper::run`] still looks.
    pub async fn watch(self, wake: Arc<Notify>) {
        let secrets: Api<PartialObjectMeta<Secret>> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret = notify("Secret", secrets, &self.secret, &wake);
        match &self.configuration {
            Some(name) => {
                let configurations: Api<PartialObjectMeta<MutatingWebhookConfiguration>> =
                    Api::all(self.client.clone());
                let configuration = notify("MutatingWebhookConfiguration", configurations, name, &wake);
                tokio::join!(secret, configuration);
            }
            None => secret.await,
        }
    }

    /// The Secret as people call it: `Secret NAMESPACE/NAME`.
    pub fn secret_name(&self) -> String {
        format!("Secret {}/{}", self.namespace, self.secret)
    }
}

impl Cluster for KubernetesCluster {
    async fn registration(&self) -> Result<Registration, ClusterError> {
        match &self.configuration {
            Some(name) => ca_bundle::read(&self.client, name, &self.ours).await,
            None => Ok(Registration::default()),
        }
    }

    async fn secret(&self) -> Result<SecretReading, ClusterError> {
        let object = self.secret_name();
        let url = Secret::url_path(&(), Some(&self.namespace));
        let request = kube::core::Request::new(url).get(&self.secret, &Default::default());
        let request = request.map_err(|error| refused("get", &object, &error))?.map(Body::from);
        let answer = deadline("get", &object, async {
            let response = self.client.send(request).await?;
            let status = response.status();
            let date = response.headers().get(http::header::DATE).and_then(|date| date.to_str().ok());
            let date = date.and_then(clock);
            let body = response.into_body().collect_bytes().await?;
            Ok((status, date, body))
        });
        let (status, date, body) = answer.await?;
        let ours = SystemTime::now();
        let now = date.unwrap_or(ours);
        if status == http::StatusCode::NOT_FOUND {
            return Ok(SecretReading { version: None, data: BTreeMap::new(), now, ours });
        }
        if !status.is_success() {
            let said = serde_json::from_slice::<Status>(&body).unwrap_or_else(|_| Status {
                code: status.as_u16(),
                message: status.to_string(),
                ..Status::default()
            });
            return Err(answered("get", &object, &said));
        }
        let secret: Secret =
            serde_json::from_slice(&body).map_err(|error| refused("get", &object, &error))?;
        let data = secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
        Ok(SecretReading { version: secret.metadata.resource_version, data, now, ours })
    }

    async fn write(
        &self,
        version: Option<&str>,
        data: BTreeMap<String, Option<Vec<u8>>>,
    ) -> Result<(), ClusterError> {
        let object = self.secret_name();
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let Some(version) = version else {
            let secret = Secret {
                metadata: ObjectMeta { name: Some(self.secret.clone()), ..ObjectMeta::default() },
                type_: Some("kubernetes.io/tls".to_owned()),
                data: Some(
                    data.into_iter().filter_map(|(key, value)| Some((key, ByteString(value?)))).collect(),
                ),
                ..Secret::default()
            };
            let parameters =
                PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
            let created = async { secrets.create(&parameters, &secret).await };
            return deadline("create", &object, created).await.map(drop);
        };
        let data: BTreeMap<_, _> =
            data.into_iter().map(|(key, value)| (key, value.map(ByteString))).collect();
        // With a resourceVersion a merge patch is refused once the object is another.
        let patch = serde_json::json!({ "metadata": { "resourceVersion": version }, "data": data });
        let parameters =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patched =
            async { secrets.patch_metadata(&self.secret, &parameters, &Patch::Merge(&patch)).await };
        deadline("patch", &object, patched).await.map(drop)
    }

    async fn publish(&self, registration: &Registration, bundle: &str) -> Result<(), ClusterError> {
        match &self.configuration {
            Some(name) => ca_bundle::write(&self.client, name, registration, bundle).await,
            None => Ok(()),
        }
    }
}

/// Runs one request against the clock and puts its error into words.
pub(crate) async fn deadline<T>(
    verb: &'static str,
    object: &str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, ClusterError> {
    match tokio::time::timeout(DEADLINE, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(kube::Error::Api(status))) => Err(answered(verb, object, &status)),
        Ok(Err(error)) => {
            Err(ClusterError::Unreachable { verb, object: object.to_owned(), reason: reason(&error) })
        }
        Err(_) => {
            let reason = format!("no answer in {} s", DEADLINE.as_secs());
            Err(ClusterError::Unreachable { verb, object: object.to_owned(), reason })
        }
    }
}

fn answered(verb: &'static str, object: &str, status: &Status) -> ClusterError {
    let object = object.to_owned();
    let reason = status.message.clone();
    match status.code {
        409 => ClusterError::Conflict { object },
        403 => ClusterError::Forbidden { verb, object, reason },
        429 | 500..=599 => ClusterError::Unreachable { verb, object, reason },
        _ => ClusterError::Refused { verb, object, reason },
    }
}

fn refused(verb: &'static str, object: &str, error: &dyn std::error::Error) -> ClusterError {
    ClusterError::Refused { verb, object: object.to_owned(), reason: chain(error) }
}

/// Why a request got no answer. Of a lost connection only what the system says of it: what kube and hyper put
/// before tells nobody anything.
pub fn reason(error: &kube::Error) -> String {
    match error {
        kube::Error::Service(error) => root(&**error),
        kube::Error::HyperError(error) => root(error),
        error => chain(error),
    }
}

fn root(mut error: &(dyn std::error::Error + 'static)) -> String {
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}

/// An error with its causes; kube's own text for a lost connection is just "client error".
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    text
}

/// The moment that an HTTP `Date` header says.
fn clock(date: &str) -> Option<SystemTime> {
    let time = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(time.as_second()).ok()?))
}

async fn notify<K>(kind: &str, api: Api<K>, name: &str, wake: &Notify)
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + Send
        + serde::de::DeserializeOwned
        + 'static,
{
    let fields = format!("metadata.name={name}");
    let changes = watcher(api, watcher::Config::default().fields(&fields));
    let mut changes = std::pin::pin!(changes.default_backoff());
    let object = format!("{kind} {name}");
    let mut said = String::new();
    while let Some(change) = changes.next().await {
        match change {
            // A list begins; it may still fail.
            Ok(watcher::Event::Init) => {}
            Ok(_) => {
                said.clear();
                wake.notify_one();
            }
            Err(error) => {
                let sentence = watch_problem(&object, &error);
                if sentence != said {
                    tracing::warn!("{sentence}; it is still looked at on a timer");
                    said = sentence;
                }
            }
        }
    }
}

fn watch_problem(object: &str, error: &watcher::Error) -> String {
    use kube::runtime::watcher::Error;
    let status = match error {
        Error::InitialListFailed(kube::Error::Api(status))
        | Error::WatchStartFailed(kube::Error::Api(status))
        | Error::WatchFailed(kube::Error::Api(status))
        | Error::WatchError(status) => status,
        Error::InitialListFailed(error) | Error::WatchStartFailed(error) | Error::WatchFailed(error) => {
            return format!("cannot watch {object}: {}", reason(error));
        }
        other @ Error::NoResourceVersion => return format!("cannot watch {object}: {other}"),
    };
    let verb = if matches!(error, Error::InitialListFailed(_)) { "list" } else { "watch" };
    answered(verb, object, status).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_is_read() {
        let expected = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_496_400);
        assert_eq!(clock("Tue, 24 Nov 2026 05:00:00 GMT"), Some(expected));
        assert_eq!(clock("yesterday"), None);
        assert_eq!(clock("Thu, 01 Jan 1920 00:00:00 GMT"), None);
    }
}

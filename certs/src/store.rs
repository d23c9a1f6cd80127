//! The Secret in a real cluster, and the clock of its API server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use apiserver::{DEADLINE, Failure, Kind, Object, OnChange, Told, Watch, chain, within};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::client::Body;
use kube::core::{PartialObjectMeta, Status};
use kube::runtime::watcher;
use kube::{Client, Resource as _};
use tokio::sync::Notify;

pub use crate::ca_bundle::Configurations;

use crate::ca_bundle::{self, FIELD_MANAGER, Ours, WebhookConfiguration};
use crate::managed::{Cluster, Registration, SecretReading};

/// A Secret and webhook configurations, by name.
#[derive(Clone)]
pub struct KubernetesCluster {
    client: Client,
    namespace: String,
    secret: String,
    configurations: Configurations,
    ours: Ours,
}

impl KubernetesCluster {
    /// The Secret `namespace/secret`, and the configurations whose entries that are `ours` get the bundle. Without a
    /// configuration the bundle is only kept in the Secret (`ca.crt`).
    ///
    /// It needs, as RBAC: `get`, `list`, `watch`, `patch` on that Secret, `create` on Secrets of the
    /// namespace unless an empty one is there already, and `get`, `list`, `watch`, `patch` on those configurations.
    pub fn new(
        client: Client,
        namespace: impl Into<String>,
        secret: impl Into<String>,
        configurations: Configurations,
        ours: Ours,
    ) -> Self {
        Self { client, namespace: namespace.into(), secret: secret.into(), configurations, ours }
    }

    /// Notifies `wake` whenever one of the objects changes. Never ends; drop it to stop. Without
    /// the permission to watch, the timer of [`crate::managed::Keeper::run`] still looks.
    pub async fn watch(self, wake: Arc<Notify>) {
        let secrets: Api<PartialObjectMeta<Secret>> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret = notify(secrets, self.object(), &self.secret, &wake);
        let Configurations { mutating, validating } = &self.configurations;
        let mutating = self.notify_of::<MutatingWebhookConfiguration>(mutating.as_deref(), &wake);
        let validating = self.notify_of::<ValidatingWebhookConfiguration>(validating.as_deref(), &wake);
        tokio::join!(secret, mutating, validating);
    }

    /// Notifies `wake` of changes of a webhook configuration, if there is one.
    async fn notify_of<K: WebhookConfiguration>(&self, name: Option<&str>, wake: &Notify) {
        if let Some(name) = name {
            let api: Api<PartialObjectMeta<K>> = Api::all(self.client.clone());
            notify(api, ca_bundle::object(K::PHASE, name), name, wake).await;
        }
    }

    /// The Secret as people call it: `Secret NAMESPACE/NAME`.
    pub fn secret_name(&self) -> String {
        self.object().to_string()
    }

    fn object(&self) -> Object {
        Object::named("Secret", &self.namespace, &self.secret)
    }
}

impl Cluster for KubernetesCluster {
    async fn registration(&self) -> Result<Registration, Failure> {
        ca_bundle::read(&self.client, &self.configurations, &self.ours).await
    }

    async fn secret(&self) -> Result<SecretReading, Failure> {
        let object = self.object();
        let url = Secret::url_path(&(), Some(&self.namespace));
        let request = kube::core::Request::new(url).get(&self.secret, &Default::default());
        let request = request
            .map_err(|error| Failure::new("get", object.clone(), Kind::Refused { reason: chain(&error) }))?;
        let answer = within(DEADLINE, "get", &object, async {
            let response = self.client.send(request.map(Body::from)).await?;
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
            return Err(Failure::of_status("get", object, &said));
        }
        let secret: Secret = serde_json::from_slice(&body).map_err(|error| unreadable(object, &error))?;
        let data = secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect();
        Ok(SecretReading { version: secret.metadata.resource_version, data, now, ours })
    }

    async fn write(
        &self,
        version: Option<&str>,
        data: BTreeMap<String, Option<Vec<u8>>>,
    ) -> Result<(), Failure> {
        let object = self.object();
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
            return within(DEADLINE, "create", &object, created).await.map(drop);
        };
        let data: BTreeMap<_, _> =
            data.into_iter().map(|(key, value)| (key, value.map(ByteString))).collect();
        // With a resourceVersion a merge patch is refused once the object is another.
        let patch = serde_json::json!({ "metadata": { "resourceVersion": version }, "data": data });
        let parameters =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patched =
            async { secrets.patch_metadata(&self.secret, &parameters, &Patch::Merge(&patch)).await };
        within(DEADLINE, "patch", &object, patched).await.map(drop)
    }

    async fn publish(&self, registration: &Registration, bundle: &str) -> Result<(), Failure> {
        ca_bundle::write(&self.client, registration, bundle).await
    }
}

fn unreadable(object: Object, error: &serde_json::Error) -> Failure {
    Failure::new("get", object, Kind::Unreadable { reason: error.to_string() })
}

/// The moment that an HTTP `Date` header says.
fn clock(date: &str) -> Option<SystemTime> {
    let time = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::try_from(time.as_second()).ok()?))
}

/// Watches `object`, the only one that `api` shows under `name`.
async fn notify<K>(api: Api<K>, object: Object, name: &str, wake: &Notify)
where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + Send
        + serde::de::DeserializeOwned
        + 'static,
{
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut said = OnChange::default();
    let watch = Watch { api, object, config, heartbeat: None };
    let tell = |told| match told {
        // A list that has only begun may still fail.
        Told::Event(watcher::Event::Init) => {}
        Told::Event(_) => {
            said.clear();
            wake.notify_one();
        }
        Told::Failed(failure) => {
            if let Some(failure) = said.set(failure) {
                tracing::warn!("{failure}; it is still looked at on a timer");
            }
        }
    };
    watch.run(tell).await;
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

//! `caBundle` in our webhook configurations, and nothing else of them.

use std::fmt::Debug;

use apiserver::{DEADLINE, Failure, Object, within};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::api::{Api, Patch, PatchParams};
use kube::core::ClusterResourceScope;
use kube::{Client, ResourceExt as _};
use serde::de::DeserializeOwned;

use crate::managed::{Configuration, Phase, Registration};

/// The webhook configurations whose entries get the bundle, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configurations {
    /// The MutatingWebhookConfiguration.
    pub mutating: Option<String>,
    /// The ValidatingWebhookConfiguration.
    pub validating: Option<String>,
}

/// Who wrote a field, as `kubectl get --show-managed-fields` names it.
pub(crate) const FIELD_MANAGER: &str = "sriov-webhook";

/// Which entries of a webhook configuration are ours: those that lead to our service, or by URL to one
/// of our names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ours {
    /// Namespace and name of the service.
    pub service: Option<(String, String)>,
    /// Host names and addresses that a URL may have, as in the serving certificate.
    pub names: Vec<String>,
}

impl Ours {
    fn owns(&self, client: &WebhookClientConfig) -> bool {
        let by_service = client.service.as_ref().is_some_and(|service| {
            self.service
                .as_ref()
                .is_some_and(|(namespace, name)| *namespace == service.namespace && *name == service.name)
        });
        let by_url = client.url.as_deref().and_then(host).is_some_and(|host| self.names.contains(&host));
        by_service || by_url
    }
}

/// A kind of webhook configuration.
pub(crate) trait WebhookConfiguration:
    kube::Resource<DynamicType = (), Scope = ClusterResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// When its entries are called.
    const PHASE: Phase;

    /// Each entry's name and where it leads.
    fn entries(self) -> Vec<(String, WebhookClientConfig)>;
}

impl WebhookConfiguration for MutatingWebhookConfiguration {
    const PHASE: Phase = Phase::Mutating;

    fn entries(self) -> Vec<(String, WebhookClientConfig)> {
        let webhooks = self.webhooks.unwrap_or_default().into_iter();
        webhooks.map(|webhook| (webhook.name, webhook.client_config)).collect()
    }
}

impl WebhookConfiguration for ValidatingWebhookConfiguration {
    const PHASE: Phase = Phase::Validating;

    fn entries(self) -> Vec<(String, WebhookClientConfig)> {
        let webhooks = self.webhooks.unwrap_or_default().into_iter();
        webhooks.map(|webhook| (webhook.name, webhook.client_config)).collect()
    }
}

/// Reads our entries. A configuration that does not exist has none, and a notice says so.
pub(crate) async fn read(
    client: &Client,
    configurations: &Configurations,
    ours: &Ours,
) -> Result<Registration, Failure> {
    let mut registration = Registration::default();
    if let Some(name) = &configurations.mutating {
        read_one::<MutatingWebhookConfiguration>(client, name, ours, &mut registration).await?;
    }
    if let Some(name) = &configurations.validating {
        read_one::<ValidatingWebhookConfiguration>(client, name, ours, &mut registration).await?;
    }
    Ok(registration)
}

async fn read_one<K: WebhookConfiguration>(
    client: &Client,
    name: &str,
    ours: &Ours,
    registration: &mut Registration,
) -> Result<(), Failure> {
    let api: Api<K> = Api::all(client.clone());
    let found = within(DEADLINE, "get", &object(K::PHASE, name), api.get_opt(name)).await?;
    add(registration, name, found, ours);
    Ok(())
}

/// Adds our entries of one configuration, or why it has none.
fn add<K: WebhookConfiguration>(registration: &mut Registration, name: &str, found: Option<K>, ours: &Ours) {
    let object = object(K::PHASE, name);
    let entries = found.map(|found| {
        let version = found.resource_version().unwrap_or_default();
        let ours = found.entries().into_iter().filter(|(_, client)| ours.owns(client));
        let entries = ours.map(|(name, client)| (name, client.ca_bundle.unwrap_or_default().0)).collect();
        Configuration { phase: K::PHASE, name: name.to_owned(), version, entries }
    });
    let notice = match &entries {
        None => Some(format!(
            "{object} does not exist, so no API server calls this webhook: create it (the chart does), or name the \
             right one"
        )),
        Some(found) if found.entries.is_empty() => {
            let (namespace, service) = ours.service.clone().unwrap_or_default();
            Some(format!(
                "{object} has no entry that leads to Service {namespace}/{service}: its caBundle stays unchanged"
            ))
        }
        Some(_) => None,
    };
    registration.configurations.extend(entries);
    registration.notice = match (registration.notice.take(), notice) {
        (Some(one), Some(other)) => Some(format!("{one}; {other}")),
        (one, other) => one.or(other),
    };
}

/// Writes the bundle into each of our entries, if their configurations are still what was read.
pub(crate) async fn write(client: &Client, registration: &Registration, bundle: &str) -> Result<(), Failure> {
    for configuration in registration.configurations.iter().filter(|one| !one.entries.is_empty()) {
        match configuration.phase {
            Phase::Mutating => {
                write_one::<MutatingWebhookConfiguration>(client, configuration, bundle).await?;
            }
            Phase::Validating => {
                write_one::<ValidatingWebhookConfiguration>(client, configuration, bundle).await?;
            }
        }
    }
    Ok(())
}

async fn write_one<K: WebhookConfiguration>(
    client: &Client,
    configuration: &Configuration,
    bundle: &str,
) -> Result<(), Failure> {
    let api: Api<K> = Api::all(client.clone());
    let name = &configuration.name;
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Strategic(patch(configuration, bundle));
    let patched = async { api.patch_metadata(name, &parameters, &patch).await };
    within(DEADLINE, "patch", &object(K::PHASE, name), patched).await?;
    Ok(())
}

/// A strategic merge patch: entries are found by name, everything not named stays, and with a
/// resourceVersion it is refused once the object is another.
fn patch(configuration: &Configuration, bundle: &str) -> serde_json::Value {
    let encoded = ByteString(bundle.as_bytes().to_vec());
    let webhooks: Vec<_> = configuration
        .entries
        .iter()
        .map(|(name, _)| serde_json::json!({ "name": name, "clientConfig": { "caBundle": encoded } }))
        .collect();
    serde_json::json!({ "metadata": { "resourceVersion": configuration.version }, "webhooks": webhooks })
}

/// A configuration, for messages.
pub(crate) fn object(phase: Phase, name: &str) -> Object {
    let kind = match phase {
        Phase::Mutating => "MutatingWebhookConfiguration",
        Phase::Validating => "ValidatingWebhookConfiguration",
    };
    Object::of_cluster(kind, name)
}

/// The host of an https URL, without brackets and port.
fn host(url: &str) -> Option<String> {
    let uri: http::Uri = url.parse().ok()?;
    let host = uri.host()?;
    Some(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn ours() -> Ours {
        Ours { service: Some(("sriov".into(), "hook".into())), names: vec!["127.0.0.1".into(), "::1".into()] }
    }

    #[rstest]
    #[case::our_service(json!({"service": {"namespace": "sriov", "name": "hook"}}), true)]
    #[case::same_name_elsewhere(json!({"service": {"namespace": "other", "name": "hook"}}), false)]
    #[case::url_with_our_address(json!({"url": "https://127.0.0.1:8443/mutate"}), true)]
    #[case::url_with_our_ipv6_address(json!({"url": "https://[::1]:8443/mutate"}), true)]
    #[case::url_of_somebody_else(json!({"url": "https://other.example/mutate"}), false)]
    #[case::no_url_at_all(json!({"url": ":::"}), false)]
    fn entries_are_ours_by_where_they_lead(#[case] client: serde_json::Value, #[case] expected: bool) {
        let client: WebhookClientConfig = serde_json::from_value(client).unwrap();
        assert_eq!(ours().owns(&client), expected);
    }

    /// What is known of a configuration with this content.
    fn registered<K: WebhookConfiguration>(configuration: Option<K>) -> Registration {
        let mut registration = Registration::default();
        add(&mut registration, "kubevirt-sriov", configuration, &ours());
        registration
    }

    fn content() -> serde_json::Value {
        json!({
            "metadata": {"name": "kubevirt-sriov", "resourceVersion": "7"},
            "webhooks": [
                {"name": "pods", "clientConfig": {"service": {"namespace": "sriov", "name": "hook"}},
                 "admissionReviewVersions": ["v1"], "sideEffects": "None"},
                {"name": "foreign", "clientConfig": {"url": "https://other.example"},
                 "admissionReviewVersions": ["v1"], "sideEffects": "None"},
            ],
        })
    }

    #[test]
    fn only_our_entries_get_a_bundle_and_only_that() {
        let mutating: MutatingWebhookConfiguration = serde_json::from_value(content()).unwrap();
        let validating: ValidatingWebhookConfiguration = serde_json::from_value(content()).unwrap();
        for (phase, read) in
            [(Phase::Mutating, registered(Some(mutating))), (Phase::Validating, registered(Some(validating)))]
        {
            let configuration = &read.configurations[0];
            assert_eq!(configuration.entries, [("pods".to_owned(), Vec::new())]);
            assert_eq!((configuration.phase, &read.notice), (phase, &None));
            assert_eq!(read.bundles().count(), 1);
            let expected = json!({
                "metadata": {"resourceVersion": "7"},
                "webhooks": [{"name": "pods", "clientConfig": {"caBundle": "UEVN"}}],
            });
            assert_eq!(patch(configuration, "PEM"), expected);
        }
    }

    #[test]
    fn a_missing_configuration_is_no_failure_but_said() {
        let read = registered::<MutatingWebhookConfiguration>(None);
        let notice = "MutatingWebhookConfiguration kubevirt-sriov does not exist, so no API server calls this \
                      webhook: create it (the chart does), or name the right one";
        assert_eq!(read, Registration { notice: Some(notice.to_owned()), ..Registration::default() });
        let mut both = registered(Some(MutatingWebhookConfiguration::default()));
        let empty = "MutatingWebhookConfiguration kubevirt-sriov has no entry that leads to Service \
                     sriov/hook: its caBundle stays unchanged";
        assert_eq!(both.notice.as_deref(), Some(empty));
        add::<ValidatingWebhookConfiguration>(&mut both, "final", None, &ours());
        let notice = format!(
            "{empty}; ValidatingWebhookConfiguration final does not exist, so no API server calls this webhook: create \
             it (the chart does), or name the right one"
        );
        assert_eq!(both.notice, Some(notice));
    }
}

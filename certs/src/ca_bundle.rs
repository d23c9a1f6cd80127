//! `caBundle` in our webhook configurations, and nothing else of them.

use apiserver::{DEADLINE, Failure, Object, within};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt as _};

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

/// A webhook configuration as it was read: its version, and each entry's name and where it leads.
struct Found {
    version: String,
    entries: Vec<(String, WebhookClientConfig)>,
}

impl From<MutatingWebhookConfiguration> for Found {
    fn from(configuration: MutatingWebhookConfiguration) -> Self {
        let version = configuration.resource_version().unwrap_or_default();
        let webhooks = configuration.webhooks.unwrap_or_default().into_iter();
        Self { version, entries: webhooks.map(|webhook| (webhook.name, webhook.client_config)).collect() }
    }
}

impl From<ValidatingWebhookConfiguration> for Found {
    fn from(configuration: ValidatingWebhookConfiguration) -> Self {
        let version = configuration.resource_version().unwrap_or_default();
        let webhooks = configuration.webhooks.unwrap_or_default().into_iter();
        Self { version, entries: webhooks.map(|webhook| (webhook.name, webhook.client_config)).collect() }
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
        let api: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
        let found = within(DEADLINE, "get", &object(Phase::Mutating, name), api.get_opt(name)).await?;
        add(&mut registration, Phase::Mutating, name, found.map(Found::from), ours);
    }
    if let Some(name) = &configurations.validating {
        let api: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
        let found = within(DEADLINE, "get", &object(Phase::Validating, name), api.get_opt(name)).await?;
        add(&mut registration, Phase::Validating, name, found.map(Found::from), ours);
    }
    Ok(registration)
}

/// Adds our entries of one configuration, or why it has none.
fn add(registration: &mut Registration, phase: Phase, name: &str, found: Option<Found>, ours: &Ours) {
    let object = object(phase, name);
    let entries = found.map(|Found { version, entries }| {
        let ours = entries.into_iter().filter(|(_, client)| ours.owns(client));
        let entries = ours.map(|(name, client)| (name, client.ca_bundle.unwrap_or_default().0)).collect();
        Configuration { phase, version, entries }
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
pub(crate) async fn write(
    client: &Client,
    configurations: &Configurations,
    registration: &Registration,
    bundle: &str,
) -> Result<(), Failure> {
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    for configuration in registration.configurations.iter().filter(|one| !one.entries.is_empty()) {
        let patch = patch(configuration, bundle);
        let patch = Patch::Strategic(&patch);
        match (configuration.phase, &configurations.mutating, &configurations.validating) {
            (Phase::Mutating, Some(name), _) => {
                let api: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
                let patched = async { api.patch_metadata(name, &parameters, &patch).await };
                within(DEADLINE, "patch", &object(Phase::Mutating, name), patched).await?;
            }
            (Phase::Validating, _, Some(name)) => {
                let api: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
                let patched = async { api.patch_metadata(name, &parameters, &patch).await };
                within(DEADLINE, "patch", &object(Phase::Validating, name), patched).await?;
            }
            // Only what is named is read.
            _ => {}
        }
    }
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
    fn registered(phase: Phase, configuration: Option<Found>) -> Registration {
        let mut registration = Registration::default();
        add(&mut registration, phase, "kubevirt-sriov", configuration, &ours());
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
        for (phase, found) in
            [(Phase::Mutating, Found::from(mutating)), (Phase::Validating, Found::from(validating))]
        {
            let read = registered(phase, Some(found));
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
        let read = registered(Phase::Mutating, None);
        let notice = "MutatingWebhookConfiguration kubevirt-sriov does not exist, so no API server calls this \
                      webhook: create it (the chart does), or name the right one";
        assert_eq!(read, Registration { notice: Some(notice.to_owned()), ..Registration::default() });
        let mut both = registered(Phase::Mutating, Some(MutatingWebhookConfiguration::default().into()));
        let empty = "MutatingWebhookConfiguration kubevirt-sriov has no entry that leads to Service \
                     sriov/hook: its caBundle stays unchanged";
        assert_eq!(both.notice.as_deref(), Some(empty));
        add(&mut both, Phase::Validating, "final", None, &ours());
        let notice = format!(
            "{empty}; ValidatingWebhookConfiguration final does not exist, so no API server calls this webhook: create \
             it (the chart does), or name the right one"
        );
        assert_eq!(both.notice, Some(notice));
    }
}

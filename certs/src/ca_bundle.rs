//! `caBundle` in our MutatingWebhookConfiguration, and nothing else of it.

use apiserver::{DEADLINE, Failure, Object, within};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, WebhookClientConfig};
use kube::Client;
use kube::api::{Api, Patch, PatchParams};

use crate::managed::Registration;

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

/// Reads our entries. A configuration that is not there has none, and a notice says so.
pub(crate) async fn read(client: &Client, name: &str, ours: &Ours) -> Result<Registration, Failure> {
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let configuration = within(DEADLINE, "get", &object(name), configurations.get_opt(name)).await?;
    Ok(registration(name, configuration, ours))
}

fn registration(
    name: &str,
    configuration: Option<MutatingWebhookConfiguration>,
    ours: &Ours,
) -> Registration {
    let Some(configuration) = configuration else {
        let notice = format!(
            "{} does not exist, so no API server calls this webhook: create it (the chart does), or name the \
             right one",
            object(name)
        );
        return Registration { notice: Some(notice), ..Registration::default() };
    };
    let webhooks = configuration.webhooks.unwrap_or_default();
    let entries: Vec<_> = webhooks
        .into_iter()
        .filter(|webhook| ours.owns(&webhook.client_config))
        .map(|webhook| {
            let bundle = webhook.client_config.ca_bundle.unwrap_or_default();
            (webhook.name, bundle.0)
        })
        .collect();
    let notice = entries.is_empty().then(|| {
        let (namespace, service) = ours.service.clone().unwrap_or_default();
        format!(
            "{} has no entry that leads to Service {namespace}/{service}: its caBundle stays unchanged",
            object(name)
        )
    });
    Registration { version: configuration.metadata.resource_version.unwrap_or_default(), entries, notice }
}

/// Writes the bundle into each of our entries, if the configuration is still the one that was read.
pub(crate) async fn write(
    client: &Client,
    name: &str,
    registration: &Registration,
    bundle: &str,
) -> Result<(), Failure> {
    let configurations: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let patch = patch(registration, bundle);
    let patch = Patch::Strategic(&patch);
    let patched = async { configurations.patch_metadata(name, &parameters, &patch).await };
    within(DEADLINE, "patch", &object(name), patched).await.map(drop)
}

/// A strategic merge patch: entries are found by name, everything not named stays, and with a
/// resourceVersion it is refused once the object is another.
fn patch(registration: &Registration, bundle: &str) -> serde_json::Value {
    let encoded = ByteString(bundle.as_bytes().to_vec());
    let webhooks: Vec<_> = registration
        .entries
        .iter()
        .map(|(name, _)| serde_json::json!({ "name": name, "clientConfig": { "caBundle": encoded } }))
        .collect();
    serde_json::json!({ "metadata": { "resourceVersion": registration.version }, "webhooks": webhooks })
}

/// The configuration, for messages.
pub(crate) fn object(name: &str) -> Object {
    Object::of_cluster("MutatingWebhookConfiguration", name)
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

    #[test]
    fn only_our_entries_get_a_bundle_and_only_that() {
        let configuration = serde_json::from_value(json!({
            "metadata": {"name": "kubevirt-sriov", "resourceVersion": "7"},
            "webhooks": [
                {"name": "pods", "clientConfig": {"service": {"namespace": "sriov", "name": "hook"}},
                 "admissionReviewVersions": ["v1"], "sideEffects": "None"},
                {"name": "foreign", "clientConfig": {"url": "https://other.example"},
                 "admissionReviewVersions": ["v1"], "sideEffects": "None"},
            ],
        }));
        let read = registration("kubevirt-sriov", configuration.unwrap(), &ours());
        assert_eq!(read.entries, [("pods".to_owned(), Vec::new())]);
        assert_eq!(read.notice, None);
        let expected = json!({
            "metadata": {"resourceVersion": "7"},
            "webhooks": [{"name": "pods", "clientConfig": {"caBundle": "UEVN"}}],
        });
        assert_eq!(patch(&read, "PEM"), expected);
    }

    #[test]
    fn a_missing_configuration_is_no_failure_but_said() {
        let read = registration("kubevirt-sriov", None, &ours());
        let notice = "MutatingWebhookConfiguration kubevirt-sriov does not exist, so no API server calls this \
                      webhook: create it (the chart does), or name the right one";
        assert_eq!(read, Registration { notice: Some(notice.to_owned()), ..Registration::default() });
        let empty = registration("kubevirt-sriov", Some(MutatingWebhookConfiguration::default()), &ours());
        let notice = "MutatingWebhookConfiguration kubevirt-sriov has no entry that leads to Service \
                      sriov/hook: its caBundle stays unchanged";
        assert_eq!(empty.notice.as_deref(), Some(notice));
    }
}

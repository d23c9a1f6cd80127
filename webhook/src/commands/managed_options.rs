//! The flags of managed certificates, the same for the replicas that keep them and for people.

use std::time::Duration;

use certs::ca_bundle::Ours;
use certs::rotation::Settings;
use certs::store::{Configurations, KubernetesCluster};
use clap::Args;
use contract::duration;
use kube::Client;

/// A CA and a serving certificate that the replicas make and renew by themselves, in a Secret.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Managed certificates (in a cluster, without --tls-dir and --self-signed)")]
pub(super) struct ManagedOptions {
    /// Secret with the CA and the certificate; serve creates it if it does not exist
    #[arg(long, value_name = "[NAMESPACE/]NAME", default_value = "sriov-webhook-tls")]
    tls_secret: String,

    /// Service of the webhook, whose names the certificate is issued for
    #[arg(long, value_name = "[NAMESPACE/]NAME", default_value = "sriov-webhook")]
    service: String,

    /// MutatingWebhookConfiguration whose entries get the CA bundle
    ///
    /// Only entries that lead to --service, or by URL to a --tls-name, are changed.
    #[arg(long, value_name = "NAME", default_value = "sriov-webhook")]
    webhook_configuration: String,

    /// ValidatingWebhookConfiguration whose entries get the CA bundle as well, for the final look
    #[arg(long, value_name = "NAME")]
    validating_configuration: Option<String>,

    /// Another DNS name or IP address for the certificate; may be given several times
    #[arg(long, hide_short_help = true, value_name = "NAME")]
    tls_name: Vec<String>,

    /// Lifetime of a serving certificate
    #[arg(long, hide_short_help = true, value_name = "TIME", default_value = "90d", value_parser = duration::parse)]
    tls_lifetime: Duration,

    /// Lifetime of a CA
    #[arg(long, hide_short_help = true, value_name = "TIME", default_value = "10y", value_parser = duration::parse)]
    ca_lifetime: Duration,

    /// Share of its lifetime after which a certificate or a CA is renewed
    #[arg(long, hide_short_help = true, value_name = "SHARE", default_value = "0.667")]
    renew_at: f64,

    /// How long a new CA is in the CA bundle before it signs
    #[arg(long, hide_short_help = true, value_name = "TIME", default_value = "5m", value_parser = duration::parse)]
    ca_settle: Duration,
}

impl ManagedOptions {
    /// How certificates are made and renewed.
    pub(super) fn settings(&self, client: &Client) -> Settings {
        let (namespace, service) = split(&self.service, client);
        let mut names = Settings::service_names(&service, &namespace);
        names.extend(self.tls_name.iter().cloned());
        Settings {
            authority_lifetime: self.ca_lifetime,
            serving_lifetime: self.tls_lifetime,
            renew_at: self.renew_at,
            settle: self.ca_settle,
            ..Settings::new(names)
        }
    }

    /// Where they are kept.
    pub(super) fn cluster(&self, client: Client) -> KubernetesCluster {
        let (namespace, secret) = split(&self.tls_secret, &client);
        let ours = Ours { service: Some(split(&self.service, &client)), names: self.tls_name.clone() };
        let configurations = Configurations {
            mutating: Some(self.webhook_configuration.clone()),
            validating: self.validating_configuration.clone(),
        };
        KubernetesCluster::new(client, namespace, secret, configurations, ours)
    }
}

/// `[NAMESPACE/]NAME`; the namespace is the pod's or the kubeconfig's if none is given.
fn split(name: &str, client: &Client) -> (String, String) {
    match name.split_once('/') {
        Some((namespace, name)) => (namespace.to_owned(), name.to_owned()),
        None => (client.default_namespace().to_owned(), name.to_owned()),
    }
}

//! One look at a cluster, as all commands take it that judge one.

use apiserver::{DEADLINE, Object, within};
use clap::Args;
use k8s_openapi::apimachinery::pkg::version::Info;
use kube::Client;

use super::progress::Progress;
use super::release_flags::DecisionFlags;
use crate::doctor::Check;
use crate::doctor::collect::{Settings, collect, collect_release};
use crate::doctor::facts::{Decisions, Facts};

/// What the check of the registration looks at.
#[derive(Debug, Clone, Args)]
pub(super) struct RegistrationOptions {
    /// MutatingWebhookConfiguration of the release, if there are several
    #[arg(long, value_name = "NAME")]
    webhook_configuration: Option<String>,

    /// Namespace for the dry run of a pod that the webhook denies
    #[arg(long, value_name = "NAMESPACE", default_value = "default")]
    probe_namespace: String,
}

impl RegistrationOptions {
    /// What to read for these checks.
    pub(super) fn settings(self, checks: Vec<Check>) -> Settings {
        let Self { webhook_configuration, probe_namespace } = self;
        Settings { checks, configuration: webhook_configuration, probe_namespace }
    }
}

/// What was seen of a cluster, and how its pods are decided.
#[derive(Debug)]
pub(super) struct ClusterLook {
    /// The API server's version.
    pub(super) version: Info,
    /// What the checks need.
    pub(super) facts: Facts,
    /// By which flags pods are decided.
    pub(super) decisions: Decisions,
}

/// Reads what `settings` ask for, and says in `progress` what it reads. With `wants_release` pods are decided by the flags
/// of the release that is registered.
///
/// # Errors
/// If the API server does not answer: everything else would fail for the same reason, one by one.
pub(super) async fn look(
    client: &Client,
    settings: &Settings,
    admission: &DecisionFlags,
    wants_release: bool,
    progress: &Progress,
) -> anyhow::Result<ClusterLook> {
    let doing = |what| progress.doing(what);
    doing("waiting for the API server");
    let version = Object::of_cluster("the API server's", "version");
    let version = within(DEADLINE, "get", &version, client.apiserver_version()).await?;
    let facts = collect_release(client, settings, wants_release, doing).await;
    let decisions = admission.with_release(&facts);
    let facts = collect(client, settings, &decisions.options.resource_annotations, facts, doing).await;
    Ok(ClusterLook { version, facts, decisions })
}

//! Which cluster a command talks to.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

/// How to reach an API server.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct ClusterOptions {
    /// Kubeconfig of the cluster to use
    ///
    /// The default is KUBECONFIG, then the cluster that this pod runs in, then, for all commands but serve,
    /// ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
}

/// The cluster that was named, or the one around this pod.
impl ClusterOptions {
    /// None if no cluster is named: by the flag, by KUBECONFIG if that `counts`, or around this pod.
    pub(super) async fn config(&self, counts: bool) -> anyhow::Result<Option<Config>> {
        let named = match &self.kubeconfig {
            Some(path) => Some(Kubeconfig::read_from(path).context("cannot use --kubeconfig")?),
            None if counts => Kubeconfig::from_env().context("cannot use KUBECONFIG")?,
            None => None,
        };
        if let Some(kubeconfig) = named {
            let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
            return Ok(Some(config.context("cannot use the kubeconfig")?));
        }
        if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
            return Ok(None);
        }
        let config = Config::incluster().context("cannot use the ServiceAccount of this pod")?;
        Ok(Some(config))
    }

    /// For a person's command, which also takes the kubeconfig that kubectl takes.
    pub(super) async fn client(&self) -> anyhow::Result<Client> {
        let config = match self.config(true).await? {
            Some(config) => config,
            None => Config::from_kubeconfig(&KubeConfigOptions::default())
                .await
                .context("no cluster: name a kubeconfig with --kubeconfig")?,
        };
        Client::try_from(config).context("cannot talk to the API server")
    }
}

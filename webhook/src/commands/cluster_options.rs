//! Which cluster a command talks to, as whom, and about which namespaces.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use anyhow::{Context as _, anyhow, ensure};
use clap::Args;
use k8s_openapi::jiff::Timestamp;
use kube::config::{AuthInfo, ExecConfig, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::kubeconfig::{Proxies, Surroundings, refused, select};

/// How to reach an API server.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct KubeconfigOptions {
    /// Kubeconfig of the cluster to use
    ///
    /// The default is KUBECONFIG, then, for all commands but serve, ~/.kube/config, then the cluster that this pod runs
    /// in.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig to use instead of its current one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// Where a kubeconfig may come from besides the flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(feature = "server"), expect(dead_code, reason = "only serve looks in fewer places"))]
pub(super) enum Sources {
    /// From nowhere else: other flags say that no cluster is needed.
    Flag,
    /// From KUBECONFIG.
    Environment,
    /// From KUBECONFIG, then from the place where kubectl keeps it.
    Person,
}

impl KubeconfigOptions {
    /// None if no cluster is named: by the flags, by a kubeconfig of `sources`, or around this pod.
    pub(super) async fn config(&self, sources: Sources) -> anyhow::Result<Option<Config>> {
        if let Some(kubeconfig) = self.kubeconfig(sources)? {
            return Ok(Some(used(kubeconfig, self.context.as_deref()).await?));
        }
        if let Some(context) = &self.context {
            return Err(anyhow!(
                "--context {context} chooses from a kubeconfig, and there is none: name one with --kubeconfig"
            ));
        }
        if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
            return Ok(None);
        }
        let config = Config::incluster().context("cannot use the ServiceAccount of this pod")?;
        Ok(Some(config))
    }

    fn kubeconfig(&self, sources: Sources) -> anyhow::Result<Option<Kubeconfig>> {
        if let Some(path) = &self.kubeconfig {
            return Kubeconfig::read_from(path).map(Some).context("cannot use --kubeconfig");
        }
        if sources == Sources::Flag {
            return Ok(None);
        }
        if let Some(paths) = std::env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty()) {
            return from_list(&paths).map(Some).context("cannot use KUBECONFIG");
        }
        let home = std::env::home_dir().map(|home| home.join(".kube/config"));
        match home.filter(|path| sources == Sources::Person && path.is_file()) {
            Some(path) => Kubeconfig::read_from(path).map(Some).context("cannot use ~/.kube/config"),
            None => Ok(None),
        }
    }
}

/// All of KUBECONFIG's files as one. As with kubectl, some of them may be absent.
fn from_list(paths: &std::ffi::OsStr) -> anyhow::Result<Kubeconfig> {
    let present: Vec<PathBuf> = std::env::split_paths(paths).filter(|path| path.exists()).collect();
    ensure!(!present.is_empty(), "{} does not exist: correct it, or unset it", paths.display());
    let mut merged = Kubeconfig::default();
    for path in present {
        merged = merged.merge(Kubeconfig::read_from(path)?)?;
    }
    Ok(merged)
}

async fn used(kubeconfig: Kubeconfig, context: Option<&str>) -> anyhow::Result<Config> {
    let around = Surroundings {
        proxies: Proxies::from_env(),
        is_terminal: io::stdin().is_terminal(),
        now: Timestamp::now(),
    };
    let selected = select(kubeconfig, context, &around)?;
    if let Some(note) = selected.note {
        eprintln!("{note}");
    }
    let options = KubeConfigOptions { context: Some(selected.context), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(selected.kubeconfig, &options).await;
    let mut config = config.context("cannot use the kubeconfig")?;
    // kube compares NO_PROXY with the proxy, not with the API server.
    config.proxy_url = selected.proxy;
    Ok(config)
}

/// How a person reaches an API server: as kubectl does.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct ClusterOptions {
    #[command(flatten)]
    kubeconfig: KubeconfigOptions,

    /// User to impersonate, such as jane or system:serviceaccount:NAMESPACE:NAME
    ///
    /// The kubeconfig's own user needs the permission for it: the verb impersonate on users, groups or serviceaccounts.
    #[arg(long = "as", value_name = "USER")]
    as_user: Option<String>,

    /// Group to impersonate along with --as; may be given several times
    #[arg(long, value_name = "GROUP")]
    as_group: Vec<String>,

    /// UID to impersonate along with --as
    #[arg(long, value_name = "UID", hide_short_help = true)]
    as_uid: Option<String>,
}

impl ClusterOptions {
    /// A client of the cluster that was named, or of the one around this pod.
    pub(super) async fn client(&self) -> anyhow::Result<Client> {
        let config = self.kubeconfig.config(Sources::Person).await?;
        let mut config = config.context(
            "no cluster: there is no ~/.kube/config; name a kubeconfig with --kubeconfig or KUBECONFIG",
        )?;
        self.impersonate(&mut config.auth_info)?;
        let exec = config.auth_info.exec.clone();
        Client::try_from(config).map_err(|error| unusable(exec.as_ref(), error))
    }

    fn impersonate(&self, login: &mut AuthInfo) -> anyhow::Result<()> {
        let Self { kubeconfig: _, as_user, as_group, as_uid } = self;
        if let Some(user) = as_user {
            // What the kubeconfig says of another user would give this one its groups.
            login.impersonate = Some(user.clone());
            (login.impersonate_uid, login.impersonate_groups, login.impersonate_user_extra) =
                (None, None, None);
        }
        if !as_group.is_empty() {
            login.impersonate_groups = Some(as_group.clone());
        }
        if as_uid.is_some() {
            login.impersonate_uid.clone_from(as_uid);
        }
        let also = login.impersonate_groups.is_some() || login.impersonate_uid.is_some();
        ensure!(
            login.impersonate.is_some() || !also,
            "--as-group and --as-uid need a user: name one with --as"
        );
        Ok(())
    }
}

/// What is wrong with a client that cannot be built: mostly its login.
pub(super) fn unusable(exec: Option<&ExecConfig>, error: kube::Error) -> anyhow::Error {
    match refused(&error, exec) {
        Some(sentence) => anyhow!(sentence),
        None => anyhow::Error::new(error).context("cannot talk to the API server"),
    }
}

/// Which namespaces a command is about.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct NamespaceOptions {
    /// Namespace to look at; may be given several times
    ///
    /// The default is the namespace of the kubeconfig's context. Objects in files that name no namespace are of the first.
    #[arg(long, short, value_name = "NAMESPACE")]
    namespace: Vec<String>,

    /// Look at all namespaces, whatever --namespace and the kubeconfig say
    #[arg(long, short = 'A')]
    all_namespaces: bool,
}

impl NamespaceOptions {
    /// The namespaces to read objects from; none are all.
    pub(super) fn of_cluster(&self, client: &Client) -> Vec<String> {
        match (self.all_namespaces, self.namespace.is_empty()) {
            (true, _) => Vec::new(),
            (false, true) => vec![client.default_namespace().to_owned()],
            (false, false) => self.namespace.clone(),
        }
    }

    /// The namespace of objects in files that name none.
    pub(super) fn of_file<'a>(&'a self, client: Option<&'a Client>) -> Option<&'a str> {
        self.namespace.first().map(String::as_str).or_else(|| client.map(Client::default_namespace))
    }
}

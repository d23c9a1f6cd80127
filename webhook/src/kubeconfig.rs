//! What a kubeconfig says of a cluster and of who logs in, as kubectl understands it.
//!
//! The kube crate reads and uses kubeconfigs, but passes over some of what is wrong with one, and of some parts it knows
//! less than kubectl. [`select`] completes what can be completed, and refuses the rest with a sentence.

mod login;
mod proxy;

use http::Uri;
use k8s_openapi::jiff::Timestamp;
use kube::config::{Cluster, Context, Kubeconfig};
use thiserror::Error;

pub(crate) use login::refused;
pub(crate) use proxy::Proxies;

/// What decides beside the kubeconfig.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    /// Proxies that the environment names.
    pub(crate) proxies: Proxies,
    /// Whether a login plugin can talk to a person on standard input.
    pub(crate) is_terminal: bool,
    /// The time.
    pub(crate) now: Timestamp,
}

/// A kubeconfig that can be used with `context`.
#[derive(Debug, Clone)]
pub(crate) struct Selected {
    /// The kubeconfig, completed.
    pub(crate) kubeconfig: Kubeconfig,
    /// The context to use.
    pub(crate) context: String,
    /// The proxy to the API server.
    pub(crate) proxy: Option<Uri>,
    /// What a person should know about the login.
    pub(crate) note: Option<String>,
}

/// Why a kubeconfig cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Problem {
    /// Empty, or not a kubeconfig.
    #[error("the kubeconfig has no context: name another file with --kubeconfig or KUBECONFIG")]
    Empty,
    /// Nothing says which context.
    #[error("the kubeconfig has no current-context: choose one of {} with --context", names(known))]
    NoContext {
        /// All contexts.
        known: Vec<String>,
    },
    /// The context is not in it.
    #[error("the kubeconfig has no context {name:?}: choose one of {} with --context", names(known))]
    UnknownContext {
        /// The one that was chosen.
        name: String,
        /// All contexts.
        known: Vec<String>,
    },
    /// What the context names is not in it.
    #[error(
        "context {context:?} names the {kind} {name:?}, which the kubeconfig does not have: correct the context, or add it"
    )]
    Missing {
        /// The context.
        context: String,
        /// `cluster` or `user`.
        kind: &'static str,
        /// The name of the missing part.
        name: String,
    },
    /// A cluster without an address.
    #[error("cluster {cluster:?} of the kubeconfig has no server: add its URL")]
    NoServer {
        /// The cluster.
        cluster: String,
    },
    /// A login that Kubernetes clients have dropped.
    #[error(
        "user {user:?} logs in with the auth-provider {provider:?}, which Kubernetes clients no longer support: use its exec \
         plugin, such as gke-gcloud-auth-plugin or kubelogin"
    )]
    Provider {
        /// The user.
        user: String,
        /// The provider's name.
        provider: String,
    },
    /// An OIDC login that is not complete.
    #[error("user {user:?} has the auth-provider oidc without a valid id-token ({reason}): log in again")]
    IdToken {
        /// The user.
        user: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An OIDC login that has ended and cannot be renewed here.
    #[error("the id-token of user {user:?} has expired, and {reason}: {remedy}")]
    Expired {
        /// The user.
        user: String,
        /// Why it cannot be renewed.
        reason: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A plugin that talks to a person.
    #[error(
        "user {user:?} logs in with the plugin {command:?}, which needs a terminal (interactiveMode: Always), and standard \
         input is not one: start this at a terminal, without a file on standard input"
    )]
    NeedsTerminal {
        /// The user.
        user: String,
        /// The plugin.
        command: String,
    },
    /// A proxy that cannot be used.
    #[error("{origin} is not a valid proxy: write a URL that begins with http://, https:// or socks5://")]
    Proxy {
        /// Where it is from. Its value may hold a password.
        origin: String,
    },
}

fn names(known: &[String]) -> String {
    known.join(", ")
}

/// Completes the part of `kubeconfig` that `context` names, or its current context.
pub(crate) fn select(
    mut kubeconfig: Kubeconfig,
    context: Option<&str>,
    around: &Surroundings,
) -> Result<Selected, Problem> {
    let name = chosen(&kubeconfig, context)?;
    let of = find_context(&kubeconfig, &name)?;
    let cluster = find_cluster(&kubeconfig, &name, &of)?;
    let Some(server) = cluster.server.as_deref().filter(|server| !server.is_empty()) else {
        return Err(Problem::NoServer { cluster: of.cluster });
    };
    let proxy = proxy::proxy(cluster.proxy_url.as_deref(), server, &around.proxies)?;
    let mut note = None;
    if let Some(user) = of.user.filter(|user| !user.is_empty()) {
        let named = kubeconfig.auth_infos.iter_mut().find(|named| named.name == user);
        match named.and_then(|named| named.auth_info.as_mut()) {
            Some(login) => note = login::complete(&user, login, around)?,
            None => return Err(Problem::Missing { context: name, kind: "user", name: user }),
        }
    }
    Ok(Selected { kubeconfig, context: name, proxy, note })
}

fn chosen(kubeconfig: &Kubeconfig, context: Option<&str>) -> Result<String, Problem> {
    let current = kubeconfig.current_context.as_deref().filter(|name| !name.is_empty());
    match context.or(current) {
        Some(name) => Ok(name.to_owned()),
        None if kubeconfig.contexts.is_empty() => Err(Problem::Empty),
        None => Err(Problem::NoContext { known: known(kubeconfig) }),
    }
}

fn find_context(kubeconfig: &Kubeconfig, name: &str) -> Result<Context, Problem> {
    let named = kubeconfig.contexts.iter().find(|named| named.name == name);
    match named.and_then(|named| named.context.clone()) {
        Some(context) => Ok(context),
        None if kubeconfig.contexts.is_empty() => Err(Problem::Empty),
        None => Err(Problem::UnknownContext { name: name.to_owned(), known: known(kubeconfig) }),
    }
}

fn find_cluster<'k>(kubeconfig: &'k Kubeconfig, context: &str, of: &Context) -> Result<&'k Cluster, Problem> {
    let named = kubeconfig.clusters.iter().find(|named| named.name == of.cluster);
    named.and_then(|named| named.cluster.as_ref()).ok_or_else(|| Problem::Missing {
        context: context.to_owned(),
        kind: "cluster",
        name: of.cluster.clone(),
    })
}

fn known(kubeconfig: &Kubeconfig) -> Vec<String> {
    kubeconfig.contexts.iter().map(|named| named.name.clone()).collect()
}

#[cfg(test)]
mod tests;

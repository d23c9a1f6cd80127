//! What keeps us from the NADs of a cluster, in one line each.

use std::fmt;
use std::time::Duration;

use contract::nad::{GROUP, PLURAL};
use kube::core::Status;
use kube::runtime::watcher;
use thiserror::Error;

/// Where NADs are watched or looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In all namespaces.
    Everywhere,
    /// In one.
    Namespace(String),
}

/// What keeps us from the NADs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// A permission is missing.
    #[error(
        "not allowed to {} {PLURAL}.{GROUP} {place}: grant {} on them to this program's ServiceAccount with a {}",
        .verbs.join(", "), quoted(.verbs), place.role()
    )]
    Forbidden {
        /// What is not allowed.
        verbs: Vec<&'static str>,
        /// Where.
        place: Place,
    },
    /// The cluster has no such kind.
    #[error(
        "cannot {verb} {PLURAL}.{GROUP}: the cluster does not know them: install Multus, or its \
         CustomResourceDefinition alone"
    )]
    Unknown {
        /// What was tried.
        verb: &'static str,
    },
    /// We are nobody there.
    #[error(
        "cannot {verb} {PLURAL}.{GROUP} {place}: the API server does not accept our credentials: {reason}: \
         see the ServiceAccount's token or the kubeconfig"
    )]
    Unauthorized {
        /// What was tried.
        verb: &'static str,
        /// Where.
        place: Place,
        /// What the API server says.
        reason: String,
    },
    /// The API server said no.
    #[error("cannot {verb} {PLURAL}.{GROUP} {place}: the API server refuses it: {reason}")]
    Refused {
        /// What was tried.
        verb: &'static str,
        /// Where.
        place: Place,
        /// What the API server says.
        reason: String,
    },
    /// No answer.
    #[error("cannot {verb} {PLURAL}.{GROUP} {place}: the API server does not answer: {reason}")]
    Unreachable {
        /// What was tried.
        verb: &'static str,
        /// Where.
        place: Place,
        /// What the connection says.
        reason: String,
    },
}

impl Problem {
    pub(super) fn of_watch(place: Place, error: &watcher::Error) -> Self {
        match error {
            watcher::Error::InitialListFailed(error) => Self::of_request(place, "list", error),
            watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
                Self::of_request(place, "watch", error)
            }
            watcher::Error::WatchError(status) => Self::of_status(place, "watch", status),
            watcher::Error::NoResourceVersion => {
                Self::Refused { verb: "watch", place, reason: error.to_string() }
            }
        }
    }

    pub(super) fn of_request(place: Place, verb: &'static str, error: &kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(place, verb, status),
            error => Self::Unreachable { verb, place, reason: certs::store::reason(error) },
        }
    }

    pub(super) fn silent(place: Place, verb: &'static str, limit: Duration) -> Self {
        Self::Unreachable { verb, place, reason: format!("no answer in {} s", limit.as_secs()) }
    }

    fn of_status(place: Place, verb: &'static str, status: &Status) -> Self {
        let reason = status.message.clone();
        match status.code {
            401 => Self::Unauthorized { verb, place, reason },
            403 => Self::Forbidden { verbs: vec![verb], place },
            404 => Self::Unknown { verb },
            429 | 500..=599 => Self::Unreachable { verb, place, reason },
            _ => Self::Refused { verb, place, reason },
        }
    }
}

/// The version to go on from is forgotten by the API server, as happens after a long cut. The watcher lists
/// again.
pub(super) fn is_expired(error: &watcher::Error) -> bool {
    matches!(error, watcher::Error::WatchError(status) if status.code == 410)
}

impl Place {
    fn role(&self) -> &'static str {
        match self {
            Self::Everywhere => "ClusterRole",
            Self::Namespace(_) => "Role in that namespace",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everywhere => f.write_str("in all namespaces"),
            Self::Namespace(namespace) => write!(f, "in namespace {namespace}"),
        }
    }
}

fn quoted(verbs: &[&str]) -> String {
    verbs.iter().map(|verb| format!("{verb:?}")).collect::<Vec<_>>().join(", ")
}

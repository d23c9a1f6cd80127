//! What can be seen of a cluster, without judging it.

mod counters;
mod dra;
mod machine;
mod nad;
mod node;
mod pod;
mod release;

use std::collections::BTreeMap;

use apiserver::Failure;
use k8s_openapi::jiff::Timestamp;

pub use counters::Counters;
pub use dra::{Allocated, Attribute, Claim, Device as DraDevice, DeviceClass, DeviceId, Dra, Offer};
pub use machine::{Machine, MachineNetwork};
pub use nad::{Misspelt, Nad, Nads};
pub use node::{Node, Ready};
pub use pod::{Device, Ended, LauncherPod};
pub use release::{Decisions, Deployment, Release, Replica, Served, Source};

/// What entries of ours are called, behind a name of their own.
pub const OUR_DOMAIN: &str = ".kubevirt-sriov.io";

/// Everything that [`judge`](super::judge::judge) needs to know. What was not read is `None`.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Entries of MutatingWebhookConfigurations that are about pods, and ours about VMIs.
    pub entries: Option<Result<Vec<Entry>, Failure>>,
    /// What the registration leads to; `None` if it leads to no Service.
    pub release: Option<Release>,
    /// What the API server did with a pod that our webhook refuses.
    pub probe: Option<Probe>,
    /// NADs.
    pub networks: Option<Result<Nads, Failure>>,
    /// Nodes.
    pub nodes: Option<Result<Vec<Node>, Failure>>,
    /// Dynamic Resource Allocation (DRA).
    pub dra: Option<Result<Dra, Failure>>,
    /// KubeVirts, of which there should be one.
    pub kubevirts: Option<Result<Vec<KubeVirt>, Failure>>,
    /// VMIs, those that have ended included.
    pub machines: Option<Result<Vec<Machine>, Failure>>,
    /// virt-launcher pods, those that have ended included.
    pub pods: Option<Result<Vec<LauncherPod>, Failure>>,
    /// When nodes were last restarted, by the events that kubelets wrote of it; an API server keeps them for an hour.
    /// `None` if nothing depended on them.
    pub restarts: Option<Result<BTreeMap<String, Timestamp>, Failure>>,
}

/// An entry of a MutatingWebhookConfiguration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The configuration's name.
    pub configuration: String,
    /// The entry's own.
    pub name: String,
    /// `Service NAMESPACE/NAME` or a URL.
    pub target: String,
    /// Namespace and name of the Service, if it is one.
    pub service: Option<(String, String)>,
    /// The caBundle; empty if it has none.
    pub bundle: Vec<u8>,
    /// Whether it is about VMIs and not about pods.
    pub about_vmis: bool,
    /// Whether a pod passes while nobody answers.
    pub ignores_failure: bool,
}

impl Entry {
    /// Whether it is this project's.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.name.ends_with(OUR_DOMAIN)
    }

    /// Whether it has a caBundle.
    #[must_use]
    pub fn has_bundle(&self) -> bool {
        !self.bundle.is_empty()
    }
}

/// The result of the dry run of a pod that our webhook denies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// A webhook refused it.
    Refused {
        /// Which.
        entry: String,
    },
    /// A webhook did not answer, or not so that it was believed.
    Unanswered {
        /// Which.
        entry: String,
        /// What the API server says.
        reason: String,
    },
    /// It would have been created.
    Passed {
        /// Where.
        namespace: String,
    },
    /// Somebody else was in the way.
    Hindered {
        /// What the API server says.
        reason: String,
    },
}

/// A KubeVirt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KubeVirt {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its version, once it is deployed.
    pub version: Option<String>,
    /// Gates that are switched on.
    pub gates: Vec<String>,
    /// Gates that are switched off.
    pub disabled_gates: Vec<String>,
}

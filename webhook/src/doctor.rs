//! Whether a cluster gives its virtual machines the VFs that their networks need, and what to do where not.
//!
//! [`collect`](fn@collect::collect) reads the cluster, [`judge`] decides from what was read alone, [`report`] prints;
//! [`map`](fn@map::map) shows the path of each device.

pub mod collect;
pub mod facts;
pub mod judge;
pub mod map;
pub mod network_map;
pub mod report;

use anstyle::Style;
use clap::ValueEnum;
use serde::Serialize;

use crate::style;

/// What can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// Is the webhook registered, does it answer, is its certificate trusted?
    Webhook,
    /// Does another injector handle the same pods?
    Injector,
    /// Which KubeVirt is it, and does it leave VFs to a webhook?
    Kubevirt,
    /// Are the annotations and CNI configurations of all NADs valid?
    Nad,
    /// Does a node advertise each resource that a NAD names, and are there enough?
    Resource,
    /// Do the pods of VMIs hold the devices that their networks need, and are these attached?
    Vmi,
}

impl Check {
    /// All of them, in the order in which they build on each other.
    pub const ALL: [Self; 6] =
        [Self::Webhook, Self::Injector, Self::Kubevirt, Self::Nad, Self::Resource, Self::Vmi];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Injector => "injector",
            Self::Kubevirt => "kubevirt",
            Self::Nad => "nad",
            Self::Resource => "resource",
            Self::Vmi => "vmi",
        }
    }
}

/// The result of a check for one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, but deserves attention.
    Warning,
    /// It could not be seen and may be wrong.
    Unknown,
    /// A virtual machine gets no VF because of it.
    Wrong,
}

impl State {
    /// The word for it in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
            Self::Wrong => "WRONG",
        }
    }

    /// The colour of the word.
    fn style(self) -> Style {
        match self {
            Self::Ok => style::GOOD,
            Self::Warning => style::ATTENTION,
            Self::Unknown => style::UNKNOWN,
            Self::Wrong => style::BAD,
        }
    }
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: Check,
    /// The result.
    pub state: State,
    /// What was seen.
    pub found: String,
    /// What to do about it; absent if there is nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(check: Check, found: impl Into<String>) -> Self {
        Self { check, state: State::Ok, found: found.into(), remedy: None }
    }

    fn warning(check: Check, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, state: State::Warning, found: found.into(), remedy: Some(remedy.into()) }
    }

    fn unknown(check: Check, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, state: State::Unknown, found: found.into(), remedy: Some(remedy.into()) }
    }

    fn wrong(check: Check, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, state: State::Wrong, found: found.into(), remedy: Some(remedy.into()) }
    }
}

/// All findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether nothing is wrong, and nothing unknown.
    pub healthy: bool,
    /// In the order of [`Check::ALL`].
    pub findings: Vec<Finding>,
}

impl Report {
    /// The worst state of all findings.
    #[must_use]
    pub fn state(&self) -> State {
        self.findings.iter().map(|finding| finding.state).max().unwrap_or(State::Ok)
    }
}

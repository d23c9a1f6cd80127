//! Whether a cluster gives its virtual machines the VFs that their networks need, and what to do where not.
//!
//! [`collect`](fn@collect::collect) reads the cluster, [`judge`] decides from what was read alone, [`report`] prints;
//! [`map`](fn@map::map) shows the path of each device.

mod code;
pub mod collect;
pub mod facts;
pub mod judge;
pub mod map;
pub mod network_map;
mod object_ref;
pub mod pre;
pub mod report;

use anstyle::Style;
use clap::ValueEnum;
use serde::Serialize;

pub use code::Code;
pub use object_ref::ObjectRef;

use crate::style;

/// Of the JSON that doctor prints. It changes when a field gets another meaning or is gone; new fields, codes and kinds of
/// objects do not change it.
pub const SCHEMA_VERSION: u32 = 1;

/// What can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// Is the API server recent enough, and may this user install the chart?
    #[value(skip)]
    Cluster,
    /// Is the webhook registered, does it answer, is its certificate trusted?
    Webhook,
    /// Does the release behind the registration run, in this version, with a certificate that is trusted?
    Release,
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
    /// Those of a cluster with a release, in the order in which they build on each other.
    pub const ALL: [Self; 7] =
        [Self::Webhook, Self::Release, Self::Injector, Self::Kubevirt, Self::Nad, Self::Resource, Self::Vmi];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Webhook => "webhook",
            Self::Release => "release",
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
    /// It was not looked at, and nothing that was depends on it.
    Note,
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
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
            Self::Wrong => "WRONG",
        }
    }

    /// The colour of the word.
    fn style(self) -> Style {
        match self {
            Self::Ok => style::GOOD,
            Self::Note => Style::new(),
            Self::Warning => style::ATTENTION,
            Self::Unknown => style::UNKNOWN,
            Self::Wrong => style::BAD,
        }
    }
}

/// From which state on a command fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// What deserves attention
    Warning,
    /// What is wrong
    Error,
}

impl FailOn {
    /// The exit status of a command that found things in these states.
    #[must_use]
    pub fn exit_status(self, states: impl IntoIterator<Item = State>) -> u8 {
        let status = |state| match state {
            State::Wrong => 1,
            State::Warning if self == Self::Warning => 1,
            State::Unknown => 2,
            State::Ok | State::Note | State::Warning => 0,
        };
        // What is wrong counts for more than what could not be seen.
        let statuses = states.into_iter().map(status).filter(|status| *status > 0);
        statuses.min().unwrap_or_default()
    }
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: Check,
    /// The result.
    pub state: State,
    /// What kind of finding it is; absent if the state is ok.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The object that it is about, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectRef>,
    /// What was seen.
    pub found: String,
    /// What to do about it; absent if there is nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Where the code is explained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Finding {
    fn ok(check: Check, found: impl Into<String>) -> Self {
        Self {
            check,
            state: State::Ok,
            code: None,
            object: None,
            found: found.into(),
            remedy: None,
            url: None,
        }
    }

    fn note(check: Check, code: Code, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::ok(check, found).not_ok(State::Note, code, remedy)
    }

    fn warning(check: Check, code: Code, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::ok(check, found).not_ok(State::Warning, code, remedy)
    }

    fn unknown(check: Check, code: Code, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::ok(check, found).not_ok(State::Unknown, code, remedy)
    }

    fn wrong(check: Check, code: Code, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::ok(check, found).not_ok(State::Wrong, code, remedy)
    }

    fn not_ok(self, state: State, code: Code, remedy: impl Into<String>) -> Self {
        Self { state, code: Some(code), remedy: Some(remedy.into()), url: Some(code.url()), ..self }
    }

    fn about(self, object: ObjectRef) -> Self {
        Self { object: Some(object), ..self }
    }
}

/// All findings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Of this document; see [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Whether nothing is wrong, and nothing unknown.
    pub healthy: bool,
    /// In the order of [`Check::ALL`].
    pub findings: Vec<Finding>,
}

impl Report {
    /// The report of these findings.
    #[must_use]
    pub fn of(findings: Vec<Finding>) -> Self {
        let is_healthy =
            |finding: &Finding| matches!(finding.state, State::Ok | State::Note | State::Warning);
        Self { schema_version: SCHEMA_VERSION, healthy: findings.iter().all(is_healthy), findings }
    }

    /// The worst state of all findings.
    #[must_use]
    pub fn state(&self) -> State {
        self.findings.iter().map(|finding| finding.state).max().unwrap_or(State::Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::nothing(&[], 0, 0)]
    #[case::well(&[State::Ok], 0, 0)]
    #[case::not_looked_at(&[State::Ok, State::Note], 0, 0)]
    #[case::a_warning(&[State::Ok, State::Warning], 0, 1)]
    #[case::not_seen(&[State::Unknown, State::Ok], 2, 2)]
    #[case::not_seen_beside_a_warning(&[State::Unknown, State::Warning], 2, 1)]
    #[case::wrong(&[State::Unknown, State::Wrong], 1, 1)]
    fn exit_statuses(#[case] states: &[State], #[case] on_error: u8, #[case] on_warning: u8) {
        let status = |fail_on: FailOn| fail_on.exit_status(states.iter().copied());
        assert_eq!((status(FailOn::Error), status(FailOn::Warning)), (on_error, on_warning));
    }

    #[test]
    fn an_object_is_written_as_one_word() {
        let lines = [
            ObjectRef::in_namespace("Pod", "lab", "a").to_string(),
            ObjectRef::resource("intel.com/vf").to_string(),
        ];
        assert_eq!(lines, ["Pod/lab/a", "ExtendedResource/intel.com/vf"]);
    }
}

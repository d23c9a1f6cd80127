//! Whether a host or a container is fit for VFIO, and what to do about what is missing.
//!
//! [`facts`] reads, [`judge`] decides without looking anywhere, [`report`] prints. [`vm`] does the same for the networks
//! of one virtual machine.

mod colours;
pub mod command_line;
pub mod facts;
pub mod judge;
pub mod memory;
pub mod processes;
pub mod report;
pub mod vm;

use serde::Serialize;

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, or cannot be told from here, but somebody should know.
    Warning,
    /// Without it no virtual machine gets a VF.
    Missing,
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it stands.
    pub state: State,
    /// What was seen.
    pub found: String,
    /// What to do about it; absent if there is nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    fn ok(check: &'static str, found: String) -> Self {
        Self { check, state: State::Ok, found, remedy: None }
    }

    fn warning(check: &'static str, found: String, remedy: impl Into<String>) -> Self {
        Self { check, state: State::Warning, found, remedy: Some(remedy.into()) }
    }

    fn missing(check: &'static str, found: String, remedy: impl Into<String>) -> Self {
        Self { check, state: State::Missing, found, remedy: Some(remedy.into()) }
    }
}

/// All that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Where this was seen from.
    pub place: Place,
    /// Whether nothing is missing.
    pub fit: bool,
    /// In the order in which the parts build on each other.
    pub findings: Vec<Finding>,
    /// The virtual machine, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<vm::map::Map>,
}

/// Where the program runs. A container shows fewer things, and can repair none of the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In the host's own process namespace.
    Host,
    /// In another one.
    Container,
}

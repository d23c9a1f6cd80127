//! What the facts mean, and what to do about them.

mod attached;
mod demand;
mod dra;
mod holding;
mod kubevirt;
mod machines;
mod nads;
mod resources;
mod stale;
mod wants;
mod webhook;
mod wording;

pub(super) use machines::{Judged, judge_machines};
pub(super) use stale::may_be_stale;

use admission::Options;
use apiserver::Failure;

use super::facts::{Entry, Facts};
use super::{Check, Code, Finding, Report, SCHEMA_VERSION, State};

/// Judges what was seen. What could not be seen is [unknown](State::Unknown), never well.
#[must_use]
pub fn judge(facts: &Facts, checks: &[Check], options: &Options) -> Report {
    let mut findings = Vec::new();
    for check in Check::ALL.into_iter().filter(|check| checks.contains(check)) {
        findings.extend(match check {
            Check::Webhook => webhook::registration(facts),
            Check::Injector => webhook::injectors(facts),
            Check::Kubevirt => kubevirt::versions(facts),
            Check::Nad => nads::networks(facts, checks, options),
            Check::Resource => resources::resources(facts),
            Check::Vmi => machines::machines(facts, options),
        });
    }
    let is_healthy = |finding: &Finding| matches!(finding.state, State::Ok | State::Warning);
    Report { schema_version: SCHEMA_VERSION, healthy: findings.iter().all(is_healthy), findings }
}

/// What was not looked at has nothing to be said about.
fn seen<T>(check: Check, look: Option<&Result<T, Failure>>) -> Result<&T, Vec<Finding>> {
    match look {
        None => Err(Vec::new()),
        Some(Ok(seen)) => Ok(seen),
        Some(Err(unseen)) => {
            let remedy = match unseen.remedy().filter(|_| unseen.is_not_served()) {
                Some(remedy) => format!("{remedy}, or leave this out with --only"),
                None => {
                    "use a kubeconfig that may list them (examples/doctor.yaml), or leave this out with --only"
                        .to_owned()
                }
            };
            Err(vec![Finding::unknown(check, Code::CannotRead, unseen.sentence(), remedy)])
        }
    }
}

/// The entries of this project among those about pods.
fn ours(facts: &Facts) -> Vec<&Entry> {
    let entries = facts.entries.as_ref().and_then(|entries| entries.as_ref().ok());
    entries.into_iter().flatten().filter(|entry| entry.is_ours()).collect()
}

/// Entries of other injectors of SR-IOV resources.
fn others(facts: &Facts) -> Vec<&Entry> {
    let entries = facts.entries.as_ref().and_then(|entries| entries.as_ref().ok());
    let injects = |entry: &&Entry| {
        !entry.is_ours()
            && [&entry.configuration, &entry.name, &entry.target]
                .iter()
                .any(|text| text.contains("resources-injector"))
    };
    entries.into_iter().flatten().filter(injects).collect()
}

#[cfg(test)]
mod tests;

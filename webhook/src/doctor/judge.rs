//! What the facts mean, and what to do about them.

mod attached;
mod demand;
mod dra;
mod holding;
mod kubevirt;
mod machines;
mod nads;
mod release;
mod resources;
mod stale;
mod wants;
mod webhook;
mod wording;

pub(super) use machines::{Judged, judge_machines};
pub(super) use release::unread_flags;
pub(super) use stale::may_be_stale;

use admission::Options;
use apiserver::Failure;

use super::facts::{Decisions, Entry, Facts, Source};
use super::{Check, Code, Finding, Report};

/// Judges what was seen. What could not be seen is [unknown](super::State::Unknown), never well.
#[must_use]
pub fn judge(facts: &Facts, checks: &[Check], decisions: &Decisions) -> Report {
    let options = &decisions.options;
    let mut findings = Vec::new();
    if let Source::Unread { reason } = &decisions.source
        && !checks.contains(&Check::Release)
    {
        findings.push(unread_flags(reason));
    }
    for check in Check::ALL.into_iter().filter(|check| checks.contains(check)) {
        findings.extend(match check {
            Check::Cluster => Vec::new(),
            Check::Webhook => webhook::registration(facts),
            Check::Release => release::release(facts, decisions),
            Check::Injector => webhook::injectors(facts),
            Check::Kubevirt => kubevirt::versions(facts),
            Check::Nad => nads::networks(facts, checks, options),
            Check::Resource => resources::resources(facts),
            Check::Vmi => machines::machines(facts, options),
        });
    }
    Report::of(findings)
}

/// Judges what an install needs of the cluster, before there is a release.
pub(super) fn before_install(facts: &Facts) -> Vec<Finding> {
    let mut findings = webhook::registered_already(facts);
    findings.extend(webhook::injectors(facts));
    findings.extend(kubevirt::before_install(facts));
    findings.extend(nads::networks(facts, &[], &Options::default()));
    findings.extend(resources::before_install(facts));
    findings
}

/// What was not looked at has nothing to be said about.
fn seen<T>(check: Check, look: Option<&Result<T, Failure>>) -> Result<&T, Vec<Finding>> {
    match look {
        None => Err(Vec::new()),
        Some(Ok(seen)) => Ok(seen),
        Some(Err(unseen)) => {
            let remedy = format!("{}, or leave this out with --only", remedy(unseen));
            Err(vec![Finding::unknown(check, Code::CannotRead, unseen.sentence(), remedy)])
        }
    }
}

/// What to do about something that could not be seen.
fn remedy(unseen: &Failure) -> String {
    if unseen.is_forbidden() {
        return "use a kubeconfig that may list them (examples/doctor.yaml)".to_owned();
    }
    unseen.remedy().unwrap_or_else(|| {
        "try again; if it stays so, kubectl get --raw '/readyz?verbose' shows how the API server is"
            .to_owned()
    })
}

/// The entries of this project that are about pods.
fn ours(facts: &Facts) -> Vec<&Entry> {
    all_ours(facts).filter(|entry| !entry.about_vmis).collect()
}

/// The entries of this project that are about VMIs.
fn ours_of_vmis(facts: &Facts) -> Vec<&Entry> {
    all_ours(facts).filter(|entry| entry.about_vmis).collect()
}

fn all_ours(facts: &Facts) -> impl Iterator<Item = &Entry> {
    let entries = facts.entries.as_ref().and_then(|entries| entries.as_ref().ok());
    entries.into_iter().flatten().filter(|entry| entry.is_ours())
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

//! The same for programs.

use admission::{Decision, Denial, Patch, Verdict};
use contract::{NadName, ResourceName};
use serde::Serialize;

/// What happens to one pod.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    pod: &'a str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    denial: Option<DenialReport<'a>>,
    attachments: Vec<AttachmentReport<'a>>,
    needs: Vec<NeedReport<'a>>,
    warnings: &'a [String],
    patch: &'a Patch,
}

#[derive(Serialize)]
struct DenialReport<'a> {
    reason: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
struct AttachmentReport<'a> {
    annotation: &'static str,
    element: usize,
    nad: &'a NadName,
    /// Absent if the NAD does not exist or is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<&'a [ResourceName]>,
    /// Whether the pod's annotation names it as one to leave alone; absent if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ignored: bool,
}

#[derive(Serialize)]
struct NeedReport<'a> {
    resource: &'a ResourceName,
    needed: u64,
    present: u64,
    added: u64,
    holders: Vec<HolderReport<'a>>,
}

#[derive(Serialize)]
struct HolderReport<'a> {
    container: &'a str,
    count: u64,
}

impl<'a> Report<'a> {
    pub(super) fn new(pod: &'a str, decision: &'a Decision) -> Self {
        let Verdict { outcome, warnings, .. } = &decision.verdict;
        let denial = decision.verdict.denial();
        let attachments = decision.attachments.iter().map(|attachment| AttachmentReport {
            annotation: attachment.annotation,
            element: attachment.element,
            nad: &attachment.nad,
            resources: attachment.requirements().map(|requirements| requirements.resources.as_slice()),
            ignored: attachment.is_ignored(),
        });
        let needs = decision.needs.iter().map(|need| NeedReport {
            resource: &need.resource,
            needed: need.needed,
            present: need.present,
            added: need.added,
            holders: need
                .holders
                .iter()
                .map(|holder| HolderReport { container: &holder.container, count: holder.count })
                .collect(),
        });
        Self {
            pod,
            outcome: outcome.as_str(),
            denial: denial
                .map(|Denial { reason, message }| DenialReport { reason: reason.as_str(), message }),
            attachments: attachments.collect(),
            needs: needs.collect(),
            warnings,
            patch: outcome.patch(),
        }
    }
}

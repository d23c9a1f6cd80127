//! The answer's body: an AdmissionReview of `admission.k8s.io/v1`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::{Decision, Denial, NOTHING, Outcome, Patch, VmiDecision};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
}

#[derive(Serialize)]
struct Status<'a> {
    status: &'static str,
    message: &'a str,
    reason: &'static str,
    code: u16,
}

impl<'a> Status<'a> {
    fn new(denial: &'a Denial) -> Self {
        let (code, reason) = denial.reason.status();
        Self { status: "Failure", message: &denial.message, reason, code }
    }
}

/// The answer that `decision` asks for.
#[must_use]
pub fn answer(uid: &str, decision: &Decision) -> Vec<u8> {
    let status = match &decision.outcome {
        Outcome::OutOfScope | Outcome::Unchanged | Outcome::Patched(_) => None,
        Outcome::Denied(denial) => Some(Status::new(denial)),
    };
    let response = Response { uid, allowed: status.is_none(), status, warnings: &decision.warnings };
    write(response, decision.outcome.patch())
}

/// The answer about a VMI, which always passes.
#[must_use]
pub fn answer_vmi(uid: &str, decision: &VmiDecision) -> Vec<u8> {
    write(Response { uid, allowed: true, status: None, warnings: &decision.warnings }, &decision.patch)
}

/// The refusal of a review that nothing could be decided about.
#[must_use]
pub fn answer_unreadable(uid: &str, denial: &Denial) -> Vec<u8> {
    write(Response { uid, allowed: false, status: Some(Status::new(denial)), warnings: &[] }, &NOTHING)
}

fn write(response: Response<'_>, patch: &Patch) -> Vec<u8> {
    // Room for what is usual, so that it is not moved while it is written.
    let mut answer = Vec::with_capacity(1024);
    let review = Review { api_version: "admission.k8s.io/v1", kind: "AdmissionReview", response };
    // Serialising strings and a list of them into memory has no way to fail.
    let _ = serde_json::to_writer(&mut answer, &review);
    if !patch.is_empty() {
        // Kubernetes carries the patch as base64 of its JSON. That needs no escapes, so it goes into the response as
        // it is, before the braces that end it.
        answer.truncate(answer.len().saturating_sub("}}".len()));
        answer.extend_from_slice(br#","patchType":"JSONPatch","patch":""#);
        answer.extend_from_slice(STANDARD.encode(patch.to_json()).as_bytes());
        answer.extend_from_slice(br#""}}"#);
    }
    answer
}

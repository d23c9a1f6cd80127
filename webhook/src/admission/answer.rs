//! The answer's body: an AdmissionReview of `admission.k8s.io/v1`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use json_patch::PatchOperation;
use serde::{Serialize, Serializer};

use super::{Decision, Denial, Outcome, VmiDecision};

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
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "base64")]
    patch: Option<&'a [PatchOperation]>,
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
    let (status, patch) = match &decision.outcome {
        Outcome::OutOfScope | Outcome::Unchanged => (None, None),
        Outcome::Patched(operations) => (None, Some(operations.as_slice())),
        Outcome::Denied(denial) => (Some(Status::new(denial)), None),
    };
    write(Response {
        uid,
        allowed: status.is_none(),
        status,
        patch_type: patch.map(|_| "JSONPatch"),
        patch,
        warnings: &decision.warnings,
    })
}

/// The answer about a VMI, which always passes.
#[must_use]
pub fn answer_vmi(uid: &str, decision: &VmiDecision) -> Vec<u8> {
    let patch = Some(decision.operations.as_slice()).filter(|operations| !operations.is_empty());
    let patch_type = patch.map(|_| "JSONPatch");
    write(Response { uid, allowed: true, status: None, patch_type, patch, warnings: &decision.warnings })
}

/// The refusal of a review that nothing could be decided about.
#[must_use]
pub fn answer_unreadable(uid: &str, denial: &Denial) -> Vec<u8> {
    let status = Some(Status::new(denial));
    write(Response { uid, allowed: false, status, patch_type: None, patch: None, warnings: &[] })
}

fn write(response: Response<'_>) -> Vec<u8> {
    let review = Review { api_version: "admission.k8s.io/v1", kind: "AdmissionReview", response };
    // Serialising strings, numbers and lists of them into memory has no way to fail.
    serde_json::to_vec(&review).unwrap_or_default()
}

/// Kubernetes carries the patch as base64 of its JSON.
fn base64<S: Serializer>(patch: &Option<&[PatchOperation]>, serializer: S) -> Result<S::Ok, S::Error> {
    let json = serde_json::to_vec(&patch.unwrap_or_default()).map_err(serde::ser::Error::custom)?;
    serializer.serialize_str(&STANDARD.encode(json))
}

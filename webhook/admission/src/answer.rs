//! The answer's body: an AdmissionReview of `admission.k8s.io/v1`.

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Error as _, Serializer};

use super::{Decision, Denial, Outcome, Patch, VmiDecision};

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Response<'a>,
}

#[derive(serde::Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "base64_of_json")]
    patch: Option<&'a Patch>,
}

#[derive(serde::Serialize)]
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
    let denial = match &decision.outcome {
        Outcome::OutOfScope | Outcome::Unchanged | Outcome::Patched(_) => None,
        Outcome::Denied(denial) => Some(denial),
    };
    write(uid, denial, &decision.warnings, decision.outcome.patch())
}

/// The answer about a VMI, which always passes.
#[must_use]
pub fn answer_vmi(uid: &str, decision: &VmiDecision) -> Vec<u8> {
    write(uid, None, &decision.warnings, &decision.patch)
}

/// The refusal of a review that nothing could be decided about.
#[must_use]
pub fn answer_unreadable(uid: &str, denial: &Denial) -> Vec<u8> {
    write(uid, Some(denial), &[], Patch::EMPTY)
}

fn write(uid: &str, denial: Option<&Denial>, warnings: &[String], patch: &Patch) -> Vec<u8> {
    let patch = Some(patch).filter(|patch| !patch.is_empty());
    let response = Response {
        uid,
        allowed: denial.is_none(),
        status: denial.map(Status::new),
        warnings,
        patch_type: patch.map(|_| "JSONPatch"),
        patch,
    };
    let review = Review { api_version: "admission.k8s.io/v1", kind: "AdmissionReview", response };
    // Writing strings, lists and maps with string keys into memory cannot fail.
    serde_json::to_vec(&review).unwrap_or_default()
}

/// Kubernetes carries a patch as base64 of its JSON.
fn base64_of_json<S: Serializer>(patch: &Option<&Patch>, serializer: S) -> Result<S::Ok, S::Error> {
    let json = serde_json::to_vec(patch).map_err(S::Error::custom)?;
    serializer.collect_str(&Base64Display::new(&json, &STANDARD))
}

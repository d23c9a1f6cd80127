//! The answer's body: an AdmissionReview of `admission.k8s.io/v1`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Error as _, Serializer};

use super::{Denial, Outcome, Patch, Subject, Verdict};

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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    audit_annotations: BTreeMap<&'static str, Cow<'a, str>>,
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

/// The answer that `verdict` asks for, about an object that is an `S`. One that [never](Subject::MAY_BE_REFUSED) is
/// refused passes with the denial as a warning.
#[must_use]
pub fn answer<S: Subject>(uid: &str, verdict: &Verdict) -> Vec<u8> {
    let denial = verdict.denial();
    let refused = denial.filter(|_| S::MAY_BE_REFUSED);
    let excused = denial.filter(|_| !S::MAY_BE_REFUSED);
    let patch = Some(verdict.outcome.patch()).filter(|patch| !patch.is_empty());
    let warnings = verdict.warnings.iter().chain(excused.map(|denial| &denial.message));
    let response = Response {
        uid,
        allowed: refused.is_none(),
        status: refused.map(Status::new),
        warnings: warnings.map(String::as_str).collect(),
        audit_annotations: audit_annotations(verdict),
        patch_type: patch.map(|_| "JSONPatch"),
        patch,
    };
    let review = Review { api_version: "admission.k8s.io/v1", kind: "AdmissionReview", response };
    // Writing strings, lists and maps with string keys into memory cannot fail.
    serde_json::to_vec(&review).unwrap_or_default()
}

/// What is kept of the verdict in an audit log; nothing if the object was not looked at.
fn audit_annotations(verdict: &Verdict) -> BTreeMap<&'static str, Cow<'_, str>> {
    let outcome = &verdict.outcome;
    let decision = match verdict.denial() {
        Some(denial) => format!("{}: {}", outcome.as_str(), denial.reason.as_str()).into(),
        None if *outcome == Outcome::OutOfScope => return BTreeMap::new(),
        None => outcome.as_str().into(),
    };
    let others = verdict.audit.iter().map(|(key, value)| (*key, value.as_str().into()));
    others.chain([("decision", decision)]).collect()
}

/// Kubernetes carries a patch as base64 of its JSON.
fn base64_of_json<S: Serializer>(patch: &Option<&Patch>, serializer: S) -> Result<S::Ok, S::Error> {
    let json = serde_json::to_vec(patch).map_err(S::Error::custom)?;
    serializer.collect_str(&Base64Display::new(&json, &STANDARD))
}

//! From a request's body to what there is to decide.

use std::borrow::Cow;
use std::fmt;

use contract::vmi::Vmi;
use contract::{Quoted, Text, json_problem, kubevirt};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use thiserror::Error;

use super::{Denial, Pod, Reason};

/// The request of an AdmissionReview that can be decided.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "O: Deserialize<'de>"), rename_all = "camelCase")]
pub struct Request<'a, O = Pod<'a>> {
    /// Identifies the review; its answer carries it too.
    #[serde(borrow, default)]
    pub uid: Cow<'a, str>,
    #[serde(borrow)]
    kind: Option<Kind<'a>>,
    #[serde(borrow)]
    sub_resource: Option<Text<'a>>,
    /// Name of the object; absent if the API server is to make one up.
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    /// Namespace of the object.
    #[serde(borrow)]
    pub namespace: Option<Text<'a>>,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    #[serde(borrow)]
    pub operation: Option<Text<'a>>,
    /// Whether it is a dry run.
    pub dry_run: Option<bool>,
    /// What will be created or [changed](Subject::is_changed_from); `None` if the request is about something
    /// else (another operation, a subresource), and there is nothing to decide.
    pub object: Option<O>,
    /// What an `UPDATE` changes.
    #[serde(borrow)]
    old_object: Option<&'a RawValue>,
}

/// API group, version and kind of an object.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Kind<'a> {
    #[serde(borrow)]
    group: Cow<'a, str>,
    #[serde(borrow)]
    version: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

/// A body that nothing can be decided about.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Unreadable {
    /// No AdmissionReview with a uid: HTTP 400.
    #[error("{0}")]
    NoReview(String),
    /// An AdmissionReview, and so an answer of its own.
    #[error("{}", .denial.message)]
    Answerable {
        /// The uid to answer to.
        uid: String,
        /// The answer.
        denial: Denial,
    },
}

/// A whole review. `O` is what the object is read as, or nothing where only the rest counts.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "O: Deserialize<'de>"), rename_all = "camelCase")]
struct Envelope<'a, O> {
    #[serde(borrow, default)]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    request: Option<Request<'a, O>>,
}

/// What a review can be about.
pub trait Subject {
    /// Its name in messages.
    const NOUN: &'static str;
    /// API group, version and kind.
    const KIND: Kind<'static>;
    /// Whether one may be refused. failurePolicy Ignore does not help against a refusal.
    const MAY_BE_REFUSED: bool;

    /// Its name, and what the API server will make one from.
    fn own_names(&self) -> [Option<&str>; 2];
    /// The namespace that it names itself.
    fn own_namespace(&self) -> Option<&str>;

    /// Whether an update of `old` must be reviewed.
    fn is_changed_from(&self, old: &RawValue) -> bool;
}

impl Subject for Pod<'_> {
    const NOUN: &'static str = "pod";
    const KIND: Kind<'static> = Kind::new("", "v1", "Pod");
    const MAY_BE_REFUSED: bool = true;

    fn own_names(&self) -> [Option<&str>; 2] {
        [self.metadata.name.as_deref(), self.metadata.generate_name.as_deref()]
    }

    fn own_namespace(&self) -> Option<&str> {
        self.metadata.namespace.as_deref()
    }

    /// A pod's networks and resources are for its life.
    fn is_changed_from(&self, _: &RawValue) -> bool {
        false
    }
}

impl Subject for Vmi {
    const NOUN: &'static str = "VMI";
    const KIND: Kind<'static> = Kind::new("kubevirt.io", "v1", kubevirt::VMI_KIND);
    /// Its NADs may be created after it, and one that KubeVirt writes in some new way must pass.
    const MAY_BE_REFUSED: bool = false;

    fn own_names(&self) -> [Option<&str>; 2] {
        [self.metadata.name.as_deref(), self.metadata.generate_name.as_deref()]
    }

    fn own_namespace(&self) -> Option<&str> {
        self.metadata.namespace.as_deref()
    }

    /// Networks that are plugged in later are for the next pod, that of a migration. Of a VMI that runs
    /// everything else changes often: its status is not a subresource.
    fn is_changed_from(&self, old: &RawValue) -> bool {
        !serde_json::from_str::<Self>(old.get()).is_ok_and(|old| old.spec == self.spec)
    }
}

/// What kube-apiserver would post about a pod that will be created.
#[must_use]
pub fn review_of(pod: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "review",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "operation": "CREATE",
            "object": pod
        }
    })
}

/// Reads the body of a request about a pod.
///
/// # Errors
/// If it is not a review, or is a review that nothing can be decided about. All of it must be JSON; beyond that, only
/// the parts that the decision needs must be of the right type.
pub fn read(body: &[u8]) -> Result<Request<'_>, Unreadable> {
    read_as(body)
}

/// Reads the body of a request about a VMI.
///
/// # Errors
/// As [`read`].
pub fn read_vmi(body: &[u8]) -> Result<Request<'_, Vmi>, Unreadable> {
    read_as(body)
}

fn read_as<'a, O: Subject + Deserialize<'a>>(body: &'a [u8]) -> Result<Request<'a, O>, Unreadable> {
    // serde_json does not check the strings that it skips; `str` checks them all, and faster than one by one.
    let text = std::str::from_utf8(body).map_err(|error| not_a_review(&error))?;
    match serde_json::from_str::<Envelope<'_, O>>(text) {
        Ok(envelope) => envelope.into_request().and_then(Request::check),
        Err(error) => Err(unreadable(text, O::NOUN, &error)),
    }
}

/// A review whose object could not be read, if reading it again without the object finds a uid to answer to.
fn unreadable(text: &str, noun: &str, error: &serde_json::Error) -> Unreadable {
    match serde_json::from_str::<Envelope<'_, IgnoredAny>>(text) {
        Err(error) => not_a_review(&json_problem(&error)),
        Ok(envelope) => match envelope.into_request() {
            Err(unreadable) => unreadable,
            Ok(request) => Unreadable::Answerable {
                uid: request.uid.into_owned(),
                denial: Denial::unreadable(noun, error),
            },
        },
    }
}

fn not_a_review(problem: &dyn fmt::Display) -> Unreadable {
    Unreadable::NoReview(format!(
        "the body is not an AdmissionReview: {problem}; this address takes what kube-apiserver posts to a webhook"
    ))
}

impl<'a, O> Envelope<'a, O> {
    /// Checks what every review must have.
    fn into_request(self) -> Result<Request<'a, O>, Unreadable> {
        let version = self.api_version.strip_prefix("admission.k8s.io/");
        if self.kind != "AdmissionReview" || version.is_none() {
            return Err(Unreadable::NoReview(format!(
                "the body is {} {}, not admission.k8s.io/v1 AdmissionReview",
                Quoted(&self.api_version),
                Quoted(&self.kind)
            )));
        }
        let request = self.request.ok_or_else(|| {
            Unreadable::NoReview(
                "the AdmissionReview has no request: kube-apiserver always sends one".to_owned(),
            )
        })?;
        if request.uid.is_empty() {
            return Err(Unreadable::NoReview(
                "the AdmissionReview has no request.uid: there is nothing to answer to".to_owned(),
            ));
        }
        if version != Some("v1") {
            let message = format!(
                "the review's version {} is not supported: set admissionReviewVersions to [\"v1\"] in the \
                 webhook's configuration",
                Quoted(&self.api_version)
            );
            return Err(request.refuse(Reason::ReviewVersion, message));
        }
        Ok(request)
    }
}

impl<O> Request<'_, O> {
    fn refuse(&self, reason: Reason, message: String) -> Unreadable {
        Unreadable::Answerable { uid: self.uid.to_string(), denial: Denial { reason, message } }
    }
}

impl<O: Subject> Request<'_, O> {
    /// Keeps the object only where there is something to decide.
    fn check(self) -> Result<Self, Unreadable> {
        let subresource = self.sub_resource.as_deref().is_some_and(|name| !name.is_empty());
        let changed =
            || self.object.as_ref().zip(self.old_object).is_some_and(|(new, old)| new.is_changed_from(old));
        let concerns_us = match self.operation.as_deref() {
            Some("CREATE") => true,
            Some("UPDATE") => changed(),
            _ => false,
        };
        if !concerns_us || subresource {
            return Ok(Self { object: None, ..self });
        }
        if self.kind.as_ref() != Some(&O::KIND) {
            let found = self.kind.as_ref().map_or_else(|| "nothing known".to_owned(), Kind::to_string);
            let message = format!(
                "the review is about {found}, not about a {}: correct `rules` in the webhook's configuration",
                O::NOUN
            );
            return Err(self.refuse(Reason::WrongKind, message));
        }
        if self.object.is_none() {
            let message =
                format!("the review of a {}'s creation has no object: request.object is empty", O::NOUN);
            return Err(self.refuse(Reason::ObjectUnreadable, message));
        }
        Ok(self)
    }

    /// The object's name as far as it is known: the request's, its own, or what it will be made from.
    #[must_use]
    pub fn subject_name(&self) -> &str {
        let own = self.object.as_ref().map(O::own_names).into_iter().flatten();
        let mut names = std::iter::once(self.name.as_deref()).chain(own).flatten();
        names.find(|name| !name.is_empty()).unwrap_or_default()
    }

    /// The namespace that counts: the request's, the object's own, or `default`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        [self.namespace.as_deref(), self.object.as_ref().and_then(O::own_namespace)]
            .into_iter()
            .flatten()
            .find(|text| !text.is_empty())
            .unwrap_or("default")
    }
}

impl Kind<'static> {
    const fn new(group: &'static str, version: &'static str, kind: &'static str) -> Self {
        Self { group: Cow::Borrowed(group), version: Cow::Borrowed(version), kind: Cow::Borrowed(kind) }
    }
}

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.group.is_empty() { "" } else { "/" };
        let name = format!("{}{separator}{} {}", self.group, self.version, self.kind);
        write!(f, "{}", Quoted(&name))
    }
}

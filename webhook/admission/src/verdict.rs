//! What a decision comes to, whatever the object.

use contract::NadName;

use super::{Denial, Patch};

/// The answer to a review, and what has to be said and done with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The answer.
    pub outcome: Outcome,
    /// What the object's author should know although the object passes.
    pub warnings: Vec<String>,
    /// NADs that do not exist as far as is known: worth looking up, and deciding again. Empty if that could not
    /// change the answer.
    pub unknown: Vec<NadName>,
    /// Whether launcher-hook is injected.
    pub helper_added: bool,
    /// What an API server's audit log gets to know besides the outcome, each by its key.
    pub audit: Vec<(&'static str, String)>,
}

/// The answer to a review.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Not ours to judge: no virt-launcher pod, or not the creation of one.
    OutOfScope,
    /// The object passes as it is.
    Unchanged,
    /// The object passes with these changes, of which there is at least one.
    Patched(Patch),
    /// The object does not pass. A VMI passes all the same: see [`answer`](super::answer()).
    Denied(Denial),
}

impl Verdict {
    /// Nothing but the answer.
    #[must_use]
    pub fn new(outcome: Outcome) -> Self {
        Self { outcome, warnings: Vec::new(), unknown: Vec::new(), helper_added: false, audit: Vec::new() }
    }

    /// A refusal.
    #[must_use]
    pub fn denied(denial: Denial) -> Self {
        Self::new(Outcome::Denied(denial))
    }

    /// Why the object does not pass, if so.
    #[must_use]
    pub fn denial(&self) -> Option<&Denial> {
        match &self.outcome {
            Outcome::Denied(denial) => Some(denial),
            Outcome::OutOfScope | Outcome::Unchanged | Outcome::Patched(_) => None,
        }
    }
}

impl Outcome {
    /// What changes.
    #[must_use]
    pub fn patch(&self) -> &Patch {
        match self {
            Self::Patched(patch) => patch,
            Self::OutOfScope | Self::Unchanged | Self::Denied(_) => Patch::EMPTY,
        }
    }

    /// The name in metrics and logs.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::OutOfScope => "out_of_scope",
            Self::Unchanged => "unchanged",
            Self::Patched(_) => "patched",
            Self::Denied(_) => "denied",
        }
    }
}

impl From<Patch> for Outcome {
    fn from(patch: Patch) -> Self {
        if patch.is_empty() { Self::Unchanged } else { Self::Patched(patch) }
    }
}

//! Refusals: why, for people and for machines.

use contract::json_problem;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// For metrics, logs and the HTTP code.
    pub reason: Reason,
    /// For the person who made the pod: the thing, the value, the remedy.
    pub message: String,
}

/// Why a pod was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A network annotation that Multus could not read either.
    AnnotationInvalid,
    /// A NAD that does not exist.
    NetworkUnknown,
    /// A NAD whose own annotations are wrong.
    NetworkInvalid,
    /// A NAD that nobody could look up: the API server is away.
    NetworkUnavailable,
    /// A NAD that this pod may not use.
    NamespaceIsolated,
    /// No container to put the resource on.
    NoContainer,
    /// A resource that a virtual machine needs and another container of its pod holds.
    WrongContainer,
    /// A quantity in the pod that is not a whole number.
    QuantityInvalid,
    /// Two node labels that no node can have at once.
    NodeSelectorConflict,
    /// A pod into which launcher-hook should be injected and cannot be.
    LauncherHook,
    /// A pod that would be stored without what its networks need.
    Incomplete,
    /// A pod or VMI that cannot be read.
    ObjectUnreadable,
    /// A review of something else.
    WrongKind,
    /// A review in another version than v1.
    ReviewVersion,
    /// A fault of the webhook's own.
    Internal,
}

impl Denial {
    /// Of a pod that launcher-hook cannot be injected into, although it should be.
    pub(super) fn launcher_hook(message: String) -> Self {
        Self { reason: Reason::LauncherHook, message }
    }

    /// Of an object that cannot be read.
    pub(super) fn unreadable(noun: &str, error: &serde_json::Error) -> Self {
        Self {
            reason: Reason::ObjectUnreadable,
            message: format!(
                "the {noun} in the review cannot be read: {}; correct the field at that place",
                json_problem(error)
            ),
        }
    }
}

impl Reason {
    /// Each of them.
    pub const ALL: [Self; 15] = [
        Self::AnnotationInvalid,
        Self::NetworkUnknown,
        Self::NetworkInvalid,
        Self::NetworkUnavailable,
        Self::NamespaceIsolated,
        Self::NoContainer,
        Self::WrongContainer,
        Self::QuantityInvalid,
        Self::NodeSelectorConflict,
        Self::LauncherHook,
        Self::Incomplete,
        Self::ObjectUnreadable,
        Self::WrongKind,
        Self::ReviewVersion,
        Self::Internal,
    ];

    /// Those of a review about which nothing can be decided.
    pub const OF_UNREADABLE: [Self; 4] =
        [Self::ObjectUnreadable, Self::WrongKind, Self::ReviewVersion, Self::Internal];

    /// The name in metrics and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AnnotationInvalid => "annotation_invalid",
            Self::NetworkUnknown => "network_unknown",
            Self::NetworkInvalid => "network_invalid",
            Self::NetworkUnavailable => "network_unavailable",
            Self::NamespaceIsolated => "namespace_isolated",
            Self::NoContainer => "no_container",
            Self::WrongContainer => "wrong_container",
            Self::QuantityInvalid => "quantity_invalid",
            Self::NodeSelectorConflict => "node_selector_conflict",
            Self::LauncherHook => "launcher_hook",
            Self::Incomplete => "incomplete",
            Self::ObjectUnreadable => "object_unreadable",
            Self::WrongKind => "wrong_kind",
            Self::ReviewVersion => "review_version",
            Self::Internal => "internal",
        }
    }

    /// HTTP code and Kubernetes' word for it, as they stand in the answer's status.
    #[must_use]
    pub fn status(self) -> (u16, &'static str) {
        match self {
            Self::AnnotationInvalid
            | Self::NetworkUnknown
            | Self::NetworkInvalid
            | Self::NoContainer
            | Self::WrongContainer
            | Self::QuantityInvalid
            | Self::NodeSelectorConflict
            | Self::LauncherHook
            | Self::Incomplete => (422, "Invalid"),
            Self::NamespaceIsolated => (403, "Forbidden"),
            Self::ObjectUnreadable | Self::WrongKind | Self::ReviewVersion => (400, "BadRequest"),
            Self::Internal => (500, "InternalError"),
            Self::NetworkUnavailable => (503, "ServiceUnavailable"),
        }
    }
}

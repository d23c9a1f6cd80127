//! What reviews are about: each kind with its way from body to answer.

use std::collections::BTreeSet;

use admission::{
    Decision, Denial, Networks, Nodes, Options, Outcome, Pod, Reason, Request, Subject, Unreadable,
    VmiDecision,
};
use contract::vmi::Vmi;
use contract::{NadName, check_label};

use crate::events::{Refusal, VmiReference};

/// NADs that are looked up live for one review at most. KubeVirt's virtual machines have a few networks.
pub(super) const LOOKED_UP: usize = 64;

/// A kind of object that is reviewed.
pub(super) trait Reviewed {
    /// Its name in metrics and logs.
    const KIND: &'static str;
    type Object<'a>: Subject;
    type Decision;

    fn read(body: &[u8]) -> Result<Request<'_, Self::Object<'_>>, Unreadable>;

    fn decide(
        request: &Request<'_, Self::Object<'_>>,
        networks: &impl Networks,
        nodes: &impl Nodes,
        options: &Options,
    ) -> Self::Decision;

    /// The VMI that should hear of it, where the answer is a refusal and nothing is only tried out.
    fn refusal(request: &Request<'_, Self::Object<'_>>, decision: &Self::Decision) -> Option<Refusal>;

    /// The decision where deciding failed.
    fn broken() -> Self::Decision;

    /// Whether launcher-hook is injected.
    fn adds_helper(decision: &Self::Decision) -> bool;

    /// The NADs that would change the decision if they were known after all, [`LOOKED_UP`] at most.
    fn unknown(decision: &Self::Decision) -> BTreeSet<NadName>;

    /// The outcome's name in metrics and logs, and the refusal if it is one.
    fn outcome(decision: &Self::Decision) -> (&'static str, Option<&Denial>);

    fn answer(uid: &str, decision: &Self::Decision) -> Vec<u8>;

    /// The answer where nothing can be decided.
    fn answer_unreadable(uid: &str, denial: Denial) -> Vec<u8>;
}

/// The first of them, each once.
fn first<'d>(unknown: impl Iterator<Item = &'d NadName>) -> BTreeSet<NadName> {
    let mut first = BTreeSet::new();
    for nad in unknown {
        if first.len() == LOOKED_UP {
            break;
        }
        if !first.contains(nad) {
            first.insert(nad.clone());
        }
    }
    first
}

const FAILED: &str =
    "the webhook failed while it looked at this: its log says where; please report that with the object";

/// Pods, which may be refused.
pub(super) enum Pods {}

impl Reviewed for Pods {
    const KIND: &'static str = "pod";
    type Object<'a> = Pod<'a>;
    type Decision = Decision;

    fn read(body: &[u8]) -> Result<Request<'_, Pod<'_>>, Unreadable> {
        admission::read(body)
    }

    fn decide(
        request: &Request<'_>,
        networks: &impl Networks,
        _: &impl Nodes,
        options: &Options,
    ) -> Decision {
        admission::decide(request, networks, options)
    }

    fn refusal(request: &Request<'_>, decision: &Decision) -> Option<Refusal> {
        let (Some(pod), Outcome::Denied(denial)) = (&request.object, &decision.outcome) else {
            return None;
        };
        let vmi = pod.vmi().filter(|_| request.dry_run != Some(true))?;
        // It becomes part of a path.
        let namespace = request.namespace();
        check_label(namespace).ok()?;
        let vmi = VmiReference {
            namespace: namespace.to_owned(),
            name: vmi.name.into_owned(),
            uid: vmi.uid.into_owned(),
        };
        Some(Refusal { vmi, pod: pod.display_name(), message: denial.message.clone() })
    }

    fn broken() -> Decision {
        let denial = Denial { reason: Reason::Internal, message: FAILED.to_owned() };
        Decision::new(Outcome::Denied(denial))
    }

    fn adds_helper(decision: &Decision) -> bool {
        decision.helper_added
    }

    fn unknown(decision: &Decision) -> BTreeSet<NadName> {
        match &decision.outcome {
            Outcome::Denied(Denial { reason, .. })
                if !matches!(reason, Reason::NetworkUnknown | Reason::NetworkInvalid) =>
            {
                BTreeSet::new()
            }
            _ => first(decision.unknown()),
        }
    }

    fn outcome(decision: &Decision) -> (&'static str, Option<&Denial>) {
        match &decision.outcome {
            Outcome::Denied(denial) => ("denied", Some(denial)),
            outcome => (outcome.as_str(), None),
        }
    }

    fn answer(uid: &str, decision: &Decision) -> Vec<u8> {
        admission::answer(uid, decision)
    }

    fn answer_unreadable(uid: &str, denial: Denial) -> Vec<u8> {
        admission::answer_unreadable(uid, &denial)
    }
}

/// VMIs, which always pass.
pub(super) enum Vmis {}

impl Reviewed for Vmis {
    const KIND: &'static str = "vmi";
    type Object<'a> = Vmi;
    type Decision = VmiDecision;

    fn read(body: &[u8]) -> Result<Request<'_, Vmi>, Unreadable> {
        admission::read_vmi(body)
    }

    fn decide(
        request: &Request<'_, Vmi>,
        networks: &impl Networks,
        nodes: &impl Nodes,
        options: &Options,
    ) -> VmiDecision {
        match &request.object {
            Some(vmi) => admission::decide_vmi(vmi, request.namespace(), networks, nodes, options),
            None => VmiDecision::default(),
        }
    }

    fn refusal(_: &Request<'_, Vmi>, _: &VmiDecision) -> Option<Refusal> {
        None
    }

    fn broken() -> VmiDecision {
        let failure = Denial { reason: Reason::Internal, message: FAILED.to_owned() };
        VmiDecision { warnings: vec![FAILED.to_owned()], failure: Some(failure), ..VmiDecision::default() }
    }

    fn adds_helper(_: &VmiDecision) -> bool {
        false
    }

    fn unknown(decision: &VmiDecision) -> BTreeSet<NadName> {
        first(decision.unknown.iter())
    }

    fn outcome(decision: &VmiDecision) -> (&'static str, Option<&Denial>) {
        if let Some(denial) = &decision.failure {
            return ("invalid", Some(denial));
        }
        let outcome = match (decision.warnings.is_empty(), decision.patch.is_empty()) {
            (false, _) => "warned",
            (true, false) => "patched",
            (true, true) => "unchanged",
        };
        (outcome, None)
    }

    fn answer(uid: &str, decision: &VmiDecision) -> Vec<u8> {
        admission::answer_vmi(uid, decision)
    }

    /// failurePolicy Ignore does not help against a refusal: a VMI that KubeVirt writes in some new way is to pass.
    fn answer_unreadable(uid: &str, denial: Denial) -> Vec<u8> {
        Self::answer(uid, &VmiDecision { warnings: vec![denial.message], ..VmiDecision::default() })
    }
}

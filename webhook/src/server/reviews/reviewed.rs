//! What reviews are about: each kind with its way from body to verdict.

use std::collections::BTreeSet;

use admission::{
    Denial, Networks, Nodes, Options, Outcome, Pod, Request, Subject, Unreadable, Verdict, decide,
    decide_final, decide_vmi, read, read_vmi,
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

    fn read(body: &[u8]) -> Result<Request<'_, Self::Object<'_>>, Unreadable>;

    fn decide(
        request: &Request<'_, Self::Object<'_>>,
        networks: &impl Networks,
        nodes: &impl Nodes,
        options: &Options,
    ) -> Verdict;

    /// The outcome's name in metrics and logs.
    fn outcome(verdict: &Verdict) -> &'static str {
        verdict.outcome.as_str()
    }

    /// The VMI that should hear of a denial, unless the review is only a dry run.
    fn refusal(request: &Request<'_, Self::Object<'_>>, denial: &Denial) -> Option<Refusal>;
}

/// The first [`LOOKED_UP`] of them, each once.
pub(super) fn first(unknown: &[NadName]) -> BTreeSet<NadName> {
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

/// Pods, which may be refused.
pub(super) enum Pods {}

impl Reviewed for Pods {
    const KIND: &'static str = "pod";
    type Object<'a> = Pod<'a>;

    fn read(body: &[u8]) -> Result<Request<'_, Pod<'_>>, Unreadable> {
        read(body)
    }

    fn decide(request: &Request<'_>, networks: &impl Networks, _: &impl Nodes, options: &Options) -> Verdict {
        decide(request, networks, options).verdict
    }

    fn refusal(request: &Request<'_>, denial: &Denial) -> Option<Refusal> {
        let pod = request.object.as_ref()?;
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
}

/// Pods as they will be stored, which no webhook can change.
pub(super) enum FinalPods {}

impl Reviewed for FinalPods {
    const KIND: &'static str = "final";
    type Object<'a> = Pod<'a>;

    fn read(body: &[u8]) -> Result<Request<'_, Pod<'_>>, Unreadable> {
        read(body)
    }

    fn decide(request: &Request<'_>, networks: &impl Networks, _: &impl Nodes, options: &Options) -> Verdict {
        decide_final(request, networks, options).verdict
    }

    fn outcome(verdict: &Verdict) -> &'static str {
        if verdict.warnings.is_empty() { verdict.outcome.as_str() } else { "warned" }
    }

    fn refusal(request: &Request<'_>, denial: &Denial) -> Option<Refusal> {
        Pods::refusal(request, denial)
    }
}

/// VMIs, which always pass.
pub(super) enum Vmis {}

impl Reviewed for Vmis {
    const KIND: &'static str = "vmi";
    type Object<'a> = Vmi;

    fn read(body: &[u8]) -> Result<Request<'_, Vmi>, Unreadable> {
        read_vmi(body)
    }

    fn decide(
        request: &Request<'_, Vmi>,
        networks: &impl Networks,
        nodes: &impl Nodes,
        options: &Options,
    ) -> Verdict {
        match &request.object {
            Some(vmi) => decide_vmi(vmi, request.namespace(), networks, nodes, options),
            None => Verdict::new(Outcome::Unchanged),
        }
    }

    fn outcome(verdict: &Verdict) -> &'static str {
        match &verdict.outcome {
            Outcome::Denied(_) => "invalid",
            _ if !verdict.warnings.is_empty() => "warned",
            outcome => outcome.as_str(),
        }
    }

    fn refusal(_: &Request<'_, Vmi>, _: &Denial) -> Option<Refusal> {
        None
    }
}

//! Does a pod hold the devices that its networks need, where the virtual machine can have them?

use admission::{
    Decision, Denial, Holder, Need, Networks, Options, Reason, Unreadable, decide, read, review_of,
};
use contract::kubevirt::COMPUTE_CONTAINER;

use crate::doctor::facts::LauncherPod;

/// How many of a resource a pod's networks need, and who holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holding<'d> {
    pub(crate) resource: String,
    pub(crate) needed: u64,
    /// What the container that runs the virtual machine holds.
    pub(crate) held: u64,
    /// What other containers hold.
    others: Vec<&'d Holder>,
}

impl<'d> Holding<'d> {
    /// Each resource that the decision says is needed.
    pub(crate) fn all(decision: &'d Decision) -> Vec<Self> {
        let one = |Need { resource, needed, holders, .. }: &'d Need| {
            let (compute, others): (Vec<&Holder>, Vec<&Holder>) =
                holders.iter().partition(|holder| holder.container == COMPUTE_CONTAINER);
            let held = compute.iter().map(|holder| holder.count).sum();
            Self { resource: resource.to_string(), needed: *needed, held, others }
        };
        decision.needs.iter().map(one).collect()
    }

    /// What is lacking, if something is.
    pub(crate) fn lack(&self) -> Option<String> {
        let Self { resource, needed, held, others } = self;
        if held >= needed {
            return None;
        }
        let names: Vec<&str> = others.iter().map(|holder| holder.container.as_str()).collect();
        Some(match (names.as_slice(), held) {
            ([], _) => format!("holds {held} of {needed} {resource}"),
            ([name], 0) => format!("container {name} holds {resource}, {COMPUTE_CONTAINER} does not"),
            (names, 0) => {
                format!("containers {} hold {resource}, {COMPUTE_CONTAINER} does not", names.join(", "))
            }
            (names, _) => format!(
                "{COMPUTE_CONTAINER} holds {held} of {needed} {resource}; others, which do not count, are in {}",
                names.join(", ")
            ),
        })
    }

    /// Whether another container holds it.
    pub(crate) fn is_misplaced(&self) -> bool {
        self.held < self.needed && !self.others.is_empty()
    }
}

/// What the webhook would do with the pod if it were created now.
pub(crate) fn decision(
    pod: &LauncherPod,
    networks: &impl Networks,
    options: &Options,
) -> Result<Decision, Denial> {
    // The helper's image is the release's matter: without one, a pod that has the helper would count as refused.
    let mut options = options.clone();
    options.launcher_hook.image.get_or_insert_with(|| "not looked at".to_owned());
    match read(review_of(&pod.pod).to_string().as_bytes()) {
        Ok(request) => Ok(decide(&request, networks, &options)),
        Err(Unreadable::Answerable { denial, .. }) => Err(denial),
        Err(Unreadable::NoReview(message)) => Err(Denial { reason: Reason::ObjectUnreadable, message }),
    }
}

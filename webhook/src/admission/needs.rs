//! What the networks need, what the containers hold, and which container gets the difference.

use contract::{Quoted, ResourceName, ShortList, kubevirt};

use super::pod::{Container, Entries, Pod, Quantity};
use super::{Denial, Reason, Scope, quantity};

/// One resource that the networks need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The resource.
    pub resource: ResourceName,
    /// How many of it the networks need.
    pub needed: u64,
    /// How many the pod's containers ask for already.
    pub present: u64,
    /// How many the target container is given on top.
    pub added: u64,
    /// How many the target container has in the end.
    pub total: u64,
    /// Whether the API server takes the target container's requests and limits as they are.
    pub settled: bool,
}

impl Need {
    pub(super) fn of(
        pod: &Pod<'_>,
        target: &Container<'_>,
        resource: &ResourceName,
        needed: u64,
    ) -> Result<Self, Denial> {
        let mut present = 0u64;
        for container in pod.lasting_containers() {
            present = present.saturating_add(Held::by(container, resource)?.count());
        }
        let held = Held::by(target, resource)?;
        let added = needed.saturating_sub(present);
        let total = held.count().saturating_add(added);
        Ok(Self { resource: resource.clone(), needed, present, added, total, settled: held.is_settled() })
    }
}

/// What a container asks for of one resource.
struct Held {
    requests: Option<u64>,
    limits: Option<u64>,
}

impl Held {
    fn by(container: &Container<'_>, resource: &ResourceName) -> Result<Self, Denial> {
        let Some(resources) = &container.resources else {
            return Ok(Self { requests: None, limits: None });
        };
        let read = |field: &str, quantities: Option<&Entries<'_, Quantity<'_>>>| {
            let Some(Quantity(text)) = quantities.and_then(|entries| entries.get(resource.as_str())) else {
                return Ok(None);
            };
            quantity::whole(text).map(Some).ok_or_else(|| Denial {
                reason: Reason::QuantityInvalid,
                message: format!(
                    "container {}: resources.{field}: {resource}: {} is no whole number of devices: write one, or \
                     remove it and the webhook fills it in",
                    Quoted(container.name()),
                    Quoted(text)
                ),
            })
        };
        Ok(Self {
            requests: read("requests", resources.requests.as_ref())?,
            limits: read("limits", resources.limits.as_ref())?,
        })
    }

    fn count(&self) -> u64 {
        self.requests.max(self.limits).unwrap_or_default()
    }

    /// The API server fills requests in from limits, and of an extended resource it takes nothing but equal
    /// ones: neither requests alone nor two that differ.
    fn is_settled(&self) -> bool {
        self.requests.is_none() || self.requests == self.limits
    }
}

/// The container that gets the resources: `compute`, or the first where every pod is looked at.
pub(super) fn target<'p>(pod: &'p Pod<'p>, scope: Scope) -> Result<(usize, &'p Container<'p>), Denial> {
    // What was not read may hold a resource.
    check("containers", pod.spec.containers.as_ref())?;
    check("initContainers", pod.spec.init_containers.as_ref())?;
    let mut containers = pod.containers().iter().enumerate();
    let first = containers.clone().next();
    let compute = containers.find(|(_, container)| container.name() == kubevirt::COMPUTE_CONTAINER);
    let fallback = if scope == Scope::AllPods { first } else { None };
    compute.or(fallback).ok_or_else(|| Denial {
        reason: Reason::NoContainer,
        message: match first {
            None => "the pod has no containers, and its networks need a resource on one: add a container"
                .to_owned(),
            Some(_) => {
                "the virt-launcher pod has no container named compute to put its networks' resources on: \
                        leave the label kubevirt.io=virt-launcher to KubeVirt's own pods"
                    .to_owned()
            }
        },
    })
}

fn check(field: &str, containers: Option<&ShortList<Container<'_>>>) -> Result<(), Denial> {
    containers.map_or(Ok(()), ShortList::check).map_err(|problem| Denial {
        reason: Reason::ObjectUnreadable,
        message: format!("spec.{field} {problem}"),
    })
}

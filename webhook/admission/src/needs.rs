//! What the networks need, what the containers hold, and which container gets the difference.

use std::collections::{BTreeMap, BTreeSet};

use contract::{Quoted, ResourceName, ShortList, cut, kubevirt};

use super::pod::{Container, Entries, Pod, Quantity};
use super::{Denial, Reason, Scope, quantity};

/// Kubernetes allows no longer name of a container.
const LONGEST_NAME: usize = 63;

/// One resource that the networks need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The resource.
    pub resource: ResourceName,
    /// How many of it the networks need.
    pub needed: u64,
    /// How many are requested already where they count: by the target container of a virt-launcher pod, by all
    /// containers of any other pod.
    pub present: u64,
    /// The containers that request it already, the target included.
    pub holders: Vec<Holder>,
    /// How many the target container is given on top.
    pub added: u64,
    /// How many the target container has in the end.
    pub total: u64,
    /// Whether the API server takes the target container's requests and limits as they are.
    pub settled: bool,
}

/// A container that requests a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Name of the container.
    pub container: String,
    /// How many it requests.
    pub count: u64,
}

/// The containers of `pod` that request `resource` for as long as the pod lives, with how many each requests. An
/// init container that ends does not count: its devices pass to the containers after it.
///
/// # Errors
/// A quantity that is not a number of devices.
fn holders(pod: &Pod<'_>, resource: &ResourceName) -> Result<Vec<Holder>, Denial> {
    let mut holders = Vec::new();
    for container in pod.lasting_containers() {
        let count = Held::by(container, resource)?.count();
        if count > 0 {
            holders.push(Holder { container: cut(container.name(), LONGEST_NAME).to_owned(), count });
        }
    }
    Ok(holders)
}

/// How many of each extended resource the containers of `pod` hold together, for as long as the pod lives. A resource
/// with a quantity that is not a number of devices is left out.
#[must_use]
pub fn held(pod: &Pod<'_>) -> BTreeMap<ResourceName, u64> {
    let resources = pod.lasting_containers().filter_map(|container| container.resources.as_ref());
    let names = resources
        .flat_map(|resources| resources.requests.iter().chain(&resources.limits))
        .flat_map(Entries::keys)
        .filter_map(|name| name.parse().ok());
    let names: BTreeSet<ResourceName> = names.collect();
    let held = names.into_iter().filter_map(|name| {
        let holders = holders(pod, &name).ok()?;
        Some((name, total(&holders)))
    });
    held.filter(|(_, count)| *count > 0).collect()
}

fn total(holders: &[Holder]) -> u64 {
    holders.iter().fold(0, |sum, holder| holder.count.saturating_add(sum))
}

impl Need {
    pub(super) fn of(
        pod: &Pod<'_>,
        target: &Container<'_>,
        resource: &ResourceName,
        needed: u64,
    ) -> Result<Self, Denial> {
        let holders = holders(pod, resource)?;
        let held = Held::by(target, resource)?;
        let present = if pod.is_virt_launcher() {
            // QEMU runs in this container, and no other container's devices reach it.
            held.count()
        } else {
            total(&holders)
        };
        let added = needed.saturating_sub(present);
        let total = held.count().saturating_add(added);
        let resource = resource.clone();
        Ok(Self { resource, needed, present, holders, added, total, settled: held.is_settled() })
    }

    /// What is wrong if a container beside `target`, where the virtual machine runs, requests the resource.
    ///
    /// Another container's VF is not only lost: Multus takes the devices of all containers for the pod's networks,
    /// so the VF that it configures may be the one that QEMU does not have.
    pub(super) fn misplaced(&self, target: &Container<'_>) -> Option<Misplaced> {
        let Self { resource, needed, present, added, .. } = self;
        let target = target.name();
        let other = Quoted(&self.holders.iter().find(|holder| holder.container != target)?.container);
        let remedy = "configure the other injector to leave virt-launcher pods alone";
        if *added == 0 {
            return Some(Misplaced::Beside(format!(
                "container {other} requests {resource} as well as {target}: Multus may attach a VF that {target} does \
                 not have; {remedy}"
            )));
        }
        let lack = match present {
            0 => format!("{target} does not"),
            _ => format!("{target} only {present} of {needed}"),
        };
        Some(Misplaced::Instead(Denial {
            reason: Reason::WrongContainer,
            message: format!(
                "container {other} requests {resource}, and {lack}: the virtual machine needs it in {target}; {remedy}"
            ),
        }))
    }
}

/// A resource that another container than the virtual machine's requests.
pub(super) enum Misplaced {
    /// It requests it although the virtual machine's does not request enough.
    Instead(Denial),
    /// The virtual machine's requests enough, too.
    Beside(String),
}

/// What a container requests of one resource.
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
                    "container {}: resources.{field}: {resource}: {} is not a whole number of devices: write one, or \
                     remove it so that the webhook adds it",
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

//! Whether Kubernetes gives a pod the QoS class Guaranteed, without which nothing in it has CPUs of its own.
//!
//! Source: `ComputePodQOS`: init containers count as the others do. Where the pod as a whole has resources, its
//! containers do not matter, and so they need no look here.

use super::pod::{Container, Pod, Quantity};
use super::quantity::{self, Number};

const COUNTED: [&str; 2] = ["cpu", "memory"];

/// Has every container, and there is one, limits of CPU and memory and requests of as much?
pub(super) fn is_guaranteed(pod: &Pod<'_>) -> bool {
    let init_containers = pod.spec.init_containers.as_deref().unwrap_or_default();
    let mut containers = pod.containers().iter().chain(init_containers).peekable();
    containers.peek().is_some()
        && containers.all(|container| COUNTED.iter().all(|name| is_whole(container, name)))
}

/// Is all that the container may take reserved for it? What is not requested is taken for what is its limit.
fn is_whole(container: &Container<'_>, name: &str) -> bool {
    let Some(resources) = &container.resources else { return false };
    let limit = resources.limits.as_ref().and_then(|limits| limits.get(name));
    let request = resources.requests.as_ref().and_then(|requests| requests.get(name)).or(limit);
    match (limit.and_then(number), request.and_then(number)) {
        (Some(limit), Some(request)) => !limit.is_zero() && limit == request,
        _ => false,
    }
}

fn number(quantity: &Quantity<'_>) -> Option<Number> {
    quantity::number(&quantity.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn all(cpu: &str, memory: &str) -> Value {
        let list = json!({"cpu": cpu, "memory": memory});
        json!({"resources": {"requests": list, "limits": list}})
    }

    #[rstest]
    #[case::none(json!({}), false)]
    #[case::one(json!({"containers": [all("2", "1Gi")]}), true)]
    #[case::otherwise_written(
        json!({"containers": [{"resources": {
            "requests": {"cpu": "0.5", "memory": "1Gi"}, "limits": {"cpu": "500m", "memory": "1024Mi"}
        }}]}),
        true
    )]
    #[case::limits_alone(
        json!({"containers": [{"resources": {"limits": {"cpu": 1, "memory": "1Gi"}}}]}),
        true
    )]
    #[case::no_memory(json!({"containers": [{"resources": {"limits": {"cpu": "1"}}}]}), false)]
    #[case::no_limit(
        json!({"containers": [{"resources": {"requests": {"cpu": "1", "memory": "1Gi"}}}]}),
        false
    )]
    #[case::less_requested(
        json!({"containers": [{"resources": {
            "requests": {"cpu": "5m", "memory": "1Gi"}, "limits": {"cpu": "100m", "memory": "1Gi"}
        }}]}),
        false
    )]
    #[case::nothing(json!({"containers": [all("0", "1Gi")]}), false)]
    #[case::no_quantity(json!({"containers": [all("one", "1Gi")]}), false)]
    #[case::another_without(json!({"containers": [all("2", "1Gi"), {}]}), false)]
    #[case::init_container_with(
        json!({"containers": [all("2", "1Gi")], "initContainers": [all("10m", "1Mi")]}),
        true
    )]
    #[case::init_container_without(
        json!({"containers": [all("2", "1Gi")], "initContainers": [{"resources": {}}]}),
        false
    )]
    fn as_kubernetes_sees_it(#[case] spec: Value, #[case] expected: bool) {
        let text = json!({"spec": spec}).to_string();
        let pod: Pod<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!(is_guaranteed(&pod), expected);
    }
}

//! A pod as the API server has stored it.

use super::Sandbox;
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::Api;
use std::collections::BTreeMap;

/// A pod read back from the API server.
#[derive(Debug, Clone)]
pub struct StoredPod(Pod);

impl StoredPod {
    /// Reads a pod of the sandbox's namespace.
    pub async fn read(sandbox: &Sandbox, name: &str) -> Self {
        Self::read_in(sandbox, sandbox.namespace(), name).await
    }

    /// Reads a pod of another namespace.
    pub async fn read_in(sandbox: &Sandbox, namespace: &str, name: &str) -> Self {
        let pods: Api<Pod> = Api::namespaced(sandbox.client().await, namespace);
        Self(pods.get(name).await.unwrap())
    }

    /// The extended resources of a container, as `domain/name=2, other/name=1`. Requests and
    /// limits that differ fail the test.
    pub fn devices(&self, container: &str) -> String {
        let Some(resources) = &self.container(container).resources else {
            return String::new();
        };
        let requests = extended(resources.requests.as_ref());
        assert_eq!(requests, extended(resources.limits.as_ref()), "requests and limits");
        requests
    }

    /// All of it.
    pub fn value(&self) -> serde_json::Value {
        serde_json::to_value(&self.0).unwrap()
    }

    fn container(&self, name: &str) -> &Container {
        let containers = &self.0.spec.as_ref().unwrap().containers;
        let found = containers.iter().find(|container| container.name == name);
        found.unwrap_or_else(|| panic!("no container {name}"))
    }
}

/// Extended resources have a domain; cpu and memory have none.
fn extended(quantities: Option<&BTreeMap<String, Quantity>>) -> String {
    let all = quantities.into_iter().flatten();
    let ours = all.filter(|(name, _)| name.contains('/'));
    let ours: Vec<_> = ours.map(|(name, quantity)| format!("{name}={}", quantity.0)).collect();
    ours.join(", ")
}

impl From<Pod> for StoredPod {
    fn from(pod: Pod) -> Self {
        Self(pod)
    }
}

//! What doctor knows of the release behind a registration.

use std::time::SystemTime;

use admission::Options;
use apiserver::Failure;
use certs::inspect::Details;
use k8s_openapi::api::apps::v1 as apps;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodSpec};
use kube::ResourceExt as _;
use rustls_pki_types::CertificateDer;

use super::counters::Counters;

/// The Service that a registration leads to, and what is behind it.
#[derive(Debug, Clone)]
pub struct Release {
    /// Namespace of the Service and of all that belongs to it.
    pub namespace: String,
    /// Name of the Service.
    pub service: String,
    /// The labels by which the Service selects pods, as a selector; `None` if it could not be read or does not exist.
    pub labels: Option<String>,
    /// The Deployments whose pods the Service selects; `None` if there is no such Service.
    pub deployments: Result<Option<Vec<Deployment>>, Failure>,
    /// The pods that the Service selects.
    pub replicas: Result<Vec<Replica>, Failure>,
    /// What the replicas serve, from their Secret; `None` if the Deployment names no Secret.
    pub served: Option<Result<Served, Failure>>,
    /// The time at which it was read.
    pub now: SystemTime,
}

impl Release {
    /// The Deployment, if there is exactly one.
    #[must_use]
    pub fn deployment(&self) -> Option<&Deployment> {
        match self.deployments.as_ref().ok()?.as_deref()? {
            [deployment] => Some(deployment),
            _ => None,
        }
    }
}

/// How a release decides about pods.
#[derive(Debug, Clone)]
pub struct Decisions {
    /// The options.
    pub options: Options,
    /// Where they come from.
    pub source: Source,
}

/// Where decisions come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The command line: nothing was looked for in the cluster, or no release is registered.
    CommandLine,
    /// The release, and the command line where it says otherwise.
    Release {
        /// `NAMESPACE/NAME` of its Deployment.
        deployment: String,
        /// The flags of the Deployment that are about decisions, each with its value.
        flags: Vec<String>,
    },
    /// The command line, because those of the release could not be read.
    Unread {
        /// Why, in a sentence.
        reason: String,
    },
}

/// A Deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deployment {
    /// Its name.
    pub name: String,
    /// How many replicas there should be.
    pub desired: i32,
    /// How many are ready.
    pub ready: i32,
    /// How many are of the present template.
    pub updated: i32,
    /// Whether its controller has not looked at the present template yet.
    pub is_unobserved: bool,
    /// The image of the container that serves.
    pub image: String,
    /// The version that the labels of its pods name.
    pub version: Option<String>,
    /// The arguments of the container that serves, `serve` included.
    pub arguments: Vec<String>,
    /// Name of the Secret with the serving certificate.
    pub secret: Option<String>,
    /// The port of `/metrics`.
    pub admin_port: Option<i32>,
}

/// A pod of the release.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Replica {
    /// Its name.
    pub name: String,
    /// Whether it is ready.
    pub is_ready: bool,
    /// Why it is not, as far as its status says.
    pub trouble: Option<String>,
    /// How often its container was restarted.
    pub restarts: i32,
    /// What it counted; `None` if it was not asked.
    pub counters: Option<Result<Counters, Failure>>,
}

/// The serving certificate as the Secret has it. The private key is never kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The Secret.
    pub secret: String,
    /// The chain that is served; or why it cannot be read.
    pub chain: Result<Vec<CertificateDer<'static>>, String>,
    /// What the first certificate of the chain says.
    pub leaf: Option<Details>,
}

/// The container that serves.
fn container(spec: &PodSpec) -> Option<&Container> {
    let serves = |container: &&Container| {
        container.args.as_ref().and_then(|arguments| arguments.first()).is_some_and(|first| first == "serve")
    };
    spec.containers.iter().find(serves)
}

impl Deployment {
    /// Picks out what doctor needs; `None` if no container of it serves.
    #[must_use]
    pub fn read(deployment: &apps::Deployment) -> Option<Self> {
        let spec = deployment.spec.as_ref()?;
        let pod = spec.template.spec.as_ref()?;
        let container = container(pod)?;
        let status = deployment.status.clone().unwrap_or_default();
        let arguments = container.args.clone().unwrap_or_default();
        let labels = spec.template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
        let ports = container.ports.as_deref().unwrap_or_default();
        let admin = ports.iter().find(|port| port.name.as_deref() == Some("metrics"));
        Some(Self {
            name: deployment.name_any(),
            desired: spec.replicas.unwrap_or(1),
            ready: status.ready_replicas.unwrap_or_default(),
            updated: status.updated_replicas.unwrap_or_default(),
            is_unobserved: status.observed_generation.unwrap_or_default()
                < deployment.metadata.generation.unwrap_or_default(),
            image: container.image.clone().unwrap_or_default(),
            version: labels.and_then(|labels| labels.get("app.kubernetes.io/version")).cloned(),
            secret: secret(pod, container, &arguments),
            admin_port: admin.map(|port| port.container_port),
            arguments,
        })
    }
}

/// The Secret of `--tls-secret`, or the one that is mounted at `--tls-dir`.
fn secret(pod: &PodSpec, container: &Container, arguments: &[String]) -> Option<String> {
    let value =
        |flag: &str| arguments.iter().find_map(|argument| argument.strip_prefix(flag)?.strip_prefix('='));
    if let Some(secret) = value("--tls-secret") {
        return Some(secret.rsplit('/').next().unwrap_or(secret).to_owned());
    }
    let folder = value("--tls-dir")?;
    let mounts = container.volume_mounts.as_deref().unwrap_or_default();
    let mount = mounts.iter().find(|mount| mount.mount_path == folder)?;
    let volume =
        pod.volumes.as_deref().unwrap_or_default().iter().find(|volume| volume.name == mount.name)?;
    volume.secret.as_ref()?.secret_name.clone()
}

impl Replica {
    /// Picks out what doctor needs; what it counted is still to come.
    #[must_use]
    pub fn read(pod: &Pod) -> Self {
        let status = pod.status.as_ref();
        let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
        let condition = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
        let containers = status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
        let scheduled = condition("PodScheduled").filter(|condition| condition.status == "False");
        let unscheduled = scheduled.and_then(|condition| condition.message.clone());
        Self {
            name: pod.name_any(),
            is_ready: condition("Ready").is_some_and(|condition| condition.status == "True"),
            trouble: containers.iter().find_map(trouble).or(unscheduled),
            restarts: containers.iter().map(|container| container.restart_count).sum(),
            counters: None,
        }
    }
}

/// Why a container does not run, or what ended it the last time.
fn trouble(container: &ContainerStatus) -> Option<String> {
    let of = |reason: &Option<String>, message: &Option<String>| {
        let words: Vec<&str> = [reason, message].into_iter().flatten().map(String::as_str).collect();
        (!words.is_empty()).then(|| words.join(": "))
    };
    let state = container.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        return of(&waiting.reason, &waiting.message);
    }
    let terminated = state.terminated.as_ref()?;
    of(&terminated.reason, &terminated.message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn deployment(arguments: &Value, more: &Value) -> apps::Deployment {
        let mut deployment = json!({
            "metadata": {"name": "hooks", "generation": 3},
            "spec": {
                "replicas": 3, "selector": {},
                "template": {
                    "metadata": {"labels": {"app.kubernetes.io/version": "1.2.3"}},
                    "spec": {"containers": [
                        {"name": "mesh", "image": "mesh:1"},
                        {"name": "webhook", "image": "example.com/hook:1.2.3", "args": arguments,
                         "ports": [{"name": "metrics", "containerPort": 9090}]},
                    ]},
                },
            },
            "status": {"observedGeneration": 2, "readyReplicas": 1, "updatedReplicas": 2},
        });
        json_patch::merge(&mut deployment, more);
        serde_json::from_value(deployment).unwrap()
    }

    #[test]
    fn what_a_deployment_says() {
        let read =
            Deployment::read(&deployment(&json!(["serve", "--tls-secret=hooks/pair"]), &json!({}))).unwrap();
        let expected = Deployment {
            name: "hooks".to_owned(),
            desired: 3,
            ready: 1,
            updated: 2,
            is_unobserved: true,
            image: "example.com/hook:1.2.3".to_owned(),
            version: Some("1.2.3".to_owned()),
            arguments: vec!["serve".to_owned(), "--tls-secret=hooks/pair".to_owned()],
            secret: Some("pair".to_owned()),
            admin_port: Some(9090),
        };
        assert_eq!(read, expected);
        assert_eq!(Deployment::read(&deployment(&json!(["run"]), &json!({}))), None);
    }

    #[test]
    fn a_mounted_secret_is_found_by_its_folder() {
        let containers = json!([{
            "name": "webhook", "args": ["serve", "--tls-dir=/etc/tls"],
            "volumeMounts": [{"name": "other", "mountPath": "/tmp"}, {"name": "pair", "mountPath": "/etc/tls"}],
        }]);
        let volumes = json!([{"name": "pair", "secret": {"secretName": "from-cert-manager"}}]);
        let spec = json!({"spec": {"template": {"spec": {"containers": containers, "volumes": volumes}}}});
        let read = Deployment::read(&deployment(&json!([]), &spec)).unwrap();
        assert_eq!(read.secret.as_deref(), Some("from-cert-manager"));
    }

    #[test]
    fn why_a_replica_is_not_ready() {
        let read = |status: Value| {
            let pod = json!({"metadata": {"name": "hooks-1"}, "status": status});
            Replica::read(&serde_json::from_value(pod).unwrap())
        };
        let container = |state: Value| {
            json!({"containerStatuses": [{"name": "webhook", "image": "", "imageID": "", "ready": false,
                                          "restartCount": 4, "state": state}]})
        };
        let pulled =
            read(container(json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such tag"}})));
        assert_eq!((pulled.trouble.as_deref(), pulled.restarts), (Some("ImagePullBackOff: no such tag"), 4));
        let waits =
            json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}]});
        assert_eq!(read(waits).trouble.as_deref(), Some("0/3 nodes"));
        let runs = read(json!({"conditions": [{"type": "Ready", "status": "True"}]}));
        assert!(runs.is_ready && runs.trouble.is_none());
    }
}

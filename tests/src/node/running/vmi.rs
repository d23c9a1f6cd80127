//! A VMI that the real KubeVirt runs on the node.

use super::{Object, line_with, wait_for};
use crate::api_server::{Kubectl, Output};
use crate::node::{Machine, NAMESPACE, Node};
use contract::{annotation, network_status};
use serde_json::Value;
use std::thread;

/// A VMI, or a VirtualMachine with its VMI; it is deleted when this is dropped.
#[derive(Debug)]
pub struct RunningVmi {
    kubectl: Kubectl,
    kind: &'static str,
    name: String,
}

impl RunningVmi {
    /// Creates a VMI or a VirtualMachine; what the API server says when it refuses.
    pub fn create(node: &Node, object: &Value) -> Result<Self, String> {
        let kubectl = node.kubectl();
        let output = kubectl.create(&object.to_string());
        if !output.success() {
            return Err(output.stderr);
        }
        let kind =
            if object["kind"] == "VirtualMachine" { "virtualmachine" } else { "virtualmachineinstance" };
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        Ok(Self { kubectl, kind, name })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A part of the VMI, by its JSON path; empty if there is none.
    #[must_use]
    pub fn field(&self, path: &str) -> String {
        Object { kubectl: &self.kubectl, kind: "virtualmachineinstance", name: &self.name }.field(path)
    }

    /// The name of the pod that was made last for it, or an empty string.
    #[must_use]
    pub fn pod(&self) -> String {
        let selector = format!("vm.kubevirt.io/name={}", self.name);
        let arguments = [
            "get",
            "pods",
            "--selector",
            &selector,
            "--sort-by=.metadata.creationTimestamp",
            "--output",
            "jsonpath={.items[-1:].metadata.name}",
        ];
        self.kubectl.run(arguments).stdout
    }

    /// Asks something of its pod.
    fn of_pod<T>(&self, ask: impl FnOnce(&Object<'_>) -> T) -> T {
        ask(&Object { kubectl: &self.kubectl, kind: "pod", name: &self.pod() })
    }

    /// A part of its pod.
    #[must_use]
    pub fn pod_field(&self, path: &str) -> String {
        self.of_pod(|pod| pod.field(path))
    }

    /// An annotation of its pod; `key` without its dots escaped.
    #[must_use]
    pub fn pod_annotation(&self, key: &str) -> String {
        self.of_pod(|pod| pod.annotation(key))
    }

    /// What a container of its pod has printed so far.
    #[must_use]
    pub fn log(&self, container: &str) -> String {
        self.of_pod(|pod| pod.log(container))
    }

    /// Runs a command in a container of its pod.
    #[must_use]
    pub fn exec(&self, container: &str, command: &[&str]) -> Output {
        self.of_pod(|pod| pod.exec(container, command))
    }

    /// The events about the VMI and its pods, the newest last.
    #[must_use]
    pub fn events(&self) -> String {
        let output = "jsonpath={range .items[*]}{.involvedObject.kind} {.involvedObject.name} {.reason}: {.message}{'\\n'}{end}";
        let arguments = ["get", "events", "--sort-by=.metadata.creationTimestamp", "--output", output];
        let all = self.kubectl.run(arguments).stdout;
        let ours = format!(" {} ", self.name);
        let pods = format!(" virt-launcher-{}-", self.name);
        let lines = all.lines().filter(|line| line.contains(&ours) || line.contains(&pods));
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// The VFs of its pod, from the network status.
    #[must_use]
    pub fn vfs(&self) -> Vec<String> {
        let status = self.pod_annotation(annotation::NETWORK_STATUS);
        let status = network_status::parse(&status).unwrap_or_default();
        let address =
            |status: network_status::NetworkStatus| Some(status.device_info?.pci?.address.to_string());
        status.into_iter().filter_map(address).collect()
    }

    /// Waits until the guest has pinged the PF on its network, as `tests/vfio/guest-init` does.
    #[track_caller]
    pub fn answers(&self, mac: &str, address: &str) {
        let line = self.wait_for_line("guest-console-log", &["guest: ping", mac, address, " answered"]);
        assert!(line.contains(" 4 answered"), "{line}");
        println!("  {line}");
    }

    /// Waits until the log of a container has a line with all of these words.
    #[track_caller]
    pub fn wait_for_line(&self, container: &str, words: &[&str]) -> String {
        let mut found = None;
        self.wait_for(&format!("{words:?} in the log of {container}"), || {
            found = line_with(&self.log(container), words);
            found.is_some()
        });
        found.unwrap_or_default()
    }

    /// Waits until something is so. A VMI that has failed ends the wait.
    #[track_caller]
    pub fn wait_for(&self, what: &str, is_so: impl FnMut() -> bool) {
        let has_failed = || self.field(".status.phase") == "Failed";
        wait_for(what, is_so, has_failed, || self.account());
    }

    /// Changes the object that was created, by a JSON merge patch; what the API server says.
    #[must_use]
    pub fn patch(&self, patch: &Value) -> Output {
        self.patch_by("merge", patch)
    }

    /// Changes the object that was created, by a JSON patch; what the API server says.
    #[must_use]
    pub fn patch_json(&self, patch: &Value) -> Output {
        self.patch_by("json", patch)
    }

    fn patch_by(&self, way: &str, patch: &Value) -> Output {
        let kind = format!("--type={way}");
        self.kubectl.run(["patch", self.kind, &self.name, &kind, "--patch", &patch.to_string()])
    }

    /// What there is to know when something went wrong.
    fn account(&self) -> String {
        let tail = |text: String| {
            let lines: Vec<_> = text.lines().collect();
            lines[lines.len().saturating_sub(30)..].join("\n")
        };
        format!(
            "vmi {NAMESPACE}/{} {}\n{}\nevents:\n{}guest:\n{}\ncompute:\n{}",
            self.name,
            self.field(".status.phase"),
            self.pod_field(".status"),
            self.events(),
            tail(self.log("guest-console-log")),
            tail(self.log("compute")),
        )
    }
}

impl Drop for RunningVmi {
    fn drop(&mut self) {
        if !Machine::stands_still() {
            let gone = self.kubectl.run(["delete", self.kind, &self.name, "--timeout=300s"]);
            assert!(thread::panicking() || gone.success(), "{} is not gone: {}", self.name, gone.stderr);
            // The next one needs its memory and its VFs.
            let selector = format!("vm.kubevirt.io/name={}", self.name);
            let _ =
                self.kubectl.run(["wait", "--for=delete", "pod", "--timeout=300s", "--selector", &selector]);
        }
    }
}

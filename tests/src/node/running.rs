//! Pods and VMIs that run on the node: what a scenario asks of them, and waits for.

mod pod;
mod vmi;

use super::Machine;
use crate::api_server::{Kubectl, Output};
use std::thread;
use std::time::{Duration, Instant};

pub use pod::RunningPod;
pub use vmi::RunningVmi;

/// How long one step may take; on two idle cores a guest is up after a minute in a pod of the fake KubeVirt, and two
/// minutes after its VMI was created with the real one.
const STEP_WITHIN: Duration = Duration::from_secs(900);

/// How often something is looked at: each look is work for an emulated processor.
const INTERVAL: Duration = Duration::from_secs(1);

/// An object of the API by its kind and name.
struct Object<'k> {
    kubectl: &'k Kubectl,
    kind: &'static str,
    name: &'k str,
}

impl Object<'_> {
    /// A part of it, by its JSON path; empty if it is not there.
    fn field(&self, path: &str) -> String {
        let output = format!("jsonpath={{{path}}}");
        self.kubectl.run(["get", self.kind, self.name, "--output", &output]).stdout
    }

    /// An annotation; `key` without its dots escaped.
    fn annotation(&self, key: &str) -> String {
        self.field(&format!(".metadata.annotations.{}", key.replace('.', r"\.")))
    }

    /// What a container of the pod has printed so far.
    fn log(&self, container: &str) -> String {
        self.kubectl.run(["logs", self.name, "--container", container]).stdout
    }

    /// Runs a command in a container of the pod.
    fn exec(&self, container: &str, command: &[&str]) -> Output {
        let head = ["exec", self.name, "--container", container, "--"];
        self.kubectl.run(head.iter().chain(command))
    }
}

/// The first line with all of these words, without the console's line ends.
fn line_with(log: &str, words: &[&str]) -> Option<String> {
    let mut lines = log.lines().map(|line| line.trim_end_matches('\r'));
    lines.find(|line| words.iter().all(|word| line.contains(word))).map(str::to_owned)
}

/// Waits until something is so, and fails with the account of it if that has failed or takes too long.
#[track_caller]
fn wait_for(
    what: &str,
    mut is_so: impl FnMut() -> bool,
    has_failed: impl Fn() -> bool,
    account: impl Fn() -> String,
) {
    let deadline = Instant::now() + STEP_WITHIN;
    while !is_so() {
        assert!(!Machine::stands_still(), "no {what}: {}", Machine::why_given_up());
        assert!(Instant::now() < deadline, "no {what} after {STEP_WITHIN:?}: {}", account());
        // What came between the last look and the end counts.
        assert!(!has_failed() || is_so(), "no {what}, and it has failed: {}", account());
        thread::sleep(INTERVAL);
    }
}

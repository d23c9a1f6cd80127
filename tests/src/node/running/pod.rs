//! A virt-launcher pod on the node.

use super::{Object, line_with, wait_for};
use crate::api_server::{Kubectl, Output};
use crate::node::{Machine, NAMESPACE, Node, fake_kubevirt};
use contract::{helper, kubevirt};
use serde_json::Value;
use std::time::{Duration, Instant};

/// How often a guest that keeps a scenario waiting is looked at, which is work, too; most are never waited for that long.
const LOOK_AT_GUEST_EVERY: Duration = Duration::from_secs(240);

/// What is said of a machine with a guest for which [`is_lost`] holds.
const LOST: &str = "the emulator has lost a register of a guest's processor";

/// A pod, and its VMI if KubeVirt is a fake; both are deleted when this is dropped.
#[derive(Debug)]
pub struct RunningPod {
    kubectl: Kubectl,
    name: String,
    vmi: Option<Value>,
    deleted: bool,
}

impl RunningPod {
    /// Creates a pod, and its VMI before it; what the API server says when it refuses. The real KubeVirt would make a
    /// pod of its own for the VMI, so the pod is alone there.
    pub fn create(node: &Node, pod: &Value) -> Result<Self, String> {
        let kubectl = node.kubectl();
        let (vmi, pod) = if node.fakes_kubevirt() {
            let (vmi, pod) = fake_kubevirt::admit(&kubectl, pod)?;
            (Some(vmi), pod)
        } else {
            (None, pod.clone())
        };
        let output = kubectl.create(&pod.to_string());
        let name = output.stdout.trim().trim_start_matches("pod/").trim_end_matches(" created").to_owned();
        let created = Self { kubectl, name, vmi, deleted: !output.success() };
        if output.success() { Ok(created) } else { Err(output.stderr) }
    }

    /// Its VMI as it is stored, if KubeVirt is a fake.
    #[track_caller]
    pub fn vmi(&self) -> String {
        let vmi = self.vmi_name().expect("KubeVirt is a fake");
        self.kubectl.run(["get", "vmi", vmi, "--output", "json"]).expect_success()
    }

    /// Has virt-handler's report written into the VMI's status.
    pub fn report(&self) {
        let vmi = self.vmi.as_ref().expect("KubeVirt is a fake");
        let log = self.log(kubevirt::COMPUTE_CONTAINER);
        let domain = || self.exec(&["virsh", "dumpxml", "1"]).expect_success();
        fake_kubevirt::report(&self.kubectl, vmi, &log, domain);
    }

    fn vmi_name(&self) -> Option<&str> {
        self.vmi.as_ref()?["metadata"]["name"].as_str()
    }

    /// Its name, as the API server made it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn object(&self) -> Object<'_> {
        Object { kubectl: &self.kubectl, kind: "pod", name: &self.name }
    }

    /// A part of the pod, by its JSON path; empty if it is not there.
    #[must_use]
    pub fn field(&self, path: &str) -> String {
        self.object().field(path)
    }

    /// An annotation; `key` without its dots escaped.
    #[must_use]
    pub fn annotation(&self, key: &str) -> String {
        self.object().annotation(key)
    }

    /// Removes an annotation.
    #[track_caller]
    pub fn remove_annotation(&self, key: &str) {
        self.kubectl.run(["annotate", "pod", &self.name, &format!("{key}-")]).expect_success();
    }

    /// What a container has printed so far.
    #[must_use]
    pub fn log(&self, container: &str) -> String {
        self.object().log(container)
    }

    /// Waits until the guest's console or the launcher has a line with all of these words.
    #[track_caller]
    pub fn wait_for_line(&self, words: &[&str]) -> String {
        self.wait_for_line_of("compute", words)
    }

    /// Waits until a container's log has a line with all of these words.
    #[track_caller]
    pub fn wait_for_line_of(&self, container: &str, words: &[&str]) -> String {
        let mut found = None;
        self.wait_for(&format!("line with {words:?} in the log of {container}"), || {
            found = line_with(&self.log(container), words);
            found.is_some()
        });
        found.unwrap_or_default()
    }

    /// Waits until something is so. A pod that has failed is not waited for any longer; a failure tells what is known
    /// of the pod.
    #[track_caller]
    pub fn wait_for(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let mut looked = Instant::now();
        let is_so = || {
            if looked.elapsed() > LOOK_AT_GUEST_EVERY {
                looked = Instant::now();
                if self.guest_is_lost() {
                    Machine::give_up(LOST);
                }
            }
            is_so()
        };
        let has_failed = || self.field(".status.phase") == "Failed";
        wait_for(what, is_so, has_failed, || self.account());
    }

    fn guest_is_lost(&self) -> bool {
        let script = "virsh qemu-monitor-command \"$(virsh list --name | head -n 1)\" --hmp 'info registers'";
        is_lost(&self.exec(&["sh", "-c", script]).stdout)
    }

    /// Runs a command in the container `compute`.
    #[track_caller]
    pub fn exec(&self, command: &[&str]) -> Output {
        self.exec_in("compute", command)
    }

    /// Runs a command in a container.
    #[track_caller]
    pub fn exec_in(&self, container: &str, command: &[&str]) -> Output {
        self.object().exec(container, command)
    }

    /// Runs a command in the container `compute`, with something on its standard input.
    #[track_caller]
    pub fn exec_with_input(&self, command: &[&str], input: &str) -> Output {
        let head = ["exec", "--stdin", &self.name, "--container", "compute", "--"];
        self.kubectl.run_with_input(head.iter().chain(command), input)
    }

    /// Its events, the newest last.
    #[must_use]
    pub fn events(&self) -> String {
        let selector = format!("involvedObject.name={}", self.name);
        let output = "jsonpath={range .items[*]}{.reason}: {.message}{'\\n'}{end}";
        let arguments = [
            "get",
            "events",
            "--sort-by=.metadata.creationTimestamp",
            "--field-selector",
            &selector,
            "--output",
            output,
        ];
        self.kubectl.run(arguments).stdout
    }

    /// Deletes it as a person does, and waits until it is gone.
    pub fn delete(mut self) {
        self.deleted = true;
        let arguments = ["delete", "pod", &self.name, "--grace-period=10", "--timeout=180s"];
        self.kubectl.run(arguments).expect_success();
    }

    /// What there is to know when something went wrong.
    fn account(&self) -> String {
        let state = |kind: &str| self.field(&format!(".status.{kind}[*].state"));
        let status = format!(
            "{} {} {}",
            self.field(".status.phase"),
            state("initContainerStatuses"),
            state("containerStatuses")
        );
        let (log, events) = (self.log("compute"), self.events());
        // Only some pods have the helper.
        let helper = self.log(helper::CONTAINER);
        format!(
            "pod {NAMESPACE}/{}\n{status}\nevents:\n{events}log of {}:\n{helper}log of compute:\n{log}",
            self.name,
            helper::CONTAINER
        )
    }
}

impl Drop for RunningPod {
    fn drop(&mut self) {
        if Machine::stands_still() {
            return;
        }
        // Either may be gone already.
        if !self.deleted {
            let arguments = ["delete", "pod", &self.name, "--grace-period=2", "--timeout=120s"];
            let _ = self.kubectl.run(arguments);
        }
        if let Some(vmi) = self.vmi_name() {
            let _ = self.kubectl.run(["delete", "vmi", vmi, "--timeout=120s"]);
        }
    }
}

/// Whether a guest's registers, as QEMU's `info registers` shows them, are what no 64-bit kernel can have: paging
/// without the switch for 64 bits. The emulated processor under KVM can lose that one, rarely, when it
/// is interrupted; the guest then does nothing, and no scenario can be blamed for it.
fn is_lost(registers: &str) -> bool {
    let register = |name: &str| {
        let value = registers.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| u64::from_str_radix(value, 16).ok())
    };
    let pages = register("CR0").is_some_and(|value| value & 1 << 31 != 0);
    pages && register("EFER") == Some(0) && register("CR4") == Some(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::as_it_was_seen(
        "GDT= 00001000 0000007f\nCR0=80050033 CR2=00000000 CR3=0aba4000 CR4=00000000\nEFER=0000000000000000\n",
        true
    )]
    #[case::a_64_bit_kernel("CR0=80050033 CR2=0 CR3=0aba4000 CR4=000006f0\nEFER=0000000000000d01\n", false)]
    #[case::firmware("CR0=00000011 CR2=00000000 CR3=00000000 CR4=00000000\nEFER=0000000000000000\n", false)]
    #[case::no_guest("", false)]
    fn registers(#[case] text: &str, #[case] lost: bool) {
        assert_eq!(is_lost(text), lost);
    }
}

//! What `launcher-hook check --vmi` and `sriov-webhook doctor --map` show of the example VMI while it runs, which is what
//! docs/troubleshooting.md shows.

use ::tests::node::{Node, RunningPod};
use contract::annotation;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Where the pod has the helper's program.
const HELPER: &str = "/var/run/launcher-hook/launcher-hook";

/// Nothing disagrees: not in what can be seen in the pod, nor with the cluster's and the node's words, nor from the API.
/// Then somebody else sets the VLAN of a VF. All is printed before it is judged.
pub(crate) fn are_as_documented(node: &Node, pod: &RunningPod) {
    let in_pod = pod.exec_with_input(&[HELPER, "check", "--vmi", "-"], &pod.vmi());
    println!("{}", in_pod.stdout);
    let right = check(node, pod);
    println!("{right}");
    let map = node.release().doctor(&["--map"]);
    println!("{}", map.stdout);
    let changed = with_another_vlan(node, pod, || check(node, pod));
    println!("{changed}");

    let in_pod = machine(&in_pod.stdout);
    assert!(
        in_pod.ends_with("\nNothing disagrees.\n") && in_pod.contains("ua-sriov-storage 0000:"),
        "{in_pod}"
    );
    assert_eq!(documented("troubleshooting.md", MACHINE, 0), stable(&right));
    assert_eq!(documented("troubleshooting.md", MACHINE, 1), stable(&changed));
    assert_eq!(map.code, Some(0), "{map:?}");
    for page in ["troubleshooting.md", "doctor.md"] {
        assert_eq!(documented(page, "default/database: Running", 0), stable(&map.stdout), "docs/{page}");
    }
}

/// While the VLAN of the storage network's VF is another one.
fn with_another_vlan(node: &Node, pod: &RunningPod, look: impl FnOnce() -> String) -> String {
    let attached: Vec<Value> = serde_json::from_str(&pod.annotation(annotation::NETWORK_STATUS)).unwrap();
    let storage = attached.iter().find(|attached| attached["name"] == "default/storage").unwrap();
    let vf = storage["device-info"]["pci"]["pci-address"].as_str().unwrap();
    let set = |vlan: u16| format!("ip link set \"$(pf_interface)\" vf \"$(vf_number {vf})\" vlan {vlan}");
    node.machine().expect(&set(7));
    let seen = look();
    node.machine().expect(&set(100));
    seen
}

/// The first line of the map.
const MACHINE: &str = "Virtual machine default/database";

/// What `check --vmi` says of the machine, given what the cluster says of the NADs and the node of its PFs.
fn check(node: &Node, pod: &RunningPod) -> String {
    let links = node.machine().expect("ip -details -json link");
    let nads = ["get", "network-attachment-definitions", "--all-namespaces", "--output", "json"];
    let nads = node.kubectl().run(nads).expect_success();
    let script = format!(
        "cd /tmp && printf %s \"$1\" >links.json && printf %s \"$2\" >nads.json && virsh dumpxml 1 >domain.xml && \
         {HELPER} check --vmi - --domain domain.xml --nads nads.json --pf-links links.json"
    );
    let said = pod.exec_with_input(&["sh", "-c", &script, "sh", &links, &nads], &pod.vmi());
    assert!(said.stdout.contains(MACHINE), "no word of the virtual machine: {said:?}");
    machine(&said.stdout)
}

/// The map without what is said of the host.
fn machine(said: &str) -> String {
    said.find(MACHINE).and_then(|start| said.get(start..)).unwrap_or_default().to_owned()
}

/// The part of a page's code block that begins with this line; the first of several has number 0.
fn documented(page: &str, first: &str, number: usize) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (start, _) = page
        .match_indices(&format!("\n{first}\n"))
        .nth(number)
        .unwrap_or_else(|| panic!("{} has too few blocks with '{first}'", path.display()));
    let block = page[start + 1..].split("```").next().unwrap_or_default();
    stable(block)
}

/// Without what differs from run to run: the function and number of a VF, its group, the pod's generated name. Blanks
/// at the end of a line do not count.
fn stable(text: &str) -> String {
    let mut text = text.to_owned();
    for (before, length) in [("0000:01:10.", 1), (" VF ", 1), (" vf ", 1), ("virt-launcher-database-", 5)] {
        text = masked(&text, before, length);
    }
    let line = |line: &str| {
        let digits = |letter: char| if letter.is_ascii_digit() { '#' } else { letter };
        let line = line.trim_end();
        if line.starts_with("group ") { line.chars().map(digits).collect() } else { line.to_owned() }
    };
    text.trim_end().lines().map(line).collect::<Vec<_>>().join("\n")
}

/// With so many characters behind each `before` replaced.
fn masked(text: &str, before: &str, length: usize) -> String {
    let mut parts = text.split(before);
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        masked.push_str(before);
        masked.extend(
            part.chars().enumerate().map(|(index, letter)| if index < length { '#' } else { letter }),
        );
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_not_compared() {
        let runs = [
            ("0000:01:10.2", "x7k2p", "group      14         15", "VF 1", "eth0 vf 1 vlan 100  "),
            ("0000:01:10.6", "abcde", "group      16         19", "VF 3", "eth0 vf 3 vlan 100"),
        ];
        let [one, other] = runs.map(|(vf, pod, group, number, remedy)| {
            stable(&format!("vf  {vf}\npod virt-launcher-database-{pod}\n{group}\npf  {number}\n{remedy}\n"))
        });
        assert_eq!(one, other);
        assert_ne!(
            stable("! storage vlan: wanted is 100, the PF says 7"),
            stable("! storage vlan: wanted is 100, the PF says 8")
        );
        assert_ne!(stable("pf 0000:01:00.0"), stable("pf 0000:02:00.0"));
    }
}

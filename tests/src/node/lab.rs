//! The node for a person: a shell beside it, until that ends.

use super::fake_kubevirt::{admit, example_pod, pod_of, vmi};
use super::{Node, real_kubevirt};
use contract::annotation;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Opens a shell in a folder with pods to try, with kubectl and `on-node` at hand.
pub fn open(node: &Node) {
    let folder = node.machine().folder().join("lab");
    fs::create_dir_all(&folder).unwrap();
    let real = real_kubevirt::assets().is_some();
    let objects = if real { virtual_machines() } else { pods(node) };
    for (name, object) in objects {
        fs::write(folder.join(name).with_extension("json"), format!("{object:#}\n")).unwrap();
    }

    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
    let path = [scripts.display().to_string(), std::env::var("KUBEBUILDER_ASSETS").unwrap()];
    let path = format!("{}:{}", path.join(":"), std::env::var("PATH").unwrap_or_default());
    let shell = Command::new("bash")
        .args(["--rcfile"])
        .arg(scripts.join("labrc"))
        .arg("-i")
        .current_dir(&folder)
        .env("PATH", path)
        .env("NODE_SHARED", node.machine().folder())
        .env("NODE_HINT", if real { "real" } else { "fake" })
        .env("KUBECONFIG", node.control_plane().admin_kubeconfig())
        .status();
    shell.unwrap_or_else(|error| panic!("bash: {error}"));
}

const STORAGE: (&str, &str, &str) = ("storage", "default/storage", "02:00:00:00:01:00");
const UPLINK: (&str, &str, &str) = ("uplink", "net-admin/uplink", "02:00:00:00:02:00");
const WEB: (&str, &str, &str) = ("storage", "default/storage", "02:00:00:02:01:00");

/// What a person creates where KubeVirt is real.
fn virtual_machines() -> [(&'static str, Value); 2] {
    let compute = |vmi| real_kubevirt::vmi::with_mode(vmi, "compute");
    let web = compute(real_kubevirt::vmi::vmi("web", &[WEB]));
    [
        ("database", compute(real_kubevirt::vmi::vmi("database", &[STORAGE, UPLINK]))),
        ("web", real_kubevirt::vmi::virtual_machine(&web)),
    ]
}

/// What KubeVirt would make of VMIs elsewhere. The VMIs exist already.
fn pods(node: &Node) -> [(&'static str, Value); 2] {
    [("database", example_pod()), ("web", pod_of(&vmi("web", &[WEB])))].map(|(name, mut pod)| {
        pod["metadata"]["annotations"][annotation::LAUNCHER_HOOK] = json!("compute");
        pod["metadata"]["name"] = json!(format!("virt-launcher-{name}"));
        let (_, pod) = admit(&node.kubectl(), &pod).unwrap_or_else(|error| panic!("the VMI {name}: {error}"));
        (name, pod)
    })
}

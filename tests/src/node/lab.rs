//! The node for a person: a shell beside it, until that ends.

use super::Node;
use super::kubevirt::{example_pod, pod_of, vmi};
use contract::annotation;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Opens a shell in a folder with pods to try, with kubectl and `on-node` at hand.
pub fn open(node: &Node) {
    let folder = node.machine().folder().join("lab");
    fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, mut pod: Value| {
        pod["metadata"]["annotations"][annotation::LAUNCHER_HOOK] = json!("compute");
        let named = name.trim_end_matches(".json");
        pod["metadata"]["name"] = json!(format!("virt-launcher-{named}"));
        fs::write(folder.join(name), format!("{pod:#}\n")).unwrap();
    };
    write("database.json", example_pod());
    write("web.json", pod_of(&vmi("web", &[("storage", "default/storage", "02:00:00:02:01:00")])));

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
        .env("KUBECONFIG", node.control_plane().admin_kubeconfig())
        .status();
    shell.unwrap_or_else(|error| panic!("bash: {error}"));
}

//! The image, unpacked and run.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tests::api_server::release::image;
use tests::api_server::{Pod, Release};

/// Unpacks the archive and its one layer; gives the layer's folder and the configuration.
fn unpack(folder: &Path) -> (PathBuf, Value) {
    let unpack = |archive: &Path, into: &Path| {
        fs::create_dir_all(into).unwrap();
        let tar = Command::new("tar").arg("-xf").arg(archive).arg("-C").arg(into).status().unwrap();
        assert!(tar.success(), "tar -xf {}: {tar}", archive.display());
    };
    let (archive, root) = (folder.join("archive"), folder.join("root"));
    unpack(&image(), &archive);
    let json = |path: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(archive.join(path)).unwrap()).unwrap()
    };
    let manifest = json("manifest.json");
    let layers = manifest[0]["Layers"].as_array().unwrap();
    assert_eq!(layers.len(), 1);
    unpack(&archive.join(layers[0].as_str().unwrap()), &root);
    (root, json(manifest[0]["Config"].as_str().unwrap()))
}

#[test]
fn the_image_has_what_it_needs_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (root, config) = unpack(folder.path());
    let mut files: Vec<String> = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(&root).unwrap().display().to_string());
            }
        }
    }
    files.sort();
    assert_eq!(files, ["licenses/LICENSE", "sriov-webhook"]);
    let user: u32 = config["config"]["User"].as_str().unwrap().split(':').next().unwrap().parse().unwrap();
    assert_ne!(user, 0);
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/sriov-webhook"]));
    let labels = &config["config"]["Labels"];
    assert_eq!(labels["org.opencontainers.image.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(labels["org.opencontainers.image.licenses"], "Apache-2.0");
}

/// A user that stands nowhere, as OpenShift gives it.
const USER: u32 = 1_000_680_000;

#[tokio::test]
async fn the_image_runs_as_anybody_on_a_read_only_root() {
    let release = Release::new("image");
    release.apply_network("sriov-net", "intel.com/sriov_vfio");
    release.deploy("install", &[]).expect_success();
    let folder = tempfile::tempdir().unwrap();
    let (root, _) = unpack(folder.path());
    let mut replica = release.contained_replica("contained", &root, USER);
    release.balancer().add(replica.address());
    release.wait_until_asked();
    let pod = Pod::virt_launcher("one").networks("sriov-net").in_namespace(release.namespace());
    let stored: Value =
        serde_json::from_str(&release.kubectl().dry_run(&pod.to_string()).expect_success()).unwrap();
    assert_eq!(
        stored["spec"]["containers"][0]["resources"]["limits"]["intel.com/sriov_vfio"], "1",
        "{stored}"
    );

    let id = replica.process().id();
    let process = |file: &str| fs::read_to_string(format!("/proc/{id}/{file}")).unwrap();
    let status = process("status");
    let line = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).unwrap().trim().to_owned();
    assert_eq!(line("Uid:").split_whitespace().next(), Some(USER.to_string().as_str()));
    assert_eq!(line("CapEff:"), "0000000000000000");
    assert_eq!(line("NoNewPrivs:"), "1");
    let mounts = process("mountinfo");
    let of_root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    let options = of_root.split(' ').nth(5).unwrap();
    assert!(options.split(',').any(|option| option == "ro"), "{of_root}");
    replica.process().signal("TERM");
    assert_eq!(replica.process().wait(std::time::Duration::from_secs(60)).code(), Some(0));
}

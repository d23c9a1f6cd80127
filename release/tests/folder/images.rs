//! The images, read as OCI layouts.

use super::*;

fn blob(layout: &Path, digest: &Value) -> PathBuf {
    layout.join("blobs/sha256").join(digest.as_str().unwrap().trim_start_matches("sha256:"))
}

#[test]
fn an_image_is_for_both_processors_and_holds_the_program_of_the_archive() {
    for program in IMAGES {
        let layout = unpacked(&format!("{program}-{VERSION}.oci.tar"));
        for entry in fs::read_dir(layout.path().join("blobs/sha256")).unwrap() {
            let path = entry.unwrap().path();
            assert_eq!(path.file_name().unwrap().to_str().unwrap(), sha256(&fs::read(&path).unwrap()));
        }
        let top = &json(&layout.path().join("index.json"))["manifests"];
        assert_eq!(top.as_array().unwrap().len(), 1);
        assert_eq!(top[0]["mediaType"], "application/vnd.oci.image.index.v1+json");
        let digest = image_digests().remove(&format!("ghcr.io/kubevirt-sriov/{program}")).unwrap();
        assert_eq!(top[0]["digest"], digest.as_str());

        let index = json(&blob(layout.path(), &top[0]["digest"]));
        let entries = index["manifests"].as_array().unwrap();
        let architectures: Vec<&str> =
            entries.iter().map(|entry| entry["platform"]["architecture"].as_str().unwrap()).collect();
        assert_eq!(architectures, ARCHITECTURES);
        for (entry, architecture) in entries.iter().zip(architectures) {
            let manifest = json(&blob(layout.path(), &entry["digest"]));
            let config = json(&blob(layout.path(), &manifest["config"]["digest"]));
            assert_eq!(config["architecture"], architecture);
            assert_eq!(config["config"]["Labels"]["org.opencontainers.image.version"], VERSION);
            let head = printed(Command::new("git").args(["rev-parse", "HEAD"]).current_dir(sources()));
            assert_eq!(config["config"]["Labels"]["org.opencontainers.image.revision"], head.trim());

            let root = tempfile::tempdir().unwrap();
            let layer = blob(layout.path(), &manifest["layers"][0]["digest"]);
            printed(Command::new("tar").arg("-xf").arg(layer).arg("-C").arg(root.path()));
            let (_place, inside) = archive(program, architecture);
            let pairs = [(program, program), ("licenses/THIRD-PARTY-LICENSES", "THIRD-PARTY-LICENSES")];
            for (in_image, in_archive) in pairs {
                assert_eq!(
                    sha256(&fs::read(root.path().join(in_image)).unwrap()),
                    sha256(&fs::read(inside.join(in_archive)).unwrap()),
                    "{program} for {architecture}: {in_image}"
                );
            }
        }
    }
}

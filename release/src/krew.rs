//! The manifest by which krew installs `kubectl sriov`.

use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::digest;

const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

/// How the names of our archives end, behind the processor.
const ENDING: &str = ".tar.gz";

/// Options of `krew`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The version, without v
    #[arg(long)]
    version: String,
    /// An archive, named kubectl-sriov-VERSION-linux-ARCHITECTURE.tar.gz
    #[arg(long = "archive", value_name = "FILE", required = true)]
    archives: Vec<PathBuf>,
}

/// Prints the manifest of these archives.
pub(crate) fn print(arguments: &Arguments) -> anyhow::Result<()> {
    let archives = arguments.archives.iter().map(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.and_then(|name| name.strip_suffix(ENDING));
        let name = name.with_context(|| format!("{} does not end in {ENDING}", path.display()))?;
        Ok((name.to_owned(), digest::of_file(path)?))
    });
    let archives = archives.collect::<anyhow::Result<Vec<_>>>()?;
    print!("{}", serde_saphyr::to_string(&manifest(&arguments.version, &archives)?)?);
    Ok(())
}

/// The manifest for archives of these names, without their ending, and digests.
fn manifest(version: &str, archives: &[(String, String)]) -> anyhow::Result<Value> {
    let platforms = archives.iter().map(|(name, sha256)| {
        let (_, architecture) =
            name.rsplit_once("-linux-").with_context(|| format!("{name} is for no known system"))?;
        let file = |file: &str| json!({"from": format!("{name}/{file}"), "to": "."});
        Ok(json!({
            "selector": {"matchLabels": {"os": "linux", "arch": architecture}},
            "uri": format!("{REPOSITORY}/releases/download/v{version}/{name}{ENDING}"),
            "sha256": sha256,
            "files": [file("kubectl-sriov"), file("LICENSE")],
            "bin": "kubectl-sriov",
        }))
    });
    Ok(json!({
        "apiVersion": "krew.googlecontainertools.github.com/v1alpha2",
        "kind": "Plugin",
        "metadata": {"name": "sriov"},
        "spec": {
            "version": format!("v{version}"),
            "homepage": REPOSITORY,
            "shortDescription": "Find why virtual machines lack their SR-IOV VFs",
            "description": "Looks at the SR-IOV networks of KubeVirt's virtual machines, and at the webhook of\n\
                            kubevirt-sriov that requests their devices: what is wrong with a cluster (doctor),\n\
                            the path of each device from its network to the domain (map), what the webhook\n\
                            would do to pods (review), its certificates (certs).\n",
            "caveats": "For completion, copy kubectl_complete-sriov from the release's archive into PATH.\n",
            "platforms": platforms.collect::<anyhow::Result<Vec<_>>>()?,
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_archive_is_a_platform() {
        let archives = ["amd64", "arm64"]
            .map(|architecture| (format!("kubectl-sriov-1.2.3-linux-{architecture}"), "ab".repeat(32)));
        let text = serde_saphyr::to_string(&manifest("1.2.3", &archives).unwrap()).unwrap();
        insta::assert_snapshot!(text);
    }

    #[test]
    fn an_archive_of_no_system_is_refused() {
        let archives = [("kubectl-sriov-1.2.3".to_owned(), String::new())];
        let problem = manifest("1.2.3", &archives).unwrap_err();
        assert_eq!(problem.to_string(), "kubectl-sriov-1.2.3 is for no known system");
    }
}

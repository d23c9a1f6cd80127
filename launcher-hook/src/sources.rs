//! Where launcher-hook learns which devices the pod was given: the environment and the files of the downward
//! API. They are read anew for every domain, since the files fill while the pod is already running.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use contract::{NetworkResources, ResourceName, kubevirt};
use thiserror::Error;

/// What to read instead of the usual.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Where the devices are named")]
pub struct SourceArguments {
    /// KubeVirt's network-info: which device each network has. Absent or empty counts as not known yet
    #[arg(long, value_name = "FILE", env = "LAUNCHER_HOOK_NETWORK_INFO", default_value = kubevirt::NETWORK_INFO_FILE)]
    pub network_info: PathBuf,
    /// Variables to read instead of the program's own environment: a file of lines, or NUL-separated as
    /// /proc/PID/environ is
    #[arg(long, value_name = "FILE", env = "LAUNCHER_HOOK_ENVIRON")]
    pub environ: Option<PathBuf>,
    /// The pod's annotation k8s.v1.cni.cncf.io/networks, for the order of the networks
    #[arg(long, value_name = "FILE", env = "LAUNCHER_HOOK_NETWORKS_ANNOTATION")]
    pub networks_annotation: Option<PathBuf>,
    /// The pod's annotation k8s.v1.cni.cncf.io/network-status. Absent or empty counts as not known yet
    #[arg(long, value_name = "FILE", env = "LAUNCHER_HOOK_NETWORK_STATUS")]
    pub network_status: Option<PathBuf>,
}

/// What was read, unparsed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// The variables. Those that are not UTF-8 are left out: no name or address is in them.
    pub variables: Vec<(String, String)>,
    /// The text of network-info.
    pub network_info: Option<String>,
    /// The text of the networks annotation.
    pub networks_annotation: Option<String>,
    /// The text of the network-status annotation.
    pub network_status: Option<String>,
}

/// A source that cannot be read.
#[derive(Debug, Error)]
#[error("{option}: cannot read {}: {problem}", .path.display())]
pub struct SourceError {
    /// The option that names it.
    pub option: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What the kernel says.
    pub problem: io::Error,
}

impl SourceArguments {
    /// Reads what there is.
    ///
    /// # Errors
    /// A file that is there and cannot be read, or that was asked for and is not there.
    pub fn read(&self) -> Result<Sources, SourceError> {
        let Self { network_info, environ, networks_annotation, network_status } = self;
        let variables = match environ {
            Some(path) => variables_in(&read("--environ", path)?),
            None => own_variables(),
        };
        Ok(Sources {
            variables,
            network_info: filled("--network-info", network_info)?,
            networks_annotation: networks_annotation
                .as_deref()
                .map(|path| read_text("--networks-annotation", path))
                .transpose()?,
            network_status: match network_status {
                Some(path) => filled("--network-status", path)?,
                None => None,
            },
        })
    }

    /// As [`read`](Self::read) for a program whose environment may have been emptied, as libvirt does for its
    /// hooks: where no variable of ours is left, those of process 1 are taken.
    ///
    /// # Errors
    /// As [`read`](Self::read). An unreadable `/proc/1/environ` is none: it is logged.
    pub fn read_stripped(&self, procfs: &Path) -> Result<Sources, SourceError> {
        let mut sources = self.read()?;
        if self.environ.is_none() && !sources.variables.iter().any(|(name, _)| is_ours(name)) {
            let path = procfs.join("1/environ");
            match fs::read(&path) {
                Ok(bytes) => sources.variables = variables_in(&bytes),
                Err(problem) => {
                    tracing::info!(path = %path.display(), %problem, "no variables from process 1")
                }
            }
        }
        Ok(sources)
    }
}

fn is_ours(name: &str) -> bool {
    name.starts_with(ResourceName::DEVICES_VARIABLE_PREFIX)
        || name.starts_with(kubevirt::RESOURCE_NAME_VARIABLE_PREFIX)
        || name == NetworkResources::VARIABLE
}

fn own_variables() -> Vec<(String, String)> {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// Reads `NAME=VALUE` entries: separated by NUL where there is one, otherwise by line ends. Lines without `=`
/// and comments are passed over.
#[must_use]
pub fn variables_in(bytes: &[u8]) -> Vec<(String, String)> {
    let separator = if bytes.contains(&0) { 0 } else { b'\n' };
    bytes
        .split(|byte| *byte == separator)
        .filter_map(|entry| {
            let (name, value) = std::str::from_utf8(entry).ok()?.split_once('=')?;
            let value = if separator == 0 { value } else { value.trim_end_matches('\r') };
            (!name.starts_with('#')).then(|| (name.to_owned(), value.to_owned()))
        })
        .collect()
}

fn read(option: &'static str, path: &Path) -> Result<Vec<u8>, SourceError> {
    fs::read(path).map_err(|problem| SourceError { option, path: path.to_owned(), problem })
}

fn read_text(option: &'static str, path: &Path) -> Result<String, SourceError> {
    fs::read_to_string(path).map_err(|problem| SourceError { option, path: path.to_owned(), problem })
}

/// The text of a file that fills in its own time; `None` until it has.
pub(crate) fn filled(option: &'static str, path: &Path) -> Result<Option<String>, SourceError> {
    match read_text(option, path) {
        Ok(text) => Ok((!text.trim().is_empty()).then_some(text)),
        Err(SourceError { problem, .. }) if problem.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[rstest]
    #[case::lines("A=1\nB=x=y\n", &[("A", "1"), ("B", "x=y")])]
    #[case::nul("A=1\0B=two\nlines\0", &[("A", "1"), ("B", "two\nlines")])]
    #[case::comments_and_blanks("# A=1\n\nB=2\r\n", &[("B", "2")])]
    #[case::without_equals("A\nB=", &[("B", "")])]
    #[case::empty("", &[])]
    fn variables(#[case] text: &str, #[case] expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(name, value)| pair(name, value)).collect();
        assert_eq!(variables_in(text.as_bytes()), expected);
    }

    #[test]
    fn what_is_no_utf_8_is_left_out() {
        assert_eq!(variables_in(b"A=\xff\0B=1\0"), [pair("B", "1")]);
    }

    fn arguments(folder: &Path) -> SourceArguments {
        SourceArguments {
            network_info: folder.join("network-info"),
            environ: Some(folder.join("environ")),
            networks_annotation: None,
            network_status: Some(folder.join("network-status")),
        }
    }

    #[test]
    fn absent_and_empty_files_of_the_downward_api_are_not_known_yet() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("environ"), "A=1").unwrap();
        fs::write(folder.path().join("network-status"), "\n").unwrap();
        let sources = arguments(folder.path()).read().unwrap();
        assert_eq!(sources.variables, [pair("A", "1")]);
        assert_eq!((sources.network_info, sources.network_status), (None, None));
    }

    #[rstest]
    #[case::environ("environ", "--environ: cannot read ")]
    #[case::networks_annotation("networks-annotation", "--networks-annotation: cannot read ")]
    fn a_file_that_was_asked_for_has_to_be_there(#[case] absent: &str, #[case] message: &str) {
        let folder = tempfile::tempdir().unwrap();
        let arguments = SourceArguments {
            networks_annotation: Some(folder.path().join("networks-annotation")),
            ..arguments(folder.path())
        };
        for name in ["environ", "networks-annotation"] {
            if name != absent {
                fs::write(folder.path().join(name), "").unwrap();
            }
        }
        let error = arguments.read().unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }

    #[test]
    fn a_stripped_environment_is_made_up_from_process_1() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("1")).unwrap();
        fs::write(folder.path().join("1/environ"), "PCIDEVICE_A_B=0000:01:10.0\0").unwrap();
        let arguments = SourceArguments { environ: None, ..arguments(folder.path()) };
        let sources = arguments.read_stripped(folder.path()).unwrap();
        assert_eq!(sources.variables, [pair("PCIDEVICE_A_B", "0000:01:10.0")]);
    }
}

//! Where launcher-hook learns which devices the pod was given: the environment and the files of the downward
//! API. They are read again for every domain, because the files fill while the pod is already running.

use std::path::{Path, PathBuf};
use std::{fs, io};

use contract::helper::flag;
use contract::network_info::NetworkInfo;
use contract::{ClaimMetadata, DeviceReport, ResourceName, kubevirt};
use thiserror::Error;

use crate::claims;
use crate::device_report;
use crate::devices::{DRIVER_DEVICE_PREFIX, DRIVER_POOL, PodTexts};
use crate::variables::{is_ours, is_utf_16, own_variables, variables_in};

/// What to read instead of the usual.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Sources")]
pub struct SourceArguments {
    /// KubeVirt's network-info, which names the device of each network
    ///
    /// Absent or empty counts as not known yet.
    #[arg(long = flag::NETWORK_INFO, value_name = "FILE", env = "LAUNCHER_HOOK_NETWORK_INFO", default_value = kubevirt::NETWORK_INFO_FILE)]
    pub network_info: PathBuf,
    /// Variables to read instead of the program's own environment
    ///
    /// Lines as `env`, `export` or `declare -x` print them, or NUL-separated like /proc/PID/environ.
    #[arg(long, value_name = "FILE", env = "LAUNCHER_HOOK_ENVIRON")]
    pub environ: Option<PathBuf>,
    /// The pod's annotation k8s.v1.cni.cncf.io/networks, for the order of the networks
    #[arg(long = flag::NETWORKS_ANNOTATION, value_name = "FILE", env = "LAUNCHER_HOOK_NETWORKS_ANNOTATION")]
    pub networks_annotation: Option<PathBuf>,
    /// The pod's annotation k8s.v1.cni.cncf.io/network-status; a network that it does not list gets no VF
    ///
    /// Absent or empty counts as not known yet, and then only network-info can name a VF. By default the file
    /// network-status beside --network-info is read, if present: in mode compute launcher-hook keeps one there.
    #[arg(long = flag::NETWORK_STATUS, hide_short_help = true, value_name = "FILE", env = "LAUNCHER_HOOK_NETWORK_STATUS")]
    pub network_status: Option<PathBuf>,
    /// The file that `report-devices` wrote in the container that has the devices
    ///
    /// Its variables are read beside the program's own, and --verify uses its device nodes.
    #[arg(long = flag::DEVICE_REPORT, hide_short_help = true, value_name = "FILE")]
    pub device_report: Option<PathBuf>,
    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields say it, and a comment here would be help text")]
    pub claims: ClaimArguments,
}

/// Where Kubernetes describes claimed devices.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Sources")]
pub struct ClaimArguments {
    /// Folder with the metadata of devices from resource claims
    ///
    /// It does not exist in a container without claims.
    #[arg(long, hide_short_help = true, value_name = "DIR", env = "LAUNCHER_HOOK_CLAIM_METADATA", default_value = claims::files::FOLDER)]
    pub claim_metadata: PathBuf,
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
    /// The text of the network-status annotation: `None` if it is not read, empty until it has arrived.
    pub network_status: Option<String>,
    /// What the container that was given the devices has reported; its variables and claims are among the others.
    pub device_report: Option<DeviceReport>,
    /// What the metadata files of claimed devices say.
    pub claims: Vec<ClaimMetadata>,
}

impl Sources {
    /// The same, borrowed.
    #[must_use]
    pub fn texts(&self) -> PodTexts<'_> {
        PodTexts {
            variables: &self.variables,
            network_info: self.network_info.as_deref(),
            network_status: self.network_status.as_deref(),
            networks_annotation: self.networks_annotation.as_deref(),
            claims: &self.claims,
        }
    }

    /// The sources in which nothing was found, each with where it was looked for and what it lacks.
    #[must_use]
    pub fn silent(&self, arguments: &SourceArguments) -> Vec<String> {
        let SourceArguments {
            network_info,
            environ,
            networks_annotation,
            network_status: _,
            device_report,
            claims: _,
        } = arguments;
        let mut silent = Vec::new();
        let names_devices = |name: &str| {
            name.starts_with(ResourceName::DEVICES_VARIABLE_PREFIX)
                || name == DRIVER_POOL
                || name.starts_with(DRIVER_DEVICE_PREFIX)
        };
        if !self.variables.iter().any(|(name, _)| names_devices(name)) {
            let place = match (device_report, environ) {
                (Some(path), _) => option("--device-report", path),
                (None, Some(path)) => option("--environ", path),
                (None, None) => "environment".to_owned(),
            };
            silent.push(format!("{place} (no PCIDEVICE_ variable)"));
        }
        let info = self.network_info.as_deref();
        match info.map(NetworkInfo::parse) {
            None => silent.push(format!("{} (absent or empty)", option("--network-info", network_info))),
            Some(Ok(info))
                if !info.iter().flat_map(|info| &info.interfaces).any(|one| one.device_info.is_some()) =>
            {
                silent.push(format!("{} (no device)", option("--network-info", network_info)));
            }
            Some(_) => {}
        }
        if let (Some(path), Some(text)) = (networks_annotation, &self.networks_annotation)
            && text.trim().is_empty()
        {
            silent.push(format!("{} (empty)", option("--networks-annotation", path)));
        }
        silent
    }
}

fn option(name: &str, path: &Path) -> String {
    format!("{name} {}", path.display())
}

/// A source that cannot be read.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The file cannot be read.
    #[error("{option}: cannot read {}: {problem}", .path.display())]
    File {
        /// The option that names it.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        problem: io::Error,
    },
    /// The file holds variables in a form that is not read, such as the output of `ps` or `kubectl describe`.
    #[error(
        "--environ {}: no line of it is NAME=VALUE with a name {}...: write it with kubectl exec POD -c compute -- \
         env > pod.env{}",
        .path.display(),
        ResourceName::DEVICES_VARIABLE_PREFIX,
        if *.utf_16 { " (the file is UTF-16, as PowerShell writes it; only UTF-8 is read)" } else { "" }
    )]
    Environ {
        /// The file.
        path: PathBuf,
        /// Whether it is UTF-16.
        utf_16: bool,
    },
}

impl SourceArguments {
    /// Reads what there is.
    ///
    /// # Errors
    /// A file that exists and cannot be read, or that was named and does not exist.
    pub fn read(&self) -> Result<Sources, SourceError> {
        self.read_with(self.report()?)
    }

    /// As [`read`](Self::read) while the devices may not have been reported yet.
    ///
    /// # Errors
    /// As [`read`](Self::read), except for a report that is not there.
    pub fn read_so_far(&self) -> Result<Sources, SourceError> {
        self.read_with(match self.report() {
            Err(SourceError::File { problem, .. }) if problem.kind() == io::ErrorKind::NotFound => None,
            report => report?,
        })
    }

    fn report(&self) -> Result<Option<DeviceReport>, SourceError> {
        let read = |path: &PathBuf| {
            let error =
                |problem| SourceError::File { option: "--device-report", path: path.clone(), problem };
            device_report::read(path).map_err(error)
        };
        self.device_report.as_ref().map(read).transpose()
    }

    fn read_with(&self, device_report: Option<DeviceReport>) -> Result<Sources, SourceError> {
        let Self { network_info, environ, networks_annotation, network_status, device_report: _, claims } =
            self;
        let mut variables = match environ {
            Some(path) => checked_variables(path, &read("--environ", path)?)?,
            None => own_variables(),
        };
        let reported = device_report.iter().flat_map(|report| &report.variables);
        variables.extend(reported.map(|(name, value)| (name.clone(), value.clone())));
        let mut claims = claims::files::read(&claims.claim_metadata);
        for reported in device_report.iter().flat_map(|report| &report.claims) {
            // Both containers may hold the claim.
            if !claims.contains(reported) {
                claims.push(reported.clone());
            }
        }
        Ok(Sources {
            variables,
            claims,
            device_report,
            network_info: filled("--network-info", network_info)?,
            networks_annotation: networks_annotation
                .as_deref()
                .map(|path| read_text("--networks-annotation", path))
                .transpose()?,
            network_status: match (network_status, network_status_beside(network_info)) {
                (Some(path), _) => Some(filled("--network-status", path)?.unwrap_or_default()),
                (None, path) if path.is_file() => {
                    Some(filled("--network-status", &path)?.unwrap_or_default())
                }
                (None, _) => None,
            },
        })
    }

    /// As [`read`](Self::read) for a program whose environment may have been emptied, as libvirt does for its
    /// hooks: where no variable of ours is left, those of process 1 are taken.
    ///
    /// # Errors
    /// As [`read`](Self::read). An unreadable `/proc/1/environ` is not an error: it is logged.
    pub fn read_stripped(&self, procfs: &Path) -> Result<Sources, SourceError> {
        let mut sources = self.read()?;
        if self.environ.is_none() && !sources.variables.iter().any(|(name, _)| is_ours(name)) {
            let path = procfs.join("1/environ");
            match fs::read(&path) {
                Ok(bytes) => sources.variables = variables_in(&bytes),
                Err(problem) => {
                    tracing::info!(path = %path.display(), %problem, "no variables from process 1");
                }
            }
        }
        Ok(sources)
    }
}

/// The variables of the file that `--environ` names.
fn checked_variables(path: &Path, bytes: &[u8]) -> Result<Vec<(String, String)>, SourceError> {
    let variables = variables_in(bytes);
    let prefix = ResourceName::DEVICES_VARIABLE_PREFIX;
    let utf_16 = is_utf_16(bytes);
    let is_read = variables.iter().any(|(name, _)| name.starts_with(prefix));
    let is_named = bytes.windows(prefix.len()).any(|window| window == prefix.as_bytes());
    let is_blank = bytes.trim_ascii().is_empty();
    if !is_read && !is_blank && (is_named || variables.is_empty() || utf_16) {
        return Err(SourceError::Environ { path: path.to_owned(), utf_16 });
    }
    Ok(variables)
}

fn read(option: &'static str, path: &Path) -> Result<Vec<u8>, SourceError> {
    fs::read(path).map_err(|problem| SourceError::File { option, path: path.to_owned(), problem })
}

fn read_text(option: &'static str, path: &Path) -> Result<String, SourceError> {
    fs::read_to_string(path).map_err(|problem| SourceError::File { option, path: path.to_owned(), problem })
}

/// Where `serve` leaves network-status for the commands that run in `compute`: beside network-info.
pub(crate) fn network_status_beside(network_info: &Path) -> PathBuf {
    network_info.with_file_name(flag::NETWORK_STATUS)
}

/// The text of a file that fills in its own time; `None` until it has.
pub(crate) fn filled(option: &'static str, path: &Path) -> Result<Option<String>, SourceError> {
    match read_text(option, path) {
        Ok(text) => Ok((!text.trim().is_empty()).then_some(text)),
        Err(SourceError::File { problem, .. }) if problem.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;

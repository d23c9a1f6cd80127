//! Where launcher-hook learns which devices the pod was given: the environment and the files of the downward
//! API. They are read again for every domain, because the files fill while the pod is already running.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use contract::helper::flag;
use contract::network_info::NetworkInfo;
use contract::{ClaimMetadata, DeviceReport, NetworkResources, ResourceName, kubevirt};
use thiserror::Error;

use crate::claims;
use crate::device_report;
use crate::devices::{DRIVER_DEVICE_PREFIX, DRIVER_POOL, DRIVER_PREFIX};

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

/// Whether a variable says something of devices or of the resources of networks.
pub(crate) fn is_ours(name: &str) -> bool {
    name.starts_with(ResourceName::DEVICES_VARIABLE_PREFIX)
        || name.starts_with(DRIVER_PREFIX)
        || name.starts_with(kubevirt::RESOURCE_NAME_VARIABLE_PREFIX)
        || name == NetworkResources::VARIABLE
}

pub(crate) fn own_variables() -> Vec<(String, String)> {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
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

/// Whether a file begins as UTF-16 does, which PowerShell writes.
pub(crate) fn is_utf_16(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff")
}

/// Reads `NAME=VALUE` entries: separated by NUL if there is one, otherwise by line ends. On a line, `export` or
/// `declare -x` may precede the name, and the value may be quoted, as shells print variables. Lines of another form
/// and comments are passed over.
#[must_use]
pub fn variables_in(bytes: &[u8]) -> Vec<(String, String)> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let separator = if bytes.contains(&0) { 0 } else { b'\n' };
    bytes
        .split(|byte| *byte == separator)
        .filter_map(|entry| {
            let entry = std::str::from_utf8(entry).ok()?;
            let (name, value) = if separator == 0 { split(entry)? } else { split_line(entry)? };
            (!name.starts_with('#')).then_some((name.to_owned(), value))
        })
        .collect()
}

fn split(entry: &str) -> Option<(&str, String)> {
    let (name, value) = entry.split_once('=')?;
    Some((name, value.to_owned()))
}

fn split_line(line: &str) -> Option<(&str, String)> {
    let (name, value) = line.split_once('=')?;
    let name = ["export ", "declare -x "].iter().find_map(|word| name.strip_prefix(word)).unwrap_or(name);
    // A line of `ps` has words before the first `=`.
    let is_name = !name.is_empty() && !name.contains(|character: char| character.is_whitespace());
    is_name.then(|| (name, unquoted(value.trim_end_matches('\r'))))
}

/// A value without the quotes that a shell prints around it.
fn unquoted(value: &str) -> String {
    let within = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(text) = within('\'') {
        // A quote of the value itself ends the quoting, stands between other quotes, and begins it again.
        return text.replace("'\\''", "'").replace("'\"'\"'", "'");
    }
    let Some(text) = within('"') else { return value.to_owned() };
    let mut unquoted = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let escaped = characters.next_if(|next| character == '\\' && matches!(next, '"' | '\\' | '$' | '`'));
        unquoted.push(escaped.unwrap_or(character));
    }
    unquoted
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
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[rstest]
    #[case::export("export A=1\nexport B='two words'\n", &[("A", "1"), ("B", "two words")])]
    #[case::declare("declare -x A=\"1\"\ndeclare -x B\n", &[("A", "1")])]
    #[case::json_in_a_shells_quotes("declare -x A=\"{\\\"ns/x\\\":\\\"intel.com/x\\\"}\"", &[("A", r#"{"ns/x":"intel.com/x"}"#)])]
    #[case::json_as_env_prints_it(r#"A={"ns/x":"intel.com/x"}"#, &[("A", r#"{"ns/x":"intel.com/x"}"#)])]
    #[case::single_quotes_of_bash("export A='it'\\''s'", &[("A", "it's")])]
    #[case::single_quotes_of_dash("export A='it'\"'\"'s'", &[("A", "it's")])]
    #[case::half_a_quote("A=\"1", &[("A", "\"1")])]
    #[case::byte_order_mark("\u{feff}A=1", &[("A", "1")])]
    #[case::words_before_the_name("107 4242 /usr/bin/virt-launcher A=1 B=2", &[])]
    #[case::nul_is_literal("A=\"1\"\0export B=2\0", &[("A", "\"1\""), ("export B", "2")])]
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

    proptest! {
        /// As bash prints a variable with `declare -x`.
        #[test]
        fn what_a_shell_quotes_is_read(value in "[ -~]{0,40}") {
            let escaped: String = value
                .chars()
                .flat_map(|one| matches!(one, '"' | '\\' | '$' | '`').then_some('\\').into_iter().chain([one]))
                .collect();
            let line = format!("declare -x A=\"{escaped}\"\n");
            prop_assert_eq!(variables_in(line.as_bytes()), [pair("A", &value)]);
            let single = value.replace('\'', "'\\''");
            prop_assert_eq!(variables_in(format!("export A='{single}'").as_bytes()), [pair("A", &value)]);
        }
    }

    const PS: &[u8] = b"107 4242 Sl 0:00 /usr/bin/virt-launcher PATH=/bin PCIDEVICE_A_B=0000:01:10.0\n";

    #[rstest]
    #[case::ps(PS, false)]
    #[case::describe(b"    PCIDEVICE_A_B:  0000:01:10.0\n", false)]
    #[case::json(br#"{"PCIDEVICE_A_B":"0000:01:10.0"}"#, false)]
    #[case::json_with_an_equals_sign(br#"{"A":"x=y","PCIDEVICE_A_B":"0000:01:10.0"}"#, false)]
    #[case::yaml(b"- name: PCIDEVICE_A_B\n  value: 0000:01:10.0\n", false)]
    #[case::another_file(b"<domain/>\n", false)]
    #[case::utf_16(b"\xff\xfeP\0C\0I\0=\x001\0", true)]
    fn a_file_of_another_form_is_refused(#[case] bytes: &[u8], #[case] is_utf_16: bool) {
        let error = checked_variables(Path::new("pod.txt"), bytes).unwrap_err().to_string();
        let start = "--environ pod.txt: no line of it is NAME=VALUE with a name PCIDEVICE_...: write it with kubectl exec \
                     POD -c compute -- env > pod.env";
        assert!(error.starts_with(start), "{error}");
        assert_eq!(error.contains("UTF-16"), is_utf_16);
    }

    /// A pod without devices has variables as well, and an emptied environment none.
    #[rstest]
    #[case::no_device(b"HOME=/\nPATH=/bin\n", 2)]
    #[case::empty(b"\n", 0)]
    fn a_pod_without_devices_has_none(#[case] bytes: &[u8], #[case] count: usize) {
        assert_eq!(checked_variables(Path::new("pod.env"), bytes).unwrap().len(), count);
    }

    #[rstest]
    #[case::nothing(r#"{"interfaces":null}"#, Some(" (no device)"))]
    #[case::names_only(r#"{"interfaces":[{"network":"a"}]}"#, Some(" (no device)"))]
    #[case::a_device(r#"{"interfaces":[{"network":"a","deviceInfo":{"type":"pci"}}]}"#, None)]
    fn sources_that_say_nothing(#[case] network_info: &str, #[case] silent: Option<&str>) {
        let arguments = SourceArguments { environ: None, ..arguments(Path::new("/f")) };
        let sources = Sources {
            variables: vec![pair("PCIDEVICE_A_B", "0000:01:10.0")],
            network_info: Some(network_info.to_owned()),
            ..Sources::default()
        };
        let expected: Vec<_> =
            silent.iter().map(|lack| format!("--network-info /f/network-info{lack}")).collect();
        assert_eq!(sources.silent(&arguments), expected);
    }

    fn arguments(folder: &Path) -> SourceArguments {
        SourceArguments {
            network_info: folder.join("network-info"),
            environ: Some(folder.join("environ")),
            networks_annotation: None,
            network_status: Some(folder.join("network-status")),
            device_report: None,
            claims: ClaimArguments { claim_metadata: PathBuf::from("/nowhere") },
        }
    }

    #[test]
    fn absent_and_empty_files_of_the_downward_api_are_not_known_yet() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("environ"), "A=1").unwrap();
        fs::write(folder.path().join("network-status"), "\n").unwrap();
        let sources = arguments(folder.path()).read().unwrap();
        assert_eq!(sources.variables, [pair("A", "1")]);
        assert_eq!((&sources.network_info, sources.network_status.as_deref()), (&None, Some("")));
        let info = arguments(folder.path()).network_info;
        let place = |option: &str, path: &Path| format!("{option} {}", path.display());
        let environ = folder.path().join("environ");
        let silent = [
            place("--environ", &environ) + " (no PCIDEVICE_ variable)",
            place("--network-info", &info) + " (absent or empty)",
        ];
        assert_eq!(sources.silent(&arguments(folder.path())), silent);
    }

    #[rstest]
    #[case::absent(None, None)]
    #[case::not_filled_yet(Some(""), Some(""))]
    #[case::filled(Some("[]"), Some("[]"))]
    fn network_status_beside_network_info_counts(#[case] file: Option<&str>, #[case] expected: Option<&str>) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("environ"), "A=1").unwrap();
        if let Some(text) = file {
            fs::write(folder.path().join("network-status"), text).unwrap();
        }
        let beside = SourceArguments { network_status: None, ..arguments(folder.path()) };
        assert_eq!(beside.read().unwrap().network_status.as_deref(), expected);
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, "[{}]").unwrap();
        let named = SourceArguments { network_status: Some(elsewhere), ..beside };
        assert_eq!(named.read().unwrap().network_status.as_deref(), Some("[{}]"));
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

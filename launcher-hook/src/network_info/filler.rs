//! Keeps the file filled that KubeVirt reads as network-info.
//!
//! KubeVirt gives the file one second to have content and fails the start where it does not exist; the start
//! is tried again. So it exists before the command runs, empty until there is something to say.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use contract::duration;
use contract::helper::flag;
use thiserror::Error;
use tracing::Level;

use super::{Completion, complete};
use crate::plan::Assign;
use crate::sources::{SourceArguments, SourceError, filled, network_status_beside};

/// What to fill, and what else it is filled from.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "network-info for KubeVirt")]
pub struct FillArguments {
    /// Write KubeVirt's network-info to this file, completed from the variables
    ///
    /// A network without a device gets one only if the variables leave a single choice.
    #[arg(hide_short_help = true, long = flag::FILL_NETWORK_INFO, value_name = "FILE")]
    pub fill_network_info: Option<PathBuf>,
    /// The pod's annotation kubevirt-sriov.io/networks, which lists the networks of the VMI
    #[arg(hide_short_help = true, long = flag::VMI_NETWORKS, value_name = "FILE", requires = "fill_network_info")]
    pub vmi_networks: Option<PathBuf>,
    /// How long --assign waits for KubeVirt's own network-info before it decides
    #[arg(hide_short_help = true, long, value_name = "TIME", default_value = "90s", value_parser = duration::parse)]
    pub network_info_patience: Duration,
}

/// The file cannot be filled.
#[derive(Debug, Error)]
pub enum FillError {
    /// A source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The file cannot be written.
    #[error("--fill-network-info: cannot write {}: {problem}; the folder must be writable for this user", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        problem: io::Error,
    },
}

/// Fills one file, time and again.
#[derive(Debug)]
pub struct Filler {
    file: PathBuf,
    vmi_networks: Option<PathBuf>,
    sources: SourceArguments,
    rule: Assign,
    patience: Duration,
    /// Since when everything that compute could say has been known; patience counts from here.
    reported: Option<Instant>,
    written: Option<String>,
    /// What was written of network-status.
    passed_on: Option<String>,
    said: Option<(Level, String)>,
    settled: bool,
}

/// While something is missing, and afterwards.
const INTERVALS: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];

impl Filler {
    /// None if there is nothing to fill. `rule` counts once KubeVirt's text is there, or patience has run out.
    #[must_use]
    pub fn new(arguments: FillArguments, sources: SourceArguments, rule: Assign) -> Option<Self> {
        let FillArguments { fill_network_info, vmi_networks, network_info_patience } = arguments;
        Some(Self {
            file: fill_network_info?,
            vmi_networks,
            sources,
            rule,
            patience: network_info_patience,
            reported: None,
            written: None,
            passed_on: None,
            said: None,
            settled: false,
        })
    }

    /// Reads the sources, and writes the file where that changes it.
    ///
    /// # Errors
    /// A source that cannot be read, or a file that cannot be written.
    pub fn fill(&mut self) -> Result<(), FillError> {
        let sources = self.sources.read_so_far()?;
        let is_reported = sources.device_report.is_some() || self.sources.device_report.is_none();
        if is_reported && self.reported.is_none() {
            self.reported = Some(Instant::now());
        }
        let vmi_networks = match &self.vmi_networks {
            Some(path) => filled("--vmi-networks", path)?,
            None => None,
        };
        let is_decided = self
            .reported
            .is_some_and(|reported| sources.network_info.is_some() || reported.elapsed() >= self.patience);
        let rule = if is_decided { self.rule } else { Assign::Refuse };
        // Every pod begins incomplete; one that stays so is why its virtual machine does not start.
        let open = |is_final: bool| if is_final || is_decided { Level::WARN } else { Level::INFO };
        let (text, said, open) = match complete(&sources.texts(), vmi_networks.as_deref(), rule) {
            Completion::Own(text) => (text, "KubeVirt's own says all".to_owned(), None),
            Completion::Completed { text, added } => (text, format!("completed: {}", added.join(", ")), None),
            Completion::Open { text, .. } if !is_reported => {
                let said = "incomplete: container compute has not reported its devices yet".to_owned();
                (text.unwrap_or_default(), said, Some(open(false)))
            }
            Completion::Open { text, reason } => {
                (text.unwrap_or_default(), format!("incomplete: {reason}"), Some(open(reason.is_final())))
            }
        };
        self.settled = open.is_none();
        let level = open.unwrap_or(Level::INFO);
        if self.written.as_ref() != Some(&text) {
            write(&self.file, &text)
                .map_err(|problem| FillError::Write { path: self.file.clone(), problem })?;
            self.written = Some(text);
        }
        self.pass_on(sources.network_status)?;
        self.say(level, said);
        Ok(())
    }

    /// Writes network-status beside network-info: `check` and `define` in `compute` do not see the pod's annotations, and
    /// without it they would take a VF for configured that Multus has not attached.
    fn pass_on(&mut self, network_status: Option<String>) -> Result<(), FillError> {
        if network_status.is_some() && self.passed_on != network_status {
            let file = network_status_beside(&self.file);
            write(&file, network_status.as_deref().unwrap_or_default())
                .map_err(|problem| FillError::Write { path: file, problem })?;
            self.passed_on = network_status;
        }
        Ok(())
    }

    /// Fills forever.
    pub async fn run(mut self) {
        loop {
            let [open, settled] = INTERVALS;
            tokio::time::sleep(if self.settled { settled } else { open }).await;
            if let Err(error) = self.fill() {
                self.say(Level::WARN, error.to_string());
            }
        }
    }

    /// Logs what is new only: this goes on as long as the pod lives.
    fn say(&mut self, level: Level, sentence: String) {
        let said = (level, sentence);
        if self.said.as_ref() == Some(&said) {
            return;
        }
        let (file, (_, sentence)) = (self.file.display(), &said);
        if level == Level::WARN {
            tracing::warn!(%file, "network-info: {sentence}");
        } else {
            tracing::info!(%file, "network-info: {sentence}");
        }
        self.said = Some(said);
    }
}

/// Whole or not at all: KubeVirt may read at any time.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = file.with_file_name(name);
    fs::write(&new, text)?;
    fs::rename(&new, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::ClaimArguments;
    use contract::DeviceReport;

    /// Reads `source`, `environ` and `networks` in `folder`, and fills `network-info` there.
    fn filler(folder: &Path, assign: Assign, patience: u64) -> Filler {
        let path = |name: &str| folder.join(name);
        let sources = SourceArguments {
            network_info: path("source"),
            environ: Some(path("environ")),
            networks_annotation: None,
            network_status: None,
            device_report: None,
            claims: ClaimArguments { claim_metadata: PathBuf::from("/nowhere") },
        };
        let arguments = FillArguments {
            fill_network_info: Some(path("network-info")),
            vmi_networks: Some(path("networks")),
            network_info_patience: Duration::from_secs(patience),
        };
        Filler::new(arguments, sources, assign).unwrap()
    }

    #[test]
    fn the_file_is_there_before_anything_is_known_and_follows_what_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["source", "networks"] {
            fs::write(path(name), "").unwrap();
        }
        let variable = "PCIDEVICE_INTEL_COM_VF=0000:01:10.0";
        fs::write(path("environ"), variable).unwrap();
        let mut filler = filler(folder.path(), Assign::Refuse, 90);
        let mut filled = || {
            filler.fill().unwrap();
            fs::read_to_string(path("network-info")).unwrap()
        };
        assert_eq!(filled(), "");
        fs::write(path("networks"), r#"{"a":{"nad":"ns/vf","resource":"intel.com/vf","sriov":true}}"#)
            .unwrap();
        assert!(filled().contains(r#""pci-address":"0000:01:10.0""#));
        let own = r#"{"interfaces":[{"network":"a","deviceInfo":{"type":"pci","version":"1.1.0","pci":{"pci-address":"0000:01:10.0"}},"mtu":9000}]}"#;
        fs::write(path("source"), own).unwrap();
        assert_eq!(filled(), own);
        assert!(!path("network-info.new").exists());
    }

    #[test]
    fn a_rule_waits_for_kubevirt_or_for_patience_to_run_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("environ"), "PCIDEVICE_INTEL_COM_VF=0000:01:10.2,0000:01:10.0").unwrap();
        let networks = r#"{"a":{"nad":"ns/a","resource":"intel.com/vf","sriov":true},"b":{"nad":"ns/b","resource":"intel.com/vf","sriov":true}}"#;
        fs::write(path("networks"), networks).unwrap();
        let filled = |patience| {
            filler(folder.path(), Assign::InOrder, patience).fill().unwrap();
            fs::read_to_string(path("network-info")).unwrap()
        };
        assert_eq!(filled(90), "");
        assert!(filled(0).contains(r#"{"deviceInfo":{"pci":{"pci-address":"0000:01:10.2"}"#));
        fs::write(path("source"), r#"{"interfaces":[{"network":"a"},{"network":"b"}]}"#).unwrap();
        assert!(filled(90).contains("0000:01:10.2"));
    }

    #[test]
    fn nothing_is_completed_before_network_status_lists_the_network() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("environ"), "PCIDEVICE_INTEL_COM_VF=0000:01:10.0").unwrap();
        fs::write(path("networks"), r#"{"a":{"nad":"ns/a","resource":"intel.com/vf","sriov":true}}"#)
            .unwrap();
        let mut filler = filler(folder.path(), Assign::Multus, 0);
        filler.sources.network_status = Some(path("status"));
        let mut filled = |status: Option<&str>| {
            if let Some(status) = status {
                fs::write(path("status"), status).unwrap();
            }
            filler.fill().unwrap();
            let (level, _) = filler.said.clone().unwrap();
            let passed_on = fs::read_to_string(path("network-status")).unwrap();
            assert_eq!(passed_on, status.unwrap_or_default(), "check in compute reads it");
            (level, fs::read_to_string(path("network-info")).unwrap().contains("0000:01:10.0"))
        };
        let other = r#"{"name":"podnet","interface":"eth0","default":true}"#;
        assert_eq!(filled(None), (Level::WARN, false));
        assert_eq!(filled(Some("")), (Level::WARN, false));
        assert_eq!(filled(Some(&format!("[{other}]"))), (Level::WARN, false));
        let own = r#"{"name":"ns/a","interface":"podca978112ca1"}"#;
        assert_eq!(filled(Some(&format!("[{other},{own}]"))), (Level::INFO, true));
    }

    #[test]
    fn the_report_of_compute_is_waited_for_and_then_patience_begins() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("environ"), "").unwrap();
        let networks = r#"{"a":{"nad":"ns/a","resource":"intel.com/vf","sriov":true}}"#;
        fs::write(path("networks"), networks).unwrap();
        // KubeVirt's text alone decides nothing while the devices are not known.
        fs::write(path("source"), r#"{"interfaces":[{"network":"a"}]}"#).unwrap();
        let mut filler = filler(folder.path(), Assign::Multus, 0);
        filler.sources.device_report = Some(path("devices.json"));
        filler.fill().unwrap();
        assert!(!fs::read_to_string(path("network-info")).unwrap().contains("pci-address"));
        let said = "incomplete: container compute has not reported its devices yet".to_owned();
        assert_eq!(filler.said, Some((Level::INFO, said)));
        let variables = [("PCIDEVICE_INTEL_COM_VF".to_owned(), "0000:01:10.0".to_owned())];
        let report = DeviceReport::new(variables.into(), Vec::new(), Vec::new());
        fs::write(path("devices.json"), report.to_json()).unwrap();
        filler.fill().unwrap();
        let filled = fs::read_to_string(path("network-info")).unwrap();
        assert!(filled.contains(r#""pci-address":"0000:01:10.0""#), "{filled}");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let sources = SourceArguments {
            network_info: folder.path().join("none"),
            environ: None,
            networks_annotation: None,
            network_status: None,
            device_report: None,
            claims: ClaimArguments { claim_metadata: PathBuf::from("/nowhere") },
        };
        let arguments = FillArguments {
            fill_network_info: Some(folder.path().join("nowhere/network-info")),
            vmi_networks: None,
            network_info_patience: Duration::from_secs(90),
        };
        let error = Filler::new(arguments, sources, Assign::Refuse).unwrap().fill().unwrap_err().to_string();
        assert!(error.contains("nowhere/network-info"), "{error}");
    }
}

//! What happens to one domain: sources read, devices decided and written (see [`define`](crate::define)),
//! devices looked at.

use std::time::{Duration, Instant};

use contract::PciAddress;
use thiserror::Error;

use crate::define::{DefineError, Definition, Options, define, readdress};
use crate::domain::{DomainError, hostdevs};
use crate::given_nodes::GivenNodes;
use crate::plan::{Assign, PlanError};
use crate::sources::{SourceArguments, SourceError, Sources};
use crate::sysfs::Roots;
use crate::variables::is_utf_16;
use crate::verify::{NotUsable, Verification, verify_all};

/// How long a call waits for network-status. virt-launcher waits a minute for the call, but virt-handler waits 20 s for
/// virt-launcher, and a refusal that comes later does not reach the VMI's events.
///
/// Source: KubeVirt, `pkg/virt-handler/cmd-client`.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks at network-status.
const INTERVAL: Duration = Duration::from_millis(200);

/// How a domain is made.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Domain")]
pub struct DefinitionArguments {
    /// Which VF a network gets if no report says so and the variables leave a choice
    ///
    /// refuse: none. multus: as Multus 4.3 and newer assign them, which also corrects what KubeVirt up to 1.6 wrote
    /// into the domain. in-order: as KubeVirt 1.6 did, which can connect a machine to the wrong network.
    #[arg(long, value_name = "refuse|multus|in-order", env = "LAUNCHER_HOOK_ASSIGN", default_value_t)]
    pub assign: Assign,
    /// Name of the network binding plugin whose interfaces get a VF, beside those with sriov: {}
    #[arg(
        long,
        hide_short_help = true,
        value_name = "NAME",
        env = "LAUNCHER_HOOK_BINDING",
        default_value = "sriov"
    )]
    pub binding: String,
    #[command(flatten)]
    #[allow(missing_docs, reason = "its fields say it, and a comment here would be help text")]
    pub sources: SourceArguments,
}

/// Why no domain goes out.
#[derive(Debug, Error)]
pub enum DefinerError {
    /// The bytes are not UTF-8.
    #[error(
        "{what} is not UTF-8 (byte {position}): {}",
        if *.utf_16 {
            "it is UTF-16, as PowerShell writes it; save it as UTF-8"
        } else {
            "KubeVirt and libvirt write UTF-8 only"
        }
    )]
    Encoding {
        /// The domain or the VMI.
        what: &'static str,
        /// Where it stops being text.
        position: usize,
        /// Whether it begins as UTF-16 does.
        utf_16: bool,
    },
    /// A source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// No source says enough; another one could.
    #[error("{problem}{}", nothing_found(.silent))]
    Lacking {
        /// What is missing.
        problem: PlanError,
        /// The sources in which nothing was found.
        silent: Vec<String>,
    },
    /// The VMI, the domain and the devices do not go together.
    #[error(transparent)]
    Define(#[from] DefineError),
    /// The domain is not a valid domain.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// A VF cannot be used.
    #[error(transparent)]
    NotUsable(#[from] NotUsable),
}

/// Makes domains, all in the same way.
#[derive(Debug, Clone)]
pub struct Definer {
    /// How.
    pub arguments: DefinitionArguments,
    /// What happens to a VF that cannot be used.
    pub verification: Verification,
    /// Where the kernel shows itself.
    pub roots: Roots,
}

impl Definer {
    /// Writes the VFs of a VMI into its domain. A migration, on either side, needs none.
    ///
    /// # Errors
    /// A sentence for the author of the VMI or the administrator of the node.
    pub fn define(&self, vmi: &[u8], domain: &[u8], migration: bool) -> Result<String, DefinerError> {
        let vmi = text("the VMI", vmi)?;
        let domain = text("the domain", domain)?;
        let sources = self.arguments.sources.read()?;
        let options = self.options(migration);
        let definition =
            define(vmi, domain, &sources.texts(), &options).map_err(|error| self.refusal(error, &sources))?;
        if migration {
            // The devices come after it; nobody can look at them now.
            return Ok(announce(definition, "migration"));
        }
        if !definition.devices.is_empty() {
            let silent = sources.silent(&self.arguments.sources);
            if !silent.is_empty() {
                tracing::info!("nothing was found in {}", silent.join(", "));
            }
        }
        let report = sources.device_report.as_ref();
        for problem in report.iter().flat_map(|report| &report.problems) {
            tracing::warn!("{problem}");
        }
        self.verify(&sources, definition.devices.iter().map(|device| device.address))?;
        Ok(announce(definition, "domain defined"))
    }

    /// As [`define`](Self::define), but waits for Multus' network-status, which arrives some seconds after the pod's
    /// networks. A machine that is refused is started again, so that waiting has an end.
    ///
    /// # Errors
    /// As [`define`](Self::define).
    pub async fn define_patiently(
        &self,
        vmi: &[u8],
        domain: &[u8],
        migration: bool,
    ) -> Result<String, DefinerError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.define(vmi, domain, migration) {
                Err(DefinerError::Define(DefineError::Plan(PlanError::Pending { .. })))
                    if Instant::now() < deadline =>
                {
                    tokio::time::sleep(INTERVAL).await;
                }
                result => return result,
            }
        }
    }

    /// Gives the devices of a domain from elsewhere this host's addresses.
    ///
    /// # Errors
    /// As [`define`](Self::define).
    pub fn readdress(&self, domain: &[u8]) -> Result<String, DefinerError> {
        let domain = text("the domain", domain)?;
        let sources = self.arguments.sources.read_stripped(&self.roots.procfs)?;
        let definition = readdress(None, domain, &sources.texts(), &self.options(false))
            .map_err(|error| self.refusal(error, &sources))?;
        self.verify(&sources, definition.devices.iter().map(|device| device.address))?;
        Ok(announce(definition, "domain readdressed"))
    }

    /// Looks at the devices that a domain has from us, whatever the sources say.
    ///
    /// # Errors
    /// A device that cannot be used, where that is an error.
    pub fn check(&self, domain: &[u8]) -> Result<(), DefinerError> {
        let hostdevs = hostdevs(text("the domain", domain)?)?;
        let ours = hostdevs.iter().filter(|hostdev| hostdev.network.is_some());
        let ours: Vec<_> = ours.map(|hostdev| hostdev.source).collect();
        if ours.is_empty() {
            return Ok(());
        }
        let sources = self.arguments.sources.read_stripped(&self.roots.procfs).unwrap_or_else(|error| {
            tracing::warn!("whether devices are stale is not known: {error}");
            Sources::default()
        });
        self.verify(&sources, ours)
    }

    fn refusal(&self, error: DefineError, sources: &Sources) -> DefinerError {
        match error {
            DefineError::Plan(problem @ (PlanError::Missing { .. } | PlanError::Ambiguous { .. })) => {
                DefinerError::Lacking { problem, silent: sources.silent(&self.arguments.sources) }
            }
            error => error.into(),
        }
    }

    fn options(&self, migration: bool) -> Options {
        Options { binding: self.arguments.binding.clone(), assign: self.arguments.assign, migration }
    }

    fn verify(
        &self,
        sources: &Sources,
        addresses: impl IntoIterator<Item = PciAddress>,
    ) -> Result<(), DefinerError> {
        let given = GivenNodes::read(&sources.variables);
        let report = sources.device_report.as_ref();
        Ok(verify_all(&self.roots, self.verification, &given, report, addresses)?)
    }
}

fn text<'a>(what: &'static str, bytes: &'a [u8]) -> Result<&'a str, DefinerError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let utf_16 = is_utf_16(bytes);
        DefinerError::Encoding { what, position: error.valid_up_to(), utf_16 }
    })
}

fn nothing_found(silent: &[String]) -> String {
    if silent.is_empty() { String::new() } else { format!(". Nothing was found in {}", silent.join(", ")) }
}

/// Logs what was decided and why, and returns the XML.
fn announce(definition: Definition<'_>, event: &str) -> String {
    let Definition { xml, devices, warnings } = definition;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    for device in &devices {
        tracing::info!(
            network = device.network,
            address = %device.address,
            alias = device.alias,
            from = %device.origin,
            "device",
        );
    }
    let changed = matches!(xml, std::borrow::Cow::Owned(_));
    tracing::info!(devices = devices.len(), changed, "{event}");
    xml.into_owned()
}

//! `sriov-webhook dump`: a support bundle without secrets.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use clap::Args;

use super::cluster_look::{ClusterLook, RegistrationOptions, look};
use super::cluster_options::ClusterOptions;
use super::launcher_hook_options::hide_launcher_hook;
use super::progress::{Progress, shown};
use super::release_flags::DecisionFlags;
use super::{block_on, failed};
use crate::doctor::{Check, judge, report};
use crate::dump::{Bundle, Settings, collect, masked, redacted};

/// Write a support bundle: what somebody needs who helps from afar, without secrets
///
/// It holds what doctor says, the registrations, the release's objects, events, logs and metrics, NADs, nodes, and of
/// virtual machines and their pods what networks and devices depend on. No Secret is read; environment values, arguments of
/// other programs, data of ConfigMaps, cloud-init, unknown annotations, and what looks like a password, a token or a key in
/// texts are left out. Look through it before you pass it on.
#[derive(Debug, Args)]
#[command(
    mut_args(hide_launcher_hook),
    after_long_help = "\
Examples:
  sriov-webhook dump
  sriov-webhook dump --output /tmp/sriov.tar.gz
  sriov-webhook dump --output /tmp/sriov/
  sriov-webhook dump --output - | tar tz

What could not be read is in missing.txt of the bundle, with the reason.

Exit status:
  0  everything is in the bundle
  1  the bundle was written, and something could not be read
  2  no bundle was written"
)]
pub(super) struct Arguments {
    /// Where to write it: a new .tar.gz, a folder (an existing one, or a name that ends in /), or `-` for standard output
    ///
    /// The default is sriov-dump-TIME.tar.gz in this folder.
    #[arg(long, short, value_name = "FILE|FOLDER|-")]
    output: Option<PathBuf>,

    /// Lines of each replica's log
    #[arg(long, value_name = "NUMBER", default_value_t = 2000, value_parser = clap::value_parser!(i64).range(0..))]
    log_lines: i64,

    #[command(flatten)]
    registration: RegistrationOptions,

    #[command(flatten)]
    cluster: ClusterOptions,

    #[command(flatten)]
    pub(super) admission: DecisionFlags,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match dump(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => failed("dump", &error),
    }
}

/// Whether everything could be read.
fn dump(arguments: &Arguments) -> anyhow::Result<bool> {
    let now = SystemTime::now();
    let root = format!("sriov-dump-{}", written(now));
    let default = PathBuf::from(format!("{root}.tar.gz"));
    let output = arguments.output.as_deref().unwrap_or(&default);
    let is_stdout = output.as_os_str() == "-";
    if is_stdout && io::stdout().is_terminal() {
        bail!(
            "--output -: standard output is a terminal; name a file, or pipe it: sriov-webhook dump --output - | tar tz"
        );
    }
    let is_folder = output.is_dir() || output.to_string_lossy().ends_with('/');
    if !is_stdout && !is_folder && output.exists() {
        bail!("--output {}: exists already; name another file", output.display());
    }
    let bundle = block_on(shown(|progress| read(arguments, progress)))?;
    let missed = bundle.missed().to_vec();
    let bundle = bundle.closed();
    let place = write(&bundle, &root, now, output, is_stdout, is_folder)
        .with_context(|| format!("cannot write {}", output.display()))?;
    // Where the bundle itself goes to standard output, its listing cannot.
    let mut out: Box<dyn io::Write> = if is_stdout { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
    for (path, size) in bundle.listing() {
        writeln!(out, "{size:>9}  {path}")?;
    }
    for sentence in &missed {
        writeln!(out, "  missing  {sentence}")?;
    }
    writeln!(out, "\n{place}: look through it before you pass it on.")?;
    Ok(missed.is_empty())
}

fn write(
    bundle: &Bundle,
    root: &str,
    now: SystemTime,
    output: &Path,
    is_stdout: bool,
    is_folder: bool,
) -> io::Result<String> {
    if is_stdout {
        bundle.write_archive(root, now, io::stdout().lock())?;
        return Ok("standard output".to_owned());
    }
    if is_folder {
        let folder = output.join(root);
        bundle.write_folder(&folder)?;
        return Ok(folder.display().to_string());
    }
    bundle.write_file(root, now, output)?;
    Ok(output.display().to_string())
}

/// A moment as a part of a file's name: `20261201T040000Z`.
fn written(now: SystemTime) -> String {
    certs::inspect::written(now).replace(['-', ':'], "")
}

async fn read(arguments: &Arguments, progress: Progress) -> anyhow::Result<Bundle> {
    let Arguments { output: _, log_lines, registration, cluster, admission } = arguments;
    let client = cluster.client().await?;
    let settings = registration.clone().settings(Check::ALL.to_vec());
    let ClusterLook { version, facts, decisions } =
        look(&client, &settings, admission, admission.wants_release(), &progress).await?;
    let found = judge::judge(&facts, &settings.checks, &decisions);
    let mut bundle = Bundle::default();
    bundle.json(
        "versions.json",
        &serde_json::json!({
            "sriov-webhook": env!("CARGO_PKG_VERSION"),
            "kubernetes": version.git_version,
            "platform": version.platform,
            "time": certs::inspect::written(SystemTime::now()),
        }),
    );
    bundle.json("doctor.json", &redacted(serde_json::to_value(&found)?));
    let mut table = Vec::new();
    report::write_table(&found, &mut table)?;
    let table = anstream::adapter::strip_bytes(&table).into_vec();
    bundle.text("doctor.txt", masked(&String::from_utf8_lossy(&table)));
    bundle.extend(
        collect(&client, facts.release.as_ref(), &Settings { log_lines: *log_lines }, |what| {
            progress.doing(what);
        })
        .await,
    );
    Ok(bundle)
}

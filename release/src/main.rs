//! Writes the parts of a release that are computed rather than compiled. `release/make` calls it.
//!
//! Everything it writes depends on its arguments and on the sources alone: no clock, no host name, no absolute path, so
//! that two builds of one commit are equal byte by byte.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod crates;
mod digest;
mod krew;
mod notices;
mod pages;
mod provenance;
mod purl;
mod sbom;

/// Writes manual pages, completions, bills of materials and provenance of a release.
#[derive(Debug, Parser)]
#[command(name = "release", version, about, max_term_width = 110)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the manual pages and shell completions of a program
    Pages {
        /// The program
        #[arg(long, value_enum)]
        program: pages::Program,
        /// The folder to write to; it gets the folders `man` and `completions`
        #[arg(long, value_name = "DIR")]
        output: PathBuf,
    },
    /// Print the licence texts of the crates that a program links
    Notices(notices::Arguments),
    /// Print the bill of materials of a built program, as CycloneDX JSON
    Sbom(sbom::Arguments),
    /// Print the manifest by which krew installs the plugin of kubectl
    Krew(krew::Arguments),
    /// Print the provenance of a release, as an in-toto statement with an SLSA predicate
    Provenance(provenance::Arguments),
}

fn main() -> ExitCode {
    let outcome = match CommandLine::parse().command {
        Command::Pages { program, output } => pages::write(program, &output),
        Command::Notices(arguments) => notices::print(&arguments),
        Command::Sbom(arguments) => sbom::print(&arguments),
        Command::Krew(arguments) => krew::print(&arguments),
        Command::Provenance(arguments) => provenance::print(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("release: {error:#}");
            ExitCode::FAILURE
        }
    }
}

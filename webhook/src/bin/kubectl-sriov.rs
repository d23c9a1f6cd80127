//! `kubectl sriov`; see [`webhook::commands::plugin`].

use std::process::ExitCode;

fn main() -> ExitCode {
    // One provider for every user of rustls in the process. It is the first to be installed, so it cannot
    // fail.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    webhook::commands::plugin::run()
}

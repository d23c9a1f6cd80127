//! A fake of KubeVirt's virt-launcher-monitor, the command of the container `compute`, in what a program of ours
//! could notice: virt-launcher gets NET_BIND_SERVICE ambient, and for that the monitor needs the file capability that
//! KubeVirt's image gives it. Whatever is executed before it costs it the capability, and the container ends.
//!
//! `setpriv` makes the capability ambient, from a copy that has it as well; unlike KubeVirt's monitor this one then
//! becomes virt-launcher, which reaps what comes to process 1.
#![allow(clippy::print_stderr, reason = "its log")]

use std::env;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

const LAUNCHER: &str = "/usr/bin/virt-launcher";
const SETPRIV: &str = "/usr/bin/virt-launcher-setpriv";

fn main() -> ExitCode {
    let ambient = ["--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service", LAUNCHER];
    let error = Command::new(SETPRIV).args(ambient).args(env::args_os().skip(1)).exec();
    eprintln!("virt-launcher-monitor: failed to run virt-launcher: exec {SETPRIV}: {error}");
    ExitCode::FAILURE
}

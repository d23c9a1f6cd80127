//! Starts a whole node and plays the scenarios of the node tier on it, or with `--lab` opens a shell beside it.
//! `tests/node/run` and `tests/lab --node` start this.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;
use tests::node::{Node, lab, scenarios};

fn main() -> ExitCode {
    let parts: Vec<String> = env::args().skip(1).collect();
    if parts.first().is_some_and(|part| part == "--lab") {
        let Ok(node) = start() else { return ExitCode::FAILURE };
        lab::open(&node);
        println!("Taking the node down …");
        return ExitCode::SUCCESS;
    }
    let chosen = |title: &str| parts.is_empty() || parts.iter().any(|part| title.contains(part.as_str()));
    let scenarios: Vec<_> = scenarios::ALL.into_iter().filter(|(title, _)| chosen(title)).collect();
    if scenarios.is_empty() {
        eprintln!("node-tier: no scenario has {parts:?} in its title");
        return ExitCode::FAILURE;
    }
    let mut failed = scenarios.len();
    if let Ok(node) = start() {
        failed = scenarios.iter().filter(|(title, play)| !passes(title, || play(&node))).count();
    }
    println!("{} passed, {failed} failed", scenarios.len() - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A node, with a line for each part that came up.
fn start() -> std::thread::Result<Node> {
    let started = Instant::now();
    let tell = |part: &str| println!("{:6.1} s  {part}", started.elapsed().as_secs_f32());
    let node = catch_unwind(|| Node::start(&tell))?;
    print!("{}", node.machine().versions());
    Ok(node)
}

fn passes(title: &str, play: impl FnOnce()) -> bool {
    println!("{title} …");
    let started = Instant::now();
    let passed = catch_unwind(AssertUnwindSafe(play)).is_ok();
    let word = if passed { "ok" } else { "FAILED" };
    println!("{word} {:6.1} s  {title}", started.elapsed().as_secs_f32());
    passed
}

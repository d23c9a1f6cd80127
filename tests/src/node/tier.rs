//! Starts a whole node and runs the scenarios of the node tier on it, or with `--lab` opens a shell beside it.
//! `tests/node/run` and `tests/lab --node` start this.

use std::collections::VecDeque;
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use super::{Machine, Node, lab};

/// A scenario: a title, and what is done. It fails by a panic.
pub type Scenario = (&'static str, fn(&Node));

/// So often a node is started, at most: a machine that stands still is not the doing of a scenario.
const BOOTS: usize = 3;

/// Does what the command line says with `all` the scenarios that there are.
#[must_use]
pub fn main(all: Vec<Scenario>) -> ExitCode {
    let parts: Vec<String> = env::args().skip(1).collect();
    if parts.first().is_some_and(|part| part == "--lab") {
        let Ok(node) = start() else { return ExitCode::FAILURE };
        lab::open(&node);
        println!("Taking the node down …");
        return ExitCode::SUCCESS;
    }
    let chosen = |title: &str| parts.is_empty() || parts.iter().any(|part| title.contains(part.as_str()));
    let scenarios: Vec<_> = all.into_iter().filter(|(title, _)| chosen(title)).collect();
    if scenarios.is_empty() {
        eprintln!("node-tier: no scenario has {parts:?} in its title");
        return ExitCode::FAILURE;
    }
    let count = scenarios.len();
    let passed = run_all(scenarios.into());
    println!("{passed} passed, {} failed", count - passed);
    if passed == count { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs them on one node, and those that are left on another where the emulated machine stands still; how many
/// passed.
fn run_all(mut waiting: VecDeque<Scenario>) -> usize {
    let mut passed = 0;
    for boots_left in (0..BOOTS).rev() {
        let node = start();
        while let (Ok(node), Some((title, scenario))) = (&node, waiting.front()) {
            let well = passes(title, || scenario(node));
            if !well && boots_left > 0 && node.machine().turns_out_still() {
                break;
            }
            passed += usize::from(well);
            waiting.pop_front();
        }
        drop(node);
        if waiting.is_empty() || boots_left == 0 || !Machine::stands_still() {
            break;
        }
        println!("{}; booting another node for {} scenarios", Machine::why_given_up(), waiting.len());
        Machine::clear_run();
    }
    passed
}

/// A node, with a line for each part that came up.
fn start() -> std::thread::Result<Node> {
    let started = Instant::now();
    let tell = |part: &str| println!("{:6.1} s  {part}", started.elapsed().as_secs_f32());
    let node = catch_unwind(|| Node::start(&tell))?;
    print!("{}", node.versions());
    Ok(node)
}

fn passes(title: &str, scenario: impl FnOnce()) -> bool {
    println!("{title} …");
    let started = Instant::now();
    let passed = catch_unwind(AssertUnwindSafe(scenario)).is_ok();
    let word = if passed { "ok" } else { "FAILED" };
    println!("{word} {:6.1} s  {title}", started.elapsed().as_secs_f32());
    passed
}

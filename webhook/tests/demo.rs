//! The terminal on the front page: what the programs really print about the files in `examples`.
//!
//! After a change, `UPDATE_DEMO=1 cargo test --workspace --test demo` draws it again.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test says what went wrong by stopping there"
)]

mod fake_api;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anstyle_svg::{Term, WIN10_CONSOLE};
use fake_api::{FakeApi, Lists};
use serde_json::{Value, json};

/// Columns of the terminal.
const WIDTH: usize = 112;

const RESOURCE: &str = "intel.com/sriov_vfio";

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn example(file: &str) -> Vec<Value> {
    let text = fs::read_to_string(repository(&format!("examples/{file}"))).unwrap();
    webhook::manifests::parse(&text).unwrap().into_iter().map(|found| found.object).collect()
}

/// The example as it runs in a cluster to which KubeVirt 1.9 came before the webhook: its pod was made without a VF.
fn cluster() -> Lists {
    let mut vmi = example("vmi.yaml").remove(0);
    vmi["metadata"]["uid"] = json!("4c7e0d6e");
    vmi["status"] = json!({"phase": "Running"});
    let mut pod = example("pod.yaml").remove(0);
    pod["metadata"]["name"] = json!("virt-launcher-database-x7k2p");
    pod["metadata"]["labels"]["kubevirt.io/created-by"] = json!("4c7e0d6e");
    pod["spec"]["nodeName"] = json!("rack1");
    pod["status"] = json!({"phase": "Running"});
    let mut lists = fake_api::around("kubevirt-sriov", &json!({"cpu": "64", RESOURCE: "8"}));
    lists.extend([
        ("network-attachment-definitions", Ok(example("nads.yaml"))),
        ("virtualmachineinstances", Ok(vec![vmi])),
        ("pods", Ok(vec![pod])),
    ]);
    lists
}

/// What a command prints on a terminal with colours.
fn on_a_terminal(command: &mut Command) -> String {
    let output =
        command.current_dir(repository("")).env("CLICOLOR_FORCE", "1").env_remove("NO_COLOR").output();
    let output = output.unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Breaks lines where a terminal does. Colours take no room.
fn wrapped(text: &str) -> String {
    let (mut wrapped, mut column, mut in_escape) = (String::new(), 0, false);
    for character in text.chars() {
        match character {
            '\n' => column = 0,
            '\u{1b}' => in_escape = true,
            _ if in_escape => in_escape = character != 'm',
            _ => {
                if column == WIDTH {
                    wrapped.push('\n');
                    column = 0;
                }
                column += 1;
            }
        }
        wrapped.push(character);
    }
    wrapped
}

fn session() -> String {
    let review = "review --networks examples examples/pod.yaml";
    let program = || Command::new(env!("CARGO_BIN_EXE_sriov-webhook"));
    let reviewed = on_a_terminal(program().args(review.split(' ')));
    let examined = on_a_terminal(&mut FakeApi::start(cluster()).command());
    wrapped(&format!("$ sriov-webhook {review}\n{reviewed}\n$ sriov-webhook doctor\n{examined}"))
}

#[test]
fn the_picture_shows_what_the_programs_print() {
    let drawn = Term::new().palette(WIN10_CONSOLE).render_svg(&session());
    let picture = repository("docs/images/demo.svg");
    if env::var_os("UPDATE_DEMO").is_some() {
        fs::write(&picture, &drawn).unwrap();
    }
    let shown = fs::read_to_string(&picture).unwrap_or_default();
    assert!(
        shown == drawn,
        "docs/images/demo.svg is not what the programs print now: draw it again with UPDATE_DEMO=1, and look at it"
    );
}

#[test]
fn lines_break_where_a_terminal_breaks_them() {
    let line = "x".repeat(WIDTH);
    assert_eq!(wrapped(&format!("{line}\ny")), format!("{line}\ny"));
    assert_eq!(wrapped(&format!("{line}y")), format!("{line}\ny"));
    assert_eq!(wrapped(&format!("\u{1b}[31m{line}\u{1b}[0m")), format!("\u{1b}[31m{line}\u{1b}[0m"));
}

//! The walks through the code in `docs/design` lead through files and names that exist, and the scenarios that
//! `tests/README.md` shows are scenarios of the tiers.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what went wrong by stopping there")]

use std::fs;
use std::path::Path;

const WALKS: [&str; 2] = ["life-of-a-review.md", "life-of-a-vf.md"];

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/design")
}

/// The numbered steps, each on one line.
fn steps(walk: &str) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    let mut in_step = false;
    for line in walk.lines() {
        let number = line.split_once(". ").map(|(number, _)| number.parse::<usize>());
        if let Some(Ok(_)) = number {
            steps.push(line.to_owned());
            in_step = true;
        } else if in_step && line.starts_with("   ") {
            let step = steps.last_mut().unwrap();
            *step += " ";
            *step += line.trim();
        } else {
            in_step = false;
        }
    }
    steps
}

/// The texts of the files that a step links to.
fn linked(step: &str) -> String {
    let targets = step.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    targets
        .filter(|target| target.ends_with(".rs"))
        .map(|target| {
            fs::read_to_string(folder().join(target)).unwrap_or_else(|error| panic!("{target}: {error}"))
        })
        .collect()
}

/// Whether a name is that of an item of ours: a function, or a type.
fn is_declared(name: &str, text: &str) -> bool {
    ["fn", "struct", "enum", "trait", "type"].iter().any(|keyword| {
        text.match_indices(&format!("{keyword} {name}")).any(|(place, found)| {
            let next = text.get(place + found.len()..).and_then(|rest| rest.chars().next());
            next.is_none_or(|next| !next.is_alphanumeric() && next != '_')
        })
    })
}

#[test]
fn each_step_names_what_its_file_declares() {
    for name in WALKS {
        let walk = fs::read_to_string(folder().join(name)).unwrap();
        let steps = steps(&walk);
        assert!(steps.len() > 14, "{name}: {steps:?}");
        for step in steps {
            let text = linked(&step);
            // From the file to the colon stand the names of the step.
            let (head, _) = step.split_once(": ").unwrap_or((&step, ""));
            for item in head.split('`').skip(1).step_by(2) {
                let item = item.rsplit("::").next().unwrap();
                assert!(
                    is_declared(item, &text),
                    "{name}: {item} is not declared where this step says: {step}"
                );
            }
        }
    }
}

#[test]
fn a_name_that_is_part_of_another_does_not_count() {
    assert!(is_declared("read", "pub fn read(body: &[u8])"));
    assert!(!is_declared("read", "pub fn read_vmi(body: &[u8])"));
    assert!(!is_declared("Pod", "struct Pods {}"));
}

/// The files in the scenarios of each tier.
fn scenarios() -> Vec<String> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["cluster", "vfio", "node"].map(|tier| tests.join(tier).join("scenarios"));
    let entries = folders.iter().flat_map(|folder| fs::read_dir(folder).unwrap().map(Result::unwrap));
    entries.map(|entry| fs::read_to_string(entry.path()).unwrap()).collect()
}

#[test]
fn the_scenarios_of_the_page_are_those_that_run() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let scenarios = scenarios();
    let mut shown = 0;
    for language in ["```rust\n", "```shell\n"] {
        for block in page.split(language).skip(1) {
            let block = block.split("```").next().unwrap();
            assert!(scenarios.iter().any(|scenario| scenario.contains(block)), "no scenario is:\n{block}");
            shown += 1;
        }
    }
    assert_eq!(shown, 3);
}

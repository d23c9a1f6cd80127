//! The documentation and `--help` say the same, and its links lead somewhere.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what went wrong by stopping there")]

mod flags;
mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::ValueEnum as _;
use flags::{flags, help};
use harness::Server;
use webhook::doctor::Code;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The flags that a command declares, each with its default.
fn declared(command: &[&str]) -> BTreeMap<String, Option<String>> {
    let mut flags = BTreeMap::new();
    let mut last = None;
    for line in help(command).lines() {
        let start = line.trim_start();
        let indent = line.len() - start.len();
        let flag = start.split([' ', ',']).find(|word| word.starts_with("--"));
        // Deeper lines are about flags, and name others.
        if let Some(flag) = flag.filter(|_| indent <= 6 && start.starts_with('-')) {
            flags.insert(flag.to_owned(), None);
            last = Some(flag.to_owned());
        } else if let (Some(default), Some(last)) = (start.strip_prefix("[default: "), &last) {
            flags.insert(last.clone(), Some(default.trim_end_matches(']').to_owned()));
        }
    }
    flags.remove("--help");
    flags
}

#[test]
fn every_flag_of_serve_is_in_the_table_with_its_default() {
    let table = text("docs/configuration.md");
    let rows: BTreeMap<String, String> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `--"))
        .filter_map(|row| row.split_once("` | "))
        .map(|(flag, rest)| {
            (format!("--{flag}"), rest.split(" | ").next().unwrap().trim_matches('`').to_owned())
        })
        .collect();
    let declared = declared(&["serve"]);
    assert!(declared.len() > 30, "{declared:?}");
    assert_eq!(rows.keys().collect::<Vec<_>>(), declared.keys().collect::<Vec<_>>());
    for (flag, default) in declared {
        if let Some(default) = default {
            assert_eq!(rows.get(&flag), Some(&default), "{flag}");
        }
    }
}

/// Documents, and what in them is not a flag of ours: of kubectl, helm, and other programs.
#[test]
fn documents_name_no_flag_that_is_not_there() {
    let mut known: BTreeSet<String> = BTreeSet::new();
    for command in [
        &["serve"][..],
        &["review"],
        &["doctor"],
        &["map"],
        &["dump"],
        &["certs", "inspect"],
        &["certs", "renew"],
        &["certs", "roll-ca"],
    ] {
        known.extend(declared(command).into_keys());
    }
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for line in joined(&text).lines().filter(|line| line.contains("sriov-webhook ")) {
            let Some((_, command)) = line.split_once("sriov-webhook ") else { continue };
            // Up to the end of the command: a quotation mark, a pipe, the next sentence.
            let command = command.split(['`', '|', ';', '#']).next().unwrap_or_default();
            for flag in flags(command) {
                assert!(known.contains(&flag), "{}: sriov-webhook {command}: {flag}", document.display());
            }
        }
        for flag in quoted_flags(&text) {
            let foreign = FOREIGN.contains(&flag.as_str());
            assert!(
                known.contains(&flag) || foreign,
                "{}: `{flag}` is a flag of nothing known",
                document.display()
            );
        }
    }
}

/// Flags of other programs, and of launcher-hook, that documents speak of.
const FOREIGN: [&str; 17] = [
    "--assign",
    "--binding",
    "--network-info-patience",
    "--verify",
    "--resource-prefix",
    "--network-resource-name-keys",
    "--honor-resources",
    "--bind-address",
    "--port",
    "--tls-cert-file",
    "--tls-private-key-file",
    "--insecure",
    // --injectHugepageDownApi, up to its first capital.
    "--inject",
    "--admission-control-config-file",
    "--tier",
    "--reset-then-reuse-values",
    "--force-conflicts",
];

/// Flags that stand in quotation marks by themselves.
fn quoted_flags(text: &str) -> BTreeSet<String> {
    text.split('`')
        .filter(|part| part.starts_with("--"))
        .flat_map(|part| flags(part).into_iter().next())
        .collect()
}

/// With each command in one line.
fn joined(text: &str) -> String {
    text.replace("\\\n", " ").replace("\n  --", " --")
}

fn documents() -> Vec<PathBuf> {
    let folders = ["docs", "docs/design"].map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let mut documents: Vec<PathBuf> = folders
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        // Theirs are other programs.
        .filter(|path| {
            !["lab.md", "launcher-hook.md", "performance.md", "which-vf.md"]
                .iter()
                .any(|name| path.ends_with(name))
        })
        .collect();
    documents.extend(["README.md", "charts/kubevirt-sriov/README.md"].map(|path| root().join(path)));
    assert!(documents.len() > 8, "{documents:?}");
    documents
}

#[test]
fn links_lead_somewhere() {
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for (place, _) in text.match_indices("](") {
            let target = text[place + 2..].split(')').next().unwrap();
            if target.starts_with("http") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { document.clone() } else { document.parent().unwrap().join(file) };
            assert!(path.exists(), "{}: {target} is not there", document.display());
            if !anchor.is_empty() {
                let found = fs::read_to_string(&path).unwrap().lines().any(|line| heading(line) == anchor);
                assert!(found, "{}: {target}: no such heading", document.display());
            }
        }
    }
}

#[test]
fn every_page_is_in_the_book_once() {
    let summary = text("docs/SUMMARY.md");
    let mut listed: Vec<&str> =
        summary.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    listed.sort_unstable();
    let folders = [("docs", ""), ("docs/design", "design/")];
    let pages = folders.into_iter().flat_map(|(folder, prefix)| {
        fs::read_dir(root().join(folder)).unwrap().map(move |entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            format!("{prefix}{name}")
        })
    });
    let mut pages: Vec<String> = pages.filter(|page| page.ends_with(".md") && page != "SUMMARY.md").collect();
    pages.sort_unstable();
    assert_eq!(listed, pages);
}

#[test]
fn the_readme_shows_what_review_prints() {
    let readme = text("README.md");
    let (_, session) = readme.split_once("$ cargo run -q --bin sriov-webhook -- ").unwrap();
    let (command, rest) = session.split_once('\n').unwrap();
    let (shown, _) = rest.split_once("```").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sriov-webhook"))
        .args(command.split(' '))
        .current_dir(root())
        .output()
        .unwrap();
    assert_eq!(shown, String::from_utf8(output.stdout).unwrap());
}

#[test]
fn the_badges_are_true() {
    let readme = text("README.md");
    let of_manifest = text("Cargo.toml");
    let quoted = |key: &str| {
        let (_, rest) = of_manifest.split_once(&format!("\n{key} = \"")).unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let kubernetes = text("charts/kubevirt-sriov/Chart.yaml");
    let (_, kubernetes) = kubernetes.split_once("kubeVersion: \">=").unwrap();
    let kubernetes = kubernetes.split(".0-0").next().unwrap();
    for badge in [
        format!("badge/Rust-{}-", quoted("rust-version")),
        format!("badge/license-{}-", quoted("license").replace('-', "--")),
        format!("badge/Kubernetes-{kubernetes}%2B-"),
    ] {
        assert!(readme.contains(&badge), "no {badge}");
    }
    assert!(root().join(".github/workflows/ci.yml").exists());
}

/// The anchor that a forge makes of a heading.
fn heading(line: &str) -> String {
    let text = line.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    if line.starts_with('#') { kept.collect::<String>().replace(' ', "-") } else { String::new() }
}

#[test]
fn every_code_of_doctor_has_its_anchor_and_the_other_way_round() {
    let page = text("docs/findings.md");
    let explained: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let codes = Code::value_variants().iter();
    let urls: BTreeSet<String> = codes.clone().map(|code| code.url()).collect();
    let expected: BTreeSet<String> =
        explained.iter().map(|anchor| format!("{}#{anchor}", Code::PAGE)).collect();
    assert_eq!((urls.len(), explained.len()), (codes.len(), codes.len()));
    assert_eq!(urls, expected);
    assert!(Code::PAGE.ends_with("/docs/findings.md"));
    for code in codes {
        // Scripts read the word, and the URL names the same.
        assert_eq!(serde_json::to_value(code).unwrap(), serde_json::json!(code.to_string()));
    }
}

/// The metrics that only a webhook with a cluster has; `tests/cluster/scenarios/release.rs` looks at those.
const WITH_A_CLUSTER: [&str; 2] = ["sriov_webhook_live_look_ups", "sriov_webhook_vmi_events"];

/// Names and types of the documented metrics, without the ending that the type gives.
fn documented_metrics() -> BTreeMap<String, String> {
    let text = text("docs/metrics.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let metrics = rows.filter(|row| row.starts_with("sriov_webhook_") || row.starts_with("process_"));
    metrics
        .map(|row| {
            let mut cells = row.split(" | ");
            let name = cells.next().unwrap().trim_matches('`');
            let name = name.trim_end_matches("_total").trim_end_matches("_info").to_owned();
            (name, cells.next().unwrap().to_owned())
        })
        .collect()
}

#[test]
fn every_metric_is_documented_with_its_type_and_the_other_way_round() {
    let metrics = Server::on_examples().get_as("/metrics", "application/openmetrics-text").body;
    let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let shown: BTreeMap<String, String> = types
        .filter_map(|line| line.split_once(' '))
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect();
    let mut documented = documented_metrics();
    for metric in WITH_A_CLUSTER {
        documented.remove(metric);
    }
    assert!(documented.len() > 14, "{documented:?}");
    assert_eq!(documented, shown);
}

/// Values in backquotes in the first cell of a table's rows, from one heading to the next.
fn first_cells<'t>(text: &'t str, header: &str) -> Vec<&'t str> {
    let (_, table) = text.split_once(header).unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2)).collect()
}

/// A series that appears with its first event is born at 1: no `increase()` sees it, and no alert.
#[test]
fn every_documented_series_is_there_at_zero_before_its_first_event() {
    let text = text("docs/metrics.md");
    let metrics = Server::on_examples().get("/metrics").body;
    let has = |series: String| metrics.lines().any(|line| line == format!("{series} 0"));
    let outcomes = first_cells(&text, "| `outcome` | means |");
    let reasons = first_cells(&text, "| `reason` | who has to act, or why |");
    assert!(outcomes.len() > 5 && reasons.len() > 12, "{outcomes:?} {reasons:?}");
    for (label, values) in [("outcome", &outcomes), ("reason", &reasons)] {
        for value in values {
            let pair = format!("{label}=\"{value}\"");
            let is_review =
                |line: &&str| line.starts_with("sriov_webhook_reviews_total{") && line.ends_with(" 0");
            assert!(metrics.lines().filter(is_review).any(|line| line.contains(&pair)), "no series {pair}");
        }
    }
    for kind in ["pod", "vmi"] {
        let outcome = if kind == "pod" { "denied" } else { "invalid" };
        let labels = format!("kind=\"{kind}\",outcome=\"{outcome}\",reason=\"internal\"");
        assert!(has(format!("sriov_webhook_reviews_total{{{labels}}}")), "{labels}");
    }
    let (_, refusals) = text.split_once("`reason` of `sriov_webhook_requests_refused_total`:").unwrap();
    let (refusals, _) = refusals.split_once("\n\n").unwrap();
    let refusals: Vec<_> =
        refusals.split('`').skip(1).step_by(2).filter(|word| !word.starts_with("--")).collect();
    assert_eq!(refusals.len(), 9, "{refusals:?}");
    for reason in refusals {
        assert!(has(format!("sriov_webhook_requests_refused_total{{reason=\"{reason}\"}}")), "{reason}");
    }
    for reason in ["timeout", "error"] {
        assert!(
            has(format!("sriov_webhook_tls_handshake_failures_total{{reason=\"{reason}\"}}")),
            "{reason}"
        );
    }
}

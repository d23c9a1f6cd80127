//! The chart's parts agree: values, their schema, their documentation, the version, the alerts' runbook.
//!
//! No helm: what it renders is the cluster tier's business.
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says what went wrong by stopping there"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde_json::Value;

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(file(path)).unwrap()
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&text(path)).unwrap()
}

fn schema() -> Value {
    serde_json::from_str(&text("charts/kubevirt-sriov/values.schema.json")).unwrap()
}

/// Each value that can be set, by its path, and what the schema says of it. What has no named parts in the
/// schema is one value: a list, labels, a Kubernetes object.
fn described(schema: &Value) -> BTreeMap<String, Value> {
    fn walk(schema: &Value, path: &str, found: &mut BTreeMap<String, Value>) {
        let Some(parts) = schema.get("properties").and_then(Value::as_object) else {
            found.insert(path.to_owned(), schema.clone());
            return;
        };
        // Helm passes all globals of a parent chart.
        let any = path == "global";
        assert_eq!(schema["additionalProperties"] == false, !any, "{path}: a misspelt value must not pass");
        for (name, part) in parts {
            let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            walk(part, &path, found);
        }
    }
    let mut found = BTreeMap::new();
    walk(schema, "", &mut found);
    found
}

fn default(values: &Value, path: &str) -> Option<Value> {
    values.pointer(&format!("/{}", path.replace('.', "/"))).cloned()
}

/// The paths in the values that the schema has no entry for.
fn unknown(values: &Value, path: &str, described: &BTreeMap<String, Value>, found: &mut Vec<String>) {
    if described.contains_key(path) {
        return;
    }
    match values.as_object() {
        Some(parts) => {
            for (name, part) in parts {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                unknown(part, &path, described, found);
            }
        }
        None => found.push(path.to_owned()),
    }
}

#[test]
fn every_value_has_a_default_and_a_description_and_is_in_the_schema() {
    let values = yaml("charts/kubevirt-sriov/values.yaml");
    let described = described(&schema());
    assert!(described.len() > 50, "only {} values found", described.len());
    for (path, part) in &described {
        assert!(default(&values, path).is_some(), "{path} is not in values.yaml");
        let description = part["description"].as_str().unwrap_or_default();
        assert!(description.len() > 10, "{path} has no description in the schema");
    }
    let mut missing = Vec::new();
    unknown(&values, "", &described, &mut missing);
    assert!(missing.is_empty(), "in values.yaml and not in the schema: {missing:?}");
}

#[test]
fn the_readme_has_a_line_for_every_value_with_its_default() {
    let values = yaml("charts/kubevirt-sriov/values.yaml");
    let readme = text("charts/kubevirt-sriov/README.md");
    let (_, table) = readme.split_once("\n## Values\n").unwrap();
    let mut lines = BTreeMap::new();
    for line in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.trim_matches('|').splitn(3, " | ").map(str::trim).collect();
        let [path, default, description] = cells[..] else { panic!("{line}") };
        let default: Value = serde_json::from_str(default.trim_matches('`')).unwrap();
        lines.insert(path.trim_matches('`').to_owned(), (default, description.replace("\\|", "|")));
    }
    let expected: BTreeMap<String, (Value, String)> = described(&schema())
        .into_iter()
        .map(|(path, part)| {
            let default = default(&values, &path).unwrap_or_default();
            (path, (default, part["description"].as_str().unwrap_or_default().to_owned()))
        })
        .collect();
    for (path, line) in &expected {
        assert_eq!(lines.get(path), Some(line), "README.md, {path}");
    }
    let known: BTreeSet<&String> = expected.keys().collect();
    assert_eq!(lines.keys().collect::<BTreeSet<_>>(), known);
}

/// The comments of values.yaml in helm-docs' style: `# -- …` above a value, further lines without the dashes.
fn commented(values: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut parents: Vec<(usize, String)> = Vec::new();
    let mut comment: Option<String> = None;
    for line in values.lines() {
        let start = line.trim_start();
        if let Some(first) = start.strip_prefix("# -- ") {
            comment = Some(first.to_owned());
        } else if let (Some(further), Some(comment)) = (start.strip_prefix("# "), &mut comment) {
            *comment += " ";
            *comment += further;
        } else if let Some((name, _)) = start.split_once(':') {
            let indent = line.len() - start.len();
            parents.retain(|(outer, _)| *outer < indent);
            parents.push((indent, name.to_owned()));
            if let Some(comment) = comment.take() {
                let names: Vec<&str> = parents.iter().map(|(_, name)| name.as_str()).collect();
                found.insert(names.join("."), comment);
            }
        } else {
            assert!(comment.is_none(), "a comment above no value: {line}");
        }
    }
    found
}

#[test]
fn every_value_has_the_schemas_description_as_its_comment() {
    let comments = commented(&text("charts/kubevirt-sriov/values.yaml"));
    let expected: BTreeMap<String, String> = described(&schema())
        .into_iter()
        .map(|(path, part)| (path, part["description"].as_str().unwrap_or_default().to_owned()))
        .collect();
    for (path, description) in &expected {
        assert_eq!(comments.get(path), Some(description), "values.yaml, the comment above {path}");
    }
    assert_eq!(comments.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
}

#[test]
fn templates_use_every_value_and_no_other() {
    let mut templates = String::new();
    for folder in ["charts/kubevirt-sriov/templates", "charts/kubevirt-sriov/templates/tests"] {
        for entry in fs::read_dir(file(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                templates += &fs::read_to_string(path).unwrap();
            }
        }
    }
    let values = yaml("charts/kubevirt-sriov/values.yaml");
    for path in described(&schema()).keys() {
        // Inside a `with` only the last part stands.
        let (outer, last) = path.rsplit_once('.').unwrap_or(("", path));
        let whole = format!(".Values.{path}");
        let in_with = !outer.is_empty()
            && [" }}", " | "].iter().any(|end| templates.contains(&format!(".Values.{outer}{end}")));
        let in_helper = path.contains("image.")
            && (templates.contains(&format!("$image.{last}"))
                || templates.contains(&format!(".image.{last}")));
        let used = templates.contains(&whole) || (in_with && templates.contains(&format!(".{last}")));
        assert!(used || in_helper, "{path} is used by no template");
    }
    for (place, _) in templates.match_indices(".Values.") {
        let rest = &templates[place + ".Values.".len()..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(rest.len());
        let path = rest[..end].trim_end_matches('.');
        let known = default(&values, path).is_some()
            // The parts of a selector, which is one value.
            || path.starts_with("webhook.namespaceSelector.");
        assert!(known, ".Values.{path} is not in values.yaml");
    }
}

/// A wrong argument keeps every virtual machine from starting: `helm` refuses it before the webhook does.
#[test]
fn the_schema_takes_the_arguments_of_the_helper_that_the_webhook_takes() {
    use contract::duration;
    use contract::helper::{FLAGS, Values};
    let alternatives = FLAGS.iter().map(|flag| match flag.values {
        Values::Text => format!("{}=.+", flag.name),
        Values::Duration => format!("{}={}", flag.name, duration::PATTERN.trim_matches(['^', '$'])),
        Values::Words(words) => format!("{}=({})", flag.name, words.join("|")),
    });
    let expected = format!("^({})$", alternatives.collect::<Vec<_>>().join("|"));
    assert_eq!(described(&schema())["launcherHook.arguments"]["items"]["pattern"], expected);
}

/// Values that become flags have the grammar of flags. Those of cert-manager and of Prometheus have theirs.
#[test]
fn the_schema_takes_the_durations_that_the_programs_take() {
    use contract::duration::PATTERN;
    let schema = described(&schema());
    let of_flags = [
        "certificates.managed.lifetime",
        "certificates.managed.caLifetime",
        "certificates.managed.caSettle",
        "server.handshakeTimeout",
        "server.readTimeout",
    ];
    for path in of_flags {
        assert_eq!(schema[path]["pattern"], PATTERN, "{path}");
    }
    let or_empty = PATTERN.replace(")$", ")?$");
    assert_eq!(schema["prometheusRule.certificateEnding"]["pattern"], or_empty);
    let others = [
        "certificates.certManager.caDuration",
        "certificates.certManager.duration",
        "certificates.certManager.renewBefore",
    ];
    let others = others.into_iter().chain([
        "serviceMonitor.interval",
        "serviceMonitor.scrapeTimeout",
        "podMonitor.interval",
        "podMonitor.scrapeTimeout",
        "prometheusRule.certificateEnding",
    ]);
    let known: BTreeSet<&str> = of_flags.into_iter().chain(others).collect();
    let durations = schema.iter().filter(|(_, about)| {
        about["pattern"].as_str().is_some_and(|pattern| {
            pattern.contains("(ms|") || pattern.contains("|h|") || pattern.contains("(h|")
        })
    });
    let durations = durations.map(|(path, _)| path.as_str()).filter(|path| *path != "launcherHook.arguments");
    assert_eq!(durations.collect::<BTreeSet<_>>(), known);
}

#[test]
fn there_is_one_version() {
    let manifest = text("Cargo.toml");
    let (_, package) = manifest.split_once("[workspace.package]").unwrap();
    let line = package.lines().find(|line| line.starts_with("version = ")).unwrap();
    let version = line.trim_start_matches("version = ").trim_matches('"');
    let chart = yaml("charts/kubevirt-sriov/Chart.yaml");
    assert_eq!(chart["version"], version);
    assert_eq!(chart["appVersion"], version);
    let images = chart["annotations"]["artifacthub.io/images"].as_str().unwrap();
    assert_eq!(images.matches(&format!(":{version}\n")).count(), 2, "{images}");
    let dockerfile = text("release/Dockerfile");
    let arguments: Vec<_> = dockerfile.lines().filter(|line| line.starts_with("ARG VERSION=")).collect();
    assert_eq!(arguments, vec![format!("ARG VERSION={version}"); 2]);
    let changelog = text("CHANGELOG.md");
    let mut sections = changelog.lines().filter_map(|line| line.strip_prefix("## "));
    assert_eq!(sections.next(), Some("Unreleased"));
    let (released, date) = sections.next().unwrap().split_once(" - ").unwrap();
    assert_eq!(released, version, "CHANGELOG.md");
    assert!(date.len() == 10 && date.split('-').all(|part| part.parse::<u16>().is_ok()), "{date}");
    let rust = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap();
    assert!(dockerfile.contains(&format!("ARG RUST={}", rust.trim_matches('"'))), "release/Dockerfile");
}

/// `docs/compatibility.md` promises versions of Kubernetes: the chart takes the oldest, and the workflows run each.
#[test]
fn the_supported_versions_of_kubernetes_are_those_that_are_tested() {
    let page = text("docs/compatibility.md");
    let line = page.lines().find(|line| line.starts_with("| Kubernetes | 1.")).unwrap();
    let window = line.split(" | ").nth(1).unwrap();
    let (oldest, newest) = window.split_once(" to ").unwrap();
    let minor = |version: &str| version.strip_prefix("1.").unwrap().parse::<u8>().unwrap();
    let promised: BTreeSet<u8> = (minor(oldest)..=minor(newest)).collect();

    let chart = yaml("charts/kubevirt-sriov/Chart.yaml");
    assert_eq!(chart["kubeVersion"], format!(">={oldest}.0-0"));
    assert!(text("README.md").contains(&format!("badge/Kubernetes-{oldest}%2B-blue")), "README.md");

    let tools = text("tests/cluster/tools/go.mod");
    let default = tools.lines().find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v")).unwrap();
    let ci = &yaml(".github/workflows/ci.yml")["jobs"]["tier"]["strategy"]["matrix"]["include"];
    let ci: Vec<&str> =
        ci.as_array().unwrap().iter().map(|entry| entry["kubernetes"].as_str().unwrap()).collect();
    let ends: Vec<u8> = ci.iter().map(|version| minor(version.rsplit_once('.').unwrap().0)).collect();
    assert_eq!(ends, [minor(oldest), minor(newest)], "ci.yml");
    let scheduled =
        &yaml(".github/workflows/scheduled.yml")["jobs"]["kubernetes"]["strategy"]["matrix"]["kubernetes"];
    let scheduled = scheduled.as_array().unwrap().iter().map(|version| version.as_str().unwrap());
    let versions: Vec<&str> = ci.into_iter().chain(scheduled).chain(default.split(' ').take(1)).collect();
    let tested: BTreeSet<u8> =
        versions.iter().map(|version| minor(version.rsplit_once('.').unwrap().0)).collect();
    assert_eq!(tested, promised);
    assert_eq!(versions.len(), promised.len(), "one of each: {versions:?}");
}

#[test]
fn every_alert_has_an_entry_in_the_runbook_and_the_other_way_round() {
    let rules = yaml("charts/kubevirt-sriov/alerts.yaml");
    let mut alerts = BTreeSet::new();
    for rule in rules["groups"][0]["rules"].as_array().unwrap() {
        let name = rule["alert"].as_str().unwrap();
        for part in ["summary", "description"] {
            assert!(rule["annotations"][part].as_str().is_some_and(|text| text.len() > 10), "{name}: {part}");
        }
        assert!(["critical", "warning"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
        alerts.insert(name.to_owned());
    }
    let runbook = text("docs/runbook.md");
    let entries: BTreeSet<String> = runbook
        .lines()
        .filter_map(|line| line.strip_prefix("## SriovWebhook"))
        .map(|rest| format!("SriovWebhook{rest}"))
        .collect();
    assert_eq!(alerts, entries);
}

#[test]
fn alerts_and_dashboard_use_documented_metrics_only() {
    let documented = text("docs/metrics.md");
    let dashboard = text("charts/kubevirt-sriov/dashboards/kubevirt-sriov.json");
    let _: Value = serde_json::from_str(&dashboard).unwrap();
    let texts = [text("charts/kubevirt-sriov/alerts.yaml"), dashboard, text("docs/runbook.md")];
    let mut used = BTreeSet::new();
    for text in &texts {
        for (place, _) in text.match_indices("sriov_webhook_") {
            let rest = &text[place..];
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            used.insert(rest[..end].trim_end_matches("_bucket").to_owned());
        }
    }
    assert!(used.len() > 10, "{used:?}");
    for metric in used {
        assert!(documented.contains(&format!("`{metric}`")), "{metric} is not in docs/metrics.md");
    }
}

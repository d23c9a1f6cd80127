//! `sriov-webhook review`: what the webhook would do, without a server and without a cluster.

mod report;
mod table;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueEnum};
use contract::NadName;
use serde_json::{Value, json};

use crate::admission::{Decision, Denial, Options, Outcome, Unreadable, decide, read};
use crate::commands::AdmissionOptions;
use crate::documents;
use crate::network::{Network, Networks};
use crate::networks::file;

use report::Report;

/// Show what the webhook would do to pods, with the same code and without a cluster
///
/// Reads pods or AdmissionReviews, YAML or JSON, one or many, from files or standard input.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sriov-webhook review --networks examples examples/pod.yaml
  kubectl get net-attach-def -A -o yaml > nads.yaml
  kubectl get pods -A -l kubevirt.io=virt-launcher -o yaml | sriov-webhook review --networks nads.yaml
  sriov-webhook review --networks nads.yaml --output pod pod.yaml | kubectl apply -f -

Exit status: 0 when every pod would pass, 1 when one would be refused, 2 when the input cannot be read.")]
pub(super) struct Arguments {
    /// File or directory with NetworkAttachmentDefinitions, YAML or JSON; other objects in it are passed over
    #[arg(long, value_name = "FILE|DIR")]
    networks: PathBuf,

    /// What to print
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,

    #[command(flatten)]
    admission: AdmissionOptions,

    /// Files with pods or AdmissionReviews; `-` is standard input
    #[arg(value_name = "POD", default_value = "-")]
    pods: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people: each pod's networks, what they need, and why it would be refused
    Table,
    /// The JSON Patch of each pod, one on a line; an empty list where nothing changes
    Patch,
    /// The pods that pass, as they would be stored, as YAML
    Pod,
    /// Everything, one JSON object for each pod on a line
    Json,
}

/// One pod and what becomes of it.
struct Verdict {
    /// `namespace/name`, for people.
    pod_name: String,
    /// The pod as it was read; nothing where the review has none.
    pod: Value,
    decision: Result<Decision, Denial>,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    match review(arguments, &mut io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sriov-webhook review: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Whoever read our output has seen enough, as `head` has.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Whether every pod would pass.
fn review(arguments: &Arguments, output: &mut impl Write) -> anyhow::Result<bool> {
    let options = Options::from(arguments.admission.clone());
    let known = Known(file::load(&arguments.networks, &options.resource_annotations)?.networks);
    let mut all_pass = true;
    let mut count = 0;
    for path in &arguments.pods {
        let (place, text) = read_input(path)?;
        let objects = documents::parse(&text).map_err(|problem| anyhow!("{place}: {problem}"))?;
        for object in objects {
            let verdict = judge(object, &known, &options).with_context(|| place.clone())?;
            all_pass &=
                !matches!(&verdict.decision, Err(_) | Ok(Decision { outcome: Outcome::Denied(_), .. }));
            print(&verdict, arguments.output, count, output)?;
            count += 1;
        }
    }
    if count == 0 {
        bail!("no pods in the input: name files with pods or AdmissionReviews, or `-` for standard input");
    }
    Ok(all_pass)
}

fn read_input(path: &Path) -> anyhow::Result<(String, String)> {
    if path.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("standard input")?;
        return Ok(("standard input".to_owned(), text));
    }
    let place = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| place.clone())?;
    Ok((place, text))
}

struct Known(BTreeMap<NadName, Network>);

impl Networks for Known {
    fn get(&self, nad: &NadName) -> Option<Arc<Network>> {
        self.0.get(nad).cloned().map(Arc::new)
    }
}

fn judge(object: Value, networks: &Known, options: &Options) -> anyhow::Result<Verdict> {
    let mut review = match documents::kind(&object) {
        "AdmissionReview" => object,
        "Pod" => review_of(object),
        other => bail!("there is a {other:?} among the pods: only Pod and AdmissionReview can be reviewed"),
    };
    let body = serde_json::to_vec(&review)?;
    let (pod_name, decision) = match read(&body) {
        Ok(request) => {
            let name =
                request.object.as_ref().map_or_else(|| "(no pod)".to_owned(), |pod| pod.display_name());
            (format!("{}/{name}", request.namespace()), Ok(decide(&request, networks, options)))
        }
        Err(Unreadable::Answerable { uid, denial }) => (format!("review {uid}"), Err(denial)),
        Err(Unreadable::NoReview(message)) => bail!(message),
    };
    let pod = review.pointer_mut("/request/object").map(Value::take).unwrap_or_default();
    Ok(Verdict { pod_name, pod, decision })
}

/// What kube-apiserver would post about a pod.
fn review_of(pod: Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "review",
            "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "operation": "CREATE",
            "object": pod
        }
    })
}

fn print(verdict: &Verdict, output: Output, index: usize, to: &mut impl Write) -> anyhow::Result<()> {
    let Verdict { pod_name, pod, decision } = verdict;
    if output == Output::Table {
        if index > 0 {
            writeln!(to)?;
        }
        return Ok(to.write_all(table::table(pod_name, decision).as_bytes())?);
    }
    if output == Output::Json {
        return Ok(writeln!(to, "{}", serde_json::to_string(&Report::new(pod_name, decision))?)?);
    }
    let denial = match decision {
        Err(denial) | Ok(Decision { outcome: Outcome::Denied(denial), .. }) => Some(denial),
        Ok(_) => None,
    };
    if let Some(denial) = denial {
        eprintln!("{pod_name}: refused: {}", denial.message);
    }
    let operations = match decision {
        Ok(Decision { outcome: Outcome::Patched(operations), .. }) => operations.as_slice(),
        _ => &[],
    };
    if output == Output::Patch {
        writeln!(to, "{}", serde_json::to_string(operations)?)?;
    } else if denial.is_none() {
        let mut pod = pod.clone();
        json_patch::patch(&mut pod, operations)?;
        write!(to, "---\n{}", serde_saphyr::to_string(&pod)?)?;
    }
    Ok(())
}

//! `sriov-webhook review`: what the webhook would do, without a server.

mod report;
mod table;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use admission::{Decision, Network, Networks, Options, Unreadable, Verdict, decide, read, review_of};
use anyhow::{Context, anyhow, bail};
use apiserver::Resource;
use clap::{Args, ValueEnum};
use contract::NadName;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use serde_json::Value;

use super::cluster_options::{ClusterOptions, NamespaceOptions};
use super::launcher_hook_options::hide_launcher_hook;
use super::progress::{Progress, shown};
use super::release_flags::DecisionFlags;
use super::{block_on, failed, program};
use crate::doctor::Check;
use crate::doctor::collect::{Settings, collect_release};
use crate::doctor::facts::Source;
use crate::networks::file;
use crate::{cluster, manifests};

use report::Report;

/// Show what the webhook would do to pods, with the same code and without a server
///
/// Reads pods or AdmissionReviews, YAML or JSON, one or many, from files or standard input. With --from-cluster the
/// networks come from a cluster, and so do the pods if no file is named: the virt-launcher pods of the context's
/// namespace, of those that --namespace names, or of all with --all-namespaces. Networks are read from all namespaces,
/// because a pod may name one of another.
#[derive(Debug, Args)]
#[command(
    mut_args(hide_launcher_hook),
    after_long_help = "\
Examples:
  sriov-webhook review --networks examples examples/pod.yaml
  kubectl get net-attach-def -A -o yaml > nads.yaml
  kubectl get pods -A -l kubevirt.io=virt-launcher -o yaml | sriov-webhook review --networks nads.yaml
  sriov-webhook review --networks nads.yaml --output pod pod.yaml | kubectl apply -f -
  sriov-webhook review --from-cluster --namespace databases
  sriov-webhook review --from-cluster --all-namespaces --context lab
  sriov-webhook review --from-cluster --scope all-pods --namespace-isolation pod.yaml

With --from-cluster pods are decided by the flags of the release's Deployment; those that are given here, under \
Decisions and launcher-hook, take their place. Without a cluster, give the same flags as to the replicas.

Exit status:
  0  every pod would be admitted
  1  a pod would be denied
  2  the input cannot be read"
)]
pub(super) struct Arguments {
    /// Files with pods or AdmissionReviews; `-`, and no file at all, is standard input
    #[arg(value_name = "POD")]
    pods: Vec<PathBuf>,

    /// File or folder with NetworkAttachmentDefinitions, YAML or JSON; other objects in it are ignored
    #[arg(long, value_name = "FILE|DIR")]
    networks: Option<PathBuf>,

    /// Read networks and virt-launcher pods from the cluster
    ///
    /// Files that --networks and POD name take the place of the cluster's objects.
    #[arg(long)]
    from_cluster: bool,

    /// What to print
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,

    #[command(flatten)]
    cluster: ClusterOptions,

    #[command(flatten)]
    namespaces: NamespaceOptions,

    #[command(flatten)]
    pub(super) admission: DecisionFlags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people: each pod's networks, what they need, and why it would be denied
    Table,
    /// The JSON Patch of each pod, one on a line; an empty list if nothing changes
    Patch,
    /// The pods that would be admitted, as they would be stored, as YAML
    Pod,
    /// Everything, one JSON object per pod and line
    Json,
}

/// One pod and what happens to it.
struct Reviewed {
    /// `namespace/name`, for people.
    pod_name: String,
    /// The pod as it was read; nothing where the review has none.
    pod: Value,
    decision: Decision,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let outcome = match arguments.output {
        Output::Table => review(arguments, &mut anstream::stdout().lock()),
        // For programs, which get every byte.
        _ => review(arguments, &mut io::stdout().lock()),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => failed("review", &error),
    }
}

/// The reader of our output, such as `head`, has closed the pipe.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Whether every pod would pass.
fn review(arguments: &Arguments, output: &mut impl Write) -> anyhow::Result<bool> {
    let Input { networks, objects, options } = if arguments.from_cluster {
        block_on(shown(|progress| from_cluster(arguments, progress)))?
    } else {
        let namespace = arguments.namespaces.of_file(None);
        let options = arguments.admission.alone();
        let networks = networks_of_files(arguments, &options)?;
        Input { networks, objects: objects(&arguments.pods, namespace)?, options }
    };
    let mut all_pass = true;
    let count = objects.len();
    for (index, (place, object)) in objects.into_iter().enumerate() {
        let reviewed = judge(object, &networks, &options).context(place)?;
        all_pass &= reviewed.decision.verdict.denial().is_none();
        print(&reviewed, arguments.output, index, output)?;
    }
    match (count, arguments.from_cluster && arguments.pods.is_empty()) {
        (0, true) => writeln!(
            io::stderr(),
            "{} review: there are no virt-launcher pods in these namespaces; --all-namespaces looks at all",
            program()
        )?,
        (0, false) => {
            bail!("no pods in the input: name files with pods or AdmissionReviews, or `-` for standard input")
        }
        _ => {}
    }
    Ok(all_pass)
}

/// What is judged, and by what.
struct Input {
    networks: BTreeMap<NadName, Network>,
    /// Each with the place that it was found at.
    objects: Vec<(String, Value)>,
    options: Options,
}

async fn from_cluster(arguments: &Arguments, progress: Progress) -> anyhow::Result<Input> {
    let client = arguments.cluster.client().await?;
    let options = options_of_release(arguments, &client, &progress).await;
    let options = &options;
    progress.doing("reading NetworkAttachmentDefinitions");
    let networks = match arguments.networks {
        Some(_) => networks_of_files(arguments, options)?,
        None => cluster::networks(&client, &options.resource_annotations).await?,
    };
    if !arguments.pods.is_empty() {
        let namespace = arguments.namespaces.of_file(Some(&client));
        let objects = objects(&arguments.pods, namespace)?;
        return Ok(Input { networks, objects, options: options.clone() });
    }
    progress.doing("reading virt-launcher pods");
    let mut objects = Vec::new();
    for mut pod in cluster::launcher_pods(&client, &arguments.namespaces.of_cluster(&client)).await? {
        // Who reads the output does not want to know who wrote which field.
        pod.metadata.managed_fields = None;
        objects.push(("the cluster".to_owned(), cluster::whole(&pod, Resource::of::<Pod>())?));
    }
    Ok(Input { networks, objects, options: options.clone() })
}

/// How the release decides, as far as it can be read. Where it cannot, standard error says so.
async fn options_of_release(arguments: &Arguments, client: &Client, progress: &Progress) -> Options {
    let settings = Settings::without_probe(Check::Nad);
    let wants_release = arguments.admission.wants_release();
    let facts = collect_release(client, &settings, wants_release, |what| progress.doing(what)).await;
    let decisions = arguments.admission.with_release(&facts);
    if let Source::Unread { reason } = &decisions.source {
        eprintln!(
            "{} review: the flags of the release are not known, and pods are decided by those of this command \
             line: {reason}; to decide by these anyway, add --no-release-flags",
            program()
        );
    }
    decisions.options
}

fn networks_of_files(arguments: &Arguments, options: &Options) -> anyhow::Result<BTreeMap<NadName, Network>> {
    let path = arguments
        .networks
        .as_deref()
        .context("no networks: name a file or a folder of NADs with --networks, or use --from-cluster")?;
    if !path.exists() {
        bail!("--networks {}: does not exist; name a file or a folder of NADs", path.display());
    }
    let networks = file::load(path, &options.resource_annotations)?.networks;
    Ok(networks.into_iter().map(|(name, network)| (name, Arc::unwrap_or_clone(network))).collect())
}

/// All objects of files. Pods without a namespace get this one, as with `kubectl create`.
fn objects(paths: &[PathBuf], namespace: Option<&str>) -> anyhow::Result<Vec<(String, Value)>> {
    let standard_input = [PathBuf::from("-")];
    let paths = if paths.is_empty() { &standard_input } else { paths };
    let mut objects = Vec::new();
    for path in paths {
        let (place, bytes) = read_input(path)?;
        let parsed = manifests::text(&bytes).and_then(manifests::parse);
        let parsed = parsed.map_err(|problem| anyhow!("{place}: {problem}"))?;
        objects
            .extend(parsed.into_iter().map(|found| (format!("{place}: {}", found.position), found.object)));
    }
    if let Some(namespace) = namespace {
        objects.iter_mut().for_each(|(_, object)| default_namespace(object, namespace));
    }
    Ok(objects)
}

fn default_namespace(object: &mut Value, namespace: &str) {
    if manifests::kind(object) != "Pod" {
        return;
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.entry("namespace").or_insert_with(|| namespace.into());
    }
}

fn read_input(path: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).context("standard input")?;
        return Ok(("standard input".to_owned(), bytes));
    }
    let place = path.display().to_string();
    if path.is_dir() {
        bail!("{place}: is a folder; name its files");
    }
    let bytes = std::fs::read(path).with_context(|| place.clone())?;
    Ok((place, bytes))
}

fn judge(object: Value, networks: &impl Networks, options: &Options) -> anyhow::Result<Reviewed> {
    let mut review = match manifests::kind(&object) {
        "AdmissionReview" => object,
        "Pod" => review_of(&object),
        "VirtualMachineInstance" | "VirtualMachine" => bail!(
            "there is a virtual machine among the pods, and the webhook reviews its pod: kubectl get pod \
             --selector kubevirt.io=virt-launcher --output yaml, or with --from-cluster no file at all"
        ),
        other => bail!("there is a {other:?} among the pods: only Pod and AdmissionReview can be reviewed"),
    };
    let body = serde_json::to_vec(&review)?;
    let (pod_name, decision) = match read(&body) {
        Ok(request) => {
            let name =
                request.object.as_ref().map_or_else(|| "(no pod)".to_owned(), |pod| pod.display_name());
            (format!("{}/{name}", request.namespace()), decide(&request, networks, options))
        }
        Err(Unreadable::Answerable { uid, denial }) => {
            (format!("review {uid}"), Decision::new(Verdict::denied(denial)))
        }
        Err(Unreadable::NoReview(message)) => bail!(message),
    };
    let pod = review.pointer_mut("/request/object").map(Value::take).unwrap_or_default();
    Ok(Reviewed { pod_name, pod, decision })
}

fn print(reviewed: &Reviewed, output: Output, index: usize, to: &mut impl Write) -> anyhow::Result<()> {
    let Reviewed { pod_name, pod, decision } = reviewed;
    if output == Output::Table {
        if index > 0 {
            writeln!(to)?;
        }
        return Ok(to.write_all(table::table(pod_name, decision).as_bytes())?);
    }
    if output == Output::Json {
        return Ok(writeln!(to, "{}", serde_json::to_string(&Report::new(pod_name, decision))?)?);
    }
    let Verdict { outcome, warnings, .. } = &decision.verdict;
    let denial = decision.verdict.denial();
    if let Some(denial) = denial {
        eprintln!("{pod_name}: denied: {}", denial.message);
    }
    for warning in warnings {
        eprintln!("{pod_name}: warning: {warning}");
    }
    let patch = outcome.patch();
    if output == Output::Patch {
        writeln!(to, "{}", serde_json::to_string(patch)?)?;
    } else if denial.is_none() {
        let mut pod = pod.clone();
        json_patch::patch(&mut pod, patch)?;
        write!(to, "---\n{}", serde_saphyr::to_string(&pod)?)?;
    }
    Ok(())
}

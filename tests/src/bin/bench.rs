//! Measures the webhook beside the floor and, if there is one, a peer; `tests/bench` builds and runs it.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "it measures: what it cannot do is a reason to stop"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Bytes;
use clap::{Parser, Subcommand};
use tests::api_server::ServingCertificate;
use tests::bench::helper;
use tests::bench::{
    ApiServer, Load, Processors, Protocol, Round, Server, Spread, creation, measure, network_files, print,
    print_added, review, send, speaks,
};
use tokio::runtime::Runtime;

/// Few networks and many.
const NETWORK_COUNTS: [usize; 3] = [10, 10_000, 100_000];

/// Measure what a review costs
///
/// Starts the webhook and the floor (a bare server of the same crates that parses the body into the same
/// structs and answers the same each time), and has them take turns under load, with the review of a KubeVirt pod as
/// the body. Every ratio is made within a round and printed as: median (least to greatest).
///
/// The client has half of the processors for itself, and the servers have the others.
#[derive(Debug, Parser)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
struct Arguments {
    /// The webhook's program
    #[arg(long, value_name = "PROGRAM", required = true)]
    webhook: Option<PathBuf>,

    /// The floor's program
    #[arg(long, value_name = "PROGRAM", required = true)]
    floor: Option<PathBuf>,

    /// launcher-hook's program, for the part helper
    #[arg(long, value_name = "PROGRAM", required = true)]
    launcher_hook: Option<PathBuf>,

    /// Another webhook that runs on this machine, as https://HOST:PORT/PATH
    #[arg(long, value_name = "URL", requires = "peer_pid")]
    peer: Option<String>,

    /// Its process, whose CPU time is counted; it is put on the processors of the other servers, and left there
    #[arg(long, value_name = "PID", requires = "peer")]
    peer_pid: Option<u32>,

    /// What has signed the peer's certificate; without it the peer is left out where an API server asks
    #[arg(long, value_name = "FILE", requires = "peer")]
    peer_ca: Option<PathBuf>,

    /// Turns that each server has
    #[arg(long, value_name = "NUMBER", default_value_t = 7)]
    rounds: usize,

    /// Length of a turn, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    turn: f64,

    /// Reviews side by side
    #[arg(long, value_name = "NUMBER", default_value_t = 16)]
    reviews: usize,

    /// Measure only these: servers, networks, selections, creations, start, helper
    #[arg(long, value_name = "PART", value_delimiter = ',', default_value = "servers,networks,selections")]
    only: Vec<Part>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The webhook beside the floor and the peer
    Servers,
    /// The webhook with few and with many networks
    Networks,
    /// Pods with few and with many networks selected
    Selections,
    /// Creations of pods at a real API server, with no webhook, with the floor, the webhook and the peer
    Creations,
    /// From the webhook's start to its being ready, with few and with many networks in a real API server
    Start,
    /// The part of a virtual machine's start that is launcher-hook's
    Helper,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send reviews to a server that runs already, one after the other, for a profiler that watches it
    Send {
        /// Where, as https://HOST:PORT/PATH
        url: String,
        /// How many
        count: usize,
        /// What to speak
        #[arg(long, value_enum, default_value_t = Protocol::Http1)]
        protocol: Protocol,
    },
}

fn main() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap();
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Send { url, count, protocol }) => {
            let server = Server::running(&url, std::process::id());
            run(send(&server, protocol, review(None).into(), count));
        }
        None => {
            let folder = tempfile::tempdir().unwrap();
            let processors = Processors::divide();
            run(Bench { arguments, processors, folder: folder.path() }.run());
        }
    }
}

fn run(future: impl Future<Output = ()>) {
    Runtime::new().unwrap().block_on(future);
}

struct Bench<'a> {
    arguments: Arguments,
    processors: Processors,
    folder: &'a Path,
}

impl Bench<'_> {
    async fn run(self) {
        let Arguments { rounds, turn, reviews, .. } = self.arguments;
        println!("{rounds} rounds of {turn} s, {reviews} reviews side by side; the webhook logs each review");
        println!("{}", self.processors.describe());
        for part in &self.arguments.only {
            match part {
                Part::Servers => self.servers().await,
                Part::Networks => self.networks().await,
                Part::Selections => self.selections().await,
                Part::Creations => self.creations().await,
                Part::Start => self.start().await,
                Part::Helper => self.helper().await,
            }
        }
    }

    fn floor(&self) -> Server {
        let folder = self.certificate();
        let program = self.arguments.floor.as_deref().unwrap();
        let arguments = ["tls.crt", "tls.key"].map(|file| folder.join(file));
        Server::start("floor", &folder.join("log"), &self.processors, program, arguments)
    }

    fn webhook(&self, networks: usize) -> Server {
        let folder = tempfile::tempdir_in(self.folder).unwrap().keep();
        network_files(&folder, networks);
        self.webhook_with("--networks", folder)
    }

    /// A webhook with its networks from there.
    fn webhook_with(&self, flag: &str, value: PathBuf) -> Server {
        // A folder of its own, so that an earlier one's log does not say where this one listens.
        let folder = tempfile::tempdir_in(self.folder).unwrap().keep();
        let program = self.arguments.webhook.as_deref().unwrap();
        let mut arguments = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", flag]
            .map(PathBuf::from)
            .to_vec();
        arguments.extend([value, "--tls-dir".into(), self.certificate()]);
        Server::start("webhook", &folder.join("log"), &self.processors, program, arguments)
    }

    /// The folder of a certificate for all servers that are started here.
    fn certificate(&self) -> PathBuf {
        let folder = self.folder.join("certificate");
        if folder.exists() { folder } else { ServingCertificate::issue().write(&folder) }
    }

    fn round(&self, protocol: Protocol, load: Load) -> Round {
        let Arguments { rounds, turn, reviews, .. } = self.arguments;
        Round { protocol, reviews, load, rounds, turn: Duration::from_secs_f64(turn) }
    }

    async fn servers(&self) {
        let mut servers = vec![self.floor(), self.webhook(10)];
        if let (Some(url), Some(id)) = (&self.arguments.peer, self.arguments.peer_pid) {
            servers.push(Server::peer(url, id, &self.processors));
        }
        let body = Bytes::from(review(None));
        for protocol in [Protocol::Http1, Protocol::Http2] {
            let mut asked = Vec::new();
            for server in &servers {
                if speaks(server, protocol).await {
                    asked.push((server, body.clone()));
                } else {
                    println!("\n{} does not speak {protocol:?}, and is left out", server.name);
                }
            }
            let names: Vec<&str> = asked.iter().map(|(server, _)| server.name.as_str()).collect();
            let closed = measure(&asked, self.round(protocol, Load::Closed)).await;
            print(
                &format!("{protocol:?}, as fast as it answers, {} bytes a review", body.len()),
                &names,
                &closed,
            );
            // Half of what the slowest can do, for all of them.
            let slowest = closed.iter().map(|turns| Spread::of(turns.iter().map(|turn| turn.rate)).median);
            let rate = slowest.fold(f64::INFINITY, f64::min) / 2.0;
            let open = measure(&asked, self.round(protocol, Load::Open { rate })).await;
            print(
                &format!("{protocol:?}, {rate:.0} reviews a second, half of what the slowest can do"),
                &names,
                &open,
            );
        }
        for server in &servers {
            let (resident, most) = server.memory();
            println!(
                "  {:<18} {} resident now, {} at most",
                server.name,
                megabytes(resident),
                megabytes(most)
            );
        }
    }

    async fn creations(&self) {
        let api_server = ApiServer::start(&self.processors);
        let ca = self.certificate().join("ca.crt");
        let floor = self.floor();
        let few = self.webhook(10);
        let many = self.webhook(100_000);
        let mut servers = vec![api_server.without_webhook()];
        for (name, server) in [("floor", &floor), ("webhook", &few), ("webhook, 100k networks", &many)] {
            servers.push(api_server.with_webhook(name, &server.url(), &ca));
        }
        if let (Some(url), Some(ca)) = (&self.arguments.peer, &self.arguments.peer_ca) {
            servers.push(api_server.with_webhook("peer", url, ca));
        }
        let body = Bytes::from(creation());
        let asked: Vec<_> = servers.iter().map(|server| (server, body.clone())).collect();
        let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
        let most = self.arguments.reviews;
        let alone = |load| Round { reviews: 1, ..self.round(Protocol::Http1, load) };
        let rounds = [
            ("10 creations of pods a second".to_owned(), alone(Load::Open { rate: 10.0 })),
            (
                "100 creations of pods a second".to_owned(),
                self.round(Protocol::Http1, Load::Open { rate: 100.0 }),
            ),
            ("Creations of pods, one after the other".to_owned(), alone(Load::Closed)),
            (format!("Creations of pods, {most} at a time"), self.round(Protocol::Http1, Load::Closed)),
        ];
        for (title, round) in rounds {
            let figures = measure(&asked, round).await;
            print(&title, &names, &figures);
            print_added(&names, &figures);
        }
    }

    async fn start(&self) {
        let api_server = ApiServer::start(&self.processors);
        api_server.create_tenants().await;
        let kubeconfig = api_server.control_plane().admin_kubeconfig();
        println!("\nFrom the webhook's start to its being ready, networks from an API server");
        let mut stored = 0;
        for count in NETWORK_COUNTS {
            api_server.create_networks(stored, count).await;
            stored = count;
            let mut lists = Vec::new();
            let mut starts = Vec::new();
            let mut memory = (0, 0);
            for _ in 0..self.arguments.rounds {
                let (listed, took) = api_server.list_networks().await;
                assert_eq!(listed, count, "networks in the API server");
                lists.push(took.as_secs_f64() * 1e3);
                let webhook = self.webhook_with("--kubeconfig", kubeconfig.clone());
                starts.push(webhook.ready().as_secs_f64() * 1e3);
                memory = webhook.memory();
            }
            let times = starts.iter().zip(&lists).map(|(start, list)| start / list);
            println!(
                "  {count:>7} networks: a bare list {:.0} ms, ready after {:.0} ms, {} times the list; {} resident, {} at most",
                Spread::of(lists.iter().copied()).median,
                Spread::of(starts.iter().copied()).median,
                Spread::of(times),
                megabytes(memory.0),
                megabytes(memory.1),
            );
        }
    }

    async fn helper(&self) {
        let program = self.arguments.launcher_hook.as_deref().unwrap();
        let bytes = program.metadata().unwrap().len();
        println!("\nlauncher-hook, {} on disk, from its execution to a defined domain", megabytes(bytes));
        let tenth =
            helper::Tenth::new().inspect_err(|why| println!("  not with a limit of 100m: {why}")).ok();
        let mut groups = vec![("without a limit", None)];
        groups.extend(tenth.as_ref().map(|tenth| ("with a limit of 100m", Some(tenth))));
        let mut starts = vec![Vec::new(); groups.len()];
        let mut executions = Vec::new();
        for _ in 0..self.arguments.rounds {
            executions.push(helper::execution(program).as_secs_f64() * 1e3);
            for (starts, (_, group)) in starts.iter_mut().zip(&groups) {
                let folder = tempfile::tempdir_in(self.folder).unwrap();
                starts.push(helper::start(program, folder.path(), *group).await);
            }
        }
        println!("  its execution alone (--version) {} ms", Spread::of(executions));
        for ((name, _), starts) in groups.iter().zip(&starts) {
            let spread = |value: fn(&helper::Start) -> Duration| {
                Spread::of(starts.iter().map(|start| value(start).as_secs_f64() * 1e3))
            };
            println!(
                "  {name}: ready {} ms, Info {} ms, OnDefineDomain {} ms; CPU {} ms; {} resident",
                spread(|start| start.ready),
                spread(|start| start.info),
                spread(|start| start.define),
                spread(|start| start.cpu),
                megabytes(starts.iter().map(|start| start.resident).max().unwrap()),
            );
        }
    }

    async fn networks(&self) {
        let servers = NETWORK_COUNTS.map(|count| self.webhook(count));
        let listed = servers.each_ref().map(Server::memory);
        let body = Bytes::from(review(None));
        let asked: Vec<_> = servers.iter().map(|server| (server, body.clone())).collect();
        let figures = measure(&asked, self.round(Protocol::Http1, Load::Closed)).await;
        let names = NETWORK_COUNTS.map(|count| format!("{count} networks"));
        print("Networks known", &names.each_ref().map(String::as_str), &figures);
        for ((name, server), (_, listing)) in names.iter().zip(&servers).zip(listed) {
            let (resident, _) = server.memory();
            println!(
                "  {name:<18} {} resident after that, {} at most while it read them",
                megabytes(resident),
                megabytes(listing)
            );
        }
    }

    async fn selections(&self) {
        let server = self.webhook(10);
        let counts = [1, 2, 10, 50, 100];
        let asked = counts.map(|count| (&server, Bytes::from(review(Some(count)))));
        let figures = measure(&asked, self.round(Protocol::Http1, Load::Closed)).await;
        let names = counts.map(|count| format!("{count} selections"));
        print("Networks selected by the pod", &names.each_ref().map(String::as_str), &figures);
        let cpu = |index: usize| Spread::of(figures[index].iter().map(|turn| turn.cpu)).median;
        for (from, to) in [(0, 2), (2, 4)] {
            let each = (cpu(to) - cpu(from)) / (counts[to] - counts[from]) as f64;
            println!("  from {} to {} each one more costs {each:.2} µs", counts[from], counts[to]);
        }
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

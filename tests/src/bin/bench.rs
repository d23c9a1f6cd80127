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
use tests::bench::{
    Load, Processors, Protocol, Round, Server, Spread, measure, network_files, print, review, send, speaks,
};
use tests::cluster::ServingCertificate;
use tokio::runtime::Runtime;

/// Measure what a review costs
///
/// Starts the webhook and the floor (a bare server of the same crates that parses the body into the same
/// structs and answers a constant), and has them take turns under load, with the review of a KubeVirt pod as
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

    /// Another webhook that runs on this machine, as https://HOST:PORT/PATH
    #[arg(long, value_name = "URL", requires = "peer_pid")]
    peer: Option<String>,

    /// Its process, whose CPU time is counted; it is put on the processors of the other servers, and left there
    #[arg(long, value_name = "PID", requires = "peer")]
    peer_pid: Option<u32>,

    /// Turns that each server has
    #[arg(long, value_name = "NUMBER", default_value_t = 7)]
    rounds: usize,

    /// Length of a turn, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    turn: f64,

    /// Reviews side by side
    #[arg(long, value_name = "NUMBER", default_value_t = 16)]
    reviews: usize,

    /// Measure only these: servers, networks, selections
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
            }
        }
    }

    fn floor(&self) -> Server {
        let folder = ServingCertificate::issue().write(&self.folder.join("floor"));
        let program = self.arguments.floor.as_deref().unwrap();
        let arguments = ["tls.crt", "tls.key"].map(|file| folder.join(file));
        Server::start("floor", &folder.join("log"), &self.processors, program, arguments)
    }

    fn webhook(&self, networks: usize) -> Server {
        // A folder of its own, so that an earlier one's log does not say where this one listens.
        let folder = tempfile::tempdir_in(self.folder).unwrap().keep();
        let networks_folder = folder.join("networks");
        network_files(&networks_folder, networks);
        let program = self.arguments.webhook.as_deref().unwrap();
        let mut arguments =
            ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--networks"]
                .map(PathBuf::from)
                .to_vec();
        arguments.push(networks_folder);
        Server::start("webhook", &folder.join("log"), &self.processors, program, arguments)
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

    async fn networks(&self) {
        let counts = [10, 10_000, 100_000];
        let servers = counts.map(|count| self.webhook(count));
        let listed = servers.each_ref().map(Server::memory);
        let body = Bytes::from(review(None));
        let asked: Vec<_> = servers.iter().map(|server| (server, body.clone())).collect();
        let figures = measure(&asked, self.round(Protocol::Http1, Load::Closed)).await;
        let names = counts.map(|count| format!("{count} networks"));
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

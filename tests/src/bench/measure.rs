//! Servers taking turns.

use std::time::Duration;

use axum::body::Bytes;

use super::client::Client;
use super::{Load, Protocol, Server};

/// What one server did in one turn.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// CPU time of the server's process for each review, in microseconds.
    pub cpu: f64,
    /// Reviews a second.
    pub rate: f64,
    /// Half of the reviews took no longer, in milliseconds.
    pub p50: f64,
    /// Of a hundred reviews 99 took no longer, in milliseconds.
    pub p99: f64,
}

/// How long and how hard.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// What is spoken.
    pub protocol: Protocol,
    /// Reviews side by side.
    pub reviews: usize,
    /// How they are sent.
    pub load: Load,
    /// How many turns each server has.
    pub rounds: usize,
    /// How long a turn is.
    pub turn: Duration,
}

/// Before the first turn, so that nobody pays for a cold start.
const WARM_UP: Duration = Duration::from_millis(500);

/// Gives each server its turns. The result has a row for each server, with its turns in order.
pub async fn measure(servers: &[(&Server, Bytes)], round: Round) -> Vec<Vec<Figures>> {
    let mut clients = Vec::new();
    for (server, body) in servers {
        let mut client = Client::open(server, round.protocol, round.reviews, body.clone()).await;
        client.check().await;
        client.run(Load::Closed, WARM_UP).await;
        clients.push(client);
    }
    let mut figures = vec![Vec::new(); servers.len()];
    for number in 0..round.rounds {
        // Every other time the other way round, so that nobody always comes after the same neighbour.
        let mut order: Vec<usize> = (0..servers.len()).collect();
        if number % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let before = servers[index].0.cpu();
            let mut took = clients[index].run(round.load, round.turn).await;
            let cpu = servers[index].0.cpu() - before;
            took.sort_unstable();
            let count = took.len() as f64;
            let percentile = |share: f64| took[((count * share) as usize).min(took.len() - 1)].as_secs_f64();
            figures[index].push(Figures {
                cpu: cpu.as_secs_f64() * 1e6 / count,
                rate: count / round.turn.as_secs_f64(),
                p50: percentile(0.50) * 1e3,
                p99: percentile(0.99) * 1e3,
            });
        }
    }
    figures
}

/// Sends `count` reviews one after the other over one connection: for a profiler that watches the server.
pub async fn send(server: &Server, protocol: Protocol, body: Bytes, count: usize) {
    let mut client = Client::open(server, protocol, 1, body).await;
    client.check().await;
    client.send(count).await;
}

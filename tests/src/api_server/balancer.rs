//! One address with several replicas behind it, as a Service is.

use super::link::pass;
use parking_lot::Mutex;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

/// Passes each new connection on to one of its backends, in turn. Connections stay where they are when
/// backends come and go, as those of a Service do.
#[derive(Debug)]
pub struct Balancer {
    address: SocketAddr,
    backends: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Balancer {
    /// Listens on a loopback address of its own; nobody is behind it yet.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let backends = Arc::new(Mutex::new(Vec::<SocketAddr>::new()));
        let shared = Arc::clone(&backends);
        thread::spawn(move || {
            for (turn, client) in listener.incoming().flatten().enumerate() {
                let backend = {
                    let backends = shared.lock();
                    match backends.len() {
                        0 => None,
                        count => backends.get(turn % count).copied(),
                    }
                };
                if let Some(backend) = backend {
                    // A backend that refuses is the client's to notice: its connection ends here.
                    let _ = pass(&client, backend);
                }
            }
        });
        Self { address, backends }
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// New connections go there too.
    pub fn add(&self, backend: SocketAddr) {
        self.backends.lock().push(backend);
    }

    /// New connections go there no more.
    pub fn remove(&self, backend: SocketAddr) {
        self.backends.lock().retain(|one| *one != backend);
    }
}

//! A network between two programs that a test can cut.

use parking_lot::Mutex;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

/// Passes TCP connections on to another address until it is cut.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    cut: bool,
    open: Vec<TcpStream>,
    accepted: usize,
}

impl Link {
    /// A link to `target`.
    pub fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mut state = shared.lock();
                state.accepted += 1;
                if state.cut {
                    continue;
                }
                if let Ok(streams) = pass(&client, target) {
                    state.open.extend(streams);
                }
            }
        });
        Self { address, state }
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections; new ones get through.
    pub fn interrupt(&self) {
        for stream in self.state.lock().open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Ends all connections and refuses new ones until [`Link::mend`].
    pub fn cut(&self) {
        self.state.lock().cut = true;
        self.interrupt();
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.state.lock().cut = false;
    }

    /// How many connections were asked for so far, those refused included.
    pub fn accepted(&self) -> usize {
        self.state.lock().accepted
    }
}

/// Copies both ways; the streams returned end the connection when they are shut down.
pub(super) fn pass(client: &TcpStream, target: SocketAddr) -> io::Result<[TcpStream; 2]> {
    let server = TcpStream::connect(target)?;
    for (from, to) in [(client, &server), (&server, client)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
    Ok([client.try_clone()?, server])
}

//! What a review costs: the real webhook and other servers, side by side on the same bodies.
//!
//! The figure that counts is the server's CPU time for each review, as the kernel counts it: a busy machine blurs it
//! least. Servers take turns, round by round, so that whatever else the
//! machine does meets all of them; ratios are made within a round and shown with their spread.

mod bodies;
mod client;
mod creations;
pub mod helper;
mod measure;
mod processors;
mod server;
mod stored_networks;
mod table;

pub use bodies::{network_files, review};
pub use client::{Load, Protocol, speaks};
pub use creations::{ApiServer, creation, print_added};
pub use measure::{Figures, Round, measure, send};
pub use processors::Processors;
pub use server::Server;
pub use table::{Spread, print};

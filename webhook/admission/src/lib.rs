//! What to answer to a review: a pure function of its body, the networks and the options.
//!
//! ```text
//! body ──read──► Request ──decide──► Verdict ──answer──► body
//! ```

mod answer;
mod attachments;
mod audit;
mod bounded_messages;
mod claimed;
mod decide;
mod denial;
mod final_look;
mod ignored;
mod launcher_hook;
mod needs;
mod network;
mod nodes;
mod options;
mod patch;
mod pod;
mod pod_patch;
mod podnetinfo;
mod qos_class;
pub mod quantity;
mod review;
mod suggestion;
mod verdict;
mod vmi;

pub use answer::answer;
pub use attachments::Attachment;
pub use decide::{Decision, decide};
pub use denial::{Denial, Reason};
pub use final_look::decide_final;
pub use needs::{Holder, Need, held};
pub use network::{DeviceSource, Lookup, Network, NetworkError, Networks, NodeLabel, Requirements};
pub use nodes::{Nodes, NotWatched};
pub use options::{FinalLook, LauncherHook, Mode, Options, Scope, Unresolved};
pub use patch::Patch;
pub use pod::{Container, Owner, Pod};
pub use review::{Kind, Request, Subject, Unreadable, read, read_vmi, review_of};
pub use verdict::{Outcome, Verdict};
pub use vmi::decide_vmi;

#[cfg(test)]
mod tests;

//! What every part of `sriov-webhook` that talks to an API server has in common:
//!
//! - a deadline for each request ([`within`], [`list()`]), and one watch that is kept open ([`Watch`]);
//! - what went wrong as a [`Failure`], which names the verb, the [`Object`], the reason and the remedy in one sentence,
//!   the same wherever it occurs;
//! - [`OnChange`], because a failure that repeats every second is logged once.
//!
//! It knows nothing of certificates or networks. It lives in the folder of `certs` because that is the lower of its
//! two users: in webhook's folder `certs` would depend on something above it, and for a folder beside the programs it
//! is too small.

mod backoff;
mod chain;
mod failure;
mod object;
mod on_change;
mod request;
mod watch;

pub use backoff::Backoff;
pub use chain::chain;
pub use failure::{Failure, Kind, no_answer};
pub use object::{Object, Resource, Scope};
pub use on_change::OnChange;
pub use request::{DEADLINE, list, within};
pub use watch::{Heartbeat, Told, Watch};

//! `sriov-webhook serve`: the webhook itself.

mod arguments;
mod certificate;
mod hint;
mod run;
mod tasks;

pub(super) use arguments::Arguments;
pub(super) use run::run;

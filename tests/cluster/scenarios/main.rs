//! What a real API server makes of the webhook. Run by `tests/cluster/run`.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod alerts;
mod apply;
mod audit;
mod certificates;
mod changes;
mod chaos;
mod chart;
mod doctor;
mod doctor_release;
mod final_look;
mod image;
mod injection;
mod kubeconfig;
mod kubectl_plugin;
mod many_networks;
mod match_conditions;
mod outages;
mod permissions;
mod refusals;
mod release;
mod rendering;
mod too_few;
mod virtual_machines;

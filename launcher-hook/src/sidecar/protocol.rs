//! What `build.rs` makes of `proto/`.
#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated; proto/ has the words")]

pub(crate) mod info {
    tonic::include_proto!("kubevirt.hooks.info");
}
pub(crate) mod v1alpha1 {
    tonic::include_proto!("kubevirt.hooks.v1alpha1");
}
pub(crate) mod v1alpha2 {
    tonic::include_proto!("kubevirt.hooks.v1alpha2");
}
pub(crate) mod v1alpha3 {
    tonic::include_proto!("kubevirt.hooks.v1alpha3");
}
pub(crate) mod plugins {
    tonic::include_proto!("kubevirt.hooks.plugins.v1alpha1");
}

//! Fakes of the programs that a node has beside the kubelet: as small as they can be, and only where the
//! real ones are not at hand.
//!
//! They give the kubelet, the pod and the API what the real ones give: the same variables, device nodes,
//! device files and annotations. `contract` and `docs/lab.md` say where each format comes from.

pub mod cni;
pub mod device_plugin;
pub mod multus;
pub mod sriov;
pub mod sriovdp;
pub mod virt_handler;

/// The kubelet's own messages and services.
pub mod kubelet {
    #![allow(missing_docs, clippy::unwrap_used, reason = "generated; tests/proto has the comments")]
    /// What a device plugin and the kubelet say to each other.
    pub mod v1beta1 {
        tonic::include_proto!("v1beta1");
    }
    /// What the kubelet tells of the devices that pods have.
    pub mod v1 {
        tonic::include_proto!("v1");
    }
}

//! Annotation keys, as their owners spell them.

/// On a pod: the networks Multus attaches, in either of its two grammars
/// (see [`parse_networks`](crate::parse_networks)).
pub const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";

/// On a pod: the network that takes the place of the cluster's own as `eth0`; one entry
/// (see [`parse_default_network`](crate::parse_default_network)).
pub const DEFAULT_NETWORK: &str = "v1.multus-cni.io/default-network";

/// On a pod, written by Multus once the sandbox exists: what was attached
/// (see [`network_status`](crate::network_status)).
pub const NETWORK_STATUS: &str = "k8s.v1.cni.cncf.io/network-status";

/// On a NAD: the extended resource that a pod has to hold once for each attachment
/// (see [`ResourceName`](crate::ResourceName)).
pub const RESOURCE_NAME: &str = "k8s.v1.cni.cncf.io/resourceName";

/// On a NAD: `key=value` or `key`, a label that a node must have to reach the network.
pub const NODE_SELECTOR: &str = "k8s.v1.cni.cncf.io/nodeSelector";

/// On a VMI, from where KubeVirt copies it to the pod: whether the webhook puts `launcher-hook` into the
/// pod; `off`, `sidecar` or `compute`, whatever its flags say.
pub const LAUNCHER_HOOK: &str = "kubevirt-sriov.io/launcher-hook";

/// On a NAD: where its device comes from; `device-plugin`, `resource-claim` or `none`. The webhook requests a
/// resource for the first only, which is also what counts where the annotation is absent.
pub const DEVICE_SOURCE: &str = "kubevirt-sriov.io/device-source";

/// On a pod, or on a VMI, from where KubeVirt copies it to the pod: networks that the webhook leaves alone; `*` for
/// all of them, or a list as in [`NETWORKS`].
pub const IGNORE_NETWORKS: &str = "kubevirt-sriov.io/ignore-networks";

/// On a VMI, from where KubeVirt copies it to the pod, written by the webhook: NAD and resource of each of
/// its networks (see [`VmiNetworks`](crate::VmiNetworks)).
pub const NETWORKS_OF_VMI: &str = "kubevirt-sriov.io/networks";

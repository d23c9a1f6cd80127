//! Names that KubeVirt gives to things in a virt-launcher pod.
//!
//! Source: KubeVirt's tree, 1.9 line of 2026-08.

/// Label whose value [`LAUNCHER`] marks a virt-launcher pod, migration targets included.
pub const LAUNCHER_LABEL: &str = "kubevirt.io";

/// Value of [`LAUNCHER_LABEL`] on a virt-launcher pod.
pub const LAUNCHER: &str = "virt-launcher";

/// Kind of the object that a virtual machine's pods belong to.
pub const VMI_KIND: &str = "VirtualMachineInstance";

/// Name of [`VMI_KIND`] in API paths.
pub const VMI_PLURAL: &str = "virtualmachineinstances";

/// API group and version of [`VMI_KIND`].
pub const VMI_API_VERSION: &str = "kubevirt.io/v1";

/// The container that runs libvirt and QEMU. It is first today; its place promises nothing.
pub const COMPUTE_CONTAINER: &str = "compute";

/// Annotation that virt-controller fills once the pod's networks are up
/// (see [`network_info`](crate::network_info)).
pub const NETWORK_INFO: &str = "kubevirt.io/network-info";

/// Where the downward API mounts [`NETWORK_INFO`] in the `compute` container. The file is there and
/// empty until virt-controller has written the annotation.
pub const NETWORK_INFO_FILE: &str = "/etc/podinfo/network-info";

/// Directory in which virt-launcher looks for hook sockets, one sub-directory for each sidecar.
pub const HOOK_SOCKET_DIRECTORY: &str = "/var/run/kubevirt-hooks";

/// Prefix of the variable in which KubeVirt up to 1.6 names the resource of a VMI network:
/// `KUBEVIRT_RESOURCE_NAME_<network>=<resource>`.
pub const RESOURCE_NAME_VARIABLE_PREFIX: &str = "KUBEVIRT_RESOURCE_NAME_";

/// Prefix of a hostdev's alias in the domain: `ua-sriov-<network>`. KubeVirt finds its devices by it.
pub const HOSTDEV_ALIAS_PREFIX: &str = "ua-sriov-";

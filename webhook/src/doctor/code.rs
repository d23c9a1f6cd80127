//! What a finding is called, for scripts, and where it is explained.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

/// The kind of a finding that is not ok. Names are part of the output that scripts read: they are never renamed, and
/// one that is no longer used is not used for another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// Something could not be read, so nothing is known of it.
    CannotRead,
    /// The API server is older than the chart needs.
    KubernetesTooOld,
    /// The version of the API server is not understood.
    KubernetesVersionUnknown,
    /// This user may not create what the chart has.
    InstallNotPermitted,
    /// No registration sends pods to this webhook.
    WebhookNotRegistered,
    /// Several registrations send pods to this webhook.
    WebhookRegisteredTwice,
    /// The registration has no CA bundle.
    WebhookCaMissing,
    /// Pods pass while no replica answers.
    WebhookFailurePolicyIgnore,
    /// The API server does not trust the serving certificate.
    WebhookCertificateNotTrusted,
    /// The API server does not reach the webhook.
    WebhookNotReached,
    /// The API server does not call the webhook for a pod that it would deny.
    WebhookNotCalled,
    /// The dry run did not reach the webhook.
    WebhookAnswerUnknown,
    /// While no replica answers, no VMI can be created.
    WebhookVmisFailurePolicyFail,
    /// Something was not looked at, and nothing that was depends on it.
    NotLookedAt,
    /// The Service of the registration does not exist.
    ReleaseServiceMissing,
    /// Which Deployment is behind the Service is not known.
    ReleaseDeploymentUnknown,
    /// No replica is ready.
    ReleaseNotReady,
    /// Fewer replicas are ready than there should be.
    ReleaseReplicasMissing,
    /// Some replicas are of an older template.
    ReleaseRolloutUnfinished,
    /// The replicas are of another version than this program.
    ReleaseVersionDiffers,
    /// The version of the replicas is not known.
    ReleaseVersionUnknown,
    /// The flags of the release could not be read, so pods are decided by others.
    ReleaseFlagsUnknown,
    /// The Secret has no serving certificate.
    ReleaseCertificateMissing,
    /// The serving certificate has expired, or is not valid yet.
    ReleaseCertificateExpired,
    /// The serving certificate should have been renewed.
    ReleaseCertificateEnding,
    /// The serving certificate is for other names than the Service's.
    ReleaseCertificateName,
    /// The registration does not trust the CA of the serving certificate.
    ReleaseCaMismatch,
    /// A replica counted internal errors.
    ReleaseInternalErrors,
    /// A replica has had no news of NADs.
    ReleaseNetworksStale,
    /// Another injector handles the same pods.
    InjectorCompeting,
    /// The cluster has no KubeVirt.
    KubevirtMissing,
    /// Which KubeVirt it is cannot be seen.
    KubevirtVersionUnknown,
    /// KubeVirt leaves devices to a webhook, and there is none.
    KubevirtWithoutInjector,
    /// The cluster does not know NetworkAttachmentDefinitions.
    MultusMissing,
    /// There are no NADs.
    NadNone,
    /// An annotation of a NAD is not valid.
    NadAnnotationInvalid,
    /// The CNI configuration of a NAD cannot be read.
    NadConfigInvalid,
    /// A NAD whose networks need a VF names no resource.
    NadWithoutResource,
    /// An annotation of a NAD is ignored, because its key is misspelt.
    NadAnnotationMisspelt,
    /// A VMI claims the device of a NAD whose resource name no pod can request.
    NadNameForClaim,
    /// No node advertises the resource that a NAD names.
    ResourceNotAdvertised,
    /// Nodes advertise the resource, and have none of it.
    ResourceWithoutDevices,
    /// No node that advertises the resource is ready.
    ResourceNodesNotReady,
    /// Pods wait for the resource.
    ResourceExhausted,
    /// Nodes advertise a resource that no NAD names.
    ResourceUnused,
    /// A node with devices is not ready.
    NodeNotReady,
    /// Virtual machines hold more devices than their node has.
    DevicesLost,
    /// The networks of a VMI cannot be read.
    VmiUnreadable,
    /// No VMI has the name that was given.
    VmiUnknown,
    /// A VMI has no pod.
    VmiWithoutPod,
    /// KubeVirt cannot bring the domain of a VMI to the state that it should have.
    VmiNotSynchronized,
    /// A pod cannot be read.
    PodUnreadable,
    /// The webhook would deny the pod today.
    PodDenied,
    /// The webhook admits the pod with a warning.
    PodWarning,
    /// No node takes the pod.
    PodUnschedulable,
    /// The pod holds fewer devices than its networks need.
    DeviceMissing,
    /// A container other than `compute` holds the devices.
    DeviceElsewhere,
    /// The request of a claim has no device for its network, or several.
    ClaimDeviceCount,
    /// A device of a running VMI is not in its domain.
    DeviceNotInDomain,
    /// What several objects say of one device disagrees.
    DeviceMismatch,
    /// The kubelet says that a device is unhealthy.
    DeviceUnhealthy,
    /// The node was restarted after the devices were allocated.
    DevicesStale,
    /// Whether the node was restarted after the devices were allocated cannot be seen.
    DevicesMayBeStale,
    /// The kubelet could not allocate the devices.
    DevicesNotAllocated,
    /// Multus did not attach a network.
    NetworkNotAttached,
    /// The pod does not select a network of its VMI.
    NetworkNotSelected,
    /// What Multus says of the pod's networks cannot be read.
    NetworkStatusUnreadable,
    /// What KubeVirt says of the pod's devices cannot be read.
    NetworkInfoUnreadable,
    /// KubeVirt has no device for a network.
    NetworkInfoWithoutDevice,
}

impl Code {
    /// The page with a heading for each of them.
    pub const PAGE: &'static str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/docs/findings.md");

    /// The address of the text that explains it.
    #[must_use]
    pub fn url(self) -> String {
        format!("{}#{self}", Self::PAGE)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // No variant is skipped, so each has a name.
        self.to_possible_value().map_or(Ok(()), |value| f.write_str(value.get_name()))
    }
}

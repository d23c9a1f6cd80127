//! What an administrator can set about decisions.
//!
//! With the feature `clap` the enums are values of flags, and what is said about a variant is its help.

use contract::{NadName, annotation, nad};

/// Settings of [`decide`](fn@super::decide) and of how NADs are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Which pods are looked at.
    pub scope: Scope,
    /// Annotation keys of a NAD that name a resource.
    pub resource_annotations: Vec<String>,
    /// Whether a pod may name NADs of its own namespace and of `global_namespaces` only, as Multus does
    /// with its own `namespaceIsolation`; as its default network also those of `multus_namespace`. Multus
    /// does not check the default network at all, and the creator of a pod writes its name.
    pub namespace_isolation: bool,
    /// Namespaces whose NADs every pod may name.
    pub global_namespaces: Vec<String>,
    /// Where a default network without a namespace is looked for: the namespace Multus is configured with.
    pub multus_namespace: String,
    /// What to do about a NAD that is unknown or invalid.
    pub on_unresolved: Unresolved,
    /// Whether pods other than virt-launcher's get `/etc/podnetinfo`.
    pub podnetinfo: bool,
    /// Whether and how `launcher-hook` is injected into pods.
    pub launcher_hook: LauncherHook,
    /// What to do about a pod that would be stored without what its networks need.
    pub final_look: FinalLook,
}

/// What to do about a pod that would be stored without what its networks need.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum FinalLook {
    /// Refuse the pod
    #[default]
    Deny,
    /// Admit it, with a warning
    Warn,
}

/// Which pods are looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Scope {
    /// KubeVirt's pods, by their label kubevirt.io=virt-launcher
    #[default]
    VirtLauncher,
    /// Every pod; without a container named compute, the first container gets the resources
    AllPods,
}

/// What to do about a NAD that is unknown or invalid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Unresolved {
    /// Refuse the pod
    #[default]
    Deny,
    /// Admit it without that network's resource, with a warning
    Warn,
}

/// How the helper gets into pods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LauncherHook {
    /// Where no annotation says otherwise.
    pub mode: Mode,
    /// The image with `/launcher-hook` in it; `None` if the helper cannot be injected at all.
    pub image: Option<String>,
    /// `imagePullPolicy` of the containers that are added.
    pub image_pull_policy: String,
    /// Secret of the pod's namespace with which the kubelet may pull the image; `None` if it needs none.
    pub image_pull_secret: Option<String>,
    /// CPU request of the containers that are added; the limit where less would cost the pod its QoS class.
    pub cpu_request: String,
    /// CPU limit of the containers that are added.
    pub cpu_limit: String,
    /// Memory request and limit of the containers that are added.
    pub memory: String,
    /// What the helper is called with besides what its place demands, such as `--assign=multus`.
    pub arguments: Vec<String>,
}

/// Whether and where the helper runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Mode {
    /// Do not inject it
    #[default]
    Off,
    /// As a sidecar that knows VFs from KubeVirt's network-info only
    Sidecar,
    /// As a sidecar to which compute reports its devices, with the device plugin's variables
    Compute,
}

impl LauncherHook {
    /// The image pull policy if none is named.
    pub const IMAGE_PULL_POLICY: &str = "IfNotPresent";
    /// The CPU request if none is named.
    pub const CPU_REQUEST: &str = "5m";
    /// The CPU limit if none is named.
    pub const CPU_LIMIT: &str = "100m";
    /// The memory request and limit if none is named.
    pub const MEMORY: &str = "16Mi";
}

impl Default for LauncherHook {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            image: None,
            image_pull_policy: Self::IMAGE_PULL_POLICY.to_owned(),
            image_pull_secret: None,
            cpu_request: Self::CPU_REQUEST.to_owned(),
            cpu_limit: Self::CPU_LIMIT.to_owned(),
            memory: Self::MEMORY.to_owned(),
            arguments: Vec::new(),
        }
    }
}

impl Options {
    /// Whether `namespace_isolation` keeps a pod in `namespace` from using `nad`.
    pub(super) fn isolates(&self, namespace: &str, nad: &NadName, is_default: bool) -> bool {
        let other = nad.namespace();
        self.namespace_isolation
            && other != namespace
            && !self.shared_namespaces(is_default).any(|shared| shared == other)
    }

    /// Whose NADs it may use, for messages.
    pub(super) fn usable_namespaces(&self, is_default: bool) -> String {
        let shared: Vec<&str> = self.shared_namespaces(is_default).collect();
        if shared.is_empty() {
            "its own namespace".to_owned()
        } else {
            format!("its own namespace or of {}", shared.join(", "))
        }
    }

    fn shared_namespaces(&self, is_default: bool) -> impl Iterator<Item = &str> {
        let multus = is_default.then_some(&self.multus_namespace);
        self.global_namespaces.iter().chain(multus).map(String::as_str)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            scope: Scope::default(),
            resource_annotations: vec![annotation::RESOURCE_NAME.to_owned()],
            namespace_isolation: false,
            // Multus counts this namespace as global where it is not told otherwise.
            global_namespaces: vec!["default".to_owned()],
            multus_namespace: nad::MULTUS_NAMESPACE.to_owned(),
            on_unresolved: Unresolved::default(),
            podnetinfo: false,
            launcher_hook: LauncherHook::default(),
            final_look: FinalLook::default(),
        }
    }
}

impl Mode {
    /// Reads the annotation [`LAUNCHER_HOOK`](annotation::LAUNCHER_HOOK).
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "off" => Some(Self::Off),
            "sidecar" => Some(Self::Sidecar),
            "compute" => Some(Self::Compute),
            _ => None,
        }
    }
}

#[cfg(all(test, feature = "clap"))]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    #[test]
    fn a_flag_and_the_annotation_name_a_mode_alike() {
        for mode in Mode::value_variants() {
            let flag = mode.to_possible_value().unwrap();
            assert_eq!(Mode::parse(flag.get_name()), Some(*mode));
        }
        assert_eq!(Mode::value_variants().len(), 3);
    }
}

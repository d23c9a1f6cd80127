//! What an administrator can set about decisions.

use contract::{NadName, annotation};

use super::LauncherHook;

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
    /// Whether and how `launcher-hook` is put into pods.
    pub launcher_hook: LauncherHook,
}

/// Which pods are looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scope {
    /// Pods with KubeVirt's virt-launcher label.
    #[default]
    VirtLauncher,
    /// Every pod.
    AllPods,
}

/// What to do about a NAD that is unknown or invalid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unresolved {
    /// Refuse the pod.
    #[default]
    Deny,
    /// Let it pass without that NAD's resource, with a warning.
    Warn,
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
            multus_namespace: "kube-system".to_owned(),
            on_unresolved: Unresolved::default(),
            podnetinfo: false,
            launcher_hook: LauncherHook::default(),
        }
    }
}

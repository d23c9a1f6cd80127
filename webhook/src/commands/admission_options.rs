//! The flags that decide about pods, the same for every command that does.

use admission::{Options, Scope, Unresolved};
use clap::{Args, ValueEnum};
use contract::annotation;

use super::launcher_hook_options::LauncherHookOptions;

/// How pods are judged.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Decisions")]
pub struct AdmissionOptions {
    /// Which pods are looked at
    #[arg(long, value_enum, default_value_t = ScopeFlag::VirtLauncher)]
    scope: ScopeFlag,

    /// Annotation of a NetworkAttachmentDefinition that names its resource; may be given several times,
    /// and each resource that a NAD names counts once
    #[arg(long, value_name = "KEY", default_value = annotation::RESOURCE_NAME)]
    resource_annotation: Vec<String>,

    /// Let pods use NetworkAttachmentDefinitions of their own namespace and of the global ones only, as
    /// Multus does with its namespaceIsolation; for a default network, which Multus does not check, also those
    /// of --multus-namespace
    #[arg(long)]
    namespace_isolation: bool,

    /// Namespace whose NetworkAttachmentDefinitions every pod may use; may be given several times
    #[arg(long, value_name = "NAMESPACE", default_value = "default")]
    global_namespace: Vec<String>,

    /// Namespace that Multus is configured with: where a default network without a namespace is looked for
    #[arg(long, value_name = "NAMESPACE", default_value = "kube-system")]
    multus_namespace: String,

    /// What to do with a pod that names a NetworkAttachmentDefinition which is unknown or wrong
    #[arg(long, value_enum, default_value_t = UnresolvedFlag::Deny)]
    on_unresolved: UnresolvedFlag,

    /// Give pods that are no virt-launcher pods their labels, annotations and hugepages as files in
    /// /etc/podnetinfo, as network-resources-injector does; needs --scope all-pods
    #[arg(long)]
    podnetinfo: bool,

    #[command(flatten)]
    launcher_hook: LauncherHookOptions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ScopeFlag {
    /// KubeVirt's pods, by their label kubevirt.io=virt-launcher
    VirtLauncher,
    /// Every pod; one without a container named compute gets its resources on the first
    AllPods,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum UnresolvedFlag {
    /// Refuse the pod
    Deny,
    /// Let it pass without that network's resource, with a warning
    Warn,
}

impl AdmissionOptions {
    /// Flags that cannot work together, in a sentence.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.podnetinfo && self.scope == ScopeFlag::VirtLauncher {
            return Err("--podnetinfo is for pods that are no virt-launcher pods: add --scope all-pods, or leave it out"
                .to_owned());
        }
        self.launcher_hook.check()
    }
}

impl From<AdmissionOptions> for Options {
    fn from(flags: AdmissionOptions) -> Self {
        let AdmissionOptions {
            scope,
            resource_annotation,
            namespace_isolation,
            global_namespace,
            multus_namespace,
            on_unresolved,
            podnetinfo,
            launcher_hook,
        } = flags;
        Self {
            scope: match scope {
                ScopeFlag::VirtLauncher => Scope::VirtLauncher,
                ScopeFlag::AllPods => Scope::AllPods,
            },
            resource_annotations: resource_annotation,
            namespace_isolation,
            global_namespaces: global_namespace,
            multus_namespace,
            on_unresolved: match on_unresolved {
                UnresolvedFlag::Deny => Unresolved::Deny,
                UnresolvedFlag::Warn => Unresolved::Warn,
            },
            podnetinfo,
            launcher_hook: launcher_hook.into(),
        }
    }
}

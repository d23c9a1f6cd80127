//! The flags that decide about pods, the same for every command that does.

use admission::{FinalLook, Options, Scope, Unresolved};
use clap::Args;
use contract::{annotation, nad};

use super::launcher_hook_options::LauncherHookOptions;

/// How pods are decided.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Decisions")]
pub struct AdmissionOptions {
    /// Which pods are reviewed
    #[arg(long, value_enum, default_value_t)]
    scope: Scope,

    /// Annotation of a NetworkAttachmentDefinition that names its resource
    ///
    /// May be given several times; each resource that a NAD names counts once.
    #[arg(long, value_name = "KEY", default_value = annotation::RESOURCE_NAME)]
    resource_annotation: Vec<String>,

    /// Restrict pods to NetworkAttachmentDefinitions of their own namespace and of global ones
    ///
    /// This is what Multus does with its namespaceIsolation. A default network, which Multus does not check, may also
    /// be in --multus-namespace.
    #[arg(long)]
    namespace_isolation: bool,

    /// Namespace whose NetworkAttachmentDefinitions every pod may use
    ///
    /// Counts with --namespace-isolation only; may be given several times.
    #[arg(long, value_name = "NAMESPACE", default_value = "default", hide_short_help = true)]
    global_namespace: Vec<String>,

    /// Namespace that Multus is configured with, in which it looks up a default network without a namespace
    #[arg(long, value_name = "NAMESPACE", default_value = nad::MULTUS_NAMESPACE, hide_short_help = true)]
    multus_namespace: String,

    /// What to do with a pod that names an unknown or invalid NetworkAttachmentDefinition
    #[arg(long, value_enum, default_value_t)]
    on_unresolved: Unresolved,

    /// Mount labels, annotations and hugepages at /etc/podnetinfo in pods other than virt-launcher pods
    ///
    /// This is what network-resources-injector does. Needs --scope all-pods.
    #[arg(long, hide_short_help = true)]
    podnetinfo: bool,

    #[command(flatten)]
    launcher_hook: LauncherHookOptions,
}

impl AdmissionOptions {
    /// Flags that cannot work together, in a sentence.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.podnetinfo && self.scope == Scope::VirtLauncher {
            return Err("--podnetinfo is for pods other than virt-launcher pods: add --scope all-pods, or remove --podnetinfo"
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
            scope,
            resource_annotations: resource_annotation,
            namespace_isolation,
            global_namespaces: global_namespace,
            multus_namespace,
            on_unresolved,
            podnetinfo,
            launcher_hook: launcher_hook.into(),
            // Only serve is asked for it.
            final_look: FinalLook::default(),
        }
    }
}

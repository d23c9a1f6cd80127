//! The flags for injecting `launcher-hook`.

use admission::{LauncherHook, Mode};
use clap::{Arg, Args};
use contract::{check_subdomain, helper};

/// How the helper gets into pods.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "launcher-hook")]
pub struct LauncherHookOptions {
    /// How to inject launcher-hook into virt-launcher pods
    ///
    /// A VMI's annotation kubevirt-sriov.io/launcher-hook (off, sidecar, compute) overrides this.
    #[arg(long, value_enum, default_value_t)]
    launcher_hook: Mode,

    /// Image with /launcher-hook in it, such as ghcr.io/kubevirt-sriov/launcher-hook:VERSION
    ///
    /// Without an image, the pods of VMIs that request launcher-hook are denied.
    #[arg(long, value_name = "IMAGE")]
    launcher_hook_image: Option<String>,

    /// When the kubelet pulls that image
    #[arg(long, hide_short_help = true, value_name = "POLICY", default_value = LauncherHook::IMAGE_PULL_POLICY, value_parser = ["Always", "IfNotPresent", "Never"])]
    launcher_hook_image_pull_policy: String,

    /// Secret with which the kubelet may pull that image, added to each pod that gets launcher-hook
    ///
    /// It must exist in the namespaces of virtual machines.
    #[arg(long, hide_short_help = true, value_name = "NAME", value_parser = secret_name)]
    launcher_hook_image_pull_secret: Option<String>,

    /// CPU request of the added containers
    ///
    /// In a pod of QoS class Guaranteed it is the CPU limit instead, so that the pod keeps its class.
    #[arg(long, hide_short_help = true, value_name = "QUANTITY", default_value = LauncherHook::CPU_REQUEST)]
    launcher_hook_cpu_request: String,

    /// CPU limit of the added containers
    #[arg(long, hide_short_help = true, value_name = "QUANTITY", default_value = LauncherHook::CPU_LIMIT)]
    launcher_hook_cpu_limit: String,

    /// Memory request and limit of the added containers
    #[arg(long, hide_short_help = true, value_name = "QUANTITY", default_value = LauncherHook::MEMORY)]
    launcher_hook_memory: String,

    /// Argument for launcher-hook itself, such as --assign=multus
    ///
    /// May be given several times. The flags --assign, --binding, --log-format, --log-level, --network-info-patience
    /// and --verify can be set.
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true, hide_short_help = true)]
    launcher_hook_argument: Vec<String>,
}

/// Leaves the helper's flags to `--help`: commands for people need them only if the replicas inject it.
pub(super) fn hide_launcher_hook(argument: Arg) -> Arg {
    let hidden = argument.get_id().as_str().starts_with("launcher_hook");
    if hidden { argument.hide_short_help(true) } else { argument }
}

impl LauncherHookOptions {
    /// What is wrong with the flags, in a sentence. The image is looked for here, so that the sentence can name one.
    pub(super) fn check(&self) -> Result<(), String> {
        helper::check_arguments(&self.launcher_hook_argument)
            .map_err(|problem| format!("--launcher-hook-argument: {problem}"))?;
        if self.launcher_hook == Mode::Off || self.launcher_hook_image.is_some() {
            return Ok(());
        }
        Err(format!(
            "--launcher-hook needs an image: name it with --launcher-hook-image, such as \
             ghcr.io/kubevirt-sriov/launcher-hook:{}",
            env!("CARGO_PKG_VERSION")
        ))
    }
}

impl From<LauncherHookOptions> for LauncherHook {
    fn from(flags: LauncherHookOptions) -> Self {
        let LauncherHookOptions {
            launcher_hook,
            launcher_hook_image,
            launcher_hook_image_pull_policy,
            launcher_hook_image_pull_secret,
            launcher_hook_cpu_request,
            launcher_hook_cpu_limit,
            launcher_hook_memory,
            launcher_hook_argument,
        } = flags;
        Self {
            mode: launcher_hook,
            image: launcher_hook_image,
            image_pull_policy: launcher_hook_image_pull_policy,
            image_pull_secret: launcher_hook_image_pull_secret,
            cpu_request: launcher_hook_cpu_request,
            cpu_limit: launcher_hook_cpu_limit,
            memory: launcher_hook_memory,
            arguments: launcher_hook_argument,
        }
    }
}

/// A Secret's name, as the API server takes it: a pod with another would be refused.
fn secret_name(text: &str) -> Result<String, String> {
    match check_subdomain(text) {
        Ok(()) => Ok(text.to_owned()),
        Err(problem) => Err(format!("the name of a Secret {problem}")),
    }
}

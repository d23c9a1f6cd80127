//! The helper's container.

use contract::helper::{self, flag, option, subcommand};
use contract::kubevirt;
use serde_json::{Value, json};

use crate::LauncherHook;

/// How many seconds the startup probe waits for the socket.
const PROBE_PATIENCE: u32 = 20;

/// How many seconds the kubelet gives the startup probe. On a slow node, starting its process takes several.
const PROBE_TIMEOUT: u32 = PROBE_PATIENCE + 10;

/// virt-launcher runs as this user and group, and so has to be who opens the socket.
const KUBEVIRT_USER: u32 = 107;

/// `container` with what both modes have in common. It passes Pod Security `restricted`, and a pod that is of QoS
/// class Guaranteed without it remains so.
pub(super) fn complete(
    settings: &LauncherHook,
    image: &str,
    is_guaranteed: bool,
    mut container: Value,
) -> Value {
    let cpu_request = if is_guaranteed { &settings.cpu_limit } else { &settings.cpu_request };
    let common = json!({
        "image": image,
        "imagePullPolicy": settings.image_pull_policy,
        "restartPolicy": "Always",
        // `compute` starts once the socket answers, and everything else exists before the socket does. The kubelet
        // probes at once and writes a Warning for each failure, so the probe waits. A slow node is not a reason
        // to give up: ten minutes at least.
        "startupProbe": {
            "exec": {"command": [
                helper::PROGRAM,
                subcommand::READY,
                option(flag::SOCKET_DIR, kubevirt::HOOK_SOCKET_DIRECTORY),
                option(flag::PATIENCE, &PROBE_PATIENCE.to_string())
            ]},
            "periodSeconds": 1,
            "timeoutSeconds": PROBE_TIMEOUT,
            "failureThreshold": 600
        },
        "resources": {
            "requests": {"cpu": cpu_request, "memory": settings.memory},
            "limits": {"cpu": settings.cpu_limit, "memory": settings.memory}
        },
        // As KubeVirt runs its own sidecars.
        "securityContext": {
            "runAsUser": KUBEVIRT_USER,
            "runAsGroup": KUBEVIRT_USER,
            "runAsNonRoot": true,
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"}
        }
    });
    if let (Value::Object(container), Value::Object(common)) = (&mut container, common) {
        container.extend(common);
    }
    container
}

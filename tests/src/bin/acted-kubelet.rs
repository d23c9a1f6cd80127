//! Runs the container `compute` of a virt-launcher pod as a kubelet would, as far as launcher-hook goes: the
//! volumes, the annotations as files, the init container of launcher-hook, the environment; then this process
//! becomes the container's command.
//!
//! Usage: acted-kubelet POD ROOT LAUNCHER-HOOK ENVIRON LAUNCHER [argument…]
//!
//! POD is the pod as stored (YAML or JSON), ROOT the folder that the container's mounts are in (/ for the paths
//! as they are), LAUNCHER-HOOK what the image has as /launcher-hook, ENVIRON a file with the device plugin's
//! variables, LAUNCHER what stands for virt-launcher-monitor; the arguments follow its own.
#![allow(clippy::indexing_slicing, reason = "JSON values give null for what is not there")]

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

const MONITOR: &str = "/usr/bin/virt-launcher-monitor";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [pod, root, launcher_hook, environ, launcher, more @ ..] = arguments.as_slice() else {
        bail!("usage: acted-kubelet POD ROOT LAUNCHER-HOOK ENVIRON LAUNCHER [argument...]");
    };
    let pod: Value = serde_saphyr::from_str(&fs::read_to_string(pod)?).context("reading the pod")?;
    let node = Node { pod: &pod, root: Path::new(root), launcher_hook, launcher };
    let compute = node.container("containers", "compute")?;
    node.make_mounts(compute)?;
    if let Ok(installer) = node.container("initContainers", "launcher-hook-install") {
        node.make_mounts(installer)?;
        let status = node.command(installer, &[])?.status()?;
        ensure!(status.success(), "the init container ended with {status}");
    }
    let mut command = node.command(compute, more)?;
    for line in fs::read_to_string(environ)?.lines().filter(|line| !line.starts_with('#')) {
        command.envs(line.split_once('='));
    }
    Err(command.exec()).context("cannot run the command of compute")
}

struct Node<'a> {
    pod: &'a Value,
    root: &'a Path,
    launcher_hook: &'a str,
    launcher: &'a str,
}

impl Node<'_> {
    fn container(&self, list: &str, name: &str) -> anyhow::Result<&Value> {
        let mut containers = list_of(&self.pod["spec"][list]);
        containers.find(|container| container["name"] == name).with_context(|| format!("no container {name}"))
    }

    /// Directories for what can be written, files for the downward API; the rest is not there.
    fn make_mounts(&self, container: &Value) -> anyhow::Result<()> {
        for mount in list_of(&container["volumeMounts"]) {
            let volume = list_of(&self.pod["spec"]["volumes"]).find(|volume| volume["name"] == mount["name"]);
            let volume = volume.with_context(|| format!("no volume {}", mount["name"]))?;
            let directory = self.root.join(text(&mount["mountPath"])?.trim_start_matches('/'));
            fs::create_dir_all(&directory)?;
            for item in list_of(&volume["downwardAPI"]["items"]) {
                let field = text(&item["fieldRef"]["fieldPath"])?;
                let key = field.strip_prefix("metadata.annotations['").and_then(|key| key.strip_suffix("']"));
                let key = key.with_context(|| format!("{field} is no annotation"))?;
                let value = self.pod["metadata"]["annotations"][key].as_str().unwrap_or_default();
                fs::write(directory.join(text(&item["path"])?), value)?;
            }
        }
        Ok(())
    }

    fn command(&self, container: &Value, more: &[String]) -> anyhow::Result<Command> {
        let words = list_of(&container["command"]).chain(list_of(&container["args"]));
        let words =
            words.map(|word| self.local(text(word)?, container)).collect::<anyhow::Result<Vec<_>>>()?;
        let (program, arguments) = words.split_first().context("no command")?;
        let mut command = Command::new(program);
        command.args(arguments).args(more).env_clear();
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        for variable in list_of(&container["env"]) {
            if let Some(value) = variable["value"].as_str() {
                command.env(text(&variable["name"])?, value);
            }
        }
        Ok(command)
    }

    /// A word of a command with the container's paths turned into this machine's.
    fn local(&self, word: &str, container: &Value) -> anyhow::Result<String> {
        match word {
            MONITOR => return Ok(self.launcher.to_owned()),
            "/launcher-hook" => return Ok(self.launcher_hook.to_owned()),
            _ => {}
        }
        let (option, path) = match word.find('/') {
            Some(place) if place == 0 || word[..place].ends_with('=') => word.split_at(place),
            _ => return Ok(word.to_owned()),
        };
        for mount in list_of(&container["volumeMounts"]) {
            if Path::new(path).starts_with(text(&mount["mountPath"])?) {
                let local = self.root.join(path.trim_start_matches('/'));
                return Ok(format!("{option}{}", local.display()));
            }
        }
        Ok(word.to_owned())
    }
}

fn list_of(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> anyhow::Result<&str> {
    value.as_str().with_context(|| format!("{value} is no text"))
}

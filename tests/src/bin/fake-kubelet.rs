//! A fake of the kubelet: runs a virt-launcher pod as a kubelet would, as far as launcher-hook goes: volumes as folders, annotations as
//! files, the sidecar of launcher-hook until its startup probe succeeds, `compute` and its postStart hook. A
//! sidecar that dies is started again; once `compute` ends, it is told to end, and so does this program, with
//! the status of `compute`.
//!
//! Usage: fake-kubelet POD ROOT LAUNCHER-HOOK ENVIRON LAUNCHER [argument…]
//!
//! POD is the pod as stored (YAML or JSON), ROOT the folder for the pod's volumes, each under its name. LAUNCHER-HOOK
//! is what the image has as /launcher-hook, ENVIRON a file with the device plugin's variables, LAUNCHER stands for
//! virt-launcher-monitor; the arguments follow its own. ROOT/sidecar.pid and ROOT/compute.pid are written.
#![allow(clippy::indexing_slicing, reason = "JSON values give null for what is not there")]

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

const MONITOR: &str = "/usr/bin/virt-launcher-monitor";
const HELPER: &str = "launcher-hook";
/// How often the processes are looked at.
const INTERVAL: Duration = Duration::from_millis(20);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [pod, root, launcher_hook, environ, launcher, more @ ..] = arguments.as_slice() else {
        bail!("usage: fake-kubelet POD ROOT LAUNCHER-HOOK ENVIRON LAUNCHER [argument...]");
    };
    let pod: Value = serde_saphyr::from_str(&fs::read_to_string(pod)?).context("reading the pod")?;
    let environ = fs::read_to_string(environ)?;
    let node = Node { pod: &pod, root: Path::new(root), launcher_hook, launcher, environ: &environ };
    node.make_volumes()?;
    let mut terminate = signal(SignalKind::terminate())?;
    let helper = node.container("initContainers", HELPER).ok();
    let mut sidecar = helper.map(|helper| node.start_sidecar(helper)).transpose()?;
    let compute = node.container("containers", "compute")?;
    let mut launcher = Running(node.command(compute, more)?.envs(node.devices()).spawn()?);
    node.write_id("compute", &launcher)?;
    if let Some(words) = compute["lifecycle"]["postStart"]["exec"]["command"].as_array() {
        let status = node.exec(compute, words)?.envs(node.devices()).status()?;
        ensure!(status.success(), "the postStart hook ended with {status}, and so compute is killed");
    }
    let status = loop {
        if let Some(status) = launcher.0.try_wait()? {
            break status;
        }
        if let (Some(helper), Some(running)) = (helper, &mut sidecar)
            && let Some(status) = running.0.try_wait()?
        {
            eprintln!("fake-kubelet: the sidecar ended with {status}, and is started again");
            sidecar = Some(node.start_sidecar(helper)?);
        }
        if timeout(INTERVAL, terminate.recv()).await.is_ok() {
            launcher.terminate()?;
        }
    };
    if let Some(mut sidecar) = sidecar {
        sidecar.terminate()?;
        let status = sidecar.0.wait()?;
        ensure!(status.success(), "the sidecar ended with {status}");
    }
    Ok(code(status))
}

/// A process that does not outlive this one.
struct Running(Child);

impl Running {
    fn terminate(&self) -> anyhow::Result<()> {
        let status = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status()?;
        ensure!(status.success(), "kill ended with {status}");
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// As a container runtime counts it: 128 and the number of the signal.
fn code(status: ExitStatus) -> ExitCode {
    let number = status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(1);
    ExitCode::from(u8::try_from(number).unwrap_or(1))
}

struct Node<'a> {
    pod: &'a Value,
    root: &'a Path,
    launcher_hook: &'a str,
    launcher: &'a str,
    environ: &'a str,
}

impl<'a> Node<'a> {
    fn container(&self, list: &str, name: &str) -> anyhow::Result<&'a Value> {
        let mut containers = list_of(&self.pod["spec"][list]);
        containers.find(|container| container["name"] == name).with_context(|| format!("no container {name}"))
    }

    /// A folder for each volume that containers write to, with files for the downward API.
    fn make_volumes(&self) -> anyhow::Result<()> {
        for volume in list_of(&self.pod["spec"]["volumes"]) {
            let folder = self.root.join(text(&volume["name"])?);
            fs::create_dir_all(&folder)?;
            for item in list_of(&volume["downwardAPI"]["items"]) {
                let field = text(&item["fieldRef"]["fieldPath"])?;
                let key = field.strip_prefix("metadata.annotations['").and_then(|key| key.strip_suffix("']"));
                let key = key.with_context(|| format!("{field} is not an annotation"))?;
                let value = self.pod["metadata"]["annotations"][key].as_str().unwrap_or_default();
                fs::write(folder.join(text(&item["path"])?), value)?;
            }
        }
        Ok(())
    }

    /// Starts the sidecar, and returns once its startup probe succeeds.
    fn start_sidecar(&self, helper: &Value) -> anyhow::Result<Running> {
        ensure!(helper["restartPolicy"] == "Always", "the init container is not a sidecar");
        let mut sidecar = Running(self.command(helper, &[])?.spawn()?);
        self.write_id("sidecar", &sidecar)?;
        let probe = helper["startupProbe"]["exec"]["command"].as_array().context("no startup probe")?;
        while !self.exec(helper, probe)?.status()?.success() {
            if let Some(status) = sidecar.0.try_wait()? {
                bail!("the sidecar ended with {status} before it was ready");
            }
            std::thread::sleep(INTERVAL);
        }
        Ok(sidecar)
    }

    fn write_id(&self, name: &str, process: &Running) -> anyhow::Result<()> {
        Ok(fs::write(self.root.join(format!("{name}.pid")), process.0.id().to_string())?)
    }

    /// The variables of the device plugin, which the container of the devices alone has.
    fn devices(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let lines = self.environ.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(|line| line.split_once('='))
    }

    fn command(&self, container: &Value, more: &[String]) -> anyhow::Result<Command> {
        let words: Vec<Value> =
            list_of(&container["command"]).chain(list_of(&container["args"])).cloned().collect();
        let mut command = self.exec(container, &words)?;
        command.args(more);
        Ok(command)
    }

    /// A command in a container: with its environment, and its paths turned into this machine's.
    fn exec(&self, container: &Value, words: &[Value]) -> anyhow::Result<Command> {
        let words = words.iter().map(|word| self.local(text(word)?, container));
        let words = words.collect::<anyhow::Result<Vec<_>>>()?;
        let (program, arguments) = words.split_first().context("no command")?;
        let mut command = Command::new(program);
        command.args(arguments).env_clear();
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        for variable in list_of(&container["env"]) {
            if let Some(value) = variable["value"].as_str() {
                command.env(text(&variable["name"])?, value);
            }
        }
        Ok(command)
    }

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
            if let Ok(rest) = Path::new(path).strip_prefix(text(&mount["mountPath"])?) {
                let mut local: PathBuf = self.root.join(text(&mount["name"])?);
                local.extend(mount["subPath"].as_str());
                if rest != Path::new("") {
                    local.push(rest);
                }
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
    value.as_str().with_context(|| format!("{value} is not a text"))
}

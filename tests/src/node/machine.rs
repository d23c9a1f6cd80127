//! The virtual machine that is the node, seen from outside.

use super::{NODE, copy, real_kubevirt};
use crate::api_server::{ControlPlane, Process, free_address, run_folder};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long a command in the machine may take; it is emulated.
const CALL_WITHIN: Duration = Duration::from_secs(180);

/// The emulator can lose a processor's timer; then nothing goes on in the machine. Its pulse is one of each second,
/// and of some seconds where everything is busy.
const STANDS_STILL_AFTER: Duration = Duration::from_secs(120);

/// How long the first pulse may take: the disk is made and the kernel boots, on a machine that may be busy.
const FIRST_PULSE_WITHIN: Duration = Duration::from_secs(400);

/// The machine; it is switched off when this is dropped, and by itself when this program dies.
#[derive(Debug)]
pub struct Machine {
    shared: PathBuf,
    process: Arc<Mutex<Process>>,
    calls: AtomicUsize,
    ending: Arc<AtomicBool>,
    heart: Option<JoinHandle<()>>,
}

/// What a command in the machine said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its exit status.
    pub status: i32,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Machine {
    /// Boots a machine whose kubelet will look for this API server. `folder` is shared with it.
    pub fn start(folder: &Path, control_plane: &ControlPlane) -> Self {
        for part in ["calls", "images", "log", "programs"] {
            fs::create_dir_all(folder.join(part)).unwrap();
        }
        let programs = folder.join("programs");
        let versions = lay_out(&programs);
        fs::write(folder.join("versions"), versions).unwrap();
        let made = made_by_run("NODE_IMAGES");
        let real_kubevirt = real_kubevirt::assets().is_some();
        // With the real KubeVirt all images are on the machine's disk.
        for image in ["machine.tar", "launcher-hook.tar"].into_iter().filter(|_| !real_kubevirt) {
            copy(&made.join(image), &folder.join("images").join(image));
        }
        for part in ["guest-kernel", "guest.cpio"] {
            copy(&made.join(part), &folder.join(part));
        }
        for program in ["hook-client", "virt-launcher-monitor"] {
            copy(&made.join(program), &programs.join(program));
        }
        write_kubeconfig(folder, control_plane);
        fs::write(folder.join("cni.conf"), cni_configuration(folder)).unwrap();
        fs::write(folder.join("podnet.conf"), pod_network().to_string()).unwrap();
        let kubelet = free_address().port();
        let settings = format!(
            "API_PORT={}\nKUBELET_PORT={kubelet}\nPROGRAMS={}:{}\nNODE={NODE}\n",
            control_plane.address().port(),
            programs.display(),
            env::var("KUBEBUILDER_ASSETS").unwrap(),
        );
        let more = if real_kubevirt {
            format!("REAL_KUBEVIRT=1\nDISK_CONTENT={}\n", made.join("store").display())
        } else {
            String::new()
        };
        fs::write(folder.join("settings"), settings + &more).unwrap();

        let machine = concat!(env!("CARGO_MANIFEST_DIR"), "/node/machine");
        let log = folder.join("log/machine.log");
        let process = Arc::new(Mutex::new(Process::start(&log, Path::new(machine), [folder])));
        let ending = Arc::new(AtomicBool::new(false));
        let heart = thread::spawn(beat(folder.to_owned(), Arc::clone(&process), Arc::clone(&ending)));
        let (shared, calls) = (folder.to_owned(), AtomicUsize::new(0));
        Self { shared, process, calls, ending, heart: Some(heart) }
    }

    /// The folder that the machine shares.
    pub fn folder(&self) -> &Path {
        &self.shared
    }

    /// Which of the SR-IOV programs are real and which are fakes.
    pub fn versions(&self) -> String {
        fs::read_to_string(self.shared.join("versions")).unwrap()
    }

    /// Waits until everything in the machine runs; `tell` gets a line for each part.
    pub fn wait_until_up(&self, limit: Duration, tell: &(dyn Fn(&str) + Sync)) {
        let deadline = Instant::now() + limit;
        let mut told = 0;
        loop {
            let progress = fs::read_to_string(self.shared.join("progress")).unwrap_or_default();
            // The last line may be half written.
            let whole = progress.rfind('\n').map_or("", |end| &progress[..end]);
            for line in whole.lines().skip(told) {
                told += 1;
                let (_, part) = line.split_once(' ').unwrap_or_default();
                assert!(!part.starts_with("FAILED"), "in the machine: {part}");
                if part == "up" {
                    return;
                }
                tell(part);
            }
            self.check_alive();
            assert!(!Self::stands_still(), "{STILL}");
            assert!(Instant::now() < deadline, "the machine is not up after {limit:?}:\n{progress}");
            thread::sleep(Duration::from_millis(200));
        }
    }

    /// Whether the machine that was started last has no pulse, has ended, or was given up; no scenario can
    /// be blamed for that.
    pub fn stands_still() -> bool {
        still_file().exists()
    }

    /// Why that is.
    pub fn why_given_up() -> String {
        fs::read_to_string(still_file()).unwrap_or_default()
    }

    /// Says that the machine cannot be used, and why.
    pub(super) fn give_up(why: &str) {
        // Where the machine's folder is gone, so is the machine.
        let _ = fs::write(still_file(), why);
    }

    /// [`Self::stands_still`], once that is sure: a scenario can fail by it before the pulse has been away for long
    /// enough. Returns with the next pulse but one: a last one may have been half written.
    pub fn turns_out_still(&self) -> bool {
        let deadline = Instant::now() + 2 * STANDS_STILL_AFTER;
        let (mut last, mut pulses) = (pulse(&self.shared), 0);
        while !Self::stands_still() && pulses < 2 {
            assert!(Instant::now() < deadline, "neither a pulse nor a word of its absence");
            let now = pulse(&self.shared);
            pulses += u32::from(now != last);
            last = now;
            thread::sleep(Duration::from_millis(200));
        }
        Self::stands_still()
    }

    /// Takes the machine's folder away, and all others of a run that has ended, for another to begin. What the
    /// machine said last stays.
    pub fn clear_run() {
        let console = fs::read(folder().join("log/console.log")).unwrap_or_default();
        fs::remove_dir_all(run_folder()).unwrap();
        fs::create_dir_all(run_folder()).unwrap();
        fs::write(run_folder().join("console.still.log"), console).unwrap();
    }

    /// Runs a shell script in the machine, which knows the functions of `tests/node/inside` and
    /// `tests/vfio/inside.sh`.
    pub fn call(&self, script: &str) -> Answer {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        // The lab's shell counts for itself.
        let call = self.shared.join("calls").join(format!("{}-{number}", std::process::id()));
        fs::write(call.with_extension("new"), script).unwrap();
        fs::rename(call.with_extension("new"), call.with_extension("sh")).unwrap();
        let deadline = Instant::now() + CALL_WITHIN;
        loop {
            if let Ok(status) = fs::read_to_string(call.with_extension("status")) {
                let text = |extension| fs::read_to_string(call.with_extension(extension)).unwrap_or_default();
                let status = status.trim().parse().unwrap();
                return Answer { status, stdout: text("out"), stderr: text("err") };
            }
            let none = |why| Answer { status: -1, stdout: String::new(), stderr: why };
            if Self::stands_still() {
                return none(Self::why_given_up());
            }
            if Instant::now() > deadline {
                return none(format!("no answer after {CALL_WITHIN:?}"));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn check_alive(&self) {
        let mut process = self.process.lock();
        if let Some(ended) = process.ended() {
            Self::give_up(ENDED);
            let console = fs::read_to_string(self.shared.join("log/console.log")).unwrap_or_default();
            let console: Vec<_> = console.lines().collect();
            let console = console[console.len().saturating_sub(20)..].join("\n");
            panic!("the machine has ended ({ended}): {}\n{console}", process.last_lines(20));
        }
    }

    /// The same for a script that must end well; what it printed.
    #[track_caller]
    pub fn expect(&self, script: &str) -> String {
        let answer = self.call(script);
        assert_eq!(answer.status, 0, "{script}: {answer:?}");
        answer.stdout
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::SeqCst);
        let _ = fs::write(self.shared.join("stop"), "");
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.process.lock().ended().is_none() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(100));
        }
        // QEMU outlives its parents; the script that started it knows which one it is.
        let stop = concat!(env!("CARGO_MANIFEST_DIR"), "/node/machine");
        let _ = Command::new(stop).arg("--stop").arg(&self.shared).status();
        if let Some(heart) = self.heart.take() {
            let _ = heart.join();
        }
    }
}

/// What is said of a machine without a pulse.
const STILL: &str = "the emulated machine stands still";

/// What is said of one that QEMU or its own kernel has ended.
const ENDED: &str = "the emulated machine has ended by itself";

/// The folder that a machine shares.
pub(super) fn folder() -> PathBuf {
    run_folder().join("machine")
}

/// There where the machine cannot be used.
fn still_file() -> PathBuf {
    folder().join("still")
}

/// Another one each second.
fn pulse(folder: &Path) -> String {
    fs::read_to_string(folder.join("pulse")).unwrap_or_default()
}

/// Touches a file again and again, for the machine to see that somebody is there, and looks for the machine's own
/// pulse.
fn beat(folder: PathBuf, process: Arc<Mutex<Process>>, ending: Arc<AtomicBool>) -> impl FnOnce() {
    move || {
        let mut count = 0_u32;
        let (mut last, mut felt) = (String::new(), Instant::now());
        while !ending.load(Ordering::SeqCst) {
            if count.is_multiple_of(50) {
                let _ = fs::write(folder.join("alive"), count.to_string());
                let now = pulse(&folder);
                let patience = if last.is_empty() { FIRST_PULSE_WITHIN } else { STANDS_STILL_AFTER };
                if process.lock().ended().is_some() && !Machine::stands_still() {
                    Machine::give_up(ENDED);
                } else if now != last {
                    (last, felt) = (now, Instant::now());
                } else if felt.elapsed() > patience && !Machine::stands_still() {
                    Machine::give_up(STILL);
                }
            }
            count += 1;
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// The programs of the node that are not in a Debian package, real or fakes; says which.
fn lay_out(programs: &Path) -> String {
    let fakes = made_by_run("NODE_FAKES");
    copy(&fakes, &programs.join("virt-handler"));
    // One scenario needs the fake, whichever runs otherwise.
    fs::create_dir_all(programs.join("silent")).unwrap();
    copy(&fakes, &programs.join("silent/sriovdp"));
    let (mut said, mut count) = (String::new(), 0);
    let assets = env::var_os("SRIOV_ASSETS").map(PathBuf::from);
    for program in ["sriovdp", "multus", "sriov"] {
        let real = assets.as_ref().map(|folder| folder.join(program)).filter(|program| program.exists());
        copy(real.as_ref().unwrap_or(&fakes), &programs.join(program));
        let version = match &real {
            Some(real) => version(real),
            None => "a fake of this project".to_owned(),
        };
        said += &format!("{program}: {version}\n");
        count += usize::from(real.is_some());
    }
    assert!(
        assets.is_none() || count > 0,
        "SRIOV_ASSETS={assets:?} has none of the programs: unset it, or fill it"
    );
    said
}

/// What a real program says of itself; Go programs carry the version of their module.
fn version(program: &Path) -> String {
    let go = env::var_os("NODE_GO").unwrap_or_else(|| "go".into());
    let output = Command::new(go).args(["version", "-m"]).arg(program).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let module = text.lines().find_map(|line| line.trim().strip_prefix("mod\t").map(str::to_owned));
    module.map_or_else(
        || "real, version unknown".to_owned(),
        |module| format!("real, {}", module.replace('\t', " ")),
    )
}

/// The administrator's kubeconfig, with the name that this machine has in the other.
fn write_kubeconfig(folder: &Path, control_plane: &ControlPlane) {
    let text = fs::read_to_string(control_plane.admin_kubeconfig()).unwrap();
    let port = control_plane.address().port();
    let text = text.replace(&format!("127.0.0.1:{port}"), &format!("10.0.2.2:{port}"));
    fs::write(folder.join("kubeconfig"), text).unwrap();
}

/// A bridge, which is the pods' default network.
fn pod_network() -> Value {
    json!({
        "cniVersion": "0.3.1",
        "name": "podnet",
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": true,
        "ipam": {"type": "host-local", "subnet": "10.88.0.0/16"},
    })
}

/// Multus in front of that.
fn cni_configuration(folder: &Path) -> String {
    json!({
        "cniVersion": "0.3.1",
        "name": "multus-cni-network",
        "type": "multus",
        "kubeconfig": folder.join("kubeconfig"),
        "delegates": [pod_network()],
    })
    .to_string()
}

fn made_by_run(variable: &str) -> PathBuf {
    let value = env::var_os(variable);
    value.unwrap_or_else(|| panic!("{variable} is not set: the node is started by tests/node/run")).into()
}

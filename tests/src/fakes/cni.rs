//! The way CNI programs are called: variables, configuration on standard input, result on standard output.

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::env;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// One call of a CNI program.
#[derive(Debug, Clone)]
pub struct Call {
    /// `ADD`, `DEL`, `CHECK`, `VERSION`, …
    pub command: String,
    /// The sandbox.
    pub container: String,
    /// The pod's network namespace; empty if it is gone.
    pub netns: String,
    /// The interface's name in the pod.
    pub interface: String,
    /// `CNI_ARGS`, taken apart.
    pub arguments: BTreeMap<String, String>,
    /// Where CNI programs are.
    pub path: String,
    /// The configuration.
    pub configuration: Value,
}

impl Call {
    /// The call that this process is.
    pub fn read() -> anyhow::Result<Self> {
        let variable = |name: &str| env::var(name).unwrap_or_default();
        let arguments = variable("CNI_ARGS");
        let arguments = arguments.split(';').filter_map(|argument| argument.split_once('='));
        Ok(Self {
            command: variable("CNI_COMMAND"),
            container: variable("CNI_CONTAINERID"),
            netns: variable("CNI_NETNS"),
            interface: variable("CNI_IFNAME"),
            arguments: arguments.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            path: variable("CNI_PATH"),
            configuration: serde_json::from_reader(io::stdin())
                .context("no configuration on standard input")?,
        })
    }

    /// Calls the program of the configuration's `type`; its result, or what it complained about.
    pub fn run(&self) -> anyhow::Result<Value> {
        let kind = self.configuration["type"].as_str().context("a configuration without type")?;
        let program = env::split_paths(&self.path).map(|folder| folder.join(kind)).find(|path| path.exists());
        let program = program.with_context(|| format!("no CNI program {kind} in {}", self.path))?;
        let arguments = self.arguments.iter().map(|(key, value)| format!("{key}={value}"));
        let mut child = Command::new(&program)
            .env("CNI_COMMAND", &self.command)
            .env("CNI_CONTAINERID", &self.container)
            .env("CNI_NETNS", &self.netns)
            .env("CNI_IFNAME", &self.interface)
            .env("CNI_ARGS", arguments.collect::<Vec<_>>().join(";"))
            .env("CNI_PATH", &self.path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| program.display().to_string())?;
        child.stdin.take().context("a pipe")?.write_all(self.configuration.to_string().as_bytes())?;
        let output = child.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "{kind}: {} of {}: {text}",
            self.command,
            self.configuration["name"]
        );
        Ok(if text.trim().is_empty() { Value::Null } else { serde_json::from_str(&text)? })
    }
}

/// Answers the call that this process is: `add` gives a result, `delete` undoes it.
pub fn answer(
    add: impl FnOnce(&Call) -> anyhow::Result<Value>,
    delete: impl FnOnce(&Call) -> anyhow::Result<()>,
) -> ExitCode {
    let done = Call::read().and_then(|call| match call.command.as_str() {
        "ADD" => add(&call),
        "DEL" => delete(&call).map(|()| Value::Null),
        "VERSION" => Ok(json!({"cniVersion": "1.0.0", "supportedVersions": ["0.3.1", "0.4.0", "1.0.0"]})),
        // CHECK, STATUS, GC: nothing to complain about.
        _ => Ok(Value::Null),
    });
    match done {
        Ok(Value::Null) => ExitCode::SUCCESS,
        Ok(result) => {
            println!("{result}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let program = env::args().next().unwrap_or_default();
            let name = Path::new(&program).file_name().unwrap_or_default().to_string_lossy();
            println!(
                "{}",
                json!({"cniVersion": "0.3.1", "code": 999, "msg": format!("fake of {name}: {error:#}")})
            );
            ExitCode::FAILURE
        }
    }
}

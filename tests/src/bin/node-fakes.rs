//! Fakes of the programs of a node, told apart by the name that this program is called by: `sriovdp`,
//! `multus`, `sriov`, `virt-handler`.

use anyhow::{Context as _, bail};
use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tests::fakes::device_plugin::{Pool, serve};
use tests::fakes::{cni, multus, sriov, sriovdp, virt_handler};
use tokio::runtime::Builder;
use tokio::task::JoinSet;

const USAGE: &str = "\
Usage: sriovdp --config-file FILE [--no-device-info]    the SR-IOV network device plugin
       multus, sriov                                    CNI programs
       virt-handler                                     the device plugin of KubeVirt's virt-handler";

fn main() -> anyhow::Result<ExitCode> {
    let mut arguments = env::args();
    let program = PathBuf::from(arguments.next().unwrap_or_default());
    let arguments: Vec<String> = arguments.collect();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    match program.file_name().and_then(|name| name.to_str()) {
        Some("sriov") => Ok(cni::answer(sriov::add, sriov::delete)),
        Some("multus") => {
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
            Ok(cni::answer(|call| runtime.block_on(multus::add(call)), multus::delete))
        }
        Some("sriovdp") => {
            let option = arguments.iter().position(|argument| argument == "--config-file").context(USAGE)?;
            let file = arguments.get(option + 1).context(USAGE)?;
            let device_info = !arguments.iter().any(|argument| argument == "--no-device-info");
            runtime.block_on(serve_all(sriovdp::pools(Path::new(file), device_info)?))
        }
        Some("virt-handler") => runtime.block_on(serve_all(virt_handler::NODES)),
        _ => bail!(USAGE),
    }
}

async fn serve_all<P: Pool>(pools: impl IntoIterator<Item = P>) -> anyhow::Result<ExitCode> {
    let mut servers = JoinSet::new();
    for pool in pools {
        servers.spawn(serve(Arc::new(pool)));
    }
    servers.join_all().await.into_iter().collect::<anyhow::Result<()>>()?;
    bail!("no pool to serve")
}

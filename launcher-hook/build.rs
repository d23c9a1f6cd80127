//! Compiles `proto/` without protoc: the services into `OUT_DIR`, the clients, which only tests use, into
//! `OUT_DIR/client`.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

const PROTOS: [&str; 5] =
    ["info.proto", "v1alpha1.proto", "v1alpha2.proto", "v1alpha3.proto", "plugins_v1alpha1.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(PROTOS, ["proto"])?;
    let services = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR for build scripts")?);
    let clients = services.join("client");
    fs::create_dir_all(&clients)?;
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .out_dir(services)
        .compile_fds(descriptors.clone())?;
    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        .out_dir(clients)
        .compile_fds(descriptors)?;
    Ok(())
}

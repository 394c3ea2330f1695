//! Runs the API server by hand: `cargo run -p dayfly-local --example apiserver -- DIR [PORT]`, until Ctrl-C.

#![allow(clippy::print_stdout)]

use dayfly_local::apiserver::{ApiServer, Config};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let folder = args.next().ok_or("usage: apiserver DIR [PORT]")?;
    let mut config = Config::new(&folder);
    config.addr.set_port(args.next().map_or(Ok(0), |port| port.parse())?);
    let server = ApiServer::start(config).await?;
    let kubeconfig = std::path::Path::new(&folder).join("kubeconfig");
    std::fs::write(&kubeconfig, server.kubeconfig("local"))?;
    println!("serving {}\nexport KUBECONFIG={}", server.url(), kubeconfig.display());
    tokio::signal::ctrl_c().await?;
    server.shutdown().await;
    Ok(())
}

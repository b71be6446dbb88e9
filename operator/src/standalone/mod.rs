//! `causeway standalone`: all roles in one process.

mod admission;
mod api;
pub(crate) mod clock;
pub(crate) mod control;
pub(crate) mod engine_host;
mod forecast_function;
mod maintain;
mod manifests;
pub(crate) mod persist;
mod ports;
mod ports_of_controllers;
mod recover;
mod roles;
mod store;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::log::LogArguments;

use clock::ClockMode;
use ports::PortArguments;

/// Arguments of `standalone`.
#[derive(Debug, Args)]
pub(crate) struct StandaloneArguments {
    /// Folder for everything that is kept
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// Folder with YAML objects to apply at the start
    #[arg(long)]
    manifests: Option<PathBuf>,
    /// Work with the cluster of this kubeconfig, in place of a Kubernetes API in this process
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
    /// Leave repairs to a process of its own: `causeway executor`
    #[arg(long, requires = "kubeconfig")]
    without_executor: bool,
    /// Address of the console as people reach it, for links in messages; by default that of this machine
    #[arg(long)]
    console_url: Option<String>,
    /// Where the time of decisions comes from
    #[arg(long, value_enum, default_value_t)]
    clock: ClockMode,
    /// First time of a stepped clock
    #[arg(long)]
    now: Option<jiff::Timestamp>,
    #[command(flatten)]
    log: LogArguments,
    #[command(flatten)]
    store: store::StoreArguments,
    #[command(flatten)]
    ports: PortArguments,
}

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(arguments: StandaloneArguments) -> Result<()> {
    arguments.log.start()?;
    std::fs::create_dir_all(&arguments.data).with_context(|| {
        format!("cannot make the data folder {}: choose another with --data", arguments.data.display())
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Queries of the SQL engine recurse deeply in an unoptimised build.
        .thread_stack_size(8 << 20)
        .build()?;
    runtime.block_on(roles::run(arguments))
}

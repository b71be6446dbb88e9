//! `causeway standalone`: all roles in one process.

mod admission;
mod control;
mod manifests;
mod ports;
mod roles;

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::log::LogArguments;

use crate::parts::clock::ClockArguments;
use crate::parts::git::GitArguments;
use crate::parts::runtime;
use crate::parts::store::StoreArguments;
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
    /// Folder with the recorded incidents that tests of Runbooks name; what they come to is told in the Runbooks' status
    #[arg(long)]
    runbook_bundles: Option<PathBuf>,
    #[command(flatten)]
    clock: ClockArguments,
    #[command(flatten)]
    git: GitArguments,
    #[command(flatten)]
    log: LogArguments,
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    ports: PortArguments,
}

/// Runs until SIGTERM or SIGINT.
pub(crate) fn run(arguments: StandaloneArguments) -> Result<()> {
    arguments.log.start()?;
    runtime::with_lake(&arguments.data.clone(), roles::run(arguments))
}

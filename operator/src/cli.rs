//! The command line.

use std::path::PathBuf;

use anyhow::Result;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::{
    audit, bundle, console, convert, crd, executor, gateway, offline, operator, query, simulate, standalone,
    test_runbooks,
};

/// Finds what breaks in a system, why, and repairs it by runbook.
#[derive(Debug, Parser)]
#[command(name = "causeway", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything in one process, with a Kubernetes API of its own
    Standalone(standalone::StandaloneArguments),
    /// Receive telemetry in a cluster, and hand it over to the operator
    Gateway(gateway::GatewayArguments),
    /// Find causes and plan repairs in a cluster, from what gateways hand over
    Operator(operator::OperatorArguments),
    /// Carry out approved Remediations in a cluster, as a process of its own
    Executor(executor::ExecutorArguments),
    /// Serve the API and the web UI in front of a cluster, as a process of its own and without any right
    Console(console::ConsoleArguments),
    /// Run a SQL query against a running Causeway
    Query(query::QueryArguments),
    /// Show what a Baseline or an SLO would have said of the past
    Simulate(simulate::SimulateArguments),
    /// Make SLOs from the documents of another tool
    Import(convert::ImportArguments),
    /// Write SLOs as documents of another tool
    Export(convert::ExportArguments),
    /// Verify that nobody changed, removed or reordered entries of the audit log
    VerifyAudit(audit::VerifyAuditArguments),
    /// Fetch the bundle of an Incident: one file with all that its cause was decided from
    Bundle(bundle::BundleArguments),
    /// Make the decision of a bundle again, anywhere, and compare
    Replay(bundle::ReplayArguments),
    /// Run the tests of Runbooks on recorded incidents, without a cluster
    Test(test_runbooks::TestArguments),
    /// Print the custom resource definitions as YAML
    Crd(crd::CrdArguments),
    /// Find the templates of the messages in a log file
    Patterns(offline::PatternsArguments),
    /// Judge every point of a series against what came before it
    Baseline(offline::BaselineArguments),
    /// Forecast a series
    Forecast(offline::ForecastArguments),
    /// Rank the suspects of a recorded incident
    Rca(offline::RcaArguments),
}

/// Name by which kubectl finds the binary as a plugin: `kubectl causeway …`.
const PLUGIN: &str = "kubectl-causeway";

impl Arguments {
    /// The arguments of this process; whoever called it by the plugin's name is answered in that name.
    pub(crate) fn of_process() -> Self {
        let called = std::env::args_os().next().map(PathBuf::from);
        let stem = called.as_deref().and_then(|path| path.file_stem()).map(std::ffi::OsStr::to_os_string);
        let command = Self::command();
        let command = if stem.is_some_and(|stem| stem == PLUGIN) {
            command.name(PLUGIN).bin_name("kubectl causeway").display_name("kubectl causeway")
        } else {
            command
        };
        Self::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }

    /// Runs the command to its end.
    pub(crate) fn run(self) -> Result<()> {
        let Self { command } = self;
        match command {
            Command::Standalone(arguments) => standalone::run(arguments),
            Command::Gateway(arguments) => gateway::run(arguments),
            Command::Operator(arguments) => operator::run(arguments),
            Command::Executor(arguments) => executor::run(arguments),
            Command::Console(arguments) => console::run(arguments),
            Command::Query(arguments) => query::run(arguments),
            Command::Simulate(arguments) => simulate::run(arguments),
            Command::Import(arguments) => convert::import(&arguments),
            Command::Export(arguments) => convert::export(&arguments),
            Command::VerifyAudit(arguments) => audit::run(arguments),
            Command::Bundle(arguments) => bundle::fetch(arguments),
            Command::Replay(arguments) => bundle::replay(&arguments),
            Command::Test(arguments) => test_runbooks::run(&arguments),
            Command::Crd(arguments) => crd::run(&arguments),
            Command::Patterns(arguments) => offline::patterns(&arguments),
            Command::Baseline(arguments) => offline::baseline(&arguments),
            Command::Forecast(arguments) => offline::forecast(&arguments),
            Command::Rca(arguments) => offline::rca(&arguments),
        }
    }
}

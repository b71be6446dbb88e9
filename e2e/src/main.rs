//! `causeway-e2e`: the demo, the workload simulator, and a measurement of scale.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "causeway-e2e", about = "Scenarios for Causeway: the demo and the workload simulator")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Play a recorded outage against a Causeway of its own
    Demo(Box<causeway_e2e::demo::DemoArguments>),
    /// Play deployment controller and kubelet, and hold the fault of a recording
    Simulate(causeway_e2e::simulator::SimulatorArguments),
    /// Measure reconciliation of many objects on a real control plane
    Scale(causeway_e2e::scale::ScaleArguments),
    /// Measure simulations over two weeks of telemetry
    Past(causeway_e2e::past::PastArguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let result = runtime.block_on(async {
        match arguments.command {
            Command::Demo(demo) => causeway_e2e::demo::run(*demo).await,
            Command::Simulate(simulator) => causeway_e2e::simulator::run(simulator).await,
            Command::Scale(scale) => causeway_e2e::scale::run(scale).await,
            Command::Past(past) => causeway_e2e::past::run(past).await,
        }
    });
    result.map_or_else(|error| fail(&error), |()| ExitCode::SUCCESS)
}

#[expect(clippy::print_stderr, reason = "the error's surface is the terminal")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

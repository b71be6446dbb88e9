//! Repository tasks: `cargo xtask demo`, `test`, `cluster`, `charts`, `tools`, `codegen`, `tidy`, `bench`.

mod bench;
mod charts;
mod cluster;
mod codegen;
mod demo;
mod go;
mod run;
mod same;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Repository tasks")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build, and watch a recorded outage being found, explained and repaired
    Demo {
        /// Arguments of the demo: see `cargo xtask demo -- --help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Everything that must be green: format, lints, tidy, generated files, all tests, real clients
    Test(test::TestArguments),
    /// A real Kubernetes control plane on this machine
    #[command(subcommand)]
    Cluster(cluster::ClusterTask),
    /// Check the Helm charts: lint, unit tests, schemas, installation, rights granted and used
    Charts {
        /// Take the binaries as they are
        #[arg(long)]
        no_build: bool,
        /// Only the shop by roles, which uses rights that the outage does not
        #[arg(long)]
        shop: bool,
    },
    /// Build real tools that tests use, and print where they are
    Tools {
        /// Which; all when none is named
        names: Vec<String>,
    },
    /// Write generated files
    Codegen {
        /// Only say whether they are up to date
        #[arg(long)]
        check: bool,
    },
    /// Check the rules of ARCHITECTURE.md
    Tidy,
    /// Measure
    Bench {
        /// What
        #[arg(value_enum, default_value_t)]
        what: bench::Bench,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().task {
        Task::Demo { arguments } => demo::demo(&arguments),
        Task::Test(arguments) => test::test(&arguments),
        Task::Cluster(task) => cluster::cluster(task),
        Task::Charts { no_build, shop } => charts::charts(no_build, shop),
        Task::Tools { names } => go::print(&names),
        Task::Codegen { check } => codegen::codegen(check, &[]),
        Task::Tidy => tidy::tidy(),
        Task::Bench { what } => bench::bench(what),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "the error's surface is the terminal")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

//! The `causeway` binary: parses the command line and hands over to the command.

mod audit;
mod bundle;
mod cli;
mod console;
mod convert;
mod crd;
mod executor;
mod gateway;
mod kubeconfig;
mod log;
mod offline;
mod operator;
mod parts;
mod query;
mod simulate;
mod standalone;
mod test_runbooks;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Two TLS providers are linked in; without a choice the first handshake would fail.
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return fail(&anyhow::anyhow!("the TLS provider was installed twice"));
    }
    match cli::Arguments::of_process().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

#[expect(clippy::print_stderr, reason = "the error's surface is the terminal")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}

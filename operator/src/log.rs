//! The process's own log.

use anyhow::Result;
use causeway_telemetry::Format;
use clap::{Args, ValueEnum};

/// Form of the log.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum LogFormat {
    /// For people
    #[default]
    Plain,
    /// One object a line
    Json,
}

/// Arguments of the log.
#[derive(Debug, Args)]
pub(crate) struct LogArguments {
    /// Format of the log
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
    /// What is logged, as in `info` or `causeway=debug,info`
    #[arg(
        long,
        env = "CAUSEWAY_LOG",
        default_value = "info,buoyant_kernel=warn,deltalake_core=warn,datafusion=warn"
    )]
    log: String,
}

impl LogArguments {
    /// Begins to log.
    pub(crate) fn start(&self) -> Result<()> {
        let format = match self.log_format {
            LogFormat::Plain => Format::Plain,
            LogFormat::Json => Format::Json,
        };
        Ok(causeway_telemetry::init_tracing(format, &self.log)?)
    }
}

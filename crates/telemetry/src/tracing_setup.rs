//! Installs the process-wide tracing subscriber.

use std::io::{self, IsTerminal};

use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, fmt};

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// For people: one line a record, coloured when standard error is a terminal.
    #[default]
    Plain,
    /// For log collectors: one JSON object a line.
    Json,
}

/// Why tracing could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TracingError {
    /// The filter is not in `tracing`'s directive syntax (`info,causeway_lake=debug`).
    #[error("log filter {filter:?} is not valid")]
    Filter {
        /// The filter as given.
        filter: String,
        /// What the parser said.
        source: ParseError,
    },
    /// A subscriber is installed already; it can be set once in a process.
    #[error("tracing is set up already")]
    Installed(#[from] TryInitError),
}

/// Sends tracing records of this process to standard error.
///
/// `filter` uses `tracing`'s directives (`warn,causeway_engine=debug`); an empty filter means `info`.
///
/// # Errors
/// [`TracingError::Filter`] for an unparsable filter, [`TracingError::Installed`] on a second call.
pub fn init_tracing(format: Format, filter: &str) -> Result<(), TracingError> {
    let filter = parse_filter(filter)?;
    subscriber(format, filter, io::stderr, io::stderr().is_terminal()).try_init()?;
    Ok(())
}

fn parse_filter(filter: &str) -> Result<EnvFilter, TracingError> {
    let text = if filter.trim().is_empty() { "info" } else { filter };
    EnvFilter::try_new(text).map_err(|source| TracingError::Filter { filter: filter.to_owned(), source })
}

fn subscriber<W>(
    format: Format,
    filter: EnvFilter,
    writer: W,
    ansi: bool,
) -> Box<dyn tracing::Subscriber + Send + Sync>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let builder = fmt().with_env_filter(filter).with_writer(writer).with_ansi(ansi);
    match format {
        Format::Plain => Box::new(builder.finish()),
        Format::Json => Box::new(builder.json().flatten_event(true).with_current_span(true).finish()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn record(format: Format, filter: &str) -> String {
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber = subscriber(format, parse_filter(filter).unwrap(), move || writer.clone(), false);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(rows = 3, "rows\nwritten");
            tracing::debug!("hidden");
        });
        let bytes = captured.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn json_is_one_object_a_line() {
        let text = record(Format::Json, "");
        assert_eq!(text.lines().count(), 1);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["message"], "rows\nwritten");
        assert_eq!(value["rows"], 3);
        assert_eq!(value["level"], "INFO");
    }

    #[test]
    fn plain_carries_the_fields_and_obeys_the_filter() {
        assert!(record(Format::Plain, "info").contains("rows=3"));
        assert_eq!(record(Format::Plain, "error"), "");
    }

    #[test]
    fn a_bad_filter_is_named() {
        let error = parse_filter("causeway=loud").unwrap_err();
        assert!(error.to_string().contains("causeway=loud"));
    }
}

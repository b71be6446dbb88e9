//! `causeway query`: a client of a running Causeway.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use crate::kubeconfig;
use anyhow::{Context, Result, bail};
use causeway_console::inert;
use causeway_model::Rows;
use clap::{Args, ValueEnum};
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

/// Longest value in a table, in characters.
const CELL: usize = 2000;

/// How an answer is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OutputFormat {
    /// For people
    #[default]
    Table,
    /// One JSON object a row
    Json,
    /// Comma-separated, with a header
    Csv,
}

/// Arguments of `query`.
#[derive(Debug, Args)]
pub(crate) struct QueryArguments {
    /// One SELECT over logs, metrics, spans, events, findings and audit
    sql: String,
    /// Format of the answer
    #[arg(long, short, value_enum, default_value_t)]
    output: OutputFormat,
    #[command(flatten)]
    server: ServerArguments,
}

/// Which running Causeway is meant.
#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    /// Data folder of the running Causeway: tells its address and a token. Without it: `data`, else the folder of the
    /// kubeconfig, where Causeway has written it
    #[arg(long)]
    data: Option<PathBuf>,
    /// Address of its API, such as that of the console in a cluster
    #[arg(long, env = "CAUSEWAY_SERVER")]
    server: Option<String>,
    /// Token for it. Without one: that of the kubeconfig's user
    #[arg(long, env = "CAUSEWAY_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Kubeconfig; by default the first of $KUBECONFIG, else ~/.kube/config
    #[arg(long)]
    kubeconfig: Option<PathBuf>,
}

impl ServerArguments {
    /// The one that is meant.
    pub(crate) fn server(self) -> Result<Server> {
        let Self { data, server, token, kubeconfig } = self;
        match (server, token, data) {
            (Some(address), Some(token), _) => Ok(Server { address, token }),
            (Some(address), None, _) => {
                let path = kubeconfig::find(kubeconfig).context(
                    "no kubeconfig is there to take a token from: give --token, such as $(kubectl create token NAME)",
                )?;
                Ok(Server { address, token: kubeconfig::token(&path)? })
            }
            (None, _, Some(data)) => Server::of(&data),
            (None, _, None) => {
                let usual = PathBuf::from("data");
                let beside = kubeconfig::find(kubeconfig).and_then(|path| Some(path.parent()?.to_owned()));
                let has_endpoints = |folder: &PathBuf| folder.join("endpoints.json").is_file();
                let found = [Some(usual.clone()), beside].into_iter().flatten().find(has_endpoints);
                Server::of(&found.unwrap_or(usual))
            }
        }
    }
}

/// Body of a request to `/api/v1/query`.
#[derive(Debug, Serialize)]
pub(crate) struct QueryRequest {
    /// The statement.
    pub(crate) sql: String,
    /// Format of the answer; a table is made from CSV by the client.
    pub(crate) format: OutputFormat,
}

/// Asks and prints.
pub(crate) fn run(arguments: QueryArguments) -> Result<()> {
    let QueryArguments { sql, output, server } = arguments;
    let server = server.server()?;
    let text = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(server.ask(&QueryRequest { sql, format: output }))?;
    let mut out = std::io::stdout().lock();
    match output {
        OutputFormat::Table => {
            let answer: Rows = serde_json::from_str(&text)?;
            writeln!(out, "{}", table(&answer.rows))?;
        }
        OutputFormat::Json | OutputFormat::Csv => out.write_all(text.as_bytes())?,
    }
    Ok(())
}

/// A running Causeway.
pub(crate) struct Server {
    address: String,
    token: String,
}

impl Server {
    /// The one whose data folder this is.
    pub(crate) fn of(data: &std::path::Path) -> Result<Self> {
        let (address, token) = local_server(data)?;
        Ok(Self { address, token })
    }

    /// The body of a resource.
    pub(crate) async fn get(&self, path: &str) -> Result<Vec<u8>> {
        let Self { address, token } = self;
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(300)).build()?;
        let answer = client
            .get(format!("{address}{path}"))
            .bearer_auth(token)
            .send()
            .await
            .with_context(|| format!("no Causeway answers at {address}: is it running?"))?;
        let status = answer.status();
        let body = answer.bytes().await?;
        if !status.is_success() {
            bail!("{}", complaint(&String::from_utf8_lossy(&body)));
        }
        Ok(body.to_vec())
    }

    /// Its answer to a statement, in the format that was asked for.
    pub(crate) async fn ask(&self, request: &QueryRequest) -> Result<String> {
        let Self { address, token } = self;
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(300)).build()?;
        let url = format!("{address}/api/v1/query");
        let answer = client
            .post(&url)
            .bearer_auth(token)
            .json(request)
            .send()
            .await
            .with_context(|| format!("no Causeway answers at {address}: is it running?"))?;
        let status = answer.status();
        let text = answer.text().await?;
        if !status.is_success() {
            bail!("{}", complaint(&text));
        }
        Ok(text)
    }
}

/// What the API says is wrong.
fn complaint(body: &str) -> String {
    let said = serde_json::from_str::<serde_json::Value>(body).ok();
    let said = said.and_then(|value| value.get("error")?.as_str().map(str::to_owned));
    said.unwrap_or_else(|| body.trim().to_owned())
}

/// A table for the terminal; the first row is the header. What telemetry says can't move the cursor or turn the text, and of
/// a long value only the begin is shown: CSV and JSON have all of it, as it is.
pub(crate) fn table(rows: &[Vec<String>]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some((header, rows)) = rows.split_first() {
        table.set_header(header);
        for row in rows {
            table.add_row(row.iter().map(|cell| inert(cell, CELL)));
        }
    }
    table
}

fn local_server(data: &std::path::Path) -> Result<(String, String)> {
    let path = data.join("endpoints.json");
    let text = std::fs::read_to_string(&path).with_context(|| {
        format!(
            "{} is missing: start `causeway standalone --data {}` first, or give --server, and --token where the kubeconfig has none",
            path.display(),
            data.display()
        )
    })?;
    let endpoints: serde_json::Value = serde_json::from_str(&text)?;
    let server =
        endpoints.get("api").and_then(serde_json::Value::as_str).context("endpoints.json names no api")?;
    let path = data.join("token");
    let token = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read a token from {}", path.display()))?;
    Ok((server.to_owned(), token.trim().to_owned()))
}

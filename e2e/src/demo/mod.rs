//! The demo: a recorded outage, fed through the real endpoint, found, explained, repaired and verified.

mod ask;
pub(crate) mod cluster;
mod hostile;
mod installation;
mod manifests;
mod mrkdwn;
mod remote;
mod report;
mod run;
mod screen;
mod shop;
mod slack;
mod start;
mod summary;
mod surfaces;
pub(crate) mod tables;
mod victim;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

pub use summary::Summary;
pub use victim::Victim;

/// Arguments of `demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArguments {
    /// Recording to play, a folder name below the recordings
    #[arg(long, default_value = "280661e3")]
    pub case: String,
    /// Play a scenario of the shop instead of a recording, such as bad-release: a file name below examples/shop/scenarios
    #[arg(long, conflicts_with_all = ["case", "all", "wrong_fix", "crash", "ask", "outage", "keep"])]
    pub shop: Option<String>,
    /// Seed of the shop: it decides tags, noise, and which of the scenario's services is hit
    #[arg(long, default_value_t = 1, requires = "shop")]
    pub seed: u64,
    /// Another topology for the shop, as examples/shop/topology.yaml
    #[arg(long, requires = "shop")]
    pub topology: Option<PathBuf>,
    /// Write the incident with the objects that its repair was planned on to this file, for `causeway test`, and end there.
    /// Repairs are suggested only, from all runbooks
    #[arg(long, requires = "shop", conflicts_with = "no_repair")]
    pub bundle: Option<PathBuf>,
    /// Requests of which each ten seconds of the shop have spans and log lines
    #[arg(long, requires = "shop", default_value_t = 40)]
    pub samples: usize,
    /// Play every recording, and print what came of each
    #[arg(long, conflicts_with_all = ["keep", "crash"])]
    pub all: bool,
    /// Use a policy that picks a useless repair first
    #[arg(long, conflicts_with = "no_repair")]
    pub wrong_fix: bool,
    /// Only suggest: nothing is repaired
    #[arg(long)]
    pub no_repair: bool,
    /// Stop before every repair until you approve or reject it, in the console or with kubectl
    #[arg(long, conflicts_with_all = ["all", "wrong_fix", "no_repair"])]
    pub ask: bool,
    /// Kill Causeway with SIGKILL in the middle of the feed, this many times
    #[arg(long, num_args = 0..=1, default_missing_value = "3", default_value_t = 0)]
    pub crash: u32,
    /// Play with the cluster of this kubeconfig, its real controllers and rollouts; the shop needs one of
    /// `cargo xtask cluster`
    #[arg(long, conflicts_with = "all")]
    pub kubeconfig: Option<PathBuf>,
    /// Run two operators, a gateway, an executor and a console apart, each with the kubeconfig of its role's name in this
    /// folder; the cluster has the definitions, the admission rules and the fixer already, as the Helm charts install them
    #[arg(long, requires = "kubeconfig", conflicts_with_all = ["crash", "keep", "wrong_fix"])]
    pub roles: Option<PathBuf>,
    /// Kill a role before and after each of its writes; the audit log of the API server is the witness that nothing
    /// is done twice. Needs a cluster of `cargo xtask cluster`
    #[arg(long, requires = "roles", value_enum, value_delimiter = ',')]
    pub crash_points: Vec<Victim>,
    /// While the outage is found and repaired, freeze the API server for so many seconds, by default longer than two terms of
    /// a Lease, and kill its store; needs a cluster of `cargo xtask cluster`
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "35", requires = "kubeconfig",
        conflicts_with_all = ["all", "wrong_fix", "no_repair", "crash_points"])]
    pub outage: Option<u64>,
    /// Put something hostile behind log lines and names, for readers, terminals, pages and models, and look at every surface
    #[arg(long, conflicts_with_all = ["all", "shop", "roles"])]
    pub hostile: bool,
    /// Leave Causeway running at the end
    #[arg(long)]
    pub keep: bool,
    /// Print the summary as JSON, and nothing else
    #[arg(long)]
    pub json: bool,
    /// Also write the summary into this file, as JSON
    #[arg(long)]
    pub summary: Option<PathBuf>,
    /// The `causeway` binary
    #[arg(long)]
    pub causeway: Option<PathBuf>,
    /// Root of the repository: examples and runbooks are below it
    #[arg(long, default_value = ".")]
    pub root: PathBuf,
    /// Data folder; a new one below the system's temporary folder by default
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Where the report goes
    #[arg(long, default_value = "report.html")]
    pub report: PathBuf,
}

/// Runs the demo; an error when the outage was found but not repaired although it could have been.
///
/// # Errors
/// When a process can't be started, a request fails, or the outcome is not what was asked for.
pub async fn run(arguments: DemoArguments) -> Result<()> {
    // Two providers are linked in; without a choice the first handshake would fail.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    if arguments.shop.is_some() {
        let summary = shop::one(&arguments).await?;
        return summary.check(&arguments);
    }
    if !arguments.all {
        let summary = run::one(&arguments).await?;
        return summary.check(&arguments);
    }
    let folder = arguments.root.join("examples/train-ticket/recordings");
    let mut cases: Vec<String> = std::fs::read_dir(&folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            path.join("case.json").exists().then(|| path.file_name()?.to_str().map(str::to_owned)).flatten()
        })
        .collect();
    cases.sort();
    let mut summaries = Vec::new();
    for case in cases {
        let data = arguments.data.as_ref().map(|data| data.join(&case));
        let one = DemoArguments { case, data, json: true, ..arguments.clone() };
        summaries.push(run::one(&one).await?);
        tables::case_line(summaries.last(), arguments.json);
    }
    tables::case_table(&summaries, arguments.json)
}

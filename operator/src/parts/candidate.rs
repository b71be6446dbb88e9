//! A process that may lead.

use std::time::Duration;

use anyhow::{Result, bail};
use causeway_kubekit::{Elector, ElectorConfig, Leadership};
use causeway_remediate::DurationText;
use clap::Args;
use kube::Client;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Arguments of the election.
#[derive(Clone, Debug, Args)]
pub(crate) struct LeaseArguments {
    /// Namespace of the Lease
    #[arg(long, env = "POD_NAMESPACE", default_value = "causeway-system")]
    namespace: String,
    /// Name of this process among the candidates for the Lease
    #[arg(long, env = "POD_NAME")]
    identity: Option<String>,
    /// How long others wait for the Lease of one that does not renew it: whole seconds, at least 3
    #[arg(long, default_value = "15s", value_parser = lease_duration)]
    lease_duration: Duration,
}

fn lease_duration(text: &str) -> Result<Duration> {
    let duration = DurationText::parse(text)?.get();
    if duration < Duration::from_secs(3) || duration.subsec_nanos() != 0 {
        bail!("a Lease lasts at least 3s, in whole seconds");
    }
    Ok(duration)
}

/// Takes part in an election until it is released.
pub(crate) struct Candidate {
    /// Name among the candidates.
    pub(crate) identity: String,
    /// Whether this process leads.
    pub(crate) leadership: Leadership,
    released: CancellationToken,
    election: JoinHandle<()>,
}

impl Candidate {
    /// Stands for the Lease `lease`; `role` names the process where nobody else does.
    pub(crate) fn stand(client: Client, lease: &str, role: &str, arguments: LeaseArguments) -> Self {
        let LeaseArguments { namespace, identity, lease_duration } = arguments;
        // A name of its own for every start: a process that was frozen must not take its successor's Lease for its own.
        let identity = format!("{}-{:08x}", identity.as_deref().unwrap_or(role), rand::random::<u32>());
        let config = ElectorConfig::new(&namespace, lease, &identity).lasting(lease_duration);
        let elector = Elector::new(client, config);
        let leadership = elector.leadership();
        let released = CancellationToken::new();
        let election = tokio::spawn(elector.run(released.clone()));
        tracing::info!(%namespace, %identity, "candidate for the Lease {lease}");
        Self { identity, leadership, released, election }
    }

    /// Gives the Lease back. Only after everything that acts has ended.
    pub(crate) async fn release(self) -> Result<()> {
        self.released.cancel();
        Ok(self.election.await?)
    }
}

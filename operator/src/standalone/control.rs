//! The Kubernetes API that the controllers work with: in this process, or a cluster's.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use causeway_console::Gate;
use causeway_controllers::{Admission, FIXER};
use causeway_crds::PeakEvent;
use causeway_localcluster::{LocalCluster, Options, Storage, User};
use kube::api::{Api, ListParams};
use kube::{Client, Config};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::admission::{OPERATOR, Rules};
use crate::parts::clock::ProcessClock;
use crate::parts::cluster::{self, Cluster};

/// Where custom resources live.
pub(crate) enum Control {
    /// In this process.
    Local(LocalCluster),
    /// In a cluster.
    Cluster(Box<Cluster>),
}

impl Control {
    /// The API in this process, kept in the data folder.
    pub(crate) async fn local(data: &Path, clock: &Arc<ProcessClock>) -> Result<Self> {
        let clock = Arc::clone(clock);
        let rules = Arc::new(Rules::default());
        // One process is operator and executor: it acts as the fixer of every namespace that has one.
        let operator =
            User { may_impersonate: vec![format!("system:serviceaccount:*:{FIXER}")], ..User::new(OPERATOR) };
        let cluster = LocalCluster::open(Options {
            storage: Storage::Folder(data.to_owned()),
            crds: causeway_crds::all_crds(),
            users: vec![User::new("admin"), operator],
            admission: vec![rules.clone()],
            now: Arc::new(move || clock.timestamp()),
        });
        let shown = data.display();
        let cluster = cluster.with_context(|| format!("cannot open the cluster's state in {shown}"))?;
        let events = Api::<PeakEvent>::all(cluster.client("admin")).list(&ListParams::default()).await;
        events.context("cannot list PeakEvents")?.items.into_iter().for_each(|event| rules.remember(event));
        Ok(Self::Local(cluster))
    }

    /// The cluster of a kubeconfig.
    pub(crate) async fn cluster(path: &Path) -> Result<Self> {
        Ok(Self::Cluster(Box::new(cluster::connect(Some(path)).await?)))
    }

    /// Client of the controllers.
    pub(crate) fn operator(&self) -> Client {
        match self {
            Self::Local(cluster) => cluster.client(OPERATOR),
            Self::Cluster(cluster) => cluster.client.clone(),
        }
    }

    /// Client for what the person who started the process wants applied.
    pub(crate) fn administrator(&self) -> Client {
        match self {
            Self::Local(cluster) => cluster.client("admin"),
            Self::Cluster(cluster) => cluster.client.clone(),
        }
    }

    /// What keeps the admission rules.
    pub(crate) fn admission(&self) -> Admission {
        match self {
            Self::Local(_) => Admission::BuiltIn,
            Self::Cluster(cluster) => Admission::Policies { operator: cluster.user.clone() },
        }
    }

    /// Lets people and programs in by their own tokens, which the API server knows; and whoever may read the data folder,
    /// as this process. `address` is that of the API in this process.
    pub(crate) fn gate(&self, data: &Path, address: Option<&str>) -> Result<Gate> {
        let token = self.token(data)?;
        Ok(match (self, address) {
            (Self::Cluster(cluster), _) => {
                Gate::new(cluster.config.clone()).with_own(&token, cluster.client.clone())
            }
            (Self::Local(_), Some(address)) => Gate::new(Config::new(address.parse()?)),
            (Self::Local(_), None) => bail!("the Kubernetes API of this process has no address"),
        })
    }

    /// Token of the HTTP API, which is the administrator's of the API in this process, else one of its own. It is kept
    /// in the data folder.
    fn token(&self, data: &Path) -> Result<String> {
        let path = data.join("token");
        let token = match self {
            Self::Local(cluster) => cluster.token("admin").map(str::to_owned),
            Self::Cluster(_) => std::fs::read_to_string(&path).ok(),
        };
        let token = token.filter(|t| !t.is_empty()).unwrap_or_else(|| {
            let bytes: [u8; 24] = rand::random();
            bytes.iter().map(|b| format!("{b:02x}")).collect()
        });
        write_private(&path, &token).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(token)
    }

    /// Serves the API in this process until `stop`; a cluster serves its own.
    pub(crate) async fn serve(&self, listener: Option<TcpListener>, stop: CancellationToken) {
        if let (Self::Local(cluster), Some(listener)) = (self, listener) {
            cluster.clone().serve(listener, stop.cancelled_owned()).await;
        }
    }

    /// Closes the store of the API in this process.
    pub(crate) fn close(&self) {
        if let Self::Local(cluster) = self {
            cluster.close();
        }
    }
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

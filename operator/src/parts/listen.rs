//! Listeners, and the file that tells where they are.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Serialize;
use tokio::net::TcpListener;

/// Binds a port, 0 for a free one; `flag` is how the user chooses another.
pub(crate) async fn listen(bind: IpAddr, port: u16, flag: &str) -> Result<TcpListener> {
    let address = SocketAddr::new(bind, port);
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: choose another port with {flag}, or 0 for a free one")
    })
}

/// Address of a listener as a URL.
pub(crate) fn url(listener: &TcpListener) -> Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}

/// What `endpoints.json` says: only what the process serves.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Endpoints {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) otlp_grpc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) otlp_http: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) forward: Option<String>,
    /// Where gateways hand over to an operator that leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) gateways: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kubernetes: Option<String>,
    pub(crate) admin: String,
    pub(crate) pid: u32,
}

fn path(folder: &Path) -> PathBuf {
    folder.join("endpoints.json")
}

impl Endpoints {
    /// Writes `endpoints.json`; its appearance tells that the process is ready.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let (path, new) = (path(folder), folder.join("endpoints.json.new"));
        std::fs::write(&new, serde_json::to_vec_pretty(self)?)
            .and_then(|()| std::fs::rename(&new, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Removes the file; a crash leaves it.
    pub(crate) fn remove(folder: &Path) -> Result<()> {
        let path = path(folder);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", path.display()))
            }
            _ => Ok(()),
        }
    }
}

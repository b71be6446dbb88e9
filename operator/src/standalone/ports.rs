//! The listeners of the process, and the file that tells where they are.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use tokio::net::TcpListener;

/// Ports; 0 takes a free one.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct PortArguments {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    bind: IpAddr,
    /// OTLP over gRPC
    #[arg(long, default_value_t = 4317)]
    otlp_grpc_port: u16,
    /// OTLP over HTTP
    #[arg(long, default_value_t = 4318)]
    otlp_http_port: u16,
    /// Fluent Forward
    #[arg(long, default_value_t = 24224)]
    forward_port: u16,
    /// HTTP API
    #[arg(long, default_value_t = 8080)]
    api_port: u16,
    /// Kubernetes API
    #[arg(long, default_value_t = 8001)]
    kubernetes_port: u16,
    /// Metrics and health
    #[arg(long, default_value_t = 9090)]
    admin_port: u16,
}

/// Bound listeners.
pub(crate) struct Ports {
    pub(crate) otlp_grpc: TcpListener,
    pub(crate) otlp_http: TcpListener,
    pub(crate) forward: TcpListener,
    pub(crate) api: TcpListener,
    /// Absent when a cluster has its own.
    pub(crate) kubernetes: Option<TcpListener>,
    pub(crate) admin: TcpListener,
}

/// What `endpoints.json` says.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Endpoints {
    pub(crate) otlp_grpc: String,
    pub(crate) otlp_http: String,
    pub(crate) forward: String,
    pub(crate) api: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kubernetes: Option<String>,
    pub(crate) admin: String,
    pub(crate) pid: u32,
}

impl PortArguments {
    /// Binds all of them, or says which one is taken.
    /// `kubernetes` tells whether this process serves the Kubernetes API.
    pub(crate) async fn bind(self, kubernetes: bool) -> Result<Ports> {
        let Self {
            bind,
            otlp_grpc_port,
            otlp_http_port,
            forward_port,
            api_port,
            kubernetes_port,
            admin_port,
        } = self;
        let listen = |port: u16, flag: &'static str| async move {
            let address = SocketAddr::new(bind, port);
            TcpListener::bind(address).await.with_context(|| {
                format!("cannot listen on {address}: choose another port with {flag}, or 0 for a free one")
            })
        };
        Ok(Ports {
            otlp_grpc: listen(otlp_grpc_port, "--otlp-grpc-port").await?,
            otlp_http: listen(otlp_http_port, "--otlp-http-port").await?,
            forward: listen(forward_port, "--forward-port").await?,
            api: listen(api_port, "--api-port").await?,
            kubernetes: match kubernetes {
                true => Some(listen(kubernetes_port, "--kubernetes-port").await?),
                false => None,
            },
            admin: listen(admin_port, "--admin-port").await?,
        })
    }
}

impl Ports {
    /// Addresses for people and for clients.
    pub(crate) fn endpoints(&self) -> Result<Endpoints> {
        let url = |l: &TcpListener| l.local_addr().map(|a| format!("http://{a}"));
        Ok(Endpoints {
            otlp_grpc: url(&self.otlp_grpc)?,
            otlp_http: url(&self.otlp_http)?,
            forward: self.forward.local_addr()?.to_string(),
            api: url(&self.api)?,
            kubernetes: self.kubernetes.as_ref().map(url).transpose()?,
            admin: url(&self.admin)?,
            pid: std::process::id(),
        })
    }
}

impl Endpoints {
    /// Writes `endpoints.json`; its appearance tells that the process is ready.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let (path, new) = (folder.join("endpoints.json"), folder.join("endpoints.json.new"));
        std::fs::write(&new, serde_json::to_vec_pretty(self)?)
            .and_then(|()| std::fs::rename(&new, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

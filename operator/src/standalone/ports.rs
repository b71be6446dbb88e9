//! The listeners of the process.

use std::net::IpAddr;

use anyhow::Result;
use clap::Args;
use tokio::net::TcpListener;

use crate::parts::listen::{Endpoints, listen, url};
use crate::parts::receiving::ReceiverPorts;

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
    pub(crate) receivers: ReceiverPorts,
    pub(crate) api: TcpListener,
    /// Absent when a cluster has its own.
    pub(crate) kubernetes: Option<TcpListener>,
    pub(crate) admin: TcpListener,
}

impl PortArguments {
    /// Binds all of them, or says which one is taken.
    /// `kubernetes` tells whether this process serves the Kubernetes API.
    pub(crate) async fn bind(self, kubernetes: bool) -> Result<Ports> {
        let Self { bind, .. } = self;
        Ok(Ports {
            receivers: ReceiverPorts {
                otlp_grpc: listen(bind, self.otlp_grpc_port, "--otlp-grpc-port").await?,
                otlp_http: listen(bind, self.otlp_http_port, "--otlp-http-port").await?,
                forward: listen(bind, self.forward_port, "--forward-port").await?,
            },
            api: listen(bind, self.api_port, "--api-port").await?,
            kubernetes: match kubernetes {
                true => Some(listen(bind, self.kubernetes_port, "--kubernetes-port").await?),
                false => None,
            },
            admin: listen(bind, self.admin_port, "--admin-port").await?,
        })
    }
}

impl Ports {
    /// Addresses for people and for clients.
    pub(crate) fn endpoints(&self) -> Result<Endpoints> {
        Ok(Endpoints {
            api: Some(url(&self.api)?),
            kubernetes: self.kubernetes.as_ref().map(url).transpose()?,
            ..self.receivers.endpoints(&self.admin)?
        })
    }
}

//! Starts and stops all listeners.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use causeway_model::{Clock, Sink};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::gate::Gate;
use crate::serve::{accept_loop, serve_http};
use crate::{Credentials, IngestLimits, IngestMetrics, forward, grpc, http_routes};

/// What to listen on, already bound, so that a port in use is the caller's error to report.
#[derive(Debug)]
pub struct IngestConfig {
    /// OTLP gRPC.
    pub grpc: TcpListener,
    /// OTLP HTTP and every other HTTP receiver.
    pub http: TcpListener,
    /// Fluent Forward.
    pub forward: TcpListener,
    /// Further HTTP receivers on the HTTP listener; they authenticate by themselves.
    pub extra_http: Router,
    /// Our name in the handshake of Fluent Forward.
    pub server_name: String,
    /// Bounds.
    pub limits: IngestLimits,
}

/// The transports.
#[derive(Debug)]
pub struct IngestServer;

/// Running listeners.
#[derive(Debug)]
pub struct IngestHandles {
    /// Address of the gRPC listener.
    pub grpc: SocketAddr,
    /// Address of the HTTP listener.
    pub http: SocketAddr,
    /// Address of the Forward listener.
    pub forward: SocketAddr,
    task: JoinHandle<()>,
}

impl IngestHandles {
    /// Ends after the shutdown, when the requests under way have ended or the drain timeout is over.
    pub async fn finished(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "ingest ended before its time");
        }
    }
}

impl IngestServer {
    /// Starts all listeners; they stop when `shutdown` is cancelled.
    ///
    /// # Errors
    /// When the address of a listener can't be read.
    pub fn start(
        config: IngestConfig,
        credentials: Credentials,
        sink: Arc<dyn Sink>,
        clock: Arc<dyn Clock>,
        metrics: IngestMetrics,
        shutdown: CancellationToken,
    ) -> io::Result<IngestHandles> {
        let IngestConfig { grpc, http, forward, extra_http, server_name, limits } = config;
        let addresses = (grpc.local_addr()?, http.local_addr()?, forward.local_addr()?);
        let gate = Arc::new(Gate::new(credentials, limits, metrics, sink, clock));
        let grpc_server =
            serve_http(grpc, "grpc", grpc::router(Arc::clone(&gate)), Arc::clone(&gate), shutdown.clone());
        let http_router = http_routes::router(Arc::clone(&gate)).merge(extra_http);
        let http_server = serve_http(http, "http", http_router, Arc::clone(&gate), shutdown.clone());
        let forward_server = serve_forward(forward, server_name.into(), Arc::clone(&gate), shutdown);
        let task = tokio::spawn(async move {
            tokio::join!(grpc_server, http_server, forward_server);
            gate.drain().await;
        });
        let (grpc, http, forward) = addresses;
        tracing::info!(%grpc, %http, %forward, "ingest listens");
        Ok(IngestHandles { grpc, http, forward, task })
    }
}

async fn serve_forward(
    listener: TcpListener,
    server_name: Arc<str>,
    gate: Arc<Gate>,
    shutdown: CancellationToken,
) {
    let connections = TaskTracker::new();
    accept_loop(listener, "forward", &gate, &shutdown, |stream| {
        let work = forward::connection(Arc::clone(&gate), stream, Arc::clone(&server_name), shutdown.clone());
        connections.track_future(work)
    })
    .await;
    connections.close();
    if tokio::time::timeout(gate.limits.drain_timeout, connections.wait()).await.is_err() {
        tracing::warn!(transport = "forward", "connections had not ended at the deadline");
    }
}

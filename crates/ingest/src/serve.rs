//! Accepting connections, with a bound on how many are open, until the shutdown.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::gate::Gate;

/// Pause after an error of `accept`, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Streams on one HTTP/2 connection.
const MAX_STREAMS: u32 = 64;

/// Accepts connections until the shutdown and runs `connection` for each.
pub(crate) async fn accept_loop<F>(
    listener: TcpListener,
    transport: &'static str,
    gate: &Gate,
    shutdown: &CancellationToken,
    connection: impl Fn(TcpStream) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(gate.limits.max_connections));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(transport, %error, "connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            gate.metrics.refused(transport);
            continue;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(transport, %error, "no TCP_NODELAY");
        }
        let open = gate.metrics.opened(transport);
        let work = connection(stream);
        tokio::spawn(async move {
            let (_slot, _open) = (slot, open);
            work.await;
        });
    }
}

/// Serves HTTP/1.1 and HTTP/2 until the shutdown, then lets requests under way end.
pub(crate) async fn serve_http(
    listener: TcpListener,
    transport: &'static str,
    router: Router,
    gate: Arc<Gate>,
    shutdown: CancellationToken,
) {
    let graceful = GracefulShutdown::new();
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(gate.limits.read_timeout);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(MAX_STREAMS);
    let builder = Arc::new(builder);
    accept_loop(listener, transport, &gate, &shutdown, |stream| {
        let (builder, service) = (Arc::clone(&builder), TowerToHyperService::new(router.clone()));
        let watcher = graceful.watcher();
        async move {
            let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(transport, %error, "connection ended");
            }
        }
    })
    .await;
    if tokio::time::timeout(gate.limits.drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!(transport, "requests had not ended at the deadline");
    }
}

//! What a gateway watches: LogSources and the Secrets that they name. It writes nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use causeway_crds::LogSource;
use causeway_kubekit::{Activity, Mirror, ObjectKey};
use kube::Client;
use tokio_util::sync::CancellationToken;

use crate::log_source::LogSources;
use crate::mirrors::Mirrors;
use crate::observing::Observer as _;
use crate::ports::Gateway;

/// How often the mirrors are looked at. They are in memory, so that this costs the API server nothing.
const LOOK: Duration = Duration::from_secs(1);

/// What the configuration of a gateway needs.
pub struct GatewayContext {
    /// Client; LogSources are listed and watched in all namespaces, Secrets by their names.
    pub client: Client,
    /// Account of work in progress.
    pub activity: Activity,
    /// The receiving side.
    pub gateway: Arc<dyn Gateway>,
}

/// Configures the gateway by the LogSources of the cluster until `shutdown`. Calls `ready` once all were looked at. While
/// the API server does not answer, everything stays as it was.
pub async fn run_gateway(context: GatewayContext, ready: impl FnOnce() + Send, shutdown: CancellationToken) {
    let GatewayContext { client, activity, gateway } = context;
    let mirrors = Mirrors::new(&client, &activity);
    let watched: Mirror<LogSource> = mirrors.log_sources.clone();
    let watching = watched.run(shutdown.clone());
    let configuring = configure(LogSources::new(mirrors.clone(), gateway), watched.clone(), ready);
    tokio::select! {
        () = watching => {}
        () = configuring => {}
    }
}

async fn configure(sources: LogSources, watched: Mirror<LogSource>, ready: impl FnOnce() + Send) {
    watched.synced().await;
    let (mut known, mut ready) = (HashMap::new(), Some(ready));
    loop {
        let present: HashMap<ObjectKey, Arc<LogSource>> =
            watched.list().into_iter().map(|object| (ObjectKey::of(object.as_ref()), object)).collect();
        for object in present.values() {
            sources.configure(object).await;
        }
        for (key, object) in &known {
            if !present.contains_key(key) {
                let object: &Arc<LogSource> = object;
                sources.forget(object);
            }
        }
        known = present;
        if let Some(ready) = ready.take() {
            ready();
        }
        tokio::time::sleep(LOOK).await;
    }
}

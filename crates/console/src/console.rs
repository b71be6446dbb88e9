//! The console as one router.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use causeway_model::{Clock, Insight};
use minijinja::Environment;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::failure::{Failure, Result};
use crate::gate::Gate;
use crate::session::Session;
use crate::telemetry::Telemetry;
use crate::{api, pages, protect, render};

/// Streams of live updates at most, over all callers.
const MAX_STREAMS: usize = 512;

/// What a console is made of.
pub struct ConsoleConfig {
    /// Who is let in.
    pub gate: Gate,
    /// Where telemetry is read.
    pub telemetry: Telemetry,
    /// The `now` that ages are told by.
    pub clock: Arc<dyn Clock>,
    /// Bytes that one query may scan.
    pub byte_budget: u64,
    /// Ends the streams of live updates, so that the server can end.
    pub stop: CancellationToken,
}

/// The console. It keeps nothing but what the API server said of callers in the last minute.
pub struct Console {
    pub(crate) gate: Gate,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) byte_budget: u64,
    pub(crate) stop: CancellationToken,
    pub(crate) templates: Environment<'static>,
    pub(crate) streams: Arc<Semaphore>,
    telemetry: Telemetry,
}

/// Why a console could not be made.
#[derive(Debug, thiserror::Error)]
#[error("a template of the console is not valid")]
pub struct TemplateError(#[from] minijinja::Error);

impl Console {
    /// A console.
    ///
    /// # Errors
    /// When an embedded template is not valid; a test holds that all are.
    pub fn new(config: ConsoleConfig) -> std::result::Result<Arc<Self>, TemplateError> {
        let ConsoleConfig { gate, telemetry, clock, byte_budget, stop } = config;
        Ok(Arc::new(Self {
            gate,
            clock,
            byte_budget,
            stop,
            templates: render::environment()?,
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            telemetry,
        }))
    }

    /// All routes: pages, style and script, and `/api/v1`.
    pub fn router(self: &Arc<Self>) -> Router {
        self.router_with(Router::new())
    }

    /// The same with further routes for callers who may do everything: those who may list Incidents in all namespaces.
    pub fn router_with(self: &Arc<Self>, further: Router) -> Router {
        let further = further.layer(from_fn_with_state(Arc::clone(self), api::everywhere));
        let signed_in = api::router(self).merge(further).merge(pages::router(self));
        signed_in
            .layer(from_fn_with_state(Arc::clone(self), protect::session))
            .merge(pages::open_router(self))
            .layer(from_fn_with_state(Arc::clone(self), pages::show_failures))
            .layer(from_fn(protect::headers))
    }

    /// Telemetry for a caller.
    pub(crate) fn insight(&self, session: &Session) -> Arc<dyn Insight> {
        self.telemetry.open(&session.token)
    }

    /// Takes one of the places for live updates, for as long as the answer lives.
    pub(crate) fn stream_place(&self) -> Result<tokio::sync::OwnedSemaphorePermit> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_| {
            Failure::new(
                axum::http::StatusCode::SERVICE_UNAVAILABLE,
                "too many pages are open for live updates: reload to see what is new",
            )
        })
    }
}

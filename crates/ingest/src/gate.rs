//! What all transports share between the bytes of a request and its answer.

use std::sync::Arc;

use bytes::Bytes;
use causeway_model::{AcceptedRange, Clock, Delivery, Sink, SourceRef};
use causeway_wire::{DecodeContext, DecodeError, DecodeStats, Decoded};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;
use xxhash_rust::xxh3::Xxh3;

use crate::credentials::{Credentials, Grant};
use crate::decompress::{Compression, decompress};
use crate::{IngestError, IngestLimits, IngestMetrics};

/// Bodies above this are decoded on a thread for blocking work.
const DECODE_INLINE_BYTES: usize = 64 << 10;

/// What was accepted.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) rejected: usize,
    pub(crate) message: String,
}

/// Decoded records with the hash of the request that brought them.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) decoded: Decoded,
    request_hash: u64,
    bytes: usize,
}

/// Shared by all connections.
pub(crate) struct Gate {
    pub(crate) credentials: Credentials,
    pub(crate) limits: IngestLimits,
    pub(crate) metrics: IngestMetrics,
    sink: Arc<dyn Sink>,
    clock: Arc<dyn Clock>,
    in_flight: Arc<Semaphore>,
    /// Deliveries under way, which end even when their sender has gone.
    deliveries: TaskTracker,
}

impl Gate {
    pub(crate) fn new(
        credentials: Credentials,
        limits: IngestLimits,
        metrics: IngestMetrics,
        sink: Arc<dyn Sink>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let in_flight = Arc::new(Semaphore::new(limits.max_in_flight));
        Self { credentials, limits, metrics, sink, clock, in_flight, deliveries: TaskTracker::new() }
    }

    /// The source of a request by its bearer token, if it may send now.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> Result<Arc<Grant>, IngestError> {
        let token = headers.get(AUTHORIZATION).and_then(|value| {
            let (scheme, token) = value.to_str().ok()?.trim().split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        let grant = token.and_then(|t| self.credentials.by_bearer(t)).ok_or(IngestError::Unauthenticated)?;
        self.may_send(&grant)?;
        Ok(grant)
    }

    /// Whether a source is neither suspended nor above its rate.
    pub(crate) fn may_send(&self, grant: &Grant) -> Result<(), IngestError> {
        if grant.limits.suspended {
            return Err(IngestError::Suspended);
        }
        let Some(bucket) = &grant.bucket else { return Ok(()) };
        bucket.check(self.clock.now_us()).map_err(|retry_after_ms| {
            self.note(grant, IngestError::RateLimited { limit: bucket.rate(), retry_after_ms })
        })
    }

    /// Remembers an error for the status of its source.
    pub(crate) fn note(&self, grant: &Grant, error: IngestError) -> IngestError {
        grant.trouble.note(&error, self.clock.now_us());
        error
    }

    /// A request's turn to be read, decoded and stored.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit, IngestError> {
        let turn = Arc::clone(&self.in_flight).acquire_owned();
        match tokio::time::timeout(self.limits.queue_timeout, turn).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(IngestError::Busy),
        }
    }

    /// Bytes that a body of this source may have.
    pub(crate) fn body_limit(&self, grant: &Grant) -> usize {
        grant.limits.max_body_bytes.unwrap_or(usize::MAX).min(self.limits.max_body_bytes)
    }

    /// Decompresses and decodes a body. `protocol` goes into the hash, so that equal bytes of two signals differ.
    pub(crate) async fn decode<F>(
        &self,
        grant: &Grant,
        protocol: &'static str,
        body: Bytes,
        compression: Compression,
        decode: F,
    ) -> Result<Ready, IngestError>
    where
        F: FnOnce(&[u8], &DecodeContext) -> Result<Decoded, DecodeError> + Send + 'static,
    {
        let observed_us = self.clock.now_us();
        let context = DecodeContext {
            source: grant.source.clone(),
            observed_us,
            accepted: AcceptedRange::around(observed_us),
            limits: self.limits.decode,
        };
        let limit = self.body_limit(grant);
        let inline = compression == Compression::None && body.len() <= DECODE_INLINE_BYTES;
        let work = move || {
            let body = decompress(body, compression, limit)?;
            let decoded = decode(&body, &context)?;
            let request_hash = request_hash(&context.source, protocol, &body);
            Ok(Ready { decoded, request_hash, bytes: body.len() })
        };
        let ready = if inline {
            work()
        } else {
            tokio::task::spawn_blocking(work).await.map_err(|_| IngestError::Internal)?
        };
        ready.map_err(|error| self.note(grant, error))
    }

    /// Hands records to the sink. Runs to its end even if the caller is dropped, because the sink may have stored
    /// them by then. An empty batch is accepted as it is.
    pub(crate) async fn deliver(
        self: &Arc<Self>,
        grant: &Arc<Grant>,
        ready: Ready,
        permit: OwnedSemaphorePermit,
    ) -> Result<Accepted, IngestError> {
        let (gate, grant) = (Arc::clone(self), Arc::clone(grant));
        let task = self.deliveries.spawn(async move {
            let _permit = permit;
            gate.store(&grant, ready).await
        });
        task.await.map_err(|_| IngestError::Internal)?
    }

    async fn store(&self, grant: &Grant, ready: Ready) -> Result<Accepted, IngestError> {
        let Ready { decoded: Decoded { batch, stats, errors }, request_hash, bytes } = ready;
        let DecodeStats { records, rejected, .. } = stats;
        if let Some(bucket) = &grant.bucket {
            bucket.charge(records);
        }
        if rejected > 0 {
            grant.trouble.reject(self.clock.now_us());
        }
        let (mut rows, mut duplicate) = (0, false);
        if !batch.is_empty() {
            let delivery = Delivery { source: grant.source.clone(), batch, request_hash };
            let accepted = self.sink.accept(delivery).await?;
            (rows, duplicate) = (accepted.rows, accepted.duplicate);
        }
        self.metrics.accepted(&grant.source, stats, rows, duplicate, bytes);
        Ok(Accepted { rejected, message: errors.join("; ") })
    }

    /// Waits for the deliveries under way, at most for the drain timeout.
    pub(crate) async fn drain(&self) {
        self.deliveries.close();
        if tokio::time::timeout(self.limits.drain_timeout, self.deliveries.wait()).await.is_err() {
            tracing::warn!(deliveries = self.deliveries.len(), "deliveries had not ended at the deadline");
        }
    }
}

/// A sender's retry of the same bytes has the same hash. Collisions are 1 in 2^64 for each pair of requests that the
/// sink remembers of a source.
fn request_hash(source: &SourceRef, protocol: &str, body: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    for part in [source.namespace.as_bytes(), source.name.as_bytes(), protocol.as_bytes(), body] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.digest()
}

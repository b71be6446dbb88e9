//! HTTP receivers: one route a path of the decoders' registry.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use bytes::Bytes;
use causeway_wire::{Decoder, Reply, decoder_for, decoders};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::decompress::Compression;
use crate::gate::{Accepted, Gate};
use crate::{IngestError, IngestLimits};

/// How much of a refused body is read before the connection is closed, in largest accepted bodies.
const DISCARDED_BODIES: usize = 16;

/// Routes of all decoders.
pub(crate) fn router(gate: Arc<Gate>) -> Router {
    let paths: BTreeSet<&'static str> = decoders().map(Decoder::path).collect();
    let router = paths.into_iter().fold(Router::new(), |router, path| router.route(path, post(receive)));
    router.with_state(gate)
}

async fn receive(State(gate): State<Arc<Gate>>, request: Request) -> Response {
    let path = request.uri().path();
    let content_type = header(request.headers(), CONTENT_TYPE.as_str()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let known = decoder_for(path, media_type);
    // An answer has to be written in some encoding, even to a request that no decoder takes.
    let Some(decoder) = known.or_else(|| decoder_for(path, "application/json")) else {
        return status(StatusCode::NOT_FOUND);
    };
    let unsupported = known.is_none().then(|| IngestError::MediaType(media_type.chars().take(64).collect()));
    let (head, mut body) = request.into_parts();
    let result = match unsupported {
        Some(error) => gate.admit(&head.headers).and(Err(error)),
        None => process(&gate, decoder, &head.headers, &mut body).await,
    };
    if result.is_err() {
        discard(body, &gate.limits).await;
    }
    let outcome = result.as_ref().map_or_else(IngestError::category, |_| "accepted");
    gate.metrics.request("http", decoder.protocol(), outcome);
    answer(decoder, result)
}

async fn process(
    gate: &Arc<Gate>,
    decoder: &'static dyn Decoder,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<Accepted, IngestError> {
    let grant = gate.admit(headers)?;
    let compression = Compression::of(header(headers, CONTENT_ENCODING.as_str()))?;
    let limit = gate.body_limit(&grant);
    let announced = header(headers, CONTENT_LENGTH.as_str()).and_then(|l| l.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(gate.note(&grant, IngestError::TooLarge { limit }));
    }
    let permit = gate.turn().await?;
    let body = read(body, limit, gate).await.map_err(|error| gate.note(&grant, error))?;
    let ready = gate
        .decode(&grant, decoder.protocol(), body, compression, |body, context| decoder.decode(body, context))
        .await?;
    gate.deliver(&grant, ready, permit).await
}

async fn read(body: &mut Body, limit: usize, gate: &Gate) -> Result<Bytes, IngestError> {
    let collected = Limited::new(body, limit).collect();
    match tokio::time::timeout(gate.limits.read_timeout, collected).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(IngestError::TooLarge { limit }),
        Ok(Err(error)) => Err(IngestError::Body(error.to_string())),
        Err(_) => Err(IngestError::Timeout),
    }
}

/// Reads and forgets what is left of a refused body. Closing a connection on which the sender still writes resets it,
/// and the sender would see a broken pipe in place of the answer that says what to change.
async fn discard(mut body: Body, limits: &IngestLimits) {
    let bound = limits.max_body_bytes.saturating_mul(DISCARDED_BODIES);
    let rest = async {
        let mut seen = 0;
        while let Some(Ok(frame)) = body.frame().await {
            seen += frame.data_ref().map_or(0, Bytes::len);
            if seen > bound {
                break;
            }
        }
    };
    if tokio::time::timeout(limits.read_timeout, rest).await.is_err() {
        tracing::debug!("the sender of a refused body did not end it in time");
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn answer(decoder: &dyn Decoder, result: Result<Accepted, IngestError>) -> Response {
    let (code, body, retry_after_ms) = match result {
        Ok(Accepted { rejected, message }) => {
            (StatusCode::OK, decoder.reply(Reply::Accepted { rejected, message: &message }), None)
        }
        Err(error) => {
            let message = error.to_string();
            let body = decoder.reply(Reply::Failed { failure: error.failure(), message: &message });
            (error.http_status(), body, error.retry_after_ms())
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(decoder.content_type()));
    if let Some(ms) = retry_after_ms {
        headers.insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000).max(1)));
    }
    if code == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn status(code: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = code;
    response
}

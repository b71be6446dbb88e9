//! HTTP messages in and out: bodies, headers, and where a write may block.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use serde_json::Value;
use tokio::sync::watch::Receiver;

use crate::admission::Identity;
use crate::call::{BODY_LIMIT, Call, parse_query};
use crate::core::{Answer, Core};
use crate::status::{ApiError, ApiResult};

/// Body of an answer.
pub(crate) type AnswerBody = UnsyncBoxBody<Bytes, Infallible>;

/// Reads a request and answers it as `user`.
pub(crate) async fn respond<B>(
    core: Arc<Core>,
    user: Identity,
    closing: Receiver<bool>,
    request: Request<B>,
) -> Response<AnswerBody>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let outcome = match read(user, closing, request).await {
        Ok(call) => run(core, call).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(answer) => write(answer),
        Err(error) => refuse(&error),
    }
}

async fn read<B>(user: Identity, closing: Receiver<bool>, request: Request<B>) -> ApiResult<Call>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(|error| {
        if error.downcast_ref::<http_body_util::LengthLimitError>().is_some() {
            ApiError::too_large(BODY_LIMIT)
        } else {
            ApiError::bad_request(format!("the body could not be read: {error}"))
        }
    })?;
    let text = |name: header::HeaderName| header_text(&parts.headers, &name);
    Ok(Call {
        user,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(parse_query).unwrap_or_default(),
        accept: text(header::ACCEPT),
        content_type: text(header::CONTENT_TYPE),
        agent: text(header::USER_AGENT),
        method: parts.method,
        body: body.to_bytes(),
        closing,
    })
}

pub(crate) fn header_text(headers: &HeaderMap, name: &header::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// Reads are answered from memory; writes wait for the disk on a thread of their own.
async fn run(core: Arc<Core>, call: Call) -> ApiResult<Answer> {
    if call.method == Method::GET {
        return core.handle(&call);
    }
    tokio::task::spawn_blocking(move || core.handle(&call))
        .await
        .unwrap_or_else(|error| Err(ApiError::internal(format!("the request failed: {error}"))))
}

fn write(answer: Answer) -> Response<AnswerBody> {
    match answer {
        Answer::Json { code, body, warnings } => {
            let mut response = json(code, &body);
            for warning in warnings {
                let text = format!("299 - {:?}", warning);
                if let Ok(value) = HeaderValue::from_str(&text) {
                    response.headers_mut().append(header::WARNING, value);
                }
            }
            response
        }
        Answer::Text(text) => plain(text),
        Answer::Watch(watch) => {
            let lines = stream::unfold(watch, |mut watch| async move {
                let line = watch.next().await?;
                Some((Ok::<_, Infallible>(Frame::data(line)), watch))
            });
            let mut response = Response::new(StreamBody::new(lines).boxed_unsync());
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
    }
}

/// A failure as an answer.
pub(crate) fn refuse(error: &ApiError) -> Response<AnswerBody> {
    match error.plain_text() {
        Some(text) => {
            let mut response = plain(text.to_owned());
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
        None => json(error.code, &error.to_status()),
    }
}

fn plain(text: String) -> Response<AnswerBody> {
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed_unsync());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn json(code: u16, body: &Value) -> Response<AnswerBody> {
    let mut text = body.to_string().into_bytes();
    text.push(b'\n');
    let mut response = Response::new(Full::new(Bytes::from(text)).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = if body["kind"] == "APIGroupDiscoveryList" {
        let version = body["apiVersion"].as_str().and_then(|v| v.rsplit('/').next()).unwrap_or("v2");
        format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList")
    } else {
        "application/json".to_owned()
    };
    if let Ok(kind) = HeaderValue::from_str(&kind) {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

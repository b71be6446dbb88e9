//! What went wrong, as every surface shows it.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use causeway_model::QueryError;
use serde_json::json;

/// A refusal or a failure: a status and a sentence for people. As an answer it is `{"error": …}`; pages show it as a page.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) code: StatusCode,
    pub(crate) message: String,
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub(crate) fn new(code: StatusCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// What a page could not be made of.
    pub(crate) fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(error = %chain(error), "the console failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the console failed; its log says why")
    }
}

impl From<kube::Error> for Failure {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::BAD_GATEWAY);
                let message = if code == StatusCode::UNAUTHORIZED {
                    "the token is not known to the API server, or has expired".to_owned()
                } else {
                    status.message.clone()
                };
                Self::new(code, message)
            }
            other => Self::new(
                StatusCode::BAD_GATEWAY,
                format!("the API server does not answer: {}", chain(&other)),
            ),
        }
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        let code = match error {
            QueryError::Invalid(_) => StatusCode::BAD_REQUEST,
            QueryError::Budget { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            QueryError::Forbidden(_) => StatusCode::FORBIDDEN,
            QueryError::Storage(_) => StatusCode::BAD_GATEWAY,
        };
        Self::new(code, error.to_string())
    }
}

impl From<minijinja::Error> for Failure {
    fn from(error: minijinja::Error) -> Self {
        Self::internal(&error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.code, Json(json!({"error": self.message}))).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// An error and what it comes from, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(next) = source {
        let more = next.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = next.source();
    }
    text
}

//! The pages: HTML made here, with a little script for live updates. Without the script everything works by reloading.

mod explore;
mod incident;
mod incidents;
mod policies;
mod services;
mod sign_in;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use causeway_crds::Pause;
use causeway_model::rfc3339;
use minijinja::Value as View;
use serde_json::{Value, json};

use crate::console::Console;
use crate::draw::{STYLE, encoded};
use crate::failure::{Failure, Result};
use crate::objects::list_cluster;
use crate::render::{common, page};
use crate::session::Session;

const APP_STYLE: &str = include_str!("../../assets/app.css");
const APP_SCRIPT: &str = include_str!("../../assets/app.js");
const ICON: &str = include_str!("../../assets/icon.svg");

/// Pages that need a session.
pub(crate) fn router(console: &Arc<Console>) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::to("/incidents") }))
        .route("/incidents", get(incidents::show))
        .route("/incidents/{namespace}/{name}", get(incident::show))
        .route("/remediations/{namespace}/{name}", post(incident::decide))
        .route("/services", get(services::show))
        .route("/service", get(services::one))
        .route("/explore", get(explore::show))
        .route("/explore/download", get(explore::download))
        .route("/policies", get(policies::show))
        .route("/pauses", post(policies::pause))
        .route("/pauses/{name}/delete", post(policies::resume))
        .route("/sign-out", post(sign_in::sign_out))
        .fallback(|| async { Failure::not_found("there is no such page") })
        .with_state(Arc::clone(console))
}

/// What is open to everybody: the way in, style and script.
pub(crate) fn open_router(console: &Arc<Console>) -> Router {
    Router::new()
        .route("/sign-in", get(sign_in::show).post(sign_in::sign_in))
        .with_state(Arc::clone(console))
        .route(
            "/assets/app.css",
            get(|| async { asset("text/css; charset=utf-8", [APP_STYLE, STYLE].concat()) }),
        )
        .route(
            "/assets/app.js",
            get(|| async { asset("text/javascript; charset=utf-8", APP_SCRIPT.to_owned()) }),
        )
        .route("/assets/icon.svg", get(|| async { asset("image/svg+xml", ICON.to_owned()) }))
}

/// A file of the binary. Its address stays the same when the binary is another, so that it is kept for minutes only.
fn asset(kind: &'static str, text: String) -> Response {
    let keep = HeaderValue::from_static("public, max-age=300");
    ([(header::CONTENT_TYPE, HeaderValue::from_static(kind)), (header::CACHE_CONTROL, keep)], text)
        .into_response()
}

/// A page for a caller: with name, time, and what is paused.
async fn signed_in(
    console: &Console,
    session: &Session,
    (name, template): (&str, &str),
    code: StatusCode,
    mut context: Value,
    pictures: Vec<(&'static str, View)>,
) -> Result<Response> {
    // Who may not list Pauses is not told of them.
    let pauses = list_cluster::<Pause>(session).await.unwrap_or_default();
    if let (Some(members), Value::Object(more)) =
        (context.as_object_mut(), common(name, Some(&session.user), &rfc3339(console.clock.now_us())))
    {
        members.extend(more);
        members.insert("pauses".to_owned(), pauses.into());
    }
    page(&console.templates, template, code, context, pictures)
}

/// Failures of pages as pages, and the way to sign in for those who have to.
pub(crate) async fn show_failures(
    State(console): State<Arc<Console>>,
    request: Request,
    next: Next,
) -> Response {
    let (path, method) = (request.uri().path().to_owned(), request.method().clone());
    let target = request.uri().path_and_query().map_or_else(|| path.clone(), ToString::to_string);
    let headers = request.headers().clone();
    let response = next.run(request).await;
    let Some(failure) =
        response.extensions().get::<Failure>().filter(|_| !path.starts_with("/api/")).cloned()
    else {
        return response;
    };
    if failure.code == StatusCode::UNAUTHORIZED {
        let away = if method == Method::GET { target } else { String::new() };
        if method == Method::GET && from_elsewhere(&headers) {
            return arrive(&console, &away).unwrap_or_else(IntoResponse::into_response);
        }
        return Redirect::to(&format!("/sign-in?next={}", encoded(&away))).into_response();
    }
    let context = failure_context(&console, &failure);
    page(&console.templates, "failure.html", failure.code, context, Vec::new()).unwrap_or(response)
}

fn failure_context(console: &Console, failure: &Failure) -> Value {
    let mut context = common("failure", None, &rfc3339(console.clock.now_us()));
    if let Some(members) = context.as_object_mut() {
        members.insert("code".to_owned(), failure.code.as_u16().into());
        members.insert("title".to_owned(), failure.code.canonical_reason().into());
        members.insert("message".to_owned(), failure.message.clone().into());
    }
    context
}

/// Whether the browser followed a link of another site, in which case it held the cookie back.
fn from_elsewhere(headers: &HeaderMap) -> bool {
    let site = headers.get(HeaderName::from_static("sec-fetch-site"));
    site.is_some_and(|site| site == "cross-site") && !headers.contains_key(header::COOKIE)
}

/// A page that goes on to `target` at once; by then the request is this site's own, and brings the cookie.
fn arrive(console: &Console, target: &str) -> Result<Response> {
    let context = json!({"page": "arrive", "target": own_path(target)});
    page(&console.templates, "sign_in.html", StatusCode::OK, context, Vec::new())
}

/// A path of this console, or its first page.
fn own_path(target: &str) -> &str {
    let plain = target.starts_with('/')
        && !target.starts_with("//")
        && !target.contains(['\\', '\n', '\r', '\t', '\0']);
    if plain { target } else { "/incidents" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        assert_eq!(own_path("/incidents/shop/a?x=1"), "/incidents/shop/a?x=1");
        for bad in ["", "//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example"] {
            assert_eq!(own_path(bad), "/incidents", "{bad:?}");
        }
    }
}

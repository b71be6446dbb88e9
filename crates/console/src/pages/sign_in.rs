//! Signing in by a token of the cluster, and out.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;
use serde_json::json;

use super::own_path;
use crate::console::Console;
use crate::failure::Result;
use crate::protect::from_own_page;
use crate::render::page;
use crate::session::{COOKIE, Session, Token};

/// How long a browser keeps the token: a shift.
const KEEP_SECONDS: u32 = 12 * 3600;

#[derive(Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
pub(super) struct Credentials {
    #[serde(default)]
    token: String,
    #[serde(default)]
    next: String,
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Query(Next { next }): Query<Next>,
) -> Result<Response> {
    form(&console, StatusCode::OK, &next, "")
}

fn form(console: &Console, code: StatusCode, next: &str, complaint: &str) -> Result<Response> {
    let context = json!({
        "page": "sign-in", "next": own_path(next), "complaint": complaint, "server": console.gate.server(),
    });
    page(&console.templates, "sign_in.html", code, context, Vec::new())
}

pub(super) async fn sign_in(
    State(console): State<Arc<Console>>,
    headers: HeaderMap,
    Form(Credentials { token, next }): Form<Credentials>,
) -> Result<Response> {
    // Otherwise a foreign page could sign its visitors in as somebody else.
    from_own_page(&headers)?;
    let Some(token) = Token::parse(&token) else {
        let complaint = "this is no token: a token is one word of letters, digits and -._~+/=";
        return form(&console, StatusCode::BAD_REQUEST, &next, complaint);
    };
    if let Err(failure) = console.gate.session(&token).await {
        return form(&console, failure.code, &next, &failure.message);
    }
    let encrypted =
        headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"https://"));
    cookie(token.expose(), KEEP_SECONDS, encrypted, own_path(&next))
}

pub(super) async fn sign_out(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
) -> Result<Response> {
    console.gate.forget(&session.token);
    cookie("", 0, false, "/sign-in")
}

/// Sets the cookie, which no script can read and no other site can use, and goes on.
fn cookie(value: &str, seconds: u32, encrypted: bool, target: &str) -> Result<Response> {
    let secure = if encrypted { "; Secure" } else { "" };
    let text = format!("{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    let mut response = Redirect::to(target).into_response();
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    Ok(response)
}

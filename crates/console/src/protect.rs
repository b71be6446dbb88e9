//! What every request passes: headers that bind the browser, and the session with its protection against forged requests.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::console::Console;
use crate::failure::Failure;
use crate::session::{Carrier, token_of};

/// Everything comes from here, and nothing that was not meant to be a script is run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Sets the headers that bind the browser.
pub(crate) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        // With less, a browser would not say where a form came from.
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Finds the caller, and refuses what a foreign page made a browser send.
pub(crate) async fn session(
    State(console): State<Arc<Console>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Failure> {
    let Some((token, carrier)) = token_of(request.headers()) else {
        return Err(Failure::unauthorized(
            "a bearer token of the cluster is needed: sign in, or send it as Authorization: Bearer TOKEN",
        ));
    };
    if carrier == Carrier::Cookie && !request.method().is_safe() {
        from_own_page(request.headers())?;
    }
    let session = console.gate.session(&token).await?;
    request.extensions_mut().insert(session);
    Ok(next.run(request).await)
}

/// Whether a page of this console sent the request, as the browser says.
pub(crate) fn from_own_page(headers: &HeaderMap) -> Result<(), Failure> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let own = match (text(header::ORIGIN), text(HeaderName::from_static("sec-fetch-site"))) {
        // Browsers set Origin, and let no page change it. The scheme may be a proxy's.
        (Some(origin), site) => {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_some() && host == text(header::HOST) && site.is_none_or(|site| site == "same-origin")
        }
        (None, site) => site == Some("same-origin"),
    };
    if own {
        return Ok(());
    }
    Err(Failure::forbidden(
        "the request does not come from a page of this console: reload the page and try again; programs send their \
         token as Authorization: Bearer TOKEN",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_pages_may_change_things_by_cookie() {
        let check = |pairs: &[(&'static str, &'static str)]| {
            let headers: HeaderMap = pairs
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
                .collect();
            from_own_page(&headers).is_ok()
        };
        let host = ("host", "console.example:8080");
        assert!(check(&[host, ("origin", "http://console.example:8080")]));
        assert!(check(&[
            host,
            ("origin", "https://console.example:8080"),
            ("sec-fetch-site", "same-origin")
        ]));
        assert!(check(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(!check(&[host]));
        assert!(!check(&[host, ("origin", "null")]));
        assert!(!check(&[("origin", "https://evil.example")]));
        assert!(!check(&[host, ("origin", "https://evil.example")]));
        assert!(!check(&[host, ("origin", "http://console.example")]));
        assert!(!check(&[host, ("origin", "http://console.example:8080"), ("sec-fetch-site", "cross-site")]));
        assert!(!check(&[host, ("sec-fetch-site", "same-site")]));
    }
}

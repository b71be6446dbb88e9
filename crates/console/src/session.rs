//! Who calls: the token that a request brings, and the session that it opens.

use std::fmt;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use kube::Client;
use tokio::sync::OnceCell;

/// Name of the cookie that holds the token.
pub(crate) const COOKIE: &str = "causeway_session";
/// Longest token: browsers drop cookies of more than 4096 bytes.
const MAX_TOKEN: usize = 3800;

/// A bearer token. It is not shown, and compared in a time that does not depend on where two differ.
#[derive(Clone)]
pub(crate) struct Token(Arc<str>);

impl Token {
    /// A token as RFC 6750 allows it; `None` for any other text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
        ((1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(legal)).then(|| Self(text.into()))
    }

    /// The text, for those who send it on.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (self.0.as_bytes(), other.0.as_bytes());
        a.len() == b.len() && a.iter().zip(b).fold(0, |acc, (x, y)| acc | (x ^ y)) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// By which way a token came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// The `Authorization` header: the sender put it there on purpose.
    Header,
    /// A cookie: the browser put it there, whoever made it send the request.
    Cookie,
}

/// The token of a request; the header goes first.
pub(crate) fn token_of(headers: &HeaderMap) -> Option<(Token, Carrier)> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let bearer = value.to_str().ok()?.strip_prefix("Bearer ")?;
        return Some((Token::parse(bearer)?, Carrier::Header));
    }
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == COOKIE)?;
    Some((Token::parse(value)?, Carrier::Cookie))
}

/// A caller whom the API server knows.
#[derive(Clone)]
pub(crate) struct Session {
    /// Name as the API server says it.
    pub(crate) user: Arc<str>,
    pub(crate) token: Token,
    /// Acts as the caller.
    pub(crate) client: Client,
    /// Namespaces whose Incidents the caller may list, once it was found out; `None`: all.
    pub(crate) readable: Arc<OnceCell<Option<Vec<String>>>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_taken_from_the_header_or_the_cookie() {
        let of = |pairs: &[(header::HeaderName, &str)]| {
            let headers: HeaderMap =
                pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
            token_of(&headers).map(|(token, carrier)| (token.expose().to_owned(), carrier))
        };
        let cookie = (header::COOKIE, "theme=dark; causeway_session=abc.def; other=1");
        assert_eq!(of(std::slice::from_ref(&cookie)), Some(("abc.def".into(), Carrier::Cookie)));
        let bearer = (header::AUTHORIZATION, "Bearer xyz");
        assert_eq!(of(&[cookie.clone(), bearer]), Some(("xyz".into(), Carrier::Header)));
        // A header that is no bearer token is not passed over for the cookie.
        assert_eq!(of(&[cookie, (header::AUTHORIZATION, "Basic YWJj")]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_token_has_no_text_that_could_end_a_header_or_a_cookie() {
        for bad in ["", " ", "a b", "a;b", "a\nb", "a,b", "ä", &"a".repeat(MAX_TOKEN + 1)] {
            assert!(Token::parse(bad).is_none(), "{bad:?}");
        }
        assert_eq!(format!("{:?}", Token::parse(" secret\n").unwrap()), "Token");
    }
}

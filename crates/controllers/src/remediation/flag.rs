//! Changes flags that an HTTP server keeps: reads the definition, edits one value, and writes it back only over what was
//! read.

use std::time::Duration;

use causeway_actions::diff::printable;
use causeway_actions::flag_definition::{self, FlagError};
use causeway_actions::{FlagChange, LiveState};
use causeway_remediate::Direction;
use http::StatusCode;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, ETAG, HeaderValue, IF_MATCH};
use kube::Client;
use serde_json::Value;

use super::mutate::{Made, Turn};
use super::secret;
use crate::error::ControllerError;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for one that only spares a try. Repairs take turns, so that a slow server holds up those of others.
const GLANCE: Duration = Duration::from_secs(3);
/// Longest time that all requests of one try take.
const TRY: Duration = Duration::from_secs(15);
/// Largest definition, in bytes.
const LARGEST: usize = 1 << 20;
/// How often one try begins anew when somebody else writes in between.
const ATTEMPTS: usize = 5;
/// How long a server may not answer, or be written to by others, until it is given up.
const PATIENCE: Duration = Duration::from_secs(600);

/// Why a definition was not read or written.
enum Trouble {
    /// It will not be if it is tried again.
    Refused(String),
    /// There was no clear answer.
    Unclear(String),
}

/// What came of a write.
enum Written {
    Done,
    /// Somebody else has written since it was read.
    Conflict,
}

/// A definition as it was read.
struct Document {
    text: String,
    etag: Option<HeaderValue>,
    content_type: HeaderValue,
}

/// The server that keeps a flag.
struct Server<'a> {
    http: &'a reqwest::Client,
    change: &'a FlagChange,
    url: reqwest::Url,
    token: Option<String>,
}

/// What would change, as text. The inner error says why nothing can.
pub(super) async fn rehearse(
    client: &Client,
    http: &reqwest::Client,
    change: &FlagChange,
) -> Result<Result<String, String>, ControllerError> {
    let server = match Server::of(client, http, change).await? {
        Ok(server) => server,
        Err(missing) => return Ok(Err(missing)),
    };
    let edited = match server.read().await {
        Ok(document) => server.state(&document).and_then(|(state, found)| match state {
            LiveState::Old => server.edited(&document),
            LiveState::New => Err(format!("{found} already: nothing to do")),
            LiveState::Foreign | LiveState::Unknown => {
                Err(format!("{found}, and the Runbook expects {}", change.from))
            }
        }),
        Err(Trouble::Refused(message)) => Err(message),
        Err(Trouble::Unclear(message)) => return Err(ControllerError::Unanswered(message)),
    };
    Ok(edited.map(|_| change.render()))
}

/// Makes the change, once. What has no clear answer is tried again: a retry sees whether it was made.
pub(super) async fn make(
    client: &Client,
    http: &reqwest::Client,
    change: &FlagChange,
    turn: &Turn<'_>,
) -> Result<Made, ControllerError> {
    let server = match Server::of(client, http, change).await? {
        Ok(server) => server,
        Err(missing) => return Ok(blind(Trouble::Refused(missing), turn)),
    };
    Ok(match tokio::time::timeout(TRY, server.attempts(turn)).await {
        Ok(Ok(made)) => made,
        Ok(Err(trouble)) => blind(trouble, turn),
        Err(_) => {
            let message = format!("{}: no answer within {} s", server.place(), TRY.as_secs());
            blind(Trouble::Unclear(message), turn)
        }
    })
}

/// What it means that the definition can't be read, or that a write was not answered.
fn blind(trouble: Trouble, turn: &Turn<'_>) -> Made {
    match trouble {
        Trouble::Refused(message) if turn.is_first => Made::Refused(message),
        // An earlier try may have been received.
        Trouble::Refused(message) | Trouble::Unclear(message) => turn.unclear(PATIENCE, message),
    }
}

/// The flag as it is now; nothing if it can't be read.
pub(super) async fn look(
    client: &Client,
    http: &reqwest::Client,
    change: &FlagChange,
) -> Result<Option<Value>, ControllerError> {
    let Ok(server) = Server::of(client, http, change).await? else { return Ok(None) };
    let Ok(Ok(document)) = tokio::time::timeout(GLANCE, server.read()).await else { return Ok(None) };
    Ok(match flag_definition::flag(&document.text, &change.flag) {
        Ok(flag) => Some(flag),
        // A flag that is gone has another value, not an unknown one.
        Err(FlagError::NoFlag(_)) => Some(Value::Null),
        Err(_) => None,
    })
}

impl<'a> Server<'a> {
    async fn of(
        client: &Client,
        http: &'a reqwest::Client,
        change: &'a FlagChange,
    ) -> Result<Result<Self, String>, ControllerError> {
        let namespace = &change.target.namespace;
        let url = match secret::text(client, namespace, &change.url_secret_ref).await? {
            Ok(url) => url,
            Err(missing) => return Ok(Err(missing)),
        };
        let usable =
            |url: &reqwest::Url| matches!(url.scheme(), "https" | "http") && url.username().is_empty();
        // The text is a secret, so that the message must not have it.
        let Some(url) = reqwest::Url::parse(&url).ok().filter(usable) else {
            return Ok(Err(format!(
                "Secret {namespace}/{}, key {}, has to hold a URL with https or http, without a user",
                change.url_secret_ref.name, change.url_secret_ref.key
            )));
        };
        let token = match &change.token_secret_ref {
            Some(reference) => match secret::text(client, namespace, reference).await? {
                Ok(token) => Some(token),
                Err(missing) => return Ok(Err(missing)),
            },
            None => None,
        };
        Ok(Ok(Self { http, change, url, token }))
    }

    /// Names the definition for people.
    fn place(&self) -> String {
        let url = &self.change.url_secret_ref;
        format!("the flag definition of Secret {}/{}", self.change.target.namespace, url.name)
    }

    /// Begins anew as often as somebody else writes in between.
    async fn attempts(&self, turn: &Turn<'_>) -> Result<Made, Trouble> {
        for _ in 0..ATTEMPTS {
            if let Some(made) = self.attempt(turn).await? {
                return Ok(made);
            }
        }
        Ok(turn.later(PATIENCE, format!("{} is written by others all the time", self.place())))
    }

    /// Reads, edits and writes. Nothing if somebody else has written in between.
    async fn attempt(&self, turn: &Turn<'_>) -> Result<Option<Made>, Trouble> {
        let document = self.read().await?;
        let (state, found) = self.state(&document).map_err(Trouble::Refused)?;
        match state {
            LiveState::Old => {}
            LiveState::New if turn.is_first && turn.direction == Direction::Apply => {
                let message = format!("{found} already: somebody else has set it, and it is left to them");
                return Ok(Some(Made::Refused(message)));
            }
            LiveState::New => return Ok(Some(Made::Done(found))),
            LiveState::Foreign | LiveState::Unknown => {
                let message =
                    format!("{found}, not {}: somebody changed it, and it is left so", self.change.from);
                return Ok(Some(Made::Refused(message)));
            }
        }
        let text = match self.edited(&document) {
            Ok(text) => text,
            Err(message) => return Ok(Some(Made::Refused(message))),
        };
        match self.write(&document, text).await {
            Ok(Written::Done) => {
                Ok(Some(Made::Done(format!("{} is {}", self.subject(), printable(&self.change.to)))))
            }
            Ok(Written::Conflict) => Ok(None),
            Err(Trouble::Refused(message)) => Ok(Some(Made::Refused(message))),
            Err(unclear) => Err(unclear),
        }
    }

    /// The flag and its property for people.
    fn subject(&self) -> String {
        format!("{} of flag {}", self.change.property.key(), printable(&self.change.flag))
    }

    /// What the definition shows of the change, and that as a sentence.
    fn state(&self, document: &Document) -> Result<(LiveState, String), String> {
        let flag = match flag_definition::flag(&document.text, &self.change.flag) {
            Ok(flag) => flag,
            Err(error @ FlagError::NoFlag(_)) => {
                return Ok((LiveState::Foreign, format!("{}: {error}", self.place())));
            }
            Err(error) => return Err(format!("{}: {error}", self.place())),
        };
        let found = match self.change.value_of(&flag) {
            Some(value) => format!("{} is {}", self.subject(), printable(value)),
            None => format!("{} is not set", self.subject()),
        };
        Ok((self.change.state_of(Some(&flag)), found))
    }

    /// The definition with the change, if it may be written.
    fn edited(&self, document: &Document) -> Result<String, String> {
        if document.etag.is_none() && !self.change.without_e_tag {
            return Err(format!(
                "the server of {} gives no strong ETag, so that a change of somebody else could be lost: have it give one, or set http.withoutETag",
                self.place()
            ));
        }
        let FlagChange { flag, property, to, .. } = self.change;
        flag_definition::set(&document.text, flag, *property, to)
            .map_err(|error| format!("{}: {error}", self.place()))
    }

    fn request(&self, method: http::Method) -> reqwest::RequestBuilder {
        let request = self.http.request(method, self.url.clone()).timeout(TIMEOUT);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    fn unanswered(&self, why: reqwest::Error) -> Trouble {
        Trouble::Unclear(format!("{}: no answer: {}", self.place(), why.without_url()))
    }

    /// What an answer that is no success means.
    fn refusal(&self, method: &str, status: StatusCode) -> Trouble {
        let hint = match status.as_u16() {
            300..=399 => ": redirects are not followed, put the final URL into the Secret",
            401 | 403 => ": check the token",
            _ => "",
        };
        let message = format!("{}: {method} was answered with {}{hint}", self.place(), status.as_u16());
        match status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Trouble::Unclear(message),
            _ if status.is_server_error() => Trouble::Unclear(message),
            _ => Trouble::Refused(message),
        }
    }

    async fn read(&self) -> Result<Document, Trouble> {
        // An ETag of compressed bytes is another one.
        let request = self.request(http::Method::GET).header(ACCEPT, "application/json");
        let answer = request.header(ACCEPT_ENCODING, "identity").send().await;
        let mut answer = answer.map_err(|why| self.unanswered(why))?;
        if answer.status() != StatusCode::OK {
            return Err(self.refusal("GET", answer.status()));
        }
        let header = |name| answer.headers().get(name).cloned();
        // If-Match compares strongly: a weak one never matches.
        let etag = header(ETAG).filter(|etag| !etag.as_bytes().starts_with(b"W/"));
        let json = HeaderValue::from_static("application/json");
        let content_type = header(CONTENT_TYPE).unwrap_or(json);
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|why| self.unanswered(why))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LARGEST {
                return Err(Trouble::Refused(format!("{} is larger than 1 MiB", self.place())));
            }
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| Trouble::Refused(format!("{} is no UTF-8 text", self.place())))?;
        Ok(Document { text, etag, content_type })
    }

    async fn write(&self, document: &Document, text: String) -> Result<Written, Trouble> {
        let mut request = self.request(http::Method::PUT).header(CONTENT_TYPE, &document.content_type);
        if let Some(etag) = &document.etag {
            request = request.header(IF_MATCH, etag);
        }
        let answer = request.body(text).send().await.map_err(|why| self.unanswered(why))?;
        match answer.status() {
            status if status.is_success() => Ok(Written::Done),
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => Ok(Written::Conflict),
            status => Err(self.refusal("PUT", status)),
        }
    }
}

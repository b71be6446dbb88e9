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

/// How long a server is waited for. Repairs take turns, so that a slow one holds up those of others.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// For one answer, with its whole body.
    answer: Duration,
    /// For all requests of one try.
    all: Duration,
}

/// For a rehearsal and a try.
const PATIENT: Limits = Limits { answer: Duration::from_secs(10), all: Duration::from_secs(15) };
/// For a look that only spares a try.
const GLANCE: Limits = Limits { answer: Duration::from_secs(3), all: Duration::from_secs(3) };
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
    limits: Limits,
}

/// What would change, as text. The inner error says why nothing can.
pub(super) async fn rehearse(
    client: &Client,
    http: &reqwest::Client,
    change: &FlagChange,
) -> Result<Result<String, String>, ControllerError> {
    let server = match Server::of(client, http, change, PATIENT).await? {
        Ok(server) => server,
        Err(missing) => return Ok(Err(missing)),
    };
    let edited = match server.read().await {
        Ok(document) => server.state(&document).and_then(|(state, found)| match state {
            LiveState::Old => server.edited(&document),
            LiveState::New => Err(format!("{found} already: nothing to do")),
            LiveState::Foreign | LiveState::Unknown => {
                Err(format!("{found}, and the plan expects {}", change.from))
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
    match Server::of(client, http, change, PATIENT).await? {
        Ok(server) => Ok(server.make(turn).await),
        Err(missing) => Ok(blind(Trouble::Refused(missing), turn)),
    }
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
    let Ok(server) = Server::of(client, http, change, GLANCE).await? else { return Ok(None) };
    Ok(server.look().await)
}

impl<'a> Server<'a> {
    async fn of(
        client: &Client,
        http: &'a reqwest::Client,
        change: &'a FlagChange,
        limits: Limits,
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
        Ok(Ok(Self { http, change, url, token, limits }))
    }

    /// Names the definition for people: by the Secret that has its URL, which stays one.
    fn place(&self) -> String {
        let url = &self.change.url_secret_ref;
        format!(
            "the flag definition of Secret {}/{}, key {}",
            self.change.target.namespace,
            url.name,
            printable(&url.key)
        )
    }

    async fn make(&self, turn: &Turn<'_>) -> Made {
        match tokio::time::timeout(self.limits.all, self.attempts(turn)).await {
            Ok(Ok(made)) => made,
            Ok(Err(trouble)) => blind(trouble, turn),
            Err(_) => blind(self.silent("its requests", self.limits.all), turn),
        }
    }

    async fn look(&self) -> Option<Value> {
        let document = tokio::time::timeout(self.limits.all, self.read()).await.ok()?.ok()?;
        match flag_definition::flag(&document.text, &self.change.flag) {
            Ok(flag) => Some(flag),
            // A flag that is gone has another value, not an unknown one.
            Err(FlagError::NoFlag(_)) => Some(Value::Null),
            Err(_) => None,
        }
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
        let request = self.http.request(method, self.url.clone()).timeout(self.limits.answer);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    fn unanswered(&self, method: &str, why: reqwest::Error) -> Trouble {
        if why.is_timeout() {
            return self.silent(method, self.limits.answer);
        }
        Trouble::Unclear(format!("{}: no answer to {method}: {}", self.place(), why.without_url()))
    }

    fn silent(&self, what: &str, limit: Duration) -> Trouble {
        Trouble::Unclear(format!(
            "{}: no whole answer to {what} within {limit:?}: see whether the server at that URL is up, and whether the executor may reach it",
            self.place()
        ))
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
        let mut answer = answer.map_err(|why| self.unanswered("GET", why))?;
        if answer.status() != StatusCode::OK {
            return Err(self.refusal("GET", answer.status()));
        }
        let header = |name| answer.headers().get(name).cloned();
        // If-Match compares strongly: a weak one never matches.
        let etag = header(ETAG).filter(|etag| !etag.as_bytes().starts_with(b"W/"));
        let json = HeaderValue::from_static("application/json");
        let content_type = header(CONTENT_TYPE).unwrap_or(json);
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|why| self.unanswered("GET", why))? {
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
        let answer = request.body(text).send().await.map_err(|why| self.unanswered("PUT", why))?;
        match answer.status() {
            status if status.is_success() => Ok(Written::Done),
            StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT => Ok(Written::Conflict),
            status => Err(self.refusal("PUT", status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use causeway_actions::{FlagProperty, SecretKeyRef, TargetRef};
    use causeway_remediate::Claim;
    use jiff::Timestamp;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const FLAGS: &str = r#"{"flags": {"new-cart": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"}}}"#;
    const LONG: Duration = Duration::from_secs(600);
    const SHORT: Duration = Duration::from_millis(300);

    /// What a server does.
    #[derive(Debug, Clone, Copy)]
    enum Manner {
        /// It takes requests and never answers.
        Silent,
        /// It answers with a body that never ends, byte by byte.
        Drips,
        /// It answers to GET only.
        SilentOnPut,
    }

    async fn serve(mut stream: TcpStream, manner: Manner) -> std::io::Result<()> {
        loop {
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await?;
            let head = |length: usize| {
                format!("HTTP/1.1 200 OK\r\netag: \"v0\"\r\ncontent-length: {length}\r\n\r\n")
            };
            match manner {
                _ if length == 0 => return Ok(()),
                Manner::Drips => {
                    stream.write_all(head(1 << 19).as_bytes()).await?;
                    let mut pace = tokio::time::interval(Duration::from_millis(10));
                    loop {
                        pace.tick().await;
                        stream.write_all(b" ").await?;
                    }
                }
                Manner::SilentOnPut if request.starts_with(b"GET") => {
                    stream.write_all(head(FLAGS.len()).as_bytes()).await?;
                    stream.write_all(FLAGS.as_bytes()).await?;
                }
                Manner::Silent | Manner::SilentOnPut => std::future::pending().await,
            }
        }
    }

    async fn start(manner: Manner) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, manner));
            }
        });
        address
    }

    fn change() -> FlagChange {
        FlagChange {
            target: TargetRef {
                api_version: "apps/v1".into(),
                kind: "Deployment".into(),
                namespace: "shop".into(),
                name: "web".into(),
                uid: "u".into(),
            },
            url_secret_ref: SecretKeyRef { name: "flags".into(), key: "url".into() },
            token_secret_ref: None,
            flag: "new-cart".into(),
            property: FlagProperty::DefaultVariant,
            from: "on".into(),
            to: "off".into(),
            without_e_tag: false,
        }
    }

    #[tokio::test]
    async fn a_server_is_not_waited_for_longer_than_its_limits() {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let (change, now) = (change(), Timestamp::UNIX_EPOCH);
        let claim =
            Claim { step: 0, direction: Direction::Apply, resource_version: String::new(), generation: None };
        let turn = Turn {
            claim: &claim,
            claimed_at: now,
            now,
            remediation: "shop/r-1",
            rehearsed: None,
            direction: Direction::Apply,
            is_first: true,
        };
        let (answer, all) = (Limits { answer: SHORT, all: LONG }, Limits { answer: LONG, all: SHORT });
        for (manner, limits, waited_for) in [
            (Manner::Silent, answer, "GET"),
            (Manner::Drips, answer, "GET"),
            (Manner::SilentOnPut, answer, "PUT"),
            (Manner::Silent, all, "its requests"),
            (Manner::Drips, all, "its requests"),
            (Manner::SilentOnPut, all, "its requests"),
        ] {
            let url = format!("http://{}/secret-path", start(manner).await).parse().unwrap();
            let server = Server { http: &http, change: &change, url, token: None, limits };
            let Made::Later(again, said) = server.make(&turn).await else { panic!("{manner:?}") };
            assert!(again > now, "it may have been made: a retry looks");
            assert_eq!(
                said,
                format!(
                    "the flag definition of Secret shop/flags, key url: no whole answer to {waited_for} within 300ms: \
                    see whether the server at that URL is up, and whether the executor may reach it"
                ),
                "{manner:?}"
            );
        }
        for manner in [Manner::Silent, Manner::Drips] {
            let url = format!("http://{}/", start(manner).await).parse().unwrap();
            let server = Server { http: &http, change: &change, url, token: None, limits: all };
            assert_eq!(server.look().await, None, "{manner:?}");
        }
    }
}

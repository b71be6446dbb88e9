//! A server that keeps a flag definition, as flagd fetches it: GET with an ETag, PUT with `If-Match`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use parking_lot::Mutex;

pub(crate) const TOKEN: &str = "flag-token";

/// What the server does instead of what is right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Habit {
    #[default]
    Good,
    /// No ETag, and `If-Match` is not looked at.
    NoETag,
    /// An ETag that only says that the content means the same.
    WeakETag,
    /// PUT is done and never answered.
    Silent,
    /// Everything is answered with 503.
    Down,
    /// The token does not count any more.
    Locked,
    /// What is kept is no definition.
    Broken,
    /// Everything is redirected to the same server.
    Redirects,
    /// A definition of more than 1 MiB.
    Huge,
}

#[derive(Default)]
struct Kept {
    text: String,
    version: u64,
    habit: Habit,
    /// What somebody else writes right before the next PUT is looked at.
    intruder: Option<String>,
    /// How often the definition was asked for.
    reads: usize,
    /// Documents that were taken.
    taken: Vec<String>,
    /// Conditions of all PUTs.
    conditions: Vec<Option<String>>,
}

#[derive(Clone, Default)]
pub(crate) struct FlagServer {
    kept: Arc<Mutex<Kept>>,
    pub(crate) url: String,
}

impl FlagServer {
    pub(crate) async fn start(text: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/shop.json", listener.local_addr().unwrap());
        let server = Self { url, ..Self::default() };
        server.kept.lock().text = text.to_owned();
        let router = Router::new().route("/shop.json", get(read).put(write)).with_state(server.kept.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        server
    }

    pub(crate) fn habit(&self, habit: Habit) {
        self.kept.lock().habit = habit;
    }

    pub(crate) fn text(&self) -> String {
        self.kept.lock().text.clone()
    }

    /// Somebody else writes.
    pub(crate) fn set(&self, text: &str) {
        let mut kept = self.kept.lock();
        kept.text = text.to_owned();
        kept.version += 1;
    }

    /// Somebody else writes in the moment before the next PUT.
    pub(crate) fn intrude(&self, text: &str) {
        self.kept.lock().intruder = Some(text.to_owned());
    }

    /// How often a document was taken.
    pub(crate) fn taken(&self) -> usize {
        self.kept.lock().taken.len()
    }

    /// How often the definition was asked for.
    pub(crate) fn reads(&self) -> usize {
        self.kept.lock().reads
    }

    pub(crate) fn conditions(&self) -> Vec<Option<String>> {
        self.kept.lock().conditions.clone()
    }
}

fn refused(kept: &Kept, headers: &HeaderMap) -> Option<Response> {
    if headers.get("authorization").is_none_or(|value| value != &format!("Bearer {TOKEN}")) {
        return Some(StatusCode::UNAUTHORIZED.into_response());
    }
    match kept.habit {
        Habit::Locked => Some(StatusCode::UNAUTHORIZED.into_response()),
        Habit::Down => Some(StatusCode::SERVICE_UNAVAILABLE.into_response()),
        Habit::Redirects => {
            Some((StatusCode::TEMPORARY_REDIRECT, [("location", "/shop.json")]).into_response())
        }
        _ => None,
    }
}

async fn read(State(kept): State<Arc<Mutex<Kept>>>, headers: HeaderMap) -> Response {
    let mut kept = kept.lock();
    kept.reads += 1;
    if let Some(refused) = refused(&kept, &headers) {
        return refused;
    }
    let etag = format!("\"v{}\"", kept.version);
    match kept.habit {
        Habit::NoETag => kept.text.clone().into_response(),
        Habit::WeakETag => ([("etag", format!("W/{etag}"))], kept.text.clone()).into_response(),
        Habit::Broken => ([("etag", etag)], "<html>").into_response(),
        Habit::Huge => ([("etag", etag)], " ".repeat(2 << 20)).into_response(),
        _ => ([("etag", etag)], kept.text.clone()).into_response(),
    }
}

async fn write(State(kept): State<Arc<Mutex<Kept>>>, headers: HeaderMap, body: String) -> Response {
    let silent = {
        let mut kept = kept.lock();
        if let Some(refused) = refused(&kept, &headers) {
            return refused;
        }
        if let Some(text) = kept.intruder.take() {
            kept.text = text;
            kept.version += 1;
        }
        let condition = headers.get("if-match").map(|value| value.to_str().unwrap().to_owned());
        kept.conditions.push(condition.clone());
        if kept.habit != Habit::NoETag && condition != Some(format!("\"v{}\"", kept.version)) {
            return StatusCode::PRECONDITION_FAILED.into_response();
        }
        kept.text.clone_from(&body);
        kept.version += 1;
        kept.taken.push(body);
        kept.habit == Habit::Silent
    };
    if silent {
        std::future::pending::<()>().await;
    }
    StatusCode::NO_CONTENT.into_response()
}

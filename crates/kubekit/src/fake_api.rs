//! An in-memory API server for the tests of this crate: objects, resource versions, conflicts, watches, faults.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use kube::Client;
use kube::client::Body;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::mpsc;

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// What the server does instead of answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fault {
    #[default]
    None,
    /// Every request gets this status.
    Status(u16),
    /// No request is ever answered.
    Hang,
}

type Hook = Box<dyn FnOnce(&FakeApi) + Send>;

#[derive(Default)]
struct State {
    version: u64,
    objects: BTreeMap<Place, Value>,
    log: Vec<Logged>,
    watchers: Vec<(Place, mpsc::UnboundedSender<Bytes>)>,
    writes: Vec<String>,
    fault: Fault,
    /// Runs once, before the next PUT is looked at.
    before_put: Option<Hook>,
}

struct Logged {
    version: u64,
    place: Place,
    line: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    prefix: String,
    plural: String,
    namespace: Option<String>,
    name: Option<String>,
    subresource: Option<String>,
}

impl Place {
    fn parse(path: &str) -> Self {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let depth = if parts[0] == "api" { 2 } else { 3 };
        let (prefix, rest) = parts.split_at(depth);
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some((*namespace).to_owned()), rest),
            rest => (None, rest),
        };
        let part = |index: usize| rest.get(index).map(|part| (*part).to_owned());
        Self {
            prefix: prefix.join("/"),
            plural: part(0).unwrap(),
            namespace,
            name: part(1),
            subresource: part(2),
        }
    }

    fn item(&self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), subresource: None, ..self.clone() }
    }

    fn covers(&self, item: &Self) -> bool {
        self.prefix == item.prefix
            && self.plural == item.plural
            && (self.namespace.is_none() || self.namespace == item.namespace)
            && (self.name.is_none() || self.name == item.name)
    }
}

#[derive(Clone, Default)]
pub(crate) struct FakeApi {
    state: Arc<Mutex<State>>,
}

impl FakeApi {
    pub(crate) fn service(
        &self,
    ) -> impl tower::Service<Request<Body>, Response = Answer, Error = Infallible, Future: Send>
    + Send
    + Clone
    + 'static {
        let api = self.clone();
        tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move {
                if api.state.lock().fault == Fault::Hang {
                    return std::future::pending().await;
                }
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                Ok(api.answer(&head, &body))
            }
        })
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.service(), "default")
    }

    pub(crate) fn set_fault(&self, fault: Fault) {
        self.state.lock().fault = fault;
    }

    pub(crate) fn before_next_put(&self, hook: impl FnOnce(&FakeApi) + Send + 'static) {
        self.state.lock().before_put = Some(Box::new(hook));
    }

    /// Creates or replaces an object as a user would: counts its generation up, keeps its status.
    pub(crate) fn put(&self, path: &str, object: Value) {
        self.store(&Place::parse(path), object, false);
    }

    /// Edits an object in place, status included.
    pub(crate) fn edit(&self, path: &str, edit: impl FnOnce(&mut Value)) {
        let place = Place::parse(path);
        let mut object = self.state.lock().objects[&place].clone();
        edit(&mut object);
        self.store(&place, object, true);
    }

    pub(crate) fn delete(&self, path: &str) {
        let place = Place::parse(path);
        let mut state = self.state.lock();
        let mut object = state.objects.remove(&place).unwrap();
        state.version += 1;
        object["metadata"]["resourceVersion"] = json!(state.version.to_string());
        state.publish(&place, "DELETED", &object);
    }

    pub(crate) fn get(&self, path: &str) -> Value {
        self.state.lock().objects[&Place::parse(path)].clone()
    }

    /// Takes the log of writes: `METHOD path`.
    pub(crate) fn writes(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().writes)
    }

    /// Ends every open watch, as a server does from time to time.
    pub(crate) fn close_watches(&self) {
        self.state.lock().watchers.clear();
    }

    fn store(&self, place: &Place, mut object: Value, exact: bool) -> Value {
        let mut state = self.state.lock();
        let stored = state.objects.get(place).cloned();
        state.version += 1;
        let meta = &mut object["metadata"];
        meta["name"] = json!(place.name);
        if let Some(namespace) = &place.namespace {
            meta["namespace"] = json!(namespace);
        }
        meta["resourceVersion"] = json!(state.version.to_string());
        match &stored {
            Some(stored) => meta["uid"] = stored["metadata"]["uid"].clone(),
            None => meta["uid"] = json!(format!("uid-{}", state.version)),
        }
        let generation =
            stored.as_ref().map_or(0, |stored| stored["metadata"]["generation"].as_i64().unwrap());
        meta["generation"] = json!(if exact { generation } else { generation + 1 });
        if let (false, Some(stored)) = (exact, &stored)
            && !stored["status"].is_null()
        {
            object["status"] = stored["status"].clone();
        }
        state.objects.insert(place.clone(), object.clone());
        state.publish(place, if stored.is_some() { "MODIFIED" } else { "ADDED" }, &object);
        object
    }

    fn answer(&self, head: &http::request::Parts, body: &Bytes) -> Answer {
        let place = Place::parse(head.uri.path());
        let mutates = head.method != Method::GET;
        if mutates {
            self.state.lock().writes.push(format!("{} {}", head.method, head.uri.path()));
        }
        if let Fault::Status(code) = self.state.lock().fault {
            return failure(code, "Fault");
        }
        let query = head.uri.query().unwrap_or_default();
        match (head.method.clone(), place.name.is_some()) {
            (Method::GET, false) if query.contains("watch=true") => {
                self.watch(&selected(place, query), query)
            }
            (Method::GET, false) => self.list(&selected(place, query)),
            (Method::GET, true) => match self.state.lock().objects.get(&place) {
                Some(object) => success(object),
                None => failure(404, "NotFound"),
            },
            (Method::POST, _) => {
                let object: Value = serde_json::from_slice(body).unwrap();
                let place = place.item(object["metadata"]["name"].as_str().unwrap());
                if self.state.lock().objects.contains_key(&place) {
                    return failure(409, "AlreadyExists");
                }
                success(&self.store(&place, object, false))
            }
            (Method::PUT, _) => self.replace(&place, &serde_json::from_slice(body).unwrap()),
            other => panic!("{other:?} is not served"),
        }
    }

    fn replace(&self, place: &Place, sent: &Value) -> Answer {
        let hook = self.state.lock().before_put.take();
        if let Some(hook) = hook {
            hook(self);
        }
        let item = place.item(place.name.as_deref().unwrap());
        let Some(stored) = self.state.lock().objects.get(&item).cloned() else {
            return failure(404, "NotFound");
        };
        if sent["metadata"]["resourceVersion"] != stored["metadata"]["resourceVersion"] {
            return failure(409, "Conflict");
        }
        let mut object = sent.clone();
        if place.subresource.as_deref() == Some("status") {
            object = stored;
            object["status"] = sent["status"].clone();
        }
        success(&self.store(&item, object, true))
    }

    fn list(&self, place: &Place) -> Answer {
        let state = self.state.lock();
        let items: Vec<&Value> =
            state.objects.iter().filter(|(item, _)| place.covers(item)).map(|(_, object)| object).collect();
        success(&json!({"kind": "List", "apiVersion": "v1", "items": items,
                        "metadata": {"resourceVersion": state.version.to_string()}}))
    }

    fn watch(&self, place: &Place, query: &str) -> Answer {
        let from: u64 = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("resourceVersion="))
            .and_then(|version| version.parse().ok())
            .unwrap_or_default();
        let mut state = self.state.lock();
        let past: Vec<Bytes> = state
            .log
            .iter()
            .filter(|logged| logged.version > from && place.covers(&logged.place))
            .map(|logged| logged.line.clone())
            .collect();
        let (sender, receiver) = mpsc::unbounded_channel();
        state.watchers.push((place.clone(), sender));
        let live = stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|line| (line, receiver))
        });
        let lines: BoxStream<'static, Bytes> = stream::iter(past).chain(live).boxed();
        Response::new(StreamBody::new(lines.map(|line| Ok(Frame::data(line)))).boxed_unsync())
    }
}

impl State {
    fn publish(&mut self, place: &Place, kind: &str, object: &Value) {
        let line = Bytes::from(format!("{}\n", json!({"type": kind, "object": object})));
        self.log.push(Logged { version: self.version, place: place.clone(), line: line.clone() });
        self.watchers.retain(|(watched, sender)| !watched.covers(place) || sender.send(line.clone()).is_ok());
    }
}

/// What a list or a watch is about: one object, when a field selector names it.
fn selected(place: Place, query: &str) -> Place {
    let name = query.split('&').find_map(|pair| pair.strip_prefix("fieldSelector=metadata.name%3D"));
    Place { name: name.map(str::to_owned), ..place }
}

fn success(value: &Value) -> Answer {
    Response::new(Full::new(Bytes::from(value.to_string())).boxed_unsync())
}

fn failure(code: u16, reason: &str) -> Answer {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "metadata": {},
                        "message": reason, "reason": reason, "code": code});
    let mut answer = success(&status);
    *answer.status_mut() = StatusCode::from_u16(code).unwrap();
    answer
}

//! Watches: a cursor over the history of a shelf, woken by every commit.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch::Receiver;
use tokio::time::Instant;

use crate::call::{Call, Target};
use crate::core::{Answer, Core};
use crate::form::Form;
use crate::kind::Kind;
use crate::read::not_a_version;
use crate::selector::Filter;
use crate::status::{ApiError, ApiResult, Cause};
use crate::store::Committed;

/// Time between two bookmarks.
const BOOKMARK_EVERY: Duration = Duration::from_secs(30);

/// How long a watch lives when the client does not say.
const DEFAULT_LIFE: Duration = Duration::from_secs(30 * 60);

/// One open watch.
pub(crate) struct Watch {
    core: Arc<Core>,
    kind: Arc<Kind>,
    namespace: Option<String>,
    filter: Filter,
    form: Form,
    /// Everything up to this version has been told.
    cursor: u64,
    bookmarks: bool,
    lines: VecDeque<Bytes>,
    commits: Receiver<u64>,
    closing: Receiver<bool>,
    next_bookmark: Instant,
    end: Instant,
    ended: bool,
}

impl Core {
    pub(crate) fn watch(self: &Arc<Self>, call: &Call, target: &Target) -> ApiResult<Answer> {
        let kind = &target.kind;
        let form = Form::of(call)?;
        let mut filter = Filter::parse(kind, call.query("labelSelector"), call.query("fieldSelector"))?;
        if let Some(name) = &target.name {
            filter.only(name);
        }
        let asked = match call.query("resourceVersion") {
            None | Some("0") => None,
            Some(text) => Some(text.parse::<u64>().map_err(|_| ApiError::unforeseen(not_a_version(text)))?),
        };
        let life = match call.query("timeoutSeconds") {
            None => DEFAULT_LIFE,
            Some(text) => Duration::from_secs(
                text.parse()
                    .map_err(|_| ApiError::bad_request(format!("invalid timeoutSeconds {text:?}")))?,
            ),
        };
        let streams_list = call.query_flag("sendInitialEvents");
        let bookmarks = call.query_flag("allowWatchBookmarks");
        check_initial(call, streams_list, bookmarks)?;
        let now = Instant::now();
        let mut watch = Watch {
            core: Arc::clone(self),
            kind: Arc::clone(kind),
            namespace: target.namespace.clone(),
            filter,
            form,
            cursor: 0,
            bookmarks,
            lines: VecDeque::new(),
            commits: self.store.subscribe(),
            closing: call.closing.clone(),
            next_bookmark: now + BOOKMARK_EVERY,
            end: now + life,
            ended: false,
        };
        watch.start(asked, streams_list)?;
        Ok(Answer::Watch(Box::new(watch)))
    }
}

/// Parameters that make no sense without each other.
fn check_initial(call: &Call, streams_list: bool, bookmarks: bool) -> ApiResult<()> {
    let field = "resourceVersionMatch";
    let matched = call.query(field);
    let mut causes = Vec::new();
    if matched.is_some() && call.query("sendInitialEvents").is_none() {
        causes.push(Cause::forbidden(
            field,
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        ));
    }
    if streams_list && matched.is_none() {
        causes.push(Cause::forbidden(
            field,
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    if let Some(other) = matched.filter(|other| *other != "NotOlderThan") {
        causes.push(Cause::unsupported(field, &other.into(), &["NotOlderThan".into()]));
    }
    if streams_list && causes.is_empty() && !bookmarks {
        causes.push(Cause::forbidden("allowWatchBookmarks", "sendInitialEvents needs allowWatchBookmarks"));
    }
    if causes.is_empty() { Ok(()) } else { Err(ApiError::invalid_options("ListOptions", &causes)) }
}

impl Watch {
    /// Places the cursor; a watch without a version begins with everything that exists.
    fn start(&mut self, asked: Option<u64>, streams_list: bool) -> ApiResult<()> {
        if let Some(version) = asked {
            let current = self.core.store.version();
            if version > current {
                return Err(ApiError::future_version(version, current));
            }
            if !streams_list {
                if self.core.store.since(&self.kind.store, version).is_none() {
                    return Err(ApiError::expired(format!(
                        "too old resource version: {version} ({current})"
                    )));
                }
                self.cursor = version;
                return Ok(());
            }
        }
        let snapshot = self.core.store.list(&self.kind.store, self.namespace.as_deref());
        self.cursor = snapshot.version;
        for object in &snapshot.objects {
            let shown = self.kind.present(object);
            if self.filter.keeps(&shown) {
                self.tell("ADDED", shown);
            }
        }
        if streams_list {
            let mut mark = self.bookmark();
            mark["object"]["metadata"]["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
            self.push(&mark);
        }
        Ok(())
    }

    fn tell(&mut self, what: &str, object: Value) {
        let object = self.form.one(&self.kind, object, (self.core.now)());
        self.push(&json!({ "type": what, "object": object }));
    }

    fn push(&mut self, event: &Value) {
        let mut line = event.to_string().into_bytes();
        line.push(b'\n');
        self.lines.push_back(line.into());
    }

    fn bookmark(&self) -> Value {
        json!({ "type": "BOOKMARK", "object": {
            "kind": self.kind.kind,
            "apiVersion": self.kind.api_version(),
            "metadata": { "resourceVersion": self.cursor.to_string(), "creationTimestamp": null },
        }})
    }

    fn record(&mut self, change: &Committed) {
        if self.namespace.as_ref().is_some_and(|namespace| *namespace != change.key.namespace) {
            return;
        }
        let matched = |object: &Option<Arc<Value>>| {
            object.as_ref().map(|object| self.kind.present(object)).filter(|object| self.filter.keeps(object))
        };
        let (before, after) = (matched(&change.old), matched(&change.new));
        match (before, after) {
            (None, Some(object)) => self.tell("ADDED", object),
            (Some(_), Some(object)) => self.tell("MODIFIED", object),
            // No longer selected: the last state that was, with the version of the change.
            (Some(mut before), None) if change.new.is_some() => {
                before["metadata"]["resourceVersion"] = change.last["metadata"]["resourceVersion"].clone();
                self.tell("DELETED", before);
            }
            (Some(_), None) => {
                let last = self.kind.present(&change.last);
                self.tell("DELETED", last);
            }
            (None, None) => {}
        }
    }

    /// The next line, or `None` at the end of the watch.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.ended || *self.closing.borrow() {
                return None;
            }
            self.commits.mark_unchanged();
            match self.core.store.since(&self.kind.store, self.cursor) {
                None => {
                    let status =
                        ApiError::expired(format!("too old resource version: {}", self.cursor)).to_status();
                    self.push(&json!({ "type": "ERROR", "object": status }));
                    self.ended = true;
                    continue;
                }
                Some((version, changes)) => {
                    for change in changes {
                        self.record(&change);
                    }
                    self.cursor = version;
                }
            }
            if !self.lines.is_empty() {
                continue;
            }
            let next_bookmark = self.next_bookmark;
            tokio::select! {
                changed = self.commits.changed() => self.ended = changed.is_err(),
                _ = self.closing.changed() => self.ended = true,
                () = tokio::time::sleep_until(self.end) => self.ended = true,
                () = tokio::time::sleep_until(next_bookmark), if self.bookmarks => {
                    self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
                    let mark = self.bookmark();
                    self.push(&mark);
                }
            }
        }
    }
}

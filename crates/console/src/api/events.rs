//! Live updates: which object changed, as server-sent events. What is new in it, the page asks for again.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use causeway_crds::{Incident, Pause, Remediation};
use futures::stream::{self, BoxStream, Stream, StreamExt as _};
use kube::api::{Api, ApiResource, DynamicObject};
use kube::core::NamespaceResourceScope;
use kube::runtime::watcher::{self, watcher};
use kube::{Resource, ResourceExt as _};
use serde_json::json;

use crate::access::{Right, may, readable};
use crate::console::Console;
use crate::failure::Result;
use crate::session::Session;

/// Namespaces that are watched for one page.
const MAX_NAMESPACES: usize = 64;
/// Between two signs of life.
const ALIVE: Duration = Duration::from_secs(15);

/// `event: change`, `data: {"kind", "namespace", "name"}`, one for every change after the stream began.
pub(super) async fn stream(
    State(console): State<Arc<Console>>,
    Extension(session): Extension<Session>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let place = console.stream_place()?;
    let namespaces = readable(&console, &session).await?.clone();
    let mut changes = vec![
        changes::<Incident>(&session, namespaces.as_deref()),
        changes::<Remediation>(&session, namespaces.as_deref()),
    ];
    let pauses = Right { verb: "watch", resource: "pauses", namespace: None, name: None };
    if may(&session, &pauses).await? {
        let kind = ApiResource::erase::<Pause>(&());
        changes.push(watch("Pause", Api::all_with(session.client.clone(), &kind)));
    }
    let begun = stream::once(async { Event::default().event("begun").data("{}") });
    let events = begun.chain(stream::select_all(changes)).take_until(console.stop.clone().cancelled_owned());
    let events = events.map(move |event| {
        // The place is held for as long as the stream lives.
        let _held = &place;
        Ok(event)
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)))
}

fn changes<K>(session: &Session, namespaces: Option<&[String]>) -> BoxStream<'static, Event>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let kind = ApiResource::erase::<K>(&());
    let name: &'static str = if kind.plural == "incidents" { "Incident" } else { "Remediation" };
    let client = session.client.clone();
    match namespaces {
        None => watch(name, Api::all_with(client, &kind)),
        Some(names) => {
            let apis = names.iter().take(MAX_NAMESPACES);
            let watches = apis.map(|n| watch(name, Api::namespaced_with(client.clone(), n, &kind)));
            stream::select_all(watches.collect::<Vec<_>>()).boxed()
        }
    }
}

/// Changes that come after what is there at the beginning. It ends at the first failure: the browser connects again, and
/// is told when its token is worth nothing any more.
fn watch(kind: &'static str, api: Api<DynamicObject>) -> BoxStream<'static, Event> {
    watcher(api, watcher::Config::default())
        .take_while(|event| std::future::ready(event.is_ok()))
        .filter_map(move |event| {
            let object = match event {
                Ok(watcher::Event::Apply(object) | watcher::Event::Delete(object)) => Some(object),
                _ => None,
            };
            let told = object.map(|object| {
                let place = json!({"kind": kind, "namespace": object.namespace(), "name": object.name_any()});
                Event::default().event("change").data(place.to_string())
            });
            std::future::ready(told)
        })
        .boxed()
}

//! Objects of Causeway, read with the caller's rights. They are taken as they are, so that one of another version is shown
//! with what it has.

use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::Resource;
use kube::api::{Api, ApiResource, DynamicObject, ListParams};
use kube::core::NamespaceResourceScope;
use serde_json::Value;

use crate::access::readable;
use crate::console::Console;
use crate::failure::{Failure, Result};
use crate::session::Session;

/// Lists that are asked for at the same time.
const AT_ONCE: usize = 8;

/// Objects of a namespaced kind: of one namespace, or of all that the caller may read.
pub(crate) async fn list<K>(
    console: &Console,
    session: &Session,
    namespace: Option<&str>,
) -> Result<Vec<Value>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let kind = ApiResource::erase::<K>(&());
    let within = |name: &str| Api::<DynamicObject>::namespaced_with(session.client.clone(), name, &kind);
    if let Some(name) = namespace {
        checked_name(name)?;
        return all(within(name)).await;
    }
    match readable(console, session).await? {
        None => all(Api::all_with(session.client.clone(), &kind)).await,
        Some(names) => {
            let apis: Vec<Api<DynamicObject>> = names.iter().map(|name| within(name)).collect();
            let lists = stream::iter(apis).map(all);
            let found: Vec<Vec<Value>> = lists.buffered(AT_ONCE).try_collect().await?;
            Ok(found.into_iter().flatten().collect())
        }
    }
}

/// Objects of a kind without namespaces.
pub(crate) async fn list_cluster<K>(session: &Session) -> Result<Vec<Value>>
where
    K: Resource<DynamicType = ()>,
{
    all(Api::all_with(session.client.clone(), &ApiResource::erase::<K>(&()))).await
}

/// One object of a namespaced kind.
pub(crate) async fn get<K>(session: &Session, namespace: &str, name: &str) -> Result<Value>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    checked_name(namespace)?;
    checked_name(name)?;
    let kind = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(session.client.clone(), namespace, &kind);
    value(&api.get(name).await?)
}

async fn all(api: Api<DynamicObject>) -> Result<Vec<Value>> {
    let list = api.list(&ListParams::default()).await?;
    list.items.iter().map(value).collect()
}

fn value(object: &DynamicObject) -> Result<Value> {
    let mut value = serde_json::to_value(object).map_err(|error| Failure::internal(&error))?;
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
    }
    Ok(value)
}

/// A name that can stand in a path of the API server.
pub(crate) fn checked_name(name: &str) -> Result<()> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    if (1..=253).contains(&name.len()) && name.bytes().all(legal) && !name.starts_with('.') {
        return Ok(());
    }
    Err(Failure::not_found("nothing has this name: names are of lower-case letters, digits, - and ."))
}

/// The text at a JSON pointer, or nothing.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_else() {
        for good in ["shop", "a.b-c", "0"] {
            assert!(checked_name(good).is_ok(), "{good}");
        }
        for bad in ["", "..", "a/b", "A", "a b", "%2e", "ä", &"a".repeat(254)] {
            assert!(checked_name(bad).is_err(), "{bad}");
        }
    }
}

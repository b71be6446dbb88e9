//! The few protobuf bodies that `kubectl create` sends: Namespace, ConfigMap, Secret and ServiceAccount.
//!
//! Field numbers are those of the published `generated.proto` files. A field that is not in the tables is refused,
//! so that nothing is lost silently.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

const MAGIC: &[u8] = b"k8s\0";

/// What a field holds.
enum Field {
    Text,
    Texts,
    Flag,
    TextMap,
    BytesMap,
    Message(&'static [Line]),
    /// Set by the server; whatever is in it does not matter.
    Ignored,
}

type Line = (u64, &'static str, Field);

const META: &[Line] = &[
    (1, "name", Field::Text),
    (2, "generateName", Field::Text),
    (3, "namespace", Field::Text),
    (4, "selfLink", Field::Ignored),
    (5, "uid", Field::Ignored),
    (7, "generation", Field::Ignored),
    (8, "creationTimestamp", Field::Ignored),
    (11, "labels", Field::TextMap),
    (12, "annotations", Field::TextMap),
    (14, "finalizers", Field::Texts),
];

const NAMESPACE: &[Line] =
    &[(1, "metadata", Field::Message(META)), (2, "spec", Field::Ignored), (3, "status", Field::Ignored)];

const CONFIG_MAP: &[Line] = &[
    (1, "metadata", Field::Message(META)),
    (2, "data", Field::TextMap),
    (3, "binaryData", Field::BytesMap),
    (4, "immutable", Field::Flag),
];

const SECRET: &[Line] = &[
    (1, "metadata", Field::Message(META)),
    (2, "data", Field::BytesMap),
    (3, "type", Field::Text),
    (4, "stringData", Field::TextMap),
    (5, "immutable", Field::Flag),
];

const SERVICE_ACCOUNT: &[Line] = &[(1, "metadata", Field::Message(META))];

/// Decodes a body, or `None` when it is of another kind or holds what the tables do not name.
pub(crate) fn decode(body: &[u8]) -> Option<Value> {
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), Vec::new());
    for (number, content) in fields(body.strip_prefix(MAGIC)?)? {
        match (number, content) {
            (1, Content::Bytes(meta)) => {
                for (number, content) in fields(meta)? {
                    match (number, content) {
                        (1, Content::Bytes(text)) => api_version = String::from_utf8(text.to_vec()).ok()?,
                        (2, Content::Bytes(text)) => kind = String::from_utf8(text.to_vec()).ok()?,
                        _ => return None,
                    }
                }
            }
            (2, Content::Bytes(bytes)) => raw = bytes.to_vec(),
            (3 | 4, Content::Bytes([])) => {}
            _ => return None,
        }
    }
    let table = match (api_version.as_str(), kind.as_str()) {
        ("v1", "Namespace") => NAMESPACE,
        ("v1", "ConfigMap") => CONFIG_MAP,
        ("v1", "Secret") => SECRET,
        ("v1", "ServiceAccount") => SERVICE_ACCOUNT,
        _ => return None,
    };
    let mut object = message(&raw, table)?;
    object["apiVersion"] = api_version.into();
    object["kind"] = kind.into();
    Some(object)
}

fn message(body: &[u8], table: &[Line]) -> Option<Value> {
    let mut object = Map::new();
    for (number, content) in fields(body)? {
        let Some((_, name, field)) = table.iter().find(|(known, _, _)| *known == number) else {
            // Empty fields are written by Go's encoder for structs that were not set.
            if matches!(content, Content::Bytes([]) | Content::Number(0)) {
                continue;
            }
            return None;
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
        match (field, content) {
            (Field::Ignored, _) => {}
            (Field::Text, Content::Bytes([])) => {}
            (Field::Text, Content::Bytes(bytes)) => {
                object.insert((*name).to_owned(), text(bytes)?.into());
            }
            (Field::Texts, Content::Bytes(bytes)) => {
                let list = object.entry(*name).or_insert_with(|| json!([]));
                list.as_array_mut()?.push(text(bytes)?.into());
            }
            (Field::Flag, Content::Number(number)) => {
                object.insert((*name).to_owned(), (number != 0).into());
            }
            (Field::TextMap | Field::BytesMap, Content::Bytes(bytes)) => {
                let (key, value) = entry(bytes)?;
                let value =
                    if matches!(field, Field::BytesMap) { STANDARD.encode(value) } else { text(value)? };
                object.entry(*name).or_insert_with(|| json!({}))[text(key)?] = value.into();
            }
            (Field::Message(table), Content::Bytes(bytes)) => {
                object.insert((*name).to_owned(), message(bytes, table)?);
            }
            _ => return None,
        }
    }
    Some(Value::Object(object))
}

/// Key and value of a map entry.
fn entry(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
    for (number, content) in fields(body)? {
        match (number, content) {
            (1, Content::Bytes(bytes)) => key = bytes,
            (2, Content::Bytes(bytes)) => value = bytes,
            _ => return None,
        }
    }
    Some((key, value))
}

enum Content<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message in their order; `None` when it is cut or uses other wire types.
fn fields(mut rest: &[u8]) -> Option<Vec<(u64, Content<'_>)>> {
    let mut out = Vec::new();
    while !rest.is_empty() {
        let tag = varint(&mut rest)?;
        let content = match tag & 7 {
            0 => Content::Number(varint(&mut rest)?),
            2 => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                let (bytes, after) = rest.split_at_checked(length)?;
                rest = after;
                Content::Bytes(bytes)
            }
            _ => return None,
        };
        out.push((tag >> 3, content));
    }
    Some(out)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(number: u8, body: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, body.len() as u8], body].concat()
    }

    fn envelope(kind: &str, raw: &[u8]) -> Vec<u8> {
        let meta = [bytes(1, b"v1"), bytes(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), bytes(1, &meta), bytes(2, raw), bytes(3, b""), bytes(4, b"")].concat()
    }

    #[test]
    fn a_secret() {
        let meta = bytes(1, &[bytes(1, b"s"), bytes(2, b""), bytes(8, b"")].concat());
        let data = bytes(2, &[bytes(1, b"k"), bytes(2, b"v")].concat());
        let body = envelope("Secret", &[meta, data, bytes(3, b"Opaque")].concat());
        let expected = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, "data": { "k": "dg==" }, "type": "Opaque" });
        assert_eq!(decode(&body), Some(expected));
        for cut in 0..body.len() {
            let _ = decode(&body[..cut]);
        }
        assert_eq!(decode(&envelope("Pod", b"")), None);
        assert_eq!(decode(&envelope("Secret", &bytes(9, b"x"))), None, "an unknown field is refused");
    }
}

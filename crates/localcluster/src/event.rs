//! Events under two APIs: core `v1` (stored) and `events.k8s.io/v1`, which has other names for the same fields.

use serde_json::{Map, Value};

/// (stored name, name in `events.k8s.io/v1`)
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

/// Renames a stored Event's fields for `events.k8s.io/v1`, in place.
pub(crate) fn to_new(object: &mut Value) {
    rename(object, |(stored, new)| (stored, new));
}

/// Renames the fields of an `events.k8s.io/v1` Event to the stored ones, in place.
pub(crate) fn to_stored(object: &mut Value) {
    rename(object, |(stored, new)| (new, stored));
}

fn rename(object: &mut Value, direction: fn((&'static str, &'static str)) -> (&'static str, &'static str)) {
    let Some(map) = object.as_object_mut() else { return };
    let table: Vec<(&str, &str)> = NAMES.into_iter().map(direction).collect();
    let renamed: Map<String, Value> = std::mem::take(map)
        .into_iter()
        .map(|(key, value)| {
            let name =
                table.iter().find(|(from, _)| *from == key).map_or(key.as_str(), |(_, to)| to).to_owned();
            (name, value)
        })
        .collect();
    *map = renamed;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn renames_there_and_back() {
        let stored = json!({ "involvedObject": {"name": "a"}, "message": "m", "reason": "R", "count": 2 });
        let mut object = stored.clone();
        to_new(&mut object);
        assert_eq!(
            object,
            json!({ "regarding": {"name": "a"}, "note": "m", "reason": "R", "deprecatedCount": 2 })
        );
        to_stored(&mut object);
        assert_eq!(object, stored);
    }
}

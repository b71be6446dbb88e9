//! Step `Mask`: replaces what the detectors find in bodies, names, status messages and attribute values.

use std::ops::Range;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, Input};
use arrow_array::builder::StringBuilder;
use arrow_array::{Array, ArrayRef, BooleanArray, MapArray, RecordBatch, StringArray, StructArray};
use arrow_schema::{ArrowError, DataType};
use causeway_model::Batch;
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::user_regex;
use crate::detector::{DETECTORS, MaskBuiltin, Trigger, is_secret_key};
use crate::drop::with_rows;
use crate::registry::{Applied, Step};
use crate::{StepError, StepSpec};

/// Replaces what was found, unless the step says otherwise.
const DEFAULT_REPLACEMENT: &str = "***";

/// Parameters of a Mask step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MaskSpec {
    /// Built-in detectors to use; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub builtins: Option<Vec<MaskBuiltin>>,
    /// Own patterns, besides the built-in detectors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub patterns: Vec<MaskPattern>,
    /// What stands in place of what was found; `***` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub replace_with: Option<String>,
}

/// An own pattern of a Mask step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MaskPattern {
    /// Name, for messages.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Regular expression in the syntax of the Rust crate `regex`; if it has a group named `secret`, only that is
    /// replaced.
    #[schemars(length(min = 1, max = 1024))]
    pub regex: String,
}

/// One place to mask: index of the value in its column, and bytes within the value.
struct Place {
    value: usize,
    bytes: Range<usize>,
}

/// The compiled step.
#[derive(Debug)]
struct MaskStep {
    literals: AhoCorasick,
    /// Detectors woken by each literal, as indexes into [`DETECTORS`].
    woken: Vec<Vec<usize>>,
    /// Detectors woken by digits.
    digits: Vec<usize>,
    /// Whether attributes are masked by their names.
    by_name: bool,
    patterns: Vec<Regex>,
    replacement: String,
}

/// Compiles the step.
///
/// # Errors
/// [`StepError::Member`] when the member is not the one that the type names, [`StepError::Regex`] and
/// [`StepError::MatchesEmpty`] for patterns.
pub(crate) fn compile(spec: &StepSpec) -> Result<Box<dyn Step>, StepError> {
    let (Some(mask), None) = (&spec.mask, &spec.drop) else {
        return Err(StepError::Member { step: spec.name.clone(), member: "mask" });
    };
    let wanted = |b: MaskBuiltin| mask.builtins.as_ref().is_none_or(|list| list.contains(&b));
    let (mut texts, mut woken, mut digits) = (Vec::<&str>::new(), Vec::<Vec<usize>>::new(), Vec::new());
    for (index, detector) in DETECTORS.iter().enumerate().filter(|(_, d)| wanted(d.builtin)) {
        match detector.trigger {
            Trigger::Digits => digits.push(index),
            Trigger::Literals(literals) => {
                for literal in literals {
                    match texts.iter().position(|t| t == literal) {
                        Some(known) => woken[known].push(index),
                        None => {
                            texts.push(literal);
                            woken.push(vec![index]);
                        }
                    }
                }
            }
        }
    }
    let literals = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(&texts)
        .map_err(|e| StepError::Regex { step: spec.name.clone(), reason: e.to_string() })?;
    let mut patterns = Vec::with_capacity(mask.patterns.len());
    for pattern in &mask.patterns {
        let regex = user_regex(&spec.name, &pattern.regex)?;
        if regex.is_match("") {
            return Err(StepError::MatchesEmpty { step: spec.name.clone(), pattern: pattern.name.clone() });
        }
        patterns.push(regex);
    }
    Ok(Box::new(MaskStep {
        literals,
        woken,
        digits,
        by_name: wanted(MaskBuiltin::Password),
        patterns,
        replacement: mask.replace_with.clone().unwrap_or_else(|| DEFAULT_REPLACEMENT.to_owned()),
    }))
}

/// Columns that a mask looks into.
fn text_columns(batch: &Batch) -> &'static [&'static str] {
    match batch {
        Batch::Logs(_) => &["body"],
        Batch::Metrics(_) => &[],
        Batch::Spans(_) => &["name", "status_message"],
    }
}

const MAP_COLUMNS: [&str; 2] = ["resource", "attributes"];

impl Step for MaskStep {
    fn apply(&self, batch: Batch, selected: Option<&BooleanArray>) -> Result<Applied, StepError> {
        let rows = batch.record_batch();
        let mut columns = rows.columns().to_vec();
        let mut changed = vec![false; rows.num_rows()];
        let is_selected = |row: usize| selected.is_none_or(|s| s.value(row));
        for name in text_columns(&batch) {
            let index = rows.schema_ref().index_of(name)?;
            let texts: &StringArray = downcast(&columns[index], name)?;
            let mut places = self.places(texts);
            places.retain(|p| is_selected(p.value));
            places.iter().for_each(|p| changed[p.value] = true);
            if let Some(masked) = self.replace(texts, places) {
                columns[index] = Arc::new(masked);
            }
        }
        for name in MAP_COLUMNS {
            let index = rows.schema_ref().index_of(name)?;
            let map: &MapArray = downcast(&columns[index], name)?;
            if let Some(masked) = self.mask_map(map, is_selected, &mut changed)? {
                columns[index] = Arc::new(masked);
            }
        }
        let changed = changed.into_iter().filter(|c| *c).count();
        if changed == 0 {
            return Ok(Applied { batch, changed });
        }
        let rows = RecordBatch::try_new(rows.schema(), columns)?;
        Ok(Applied { batch: with_rows(&batch, rows)?, changed })
    }
}

impl MaskStep {
    /// Masks the values of a map of texts; `None` when nothing is found.
    fn mask_map(
        &self,
        map: &MapArray,
        is_selected: impl Fn(usize) -> bool,
        changed: &mut [bool],
    ) -> Result<Option<MapArray>, StepError> {
        let keys: &StringArray = downcast(map.keys(), "keys")?;
        let values: &StringArray = downcast(map.values(), "values")?;
        let offsets = map.value_offsets();
        let mut places = self.places(values);
        if self.by_name {
            self.places_by_name(keys, values, &mut places);
        }
        places.retain(|place| {
            // Entries outside of the offsets belong to no row of a sliced batch.
            let after = offsets.partition_point(|o| *o as usize <= place.value);
            let row = after.checked_sub(1).filter(|row| *row < map.len() && is_selected(*row));
            row.is_some_and(|row| {
                changed[row] = true;
                true
            })
        });
        let Some(masked) = self.replace(values, places) else { return Ok(None) };
        let DataType::Map(field, ordered) = map.data_type() else { return Ok(None) };
        let entries = map.entries();
        let columns: Vec<ArrayRef> = vec![Arc::clone(map.keys()), Arc::new(masked)];
        let entries = StructArray::try_new(entries.fields().clone(), columns, entries.nulls().cloned())?;
        let nulls = map.nulls().cloned();
        Ok(Some(MapArray::try_new(Arc::clone(field), map.offsets().clone(), entries, nulls, *ordered)?))
    }

    fn places_by_name(&self, keys: &StringArray, values: &StringArray, places: &mut Vec<Place>) {
        for index in 0..keys.len() {
            if values.is_valid(index) && is_secret_key(keys.value(index), values.value(index)) {
                places.push(Place { value: index, bytes: 0..values.value(index).len() });
            }
        }
    }

    /// Where something has to be masked in a column of texts, in no particular order.
    fn places(&self, texts: &StringArray) -> Vec<Place> {
        let mut places = Vec::new();
        if self.literals.patterns_len() > 0 {
            self.places_by_literal(texts, &mut places);
        }
        if !self.digits.is_empty() {
            self.places_by_digits(texts, &mut places);
        }
        for regex in &self.patterns {
            for value in (0..texts.len()).filter(|i| texts.is_valid(*i)) {
                for found in regex.captures_iter(texts.value(value)) {
                    let part = found.name("secret").or_else(|| found.get(0));
                    places.extend(part.map(|m| Place { value, bytes: m.range() }));
                }
            }
        }
        places.retain(|p| !p.bytes.is_empty());
        places
    }

    /// One pass over the bytes of the whole column finds the literals of all detectors.
    fn places_by_literal(&self, texts: &StringArray, places: &mut Vec<Place>) {
        let offsets = texts.value_offsets();
        let bytes = texts.value_data();
        let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else { return };
        let (mut at, end, mut value) = (*first as usize, *last as usize, 0);
        while let Some(found) = self.literals.find(Input::new(bytes).range(at..end)) {
            while offsets[value + 1] as usize <= found.start() {
                value += 1;
            }
            let (start, value_end) = (offsets[value] as usize, offsets[value + 1] as usize);
            if found.end() > value_end {
                // It spans two values; the search goes on where the second one begins.
                at = value_end;
                continue;
            }
            at = found.end();
            if texts.is_valid(value) {
                let text = texts.value(value);
                let range = found.start() - start..found.end() - start;
                for detector in &self.woken[found.pattern().as_usize()] {
                    let bytes = (DETECTORS[*detector].find)(text, range.clone());
                    places.extend(bytes.map(|bytes| Place { value, bytes }));
                }
            }
        }
    }

    fn places_by_digits(&self, texts: &StringArray, places: &mut Vec<Place>) {
        for value in (0..texts.len()).filter(|i| texts.is_valid(*i)) {
            let text = texts.value(value);
            // Cards and accounts have more digits than this together; shorter texts have neither.
            if text.len() < 13 {
                continue;
            }
            for run in crate::detector::digit_runs(text) {
                if run.len() < 2 {
                    continue;
                }
                for detector in &self.digits {
                    let bytes = (DETECTORS[*detector].find)(text, run.clone());
                    places.extend(bytes.map(|bytes| Place { value, bytes }));
                }
            }
        }
    }

    /// The column with every place replaced; places that overlap become one. `None` without places.
    fn replace(&self, texts: &StringArray, mut places: Vec<Place>) -> Option<StringArray> {
        if places.is_empty() {
            return None;
        }
        places.sort_by_key(|p| (p.value, p.bytes.start, std::cmp::Reverse(p.bytes.end)));
        let mut builder = StringBuilder::with_capacity(texts.len(), texts.value_data().len());
        let mut masked = String::new();
        let mut next = places.iter().peekable();
        for value in 0..texts.len() {
            if texts.is_null(value) {
                builder.append_null();
                continue;
            }
            let text = texts.value(value);
            masked.clear();
            let mut copied = 0;
            while let Some(place) = next.next_if(|p| p.value == value) {
                if place.bytes.start >= copied {
                    masked.push_str(&text[copied..place.bytes.start]);
                    masked.push_str(&self.replacement);
                }
                copied = copied.max(place.bytes.end);
            }
            if copied == 0 {
                builder.append_value(text);
            } else {
                masked.push_str(&text[copied..]);
                builder.append_value(&masked);
            }
        }
        Some(builder.finish())
    }
}

fn downcast<'a, T: 'static>(column: &'a ArrayRef, name: &str) -> Result<&'a T, StepError> {
    column
        .as_any()
        .downcast_ref()
        .ok_or_else(|| ArrowError::SchemaError(format!("column {name} has another type")).into())
}

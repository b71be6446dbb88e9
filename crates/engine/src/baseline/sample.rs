//! What one window holds for the series of a Baseline.

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::AHashMap;
use causeway_model::{SeriesId, SeriesKind, SeriesPartial, TemplateCount};
use serde::{Deserialize, Serialize};

use super::config::{BaselineConfig, Form, Selector};
use crate::objective::{is_own_signal, named};

/// Sum and number of values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Sample {
    pub(super) sum: f64,
    pub(super) count: f64,
}

impl Sample {
    pub(super) fn add(&mut self, other: Self) {
        self.sum += other.sum;
        self.count += other.count;
    }
}

/// Everything that a window tells.
pub(crate) struct Content<'a> {
    /// Sorted.
    pub(crate) series: &'a [(SeriesId, SeriesPartial)],
    pub(crate) templates: &'a [TemplateCount],
    /// Texts of templates by id.
    pub(crate) texts: &'a AHashMap<u64, Arc<str>>,
}

/// Samples of a window by series.
pub(super) fn samples(config: &BaselineConfig, content: &Content<'_>) -> BTreeMap<SeriesId, (Form, Sample)> {
    let mut found = BTreeMap::new();
    for entity in &config.entities {
        match &config.selector {
            Selector::Latency => golden(entity, "latency", Form::Duration, content, &mut found),
            Selector::Errors => golden(entity, "error_ratio", Form::Share, content, &mut found),
            Selector::Traffic => golden(entity, "traffic", Form::Count, content, &mut found),
            Selector::Metric(name) => {
                for (id, values) in named(entity, name, content.series) {
                    if is_own_signal(id) {
                        continue;
                    }
                    let sample = Sample { sum: values.sum, count: values.count as f64 };
                    let (_, sum) = found
                        .entry(grouped(id, &config.group_by))
                        .or_insert((form(values.kind), Sample::default()));
                    sum.add(sample);
                }
            }
            Selector::Query(question) => {
                for (id, values) in named(entity, &question.signal, content.series) {
                    let sample = Sample { sum: values.sum, count: values.count as f64 };
                    found.insert(id.clone(), (form(values.kind), sample));
                }
            }
            Selector::LogPattern(text) => {
                let of_entity = content.templates.iter().filter(|t| t.service.as_ref() == entity);
                for template in of_entity {
                    let known = content.texts.get(&template.template);
                    if !known.is_some_and(|known| known.contains(text.as_str())) {
                        continue;
                    }
                    let id = SeriesId {
                        entity: Arc::clone(&template.service),
                        signal: format!("pattern:{:016x}", template.template).into(),
                        group: "".into(),
                    };
                    let sample = Sample { sum: template.count as f64, count: template.count as f64 };
                    found.insert(id, (Form::Count, sample));
                }
            }
        }
    }
    found
}

fn form(kind: SeriesKind) -> Form {
    match kind {
        SeriesKind::Gauge => Form::Level,
        SeriesKind::Count => Form::Count,
        SeriesKind::Latency => Form::Duration,
    }
}

/// The series with only these of its attributes; with all when none are named.
fn grouped(id: &SeriesId, keys: &[String]) -> SeriesId {
    if keys.is_empty() {
        return id.clone();
    }
    let is_named = |pair: &&str| pair.split_once('=').is_some_and(|(key, _)| keys.iter().any(|k| k == key));
    let group = id.group.split(',').filter(is_named).collect::<Vec<_>>().join(",");
    SeriesId { group: group.into(), ..id.clone() }
}

fn golden(
    entity: &str,
    signal: &str,
    form: Form,
    content: &Content<'_>,
    found: &mut BTreeMap<SeriesId, (Form, Sample)>,
) {
    let sum = |name: &str| -> Option<(Arc<str>, f64)> {
        let (id, values) = named(entity, name, content.series).iter().find(|(id, _)| is_own_signal(id))?;
        Some((Arc::clone(&id.entity), values.sum))
    };
    let Some((entity, requests)) = sum("requests") else { return };
    let numerator = match form {
        Form::Duration => sum("latency"),
        Form::Share => sum("errors"),
        _ => Some((Arc::clone(&entity), requests)),
    };
    let sample = Sample { sum: numerator.map_or(0.0, |(_, sum)| sum), count: requests };
    found.insert(SeriesId { entity, signal: signal.into(), group: "".into() }, (form, sample));
}

//! From the documents of other tools to our objects, and back: OpenSLO, Sloth, Pyrra, rules of Prometheus.
//!
//! What can't be carried over is told with what to do instead, never left out in silence. Queries of Prometheus are understood
//! where they count one counter, with label matchers.

mod openslo;
mod prometheus;
mod promql;
mod pyrra;
mod sloth;

use causeway_actions::Decimal;
use causeway_remediate::DurationText;
use serde_json::Value;

use crate::Baseline;
use crate::baseline::GoldenSignal;
use crate::slo::{
    BurnSeverity, BurnWindow, EventSource, EventSourceType, Indicator, IndicatorType, MetricCount,
    ObjectiveWindow, RatioIndicator, SLO, SLOSpec, ThresholdIndicator, WindowType,
};

pub use openslo::export as to_openslo;

/// A form of documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenSLO v1.
    OpenSlo,
    /// Sloth, `prometheus/v1` or the custom resource.
    Sloth,
    /// Pyrra's `ServiceLevelObjective`.
    Pyrra,
    /// Rules of Prometheus: a rule file or a `PrometheusRule`.
    PrometheusRules,
}

/// Where objects go for which the documents do not say it.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// Namespace; that of the document, or none, without it.
    pub namespace: Option<String>,
    /// MonitoredService of objectives and Baselines whose document names none.
    pub service: Option<String>,
}

/// What came of documents.
#[derive(Debug, Default)]
pub struct Imported {
    /// Objectives.
    pub slos: Vec<SLO>,
    /// Baselines.
    pub baselines: Vec<Baseline>,
    /// What was not carried over, or is meant a little differently: the name, what it is, and what to do.
    pub notes: Vec<String>,
}

impl Imported {
    fn note(&mut self, name: &str, words: impl std::fmt::Display) {
        self.notes.push(format!("{name}: {words}"));
    }
}

/// Why documents could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// No YAML or JSON.
    #[error("not YAML: {0}")]
    Yaml(String),
    /// No document of the form.
    #[error("no document of this form is in it: {0}")]
    Nothing(&'static str),
}

/// Makes our objects from the YAML documents of `text`.
///
/// # Errors
/// No YAML, or no document of the form at all. What is wrong with single documents is a note.
pub fn import(format: Format, text: &str, place: &Place) -> Result<Imported, ConvertError> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|error| ConvertError::Yaml(error.to_string()))?;
    let documents: Vec<Value> = documents.into_iter().filter(|document| !document.is_null()).collect();
    let (found, expected) = match format {
        Format::OpenSlo => (openslo::import(&documents, place), "apiVersion: openslo/v1"),
        Format::Sloth => {
            (sloth::import(&documents, place), "version: prometheus/v1, or kind: PrometheusServiceLevel")
        }
        Format::Pyrra => (pyrra::import(&documents, place), "kind: ServiceLevelObjective of pyrra.dev"),
        Format::PrometheusRules => {
            (prometheus::import(&documents, place), "groups of rules, or kind: PrometheusRule")
        }
    };
    found.ok_or(ConvertError::Nothing(expected))
}

/// Text of a member, if it is one.
fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

/// Decimal text of a number, which documents write as such or as text.
fn number(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(plain(&number.to_string())),
        Value::String(text) => Decimal::parse(text).ok().map(|decimal| decimal.to_string()),
        _ => None,
    }
}

/// A float's text without an exponent.
fn plain(text: &str) -> String {
    if !text.contains(['e', 'E']) {
        return text.to_owned();
    }
    let written = format!("{:.15}", text.parse::<f64>().unwrap_or(0.0));
    written.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Moves the decimal point of a decimal text, exactly: two places make a percentage of a share.
fn shifted(decimal: &str, places: i32) -> Option<Decimal> {
    let (sign, digits) = decimal.strip_prefix('-').map_or(("", decimal), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut all = format!("{whole}{fraction}");
    let mut point = whole.len() as i32 + places;
    while point < 1 {
        all.insert(0, '0');
        point += 1;
    }
    while (all.len() as i32) < point {
        all.push('0');
    }
    let (whole, fraction) = all.split_at(usize::try_from(point).ok()?);
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    Decimal::parse(&format!("{sign}{whole}{point}{fraction}")).ok()
}

/// A name that Kubernetes takes.
fn kubernetes_name(text: &str) -> String {
    let mapped = text.to_lowercase();
    let mapped =
        mapped.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '.' { c } else { '-' });
    let mapped: String = mapped.take(200).collect();
    let trimmed = mapped.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    if trimmed.is_empty() { "unnamed".to_owned() } else { trimmed.to_owned() }
}

/// An objective with defaults.
fn objective(service: &str, target: Decimal, indicator: Indicator) -> SLOSpec {
    SLOSpec {
        description: None,
        service_ref: crate::reference::LocalRef { name: kubernetes_name(service) },
        indicator,
        window: ObjectiveWindow::default(),
        budgeting: crate::slo::Budgeting::Occurrences,
        timeslices: None,
        target,
        burn: Vec::new(),
        minimum_bad_events: 20,
        predict_exhaustion: false,
        health_gate: false,
        suspend: false,
    }
}

fn window(duration: DurationText) -> ObjectiveWindow {
    ObjectiveWindow { duration, r#type: WindowType::Rolling }
}

fn ratio(good: Option<EventSource>, bad: Option<EventSource>, total: EventSource) -> Indicator {
    let ratio = RatioIndicator { good, bad, total };
    Indicator { r#type: IndicatorType::Ratio, ratio: Some(ratio), threshold: None }
}

fn faster_than(milliseconds: Decimal) -> Indicator {
    let threshold = ThresholdIndicator {
        signal: Some(GoldenSignal::Latency),
        metric: None,
        logs: None,
        below: milliseconds,
    };
    Indicator { r#type: IndicatorType::Threshold, ratio: None, threshold: Some(threshold) }
}

fn counter(found: promql::Counter) -> EventSource {
    let metric = MetricCount { name: found.name, labels: found.labels };
    EventSource { r#type: EventSourceType::Metric, signal: None, logs: None, metric: Some(metric) }
}

fn burn(severity: BurnSeverity, rate: &str, long: &str, short: &str) -> Option<BurnWindow> {
    Some(BurnWindow {
        severity,
        rate: Decimal::parse(rate).ok()?,
        long: in_hours(long)?,
        short: in_hours(short)?,
    })
}

/// A duration in h, m or s, as the rules of our windows want it: `3d` is `72h`.
fn in_hours(duration: &str) -> Option<DurationText> {
    let parsed = DurationText::parse(duration).ok()?;
    if duration.contains(['d', 'w']) {
        return Some(DurationText::from_secs(parsed.get().as_secs()));
    }
    Some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_points_move_exactly() {
        for (text, places, expected) in [
            ("0.999", 2, "99.9"),
            ("99.9", -2, "0.999"),
            ("0.99995", 2, "99.995"),
            ("1", -2, "0.01"),
            ("5", -3, "0.005"),
            ("0.1", 3, "100"),
            ("-0.25", 2, "-25"),
            ("0.00", 2, "0"),
        ] {
            assert_eq!(shifted(text, places).unwrap().to_string(), expected, "{text} by {places}");
        }
        assert_eq!(plain("1e-3"), "0.001");
    }

    #[test]
    fn names_are_made_to_fit() {
        assert_eq!(kubernetes_name("My Service/API"), "my-service-api");
        assert_eq!(kubernetes_name("__"), "unnamed");
    }

    #[test]
    fn what_is_no_document_of_the_form_says_so() {
        let error = import(Format::Sloth, "kind: Pod\n", &Place::default()).unwrap_err().to_string();
        assert!(error.contains("prometheus/v1"), "{error}");
        assert!(
            import(Format::Pyrra, "a: [", &Place::default()).unwrap_err().to_string().contains("not YAML")
        );
    }
}

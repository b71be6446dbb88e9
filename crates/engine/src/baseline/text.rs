//! The sentence that tells what a deviation is, where its numbers alone do not.

use causeway_causal::wording::quantity;
use causeway_model::Finding;

use super::config::{BaselineConfig, Selector};

/// Such as `db_pool_in_use (pool=main) of shop/web is 97, above its bound 90`; empty for a golden signal with a learned
/// band, which speaks for itself.
pub(super) fn note(config: &BaselineConfig, finding: &Finding) -> String {
    let what = subject(config, finding);
    if finding.observed.is_nan() {
        return format!("{what} has no data");
    }
    let shown = |value: f64| value_text(config, value);
    let observed = shown(finding.observed);
    if config.is_learned() {
        return match config.selector {
            Selector::Latency | Selector::Errors => String::new(),
            _ => format!("{what} is {observed}, expected {}", shown(finding.expected)),
        };
    }
    let (side, bound) =
        if finding.observed > finding.upper { ("above", finding.upper) } else { ("below", finding.lower) };
    format!("{what} is {observed}, {side} its bound {}", shown(bound))
}

/// A value of the series in its unit.
pub(super) fn value_text(config: &BaselineConfig, value: f64) -> String {
    match config.selector {
        Selector::Latency => quantity(value, "s"),
        Selector::Errors => quantity(value, "ratio"),
        Selector::Traffic => format!("{} requests/s", quantity(value, "")),
        Selector::Metric(_) | Selector::LogPattern(_) => quantity(value, ""),
    }
}

fn subject(config: &BaselineConfig, finding: &Finding) -> String {
    let series = &finding.series;
    let signal = match &config.selector {
        Selector::Errors => "error ratio".to_owned(),
        Selector::LogPattern(text) => format!("count of \"{text}\""),
        _ => series.signal.to_string(),
    };
    let group = if series.group.is_empty() { String::new() } else { format!(" ({})", series.group) };
    format!("{signal}{group} of {}", series.entity)
}

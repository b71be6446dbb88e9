//! The sentence that tells what a deviation is, where its numbers alone do not.

use causeway_causal::wording::quantity;
use causeway_model::{Finding, SeriesId, rfc3339};
use causeway_predict::Direction;

use super::config::{BaselineConfig, Selector};
use super::outlook::{Foretold, OutlookConfig};

/// Such as `db_pool_in_use (pool=main) of shop/web is 97, above its bound 90`; empty for a golden signal with a learned
/// band, which speaks for itself.
pub(super) fn note(config: &BaselineConfig, finding: &Finding) -> String {
    let what = subject(config, &finding.series);
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
        Selector::Metric(_) | Selector::LogPattern(_) | Selector::Query(_) => quantity(value, ""),
    }
}

/// Such as `pool_in_use (pool=main) of shop/web rises above 90 by 2026-11-27T20:10:00Z, with 85 %`.
pub(super) fn prediction(config: &BaselineConfig, wanted: &OutlookConfig, foretold: &Foretold) -> String {
    let verb = if wanted.direction == Direction::Below { "falls below" } else { "rises above" };
    format!(
        "{} {verb} {} by {}, with {:.0} %",
        subject(config, &foretold.series),
        value_text(config, wanted.threshold),
        rfc3339(foretold.deadline_us),
        foretold.probability * 100.0
    )
}

fn subject(config: &BaselineConfig, series: &SeriesId) -> String {
    let signal = match &config.selector {
        Selector::Errors => "error ratio".to_owned(),
        Selector::LogPattern(text) => format!("count of \"{text}\""),
        _ => series.signal.to_string(),
    };
    let group = if series.group.is_empty() { String::new() } else { format!(" ({})", series.group) };
    format!("{signal}{group} of {}", series.entity)
}

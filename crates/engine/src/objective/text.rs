//! The sentence that tells what a burn means.

use super::config::{Indicator, ObjectiveConfig};

/// Such as `checkout-availability burns its error budget 20 times too fast: 3.1 % of requests failed in the last hour`.
pub(super) fn burn(config: &ObjectiveConfig, rate: f64, ratio: f64, long_seconds: f64) -> String {
    let share = percent(ratio);
    let what = match (&config.timeslices, &config.indicator) {
        (Some(slices), _) => {
            format!("{share} of the stretches of {} were bad", length(slices.size_us as f64 / 1e6))
        }
        (None, Indicator::SlowerThan { seconds }) if *seconds < 1.0 => {
            format!("{share} of requests took longer than {} ms", number(seconds * 1e3))
        }
        (None, Indicator::SlowerThan { seconds }) => {
            format!("{share} of requests took longer than {} s", number(*seconds))
        }
        (None, _) if config.is_about_requests() => format!("{share} of requests failed"),
        (None, _) => format!("{share} of events were bad"),
    };
    let long = length(long_seconds);
    let last = long.strip_prefix("1 ").unwrap_or(&long);
    format!(
        "{} burns its error budget {} times too fast: {what} in the last {last}",
        config.name,
        number(rate)
    )
}

/// Such as `1 hour`, `6 hours`, `90 minutes`.
fn length(seconds: f64) -> String {
    let (count, unit) = match seconds as i64 {
        s if s >= 172_800 && s % 86_400 == 0 => (s / 86_400, "day"),
        s if s >= 3_600 && s % 3_600 == 0 => (s / 3_600, "hour"),
        s if s >= 60 && s % 60 == 0 => (s / 60, "minute"),
        s => (s, "second"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

fn percent(ratio: f64) -> String {
    format!("{} %", number(ratio * 100.0))
}

/// Two significant digits, whole from 10 on.
fn number(value: f64) -> String {
    if value >= 10.0 {
        return format!("{value:.0}");
    }
    let magnitude = if value > 0.0 { value.log10().floor() } else { 0.0 };
    let text = format!("{value:.*}", (1.0 - magnitude).clamp(0.0, 6.0) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_and_numbers_read_well() {
        for (seconds, text) in [
            (3600.0, "1 hour"),
            (21_600.0, "6 hours"),
            (5400.0, "90 minutes"),
            (259_200.0, "3 days"),
            (30.0, "30 seconds"),
        ] {
            assert_eq!(length(seconds), text);
        }
        for (value, text) in
            [(20.4, "20"), (3.11, "3.1"), (0.0123, "0.012"), (2.0, "2"), (0.0, "0"), (500.0, "500")]
        {
            assert_eq!(number(value), text);
        }
    }
}

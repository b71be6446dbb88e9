//! A sparkline: the shape of the last windows, without axes.

use std::fmt::Write as _;

use causeway_model::BandPoint;

const WIDTH: f64 = 120.0;
const HEIGHT: f64 = 28.0;

/// Value and band; empty without values.
#[must_use]
pub fn spark(points: &[BandPoint]) -> String {
    let top = points.iter().flat_map(|p| [p.value, p.upper]).flatten().fold(0.0_f64, f64::max);
    if points.iter().all(|p| p.value.is_none()) {
        return String::new();
    }
    let top = if top > 0.0 { top } else { 1.0 };
    let step = WIDTH / (points.len().max(2) - 1) as f64;
    let y = |v: f64| HEIGHT - 3.0 - v.clamp(0.0, top) / top * (HEIGHT - 6.0);
    let (mut line, mut upper, mut lower) = (String::new(), String::new(), Vec::new());
    let mut pen_up = true;
    for (i, p) in points.iter().enumerate() {
        let x = i as f64 * step;
        match p.value {
            // Writing to a String can't fail; so below.
            Some(v) => {
                let _value = write!(line, "{}{x:.1},{:.1}", if pen_up { 'M' } else { 'L' }, y(v));
                pen_up = false;
            }
            None => pen_up = true,
        }
        if let (Some(low), Some(high)) = (p.lower, p.upper) {
            let _high = write!(upper, "{}{x:.1},{:.1}", if upper.is_empty() { 'M' } else { 'L' }, y(high));
            lower.push((x, y(low)));
        }
    }
    for (x, y) in lower.iter().rev() {
        let _low = write!(upper, "L{x:.1},{y:.1}");
    }
    if !upper.is_empty() {
        upper.push('Z');
    }
    format!(
        "<svg class=\"spark\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" aria-hidden=\"true\"><path class=\"band\" d=\"{upper}\"/><path class=\"line\" d=\"{line}\"/></svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spark_lifts_the_pen_where_data_is_missing() {
        let point = |value| BandPoint { at: 0, value, expected: None, lower: Some(0.0), upper: Some(1.0) };
        let svg = spark(&[point(Some(0.5)), point(None), point(Some(0.7)), point(Some(0.1))]);
        assert!(svg.contains("class=\"line\" d=\"M0.0,14.0M80.0,"), "{svg}");
        assert_eq!(spark(&[point(None)]), "");
    }
}

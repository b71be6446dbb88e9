//! A signal over time with the band that it was held against.

use std::fmt::Write as _;

use causeway_model::{BandPoint, Micros};

use super::text;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 10.0;
/// Above the plot, without labels and with.
const TOP: (f64, f64) = (12.0, 52.0);
const BOTTOM: f64 = 26.0;
/// Height of a row of labels.
const ROW: f64 = 14.0;
/// Rows of labels above the plot.
const ROWS: usize = 3;

/// A moment to point at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: Micros,
    /// A word or two.
    pub label: String,
}

/// Value, band and marks; empty without points. `signal` tells the unit: `latency` is seconds, a name that ends in `ratio`
/// is shown in per cent.
#[must_use]
pub fn band(points: &[BandPoint], marks: &[Mark], signal: &str) -> String {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
    let above = if marks.is_empty() { TOP.0 } else { TOP.1 };
    let scale = Scale::new(points, first.at, last.at, above);
    let mut svg = format!(
        "<svg class=\"picture\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{} with its band\">",
        text(signal)
    );
    axes(&mut svg, &scale, signal);
    area(&mut svg, &scale, points);
    line(&mut svg, &scale, points);
    labels(&mut svg, &scale, marks);
    svg.push_str("</svg>");
    svg
}

struct Scale {
    from: f64,
    to: f64,
    top: f64,
    /// Height of the space above the plot.
    above: f64,
}

impl Scale {
    fn new(points: &[BandPoint], from: Micros, to: Micros, above: f64) -> Self {
        let highest = points
            .iter()
            .flat_map(|p| [p.value, p.upper])
            .flatten()
            .filter(|v| v.is_finite())
            .fold(1e-9_f64, f64::max);
        let (from, to) = (from as f64, to as f64);
        Self { from, to: to.max(from + 1e6), top: nice(highest * 1.05), above }
    }

    fn x(&self, at: Micros) -> f64 {
        LEFT + (at as f64 - self.from) / (self.to - self.from) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - value.clamp(0.0, self.top) / self.top * (HEIGHT - self.above - BOTTOM)
    }

    fn shows(&self, at: Micros) -> bool {
        (self.from..=self.to).contains(&(at as f64))
    }
}

/// The next round number above, so that the axis has round ticks.
fn nice(value: f64) -> f64 {
    let unit = 10_f64.powf(value.log10().floor());
    [1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 6.0, 8.0, 10.0]
        .iter()
        .map(|m| m * unit)
        .find(|v| *v >= value)
        .unwrap_or(value)
}

// Writing to a String can't fail; so the results are dropped by name.
fn axes(svg: &mut String, scale: &Scale, signal: &str) {
    for step in 0..=4 {
        let value = scale.top * f64::from(step) / 4.0;
        let y = scale.y(value);
        let _tick = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{0}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"tick\" text-anchor=\"end\" x=\"{1}\" y=\"{2:.1}\">{3}</text>",
            WIDTH - RIGHT,
            LEFT - 7.0,
            y + 4.0,
            amount(value, scale.top, signal)
        );
    }
    let seconds = (scale.to - scale.from) / 1e6;
    let every = [10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0]
        .into_iter()
        .find(|every| seconds / every <= 7.0)
        .unwrap_or(604_800.0);
    let mut at = (scale.from / 1e6 / every).ceil() * every;
    while at * 1e6 <= scale.to {
        let stamp = jiff::Timestamp::from_second(at as i64).map(|t| {
            t.strftime(if every < 60.0 {
                "%H:%M:%S"
            } else if every < 86_400.0 {
                "%H:%M"
            } else {
                "%b %d"
            })
            .to_string()
        });
        let x = scale.x((at * 1e6) as Micros);
        if x < WIDTH - 20.0 {
            let _time = write!(
                svg,
                "<line class=\"grid faint\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{3}\" y2=\"{0}\"/><text class=\"tick\" text-anchor=\"middle\" x=\"{x:.1}\" y=\"{1}\">{2}</text>",
                HEIGHT - BOTTOM,
                HEIGHT - 8.0,
                stamp.unwrap_or_default(),
                scale.above
            );
        }
        at += every;
    }
}

fn area(svg: &mut String, scale: &Scale, points: &[BandPoint]) {
    // A band has a gap where it was still being learned.
    for run in points.chunk_by(|a, b| a.upper.is_some() == b.upper.is_some()) {
        let bounds: Vec<(f64, f64, f64)> =
            run.iter().filter_map(|p| Some((scale.x(p.at), p.lower?, p.upper?))).collect();
        if bounds.len() < 2 {
            continue;
        }
        let mut path = String::new();
        for (i, (x, _, upper)) in bounds.iter().enumerate() {
            let _upper = write!(path, "{}{x:.1},{:.1}", if i == 0 { 'M' } else { 'L' }, scale.y(*upper));
        }
        for (x, lower, _) in bounds.iter().rev() {
            let _lower = write!(path, "L{x:.1},{:.1}", scale.y(lower.max(0.0)));
        }
        let _area = write!(svg, "<path class=\"band\" d=\"{path}Z\"/>");
    }
}

fn line(svg: &mut String, scale: &Scale, points: &[BandPoint]) {
    let outside = |p: &BandPoint| match (p.value, p.lower, p.upper) {
        (Some(v), Some(lower), Some(upper)) => v > upper || v < lower,
        _ => false,
    };
    let (mut all, mut out) = (String::new(), String::new());
    for run in points.chunk_by(|a, b| a.value.is_some() == b.value.is_some()) {
        for (i, p) in run.iter().enumerate() {
            let Some(value) = p.value else { continue };
            let _point =
                write!(all, "{}{:.1},{:.1}", if i == 0 { 'M' } else { 'L' }, scale.x(p.at), scale.y(value));
        }
        for pair in run.windows(2) {
            if let [a, b] = pair
                && (outside(a) || outside(b))
                && let (Some(from), Some(to)) = (a.value, b.value)
            {
                let _segment = write!(
                    out,
                    "M{:.1},{:.1}L{:.1},{:.1}",
                    scale.x(a.at),
                    scale.y(from),
                    scale.x(b.at),
                    scale.y(to)
                );
            }
        }
    }
    let _lines = write!(svg, "<path class=\"line\" d=\"{all}\"/><path class=\"line out\" d=\"{out}\"/>");
}

fn labels(svg: &mut String, scale: &Scale, marks: &[Mark]) {
    let mut marks: Vec<&Mark> = marks.iter().filter(|m| scale.shows(m.at)).collect();
    marks.sort_by_key(|m| m.at);
    // The first row whose last label ends before this one begins.
    let mut ends = [f64::NEG_INFINITY; ROWS];
    for mark in marks {
        let (x, width) = (scale.x(mark.at), mark.label.chars().count() as f64 * 6.2 + 10.0);
        // Near the right edge the word stands on the other side.
        let begin = if x + width > WIDTH - RIGHT { x - width } else { x };
        let row = ends.iter().position(|end| *end <= begin).unwrap_or(ROWS - 1);
        ends[row] = begin + width;
        let (anchor, beside) = if begin < x { ("end", -5.0) } else { ("start", 5.0) };
        let y = 12.0 + ROW * row as f64;
        let _mark = write!(
            svg,
            "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{0:.1}\" y2=\"{1:.1}\"/><text class=\"marktext\" text-anchor=\"{anchor}\" x=\"{2:.1}\" y=\"{y:.1}\">{3}</text>",
            y - 9.0,
            HEIGHT - BOTTOM,
            x + beside,
            text(&mark.label)
        );
    }
}

fn amount(value: f64, top: f64, signal: &str) -> String {
    if signal.ends_with("ratio") {
        // Two digits that differ from one tick to the next.
        let digits = (1.0 - (top * 100.0).log10().floor()).clamp(0.0, 4.0) as usize;
        return format!("{:.*} %", digits, value * 100.0);
    }
    if signal == "latency" {
        return if top <= 1.0 { format!("{:.0} ms", value * 1000.0) } else { format!("{value:.1} s") };
    }
    if top >= 10.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> Vec<BandPoint> {
        (0..60_i64)
            .map(|i| BandPoint {
                at: 1_795_374_000_000_000 + i * 10_000_000,
                value: (i != 20).then_some(if i > 40 { 2.0 } else { 0.2 }),
                expected: Some(0.2),
                lower: (i > 5).then_some(0.1),
                upper: (i > 5).then_some(0.3),
            })
            .collect()
    }

    #[test]
    fn a_picture_has_band_line_excess_and_marks() {
        let mark = |seconds: i64, label: &str| Mark {
            at: 1_795_374_000_000_000 + seconds * 1_000_000,
            label: label.into(),
        };
        let svg = band(
            &points(),
            &[mark(400, "<symptom>"), mark(405, "incident"), mark(9_000, "later")],
            "latency",
        );
        for part in
            ["class=\"band\"", "class=\"line out\" d=\"M", "&lt;symptom&gt;", "incident", "1.8 s", "2.4 s"]
        {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(!svg.contains("later") && !svg.contains("NaN"), "{svg}");
        // Where there was no data, the pen is lifted.
        let line = svg.split("class=\"line\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(line.matches('M').count(), 2, "{line}");
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(band(&[], &[], "latency"), "");
        let learning = BandPoint { at: 0, value: None, expected: None, lower: None, upper: None };
        assert!(!band(&[learning], &[], "error_ratio").contains("NaN"));
    }
}

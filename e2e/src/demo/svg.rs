//! Pictures of the report: the symptom with its band, and the topology with the path of blame.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 260.0;
const MARGIN: f64 = 44.0;

struct Point {
    t: f64,
    value: Option<f64>,
    lower: Option<f64>,
    upper: Option<f64>,
}

/// Value and band over time; `marks` are (time, label).
pub(super) fn band(series: &Value, marks: &[(String, &str)]) -> String {
    let seconds = |text: &str| text.parse::<jiff::Timestamp>().map(|t| t.as_second() as f64).ok();
    let points: Vec<Point> = series
        .pointer("/points")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|p| {
            let number = |key: &str| p.get(key).and_then(Value::as_f64);
            Some(Point {
                t: seconds(p.get("at")?.as_str()?)?,
                value: number("value"),
                lower: number("lower"),
                upper: number("upper"),
            })
        })
        .collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
    let (t0, t1) = (first.t, last.t.max(first.t + 1.0));
    let top = points.iter().flat_map(|p| [p.value, p.upper]).flatten().fold(1e-9_f64, f64::max) * 1.08;
    let x = |t: f64| MARGIN + (t - t0) / (t1 - t0) * (WIDTH - MARGIN - 8.0);
    let y = |v: f64| HEIGHT - 28.0 - v.clamp(0.0, top) / top * (HEIGHT - 48.0);
    let mut svg =
        format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"symptom with its band\">");
    for step in 0..=4 {
        let v = top * f64::from(step) / 4.0;
        // Writing to a String can't fail; the same holds below.
        let _grid = write!(
            svg,
            "<line class=\"grid\" x1=\"{MARGIN}\" x2=\"{WIDTH}\" y1=\"{0:.1}\" y2=\"{0:.1}\"/><text class=\"tick\" x=\"4\" y=\"{1:.1}\">{2}</text>",
            y(v),
            y(v) + 4.0,
            axis(v)
        );
    }
    let banded: Vec<&Point> = points.iter().filter(|p| p.lower.is_some() && p.upper.is_some()).collect();
    if !banded.is_empty() {
        let mut path = String::new();
        for (i, p) in banded.iter().enumerate() {
            let _upper = write!(
                path,
                "{}{:.1},{:.1} ",
                if i == 0 { "M" } else { "L" },
                x(p.t),
                y(p.upper.unwrap_or_default())
            );
        }
        for p in banded.iter().rev() {
            let _lower = write!(path, "L{:.1},{:.1} ", x(p.t), y(p.lower.unwrap_or_default().max(0.0)));
        }
        let _band = write!(svg, "<path class=\"band\" d=\"{path}Z\"/>");
    }
    let mut line = String::new();
    let mut pen_up = true;
    for p in &points {
        match p.value {
            Some(v) => {
                let _segment = write!(line, "{}{:.1},{:.1} ", if pen_up { "M" } else { "L" }, x(p.t), y(v));
                pen_up = false;
            }
            None => pen_up = true,
        }
    }
    let _line = write!(svg, "<path class=\"line\" d=\"{line}\"/>");
    for (row, (at, label)) in marks.iter().enumerate() {
        if let Some(t) = seconds(at).filter(|t| (t0..=t1).contains(t)) {
            let height = 14.0 + 13.0 * (row % 4) as f64;
            // Near the right edge the word stands on the other side.
            let (anchor, beside) = if t1 - t < (t1 - t0) / 8.0 { ("end", -4.0) } else { ("start", 4.0) };
            let _mark = write!(
                svg,
                "<line class=\"mark\" x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"8\" y2=\"{1:.1}\"/><text class=\"marktext\" text-anchor=\"{anchor}\" x=\"{2:.1}\" y=\"{height}\">{label}</text>",
                x(t),
                HEIGHT - 28.0,
                x(t) + beside
            );
        }
    }
    for (t, anchor) in [(t0, "start"), (t1, "end")] {
        let text = jiff::Timestamp::from_second(t as i64).map(|t| t.to_string()).unwrap_or_default();
        let _time = write!(
            svg,
            "<text class=\"tick\" text-anchor=\"{anchor}\" x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
            x(t),
            HEIGHT - 8.0
        );
    }
    svg.push_str("</svg>");
    svg
}

fn axis(value: f64) -> String {
    if value >= 10.0 { format!("{value:.0} s") } else { format!("{value:.2} s") }
}

/// The call graph in layers from the entry point; the path of blame is drawn on top.
pub(super) fn topology(edges: &Value, path: &[String]) -> String {
    let edges: Vec<(String, String)> = edges
        .pointer("/edges")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|e| Some((short(e.get("from")?.as_str()?), short(e.get("to")?.as_str()?))))
        .collect();
    let path: Vec<String> = path.iter().map(|p| short(p)).collect();
    let layers = layers(&edges);
    let rows = layers.values().fold(BTreeMap::<usize, usize>::new(), |mut m, l| {
        *m.entry(*l).or_default() += 1;
        m
    });
    let (columns, tallest) = (rows.len().max(1), rows.values().copied().max().unwrap_or(1));
    let height = tallest as f64 * 30.0 + 30.0;
    let column = WIDTH / columns as f64;
    let mut placed: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    let mut used: BTreeMap<usize, usize> = BTreeMap::new();
    for (name, layer) in &layers {
        let index = used.entry(*layer).or_default();
        let gap = height / (rows.get(layer).copied().unwrap_or(1) as f64 + 1.0);
        placed.insert(name, (*layer as f64 * column + 8.0, gap * (*index as f64 + 1.0)));
        *index += 1;
    }
    let on_path: BTreeSet<(&str, &str)> = path
        .windows(2)
        .flat_map(|w| match w {
            [a, b] => vec![(a.as_str(), b.as_str()), (b.as_str(), a.as_str())],
            _ => Vec::new(),
        })
        .collect();
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"topology\">");
    let mut ordered: Vec<&(String, String)> = edges.iter().collect();
    ordered.sort_by_key(|(a, b)| on_path.contains(&(a.as_str(), b.as_str())));
    for (from, to) in ordered {
        let (Some((x1, y1)), Some((x2, y2))) = (placed.get(from.as_str()), placed.get(to.as_str())) else {
            continue;
        };
        let class = if on_path.contains(&(from.as_str(), to.as_str())) { "edge blame" } else { "edge" };
        let right = x1 + 128.0;
        let middle = (right + x2) / 2.0;
        let _edge = write!(
            svg,
            "<path class=\"{class}\" d=\"M{right:.1},{y1:.1} C{middle:.1},{y1:.1} {middle:.1},{y2:.1} {x2:.1},{y2:.1}\"/>"
        );
    }
    let (cause, symptom) = (path.first(), path.last());
    for (name, (x, y)) in &placed {
        let is = |p: Option<&String>| p.is_some_and(|p| p == name);
        let class = if is(cause) {
            "node cause"
        } else if is(symptom) {
            "node symptom"
        } else if path.iter().any(|p| p == name) {
            "node onpath"
        } else {
            "node"
        };
        let _node = write!(
            svg,
            "<g class=\"{class}\"><rect x=\"{x:.1}\" y=\"{:.1}\" width=\"128\" height=\"20\" rx=\"4\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text></g>",
            y - 10.0,
            x + 6.0,
            y + 4.0,
            escape(name)
        );
    }
    svg.push_str("</svg>");
    svg
}

fn short(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.strip_prefix("ts-")
        .unwrap_or(name)
        .strip_suffix("-service")
        .map_or_else(|| name.to_owned(), str::to_owned)
}

/// Longest-path layers, bounded, so that cycles end.
fn layers(edges: &[(String, String)]) -> BTreeMap<String, usize> {
    let mut layer: BTreeMap<String, usize> = BTreeMap::new();
    for (from, to) in edges {
        layer.entry(from.clone()).or_default();
        layer.entry(to.clone()).or_default();
    }
    let limit = 6;
    for _ in 0..limit {
        for (from, to) in edges {
            let next = layer.get(from).copied().unwrap_or_default() + 1;
            if next < limit
                && let Some(l) = layer.get_mut(to)
            {
                *l = (*l).max(next);
            }
        }
    }
    layer
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

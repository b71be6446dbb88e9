//! Pictures of a series with its band: in braille for a terminal, and as SVG.

use std::fmt::Write as _;

use jiff::Timestamp;

/// A point to draw.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    /// Unix seconds.
    pub t: i64,
    /// Observed value; not finite for a gap.
    pub value: f64,
    /// Lower end of the band; not finite where there is none.
    pub lower: f64,
    /// Upper end of the band; not finite where there is none.
    pub upper: f64,
}

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// Words above it.
    pub title: &'a str,
    /// Points in order of time.
    pub points: &'a [Drawn],
    /// Times, in unix seconds, during which something was raised.
    pub raised: &'a [(i64, i64)],
}

/// What one column of the picture shows.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) lower: f64,
    pub(crate) upper: f64,
}

const EMPTY: Column = Column { low: f64::NAN, high: f64::NAN, lower: f64::NAN, upper: f64::NAN };
/// How far beyond the values a band is drawn, as a share of their range.
const BEYOND: f64 = 0.25;
/// Margins of the SVG: left, top, right, bottom.
const MARGIN: [f64; 4] = [64.0, 34.0, 12.0, 26.0];

impl Picture<'_> {
    /// Begin and end of the time drawn; the end is beyond the last point.
    pub(crate) fn time(&self) -> (i64, i64) {
        let first = self.points.first().map_or(0, |point| point.t);
        let last = self.points.last().map_or(1, |point| point.t);
        (first, last.max(first) + 1)
    }

    pub(crate) fn column_of(&self, t: i64, columns: usize) -> usize {
        let (from, to) = self.time();
        let share = (t.clamp(from, to) - from) as f64 / (to - from) as f64;
        ((share * columns as f64) as usize).min(columns.saturating_sub(1))
    }

    /// Extremes of the values, and of the band, in each column. `f64::min` and `max` leave out what is not a number.
    pub(crate) fn columns(&self, columns: usize) -> Vec<Column> {
        let mut drawn = vec![EMPTY; columns];
        for point in self.points {
            let Some(column) = drawn.get_mut(self.column_of(point.t, columns)) else { continue };
            let finite = |value: f64| if value.is_finite() { value } else { f64::NAN };
            let value = finite(point.value);
            column.low = column.low.min(value);
            column.high = column.high.max(value);
            column.lower = column.lower.min(finite(point.lower));
            column.upper = column.upper.max(finite(point.upper));
        }
        drawn
    }

    pub(crate) fn range(columns: &[Column]) -> (f64, f64) {
        let low = columns.iter().map(|c| c.low).fold(f64::NAN, f64::min);
        let high = columns.iter().map(|c| c.high).fold(f64::NAN, f64::max);
        if !low.is_finite() || !high.is_finite() {
            return (0.0, 1.0);
        }
        let room = if high > low { BEYOND * (high - low) } else { 0.5 * high.abs().max(1.0) };
        let lower = columns.iter().map(|c| c.lower).fold(f64::NAN, f64::min);
        let upper = columns.iter().map(|c| c.upper).fold(f64::NAN, f64::max);
        (low.min(lower.max(low - room)), high.max(upper.min(high + room)))
    }

    /// The picture in `width` by `height` characters, with a scale, marks of what was raised, and the time below.
    #[must_use]
    pub fn terminal(&self, width: usize, height: usize) -> String {
        let (width, height) = (width.clamp(10, 500), height.clamp(2, 100));
        let columns = self.columns(2 * width);
        let (low, high) = Self::range(&columns);
        let rows = 4 * height;
        let mut cells = vec![0_u8; width * height];
        let row = |value: f64| {
            let share = if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 };
            rows - 1 - (share * (rows - 1) as f64).round() as usize
        };
        let mut dot = |x: usize, y: usize| {
            // Dots of a braille character, by column and row.
            const DOTS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
            if let Some(cell) = cells.get_mut(y / 4 * width + x / 2) {
                *cell |= DOTS[x % 2][y % 4];
            }
        };
        for (x, column) in columns.iter().enumerate() {
            if column.low.is_finite() {
                (row(column.high)..=row(column.low)).for_each(|y| dot(x, y));
            }
            // The band is dotted, and left out where it leaves the picture.
            let ends = [column.lower, column.upper];
            let ends = ends.into_iter().filter(|end| x % 4 == 0 && (low..=high).contains(end));
            ends.for_each(|end| dot(x, row(end)));
        }
        let labels = [number(high), number(low)];
        let margin = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
        let mut text = format!("{}\n", self.title);
        for y in 0..height {
            let label = if y == 0 {
                labels[0].as_str()
            } else if y + 1 == height {
                labels[1].as_str()
            } else {
                ""
            };
            let line: String = cells[y * width..(y + 1) * width]
                .iter()
                .map(|bits| char::from_u32(0x2800 + u32::from(*bits)).unwrap_or(' '))
                .collect();
            // Writing to a String can't fail.
            let _infallible = writeln!(text, "{label:>margin$} \u{2502}{line}");
        }
        let mut marks = vec![' '; width];
        for &(from, to) in self.raised {
            let (from, to) = (self.column_of(from, width), self.column_of(to, width));
            marks.iter_mut().take(to + 1).skip(from).for_each(|mark| *mark = '\u{25b2}');
        }
        let marks: String = marks.into_iter().collect();
        let (from, to) = self.time();
        let (from, to) = (instant(from), instant(to - 1));
        let gap = width.saturating_sub(from.len() + to.len());
        let _infallible = writeln!(text, "{:margin$} \u{2514}{marks}", "");
        let _infallible = writeln!(text, "{:margin$}  {from}{:gap$}{to}", "", "");
        text
    }

    /// The picture as an SVG document of `width` by `height` pixels.
    #[must_use]
    pub fn svg(&self, width: u32, height: u32) -> String {
        let (width, height) = (f64::from(width.clamp(200, 4000)), f64::from(height.clamp(120, 4000)));
        let [left, top, right, bottom] = MARGIN;
        let (wide, high_px) = (width - left - right, height - top - bottom);
        let count = wide as usize;
        let columns = self.columns(count);
        let (low, high) = Self::range(&columns);
        let y = |value: f64| {
            let share = if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 };
            top + (1.0 - share) * high_px
        };
        let x = |column: usize| left + column as f64;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
             <text x=\"{left}\" y=\"20\" font-size=\"14\" fill=\"#222222\">{}</text>\n",
            escaped(self.title)
        );
        for &(from, to) in self.raised {
            let (from, to) = (self.column_of(from, count), self.column_of(to, count));
            let _infallible = writeln!(
                svg,
                "<rect class=\"raised\" x=\"{:.0}\" y=\"{top}\" width=\"{}\" height=\"{high_px}\" fill=\"#d62728\" fill-opacity=\"0.25\"/>",
                x(from),
                (to - from).max(2)
            );
        }
        let banded: Vec<(usize, f64, f64)> = columns
            .iter()
            .enumerate()
            .filter(|(_, c)| c.lower.is_finite() || c.upper.is_finite())
            .map(|(i, c)| {
                let (lower, upper) = (c.lower.max(low), c.upper.min(high));
                (i, if lower.is_finite() { lower } else { low }, if upper.is_finite() { upper } else { high })
            })
            .collect();
        if !banded.is_empty() {
            let above = banded.iter().map(|&(i, _, upper)| format!("{:.0},{:.1}", x(i), y(upper)));
            let below = banded.iter().rev().map(|&(i, lower, _)| format!("{:.0},{:.1}", x(i), y(lower)));
            let outline: Vec<String> = above.chain(below).collect();
            let _infallible = writeln!(
                svg,
                "<polygon class=\"band\" points=\"{}\" fill=\"#1f77b4\" fill-opacity=\"0.18\"/>",
                outline.join(" ")
            );
        }
        let mut path = String::new();
        let mut pen_down = false;
        for (i, column) in columns.iter().enumerate() {
            if !column.low.is_finite() {
                // A column between two points of a coarse series is no gap.
                pen_down &= self.points.len() < count;
                continue;
            }
            let command = if pen_down { 'L' } else { 'M' };
            let _infallible =
                write!(path, "{command}{:.0},{:.1}L{:.0},{:.1}", x(i), y(column.low), x(i), y(column.high));
            pen_down = true;
        }
        let _infallible = writeln!(
            svg,
            "<path class=\"value\" d=\"{path}\" fill=\"none\" stroke=\"#1f3b57\" stroke-width=\"1\"/>"
        );
        let (from, to) = self.time();
        let base = height - 8.0;
        let labels = [
            (left - 6.0, top + 10.0, "end", number(high)),
            (left - 6.0, top + high_px, "end", number(low)),
            (left, base, "start", instant(from)),
            (width - right, base, "end", instant(to - 1)),
        ];
        for (x, y, anchor, text) in labels {
            let _infallible = writeln!(
                svg,
                "<text x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"{anchor}\" fill=\"#555555\">{}</text>",
                escaped(&text)
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// Three significant digits.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    for (unit, name) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if size >= unit {
            return format!("{:.3}", value / unit).chars().take(5).collect::<String>() + name;
        }
    }
    if size >= 100.0 || value == 0.0 {
        format!("{value:.0}")
    } else if size >= 1.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.4}")
    }
}

pub(crate) fn instant(t: i64) -> String {
    Timestamp::from_second(t).map_or_else(|_| t.to_string(), |time| time.to_string())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wave(n: i64) -> Vec<Drawn> {
        (0..n)
            .map(|i| {
                let value = 50.0 + 40.0 * (i as f64 / 30.0).sin();
                Drawn { t: 60 * i, value, lower: value - 5.0, upper: value + 5.0 }
            })
            .collect()
    }

    #[test]
    fn a_terminal_shows_scale_marks_and_time() {
        let points = wave(600);
        let picture = Picture { title: "traffic of web", points: &points, raised: &[(9_000, 18_000)] };
        let text = picture.terminal(60, 6);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 9, "{text}");
        assert_eq!(lines[0], "traffic of web");
        assert!(lines[1].starts_with("95.0 ") && lines[6].starts_with(" 5.0 "), "{text}");
        assert!(lines[1..7].iter().all(|line| line.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c))));
        let marks: Vec<usize> =
            lines[7].chars().enumerate().filter(|(_, c)| *c == '\u{25b2}').map(|(i, _)| i - 6).collect();
        assert_eq!((marks.first(), marks.last()), (Some(&15), Some(&30)), "{text}");
        assert!(lines[8].contains("1970-01-01T00:00:00Z") && lines[8].ends_with("1970-01-01T09:59:00Z"));
    }

    #[test]
    fn an_svg_is_a_document_with_band_values_and_marks() {
        let points = wave(20_000);
        let picture =
            Picture { title: "a < b & \"c\"", points: &points, raised: &[(0, 600), (9_000, 18_000)] };
        let svg = picture.svg(1000, 300);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("a &lt; b &amp; &quot;c&quot;"));
        assert_eq!(svg.matches("class=\"raised\"").count(), 2);
        assert_eq!(svg.matches("class=\"band\"").count(), 1);
        // A picture of two weeks of minutes is as large as one of a day.
        assert!(svg.len() < 100_000, "{}", svg.len());
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn what_is_not_there_is_not_drawn() {
        let gap = Drawn { t: 60, value: f64::NAN, lower: f64::NAN, upper: f64::INFINITY };
        for points in [vec![], vec![gap], vec![Drawn { value: 7.0, ..gap }]] {
            let picture = Picture { title: "x", points: &points, raised: &[] };
            assert!(picture.terminal(20, 3).lines().count() == 6);
            let svg = picture.svg(300, 200);
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.0, 0.0123, 7.5, 123.4, 1234.0, 2_500_000.0, -40_000.0].map(number);
        assert_eq!(shown, ["0", "0.0123", "7.5", "123", "1.234k", "2.500M", "-40.0k"]);
    }
}

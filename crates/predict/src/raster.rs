//! The picture of a series as pixels.

use crate::glyphs::{ADVANCE, ROWS, columns};
use crate::picture::{Picture, instant, number};

/// Colours of [`Pixels::indices`], as red, green and blue.
pub const PALETTE: [[u8; 3]; 6] = [
    [0xff, 0xff, 0xff],
    [0xd9, 0xe6, 0xf2],
    [0xf6, 0xc9, 0xc9],
    [0xdb, 0xb6, 0xbe],
    [0x1f, 0x3b, 0x57],
    [0x55, 0x55, 0x55],
];
const PAPER: u8 = 0;
const BAND: u8 = 1;
const RAISED: u8 = 2;
const RAISED_BAND: u8 = 3;
const VALUE: u8 = 4;
const TEXT: u8 = 5;

/// Margins: left, top, right, bottom.
const MARGIN: [usize; 4] = [72, 34, 12, 26];
/// Dots of the font are so many pixels wide and high: of labels, and of the title.
const SMALL: usize = 1;
const LARGE: usize = 2;

/// An image in the colours of [`PALETTE`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pixels {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Number of the colour of each pixel, row by row from the top.
    pub indices: Vec<u8>,
}

impl Pixels {
    fn set(&mut self, x: usize, y: usize, colour: u8) {
        if x < self.width
            && let Some(pixel) = self.indices.get_mut(y * self.width + x)
        {
            *pixel = colour;
        }
    }

    fn get(&self, x: usize, y: usize) -> u8 {
        self.indices.get(y * self.width + x).copied().unwrap_or(PAPER)
    }

    fn write(&mut self, text: &str, left: usize, top: usize, dot: usize) {
        for (index, character) in text.chars().enumerate() {
            for (column, bits) in columns(character).into_iter().enumerate() {
                for row in (0..ROWS).filter(|row| bits >> row & 1 == 1) {
                    let (x, y) = (left + (index * ADVANCE + column) * dot, top + row * dot);
                    (0..dot).flat_map(|dy| (0..dot).map(move |dx| (dx, dy))).for_each(|(dx, dy)| {
                        self.set(x + dx, y + dy, TEXT);
                    });
                }
            }
        }
    }
}

fn wide(text: &str, dot: usize) -> usize {
    text.chars().count() * ADVANCE * dot
}

impl Picture<'_> {
    /// The picture in `width` by `height` pixels, 200 by 120 to 4000 by 4000.
    #[must_use]
    pub fn pixels(&self, width: usize, height: usize) -> Pixels {
        let (width, height) = (width.clamp(200, 4000), height.clamp(120, 4000));
        let [left, top, right, bottom] = MARGIN;
        let (count, rows) = (width - left - right, height - top - bottom);
        let drawn = self.columns(count);
        let (low, high) = Self::range(&drawn);
        let mut image = Pixels { width, height, indices: vec![PAPER; width * height] };
        let row = |value: f64| {
            let share = if high > low { ((value - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 };
            top + ((1.0 - share) * (rows - 1) as f64).round() as usize
        };
        for &(from, to) in self.raised {
            let (from, to) = (self.column_of(from, count), self.column_of(to, count));
            for x in from..=to.max(from + 1).min(count - 1) {
                (top..top + rows).for_each(|y| image.set(left + x, y, RAISED));
            }
        }
        for (x, column) in drawn.iter().enumerate() {
            if column.lower.is_finite() || column.upper.is_finite() {
                let end = |end: f64, other: f64| row(if end.is_finite() { end } else { other });
                for y in end(column.upper, high)..=end(column.lower, low) {
                    let colour = if image.get(left + x, y) == RAISED { RAISED_BAND } else { BAND };
                    image.set(left + x, y, colour);
                }
            }
        }
        // A line from column to column, over the gaps between points of a coarse series but not over others.
        let coarse = self.points.len() < count;
        let mut pen: Option<(usize, usize)> = None;
        for (x, column) in drawn.iter().enumerate() {
            if !column.low.is_finite() {
                pen = pen.filter(|_| coarse);
                continue;
            }
            let (above, below) = (row(column.high), row(column.low));
            if let Some((from, start)) = pen {
                let end = (above + below) / 2;
                let mut last = start;
                for step in from..=x {
                    let part = (step - from) as f64 / (x - from).max(1) as f64;
                    let y = (start as f64 + part * (end as f64 - start as f64)).round() as usize;
                    (last.min(y)..=last.max(y)).for_each(|y| image.set(left + step, y, VALUE));
                    last = y;
                }
            }
            (above..=below).for_each(|y| image.set(left + x, y, VALUE));
            pen = Some((x, (above + below) / 2));
        }
        let fitting = (width - left - right) / (ADVANCE * LARGE);
        let title: String = self.title.chars().take(fitting).collect();
        image.write(&title, left, 10, LARGE);
        let (from, to) = self.time();
        let (highest, lowest, to) = (number(high), number(low), instant(to - 1));
        let beside = |text: &str| (left - 6).saturating_sub(wide(text, SMALL));
        image.write(&highest, beside(&highest), top, SMALL);
        image.write(&lowest, beside(&lowest), top + rows - ROWS, SMALL);
        image.write(&instant(from), left, height - bottom + 8, SMALL);
        image.write(&to, (width - right).saturating_sub(wide(&to, SMALL)), height - bottom + 8, SMALL);
        image
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Drawn;

    fn count(image: &Pixels, colour: u8) -> usize {
        image.indices.iter().filter(|index| **index == colour).count()
    }

    #[test]
    fn band_values_marks_and_words_are_there() {
        let points: Vec<Drawn> = (0..20_160)
            .map(|i| {
                let value = 50.0 + 40.0 * (i as f64 / 200.0).sin();
                Drawn { t: 60 * i, value, lower: value - 5.0, upper: value + 5.0 }
            })
            .collect();
        let picture = Picture { title: "traffic of web", points: &points, raised: &[(90_000, 180_000)] };
        let image = picture.pixels(1200, 360);
        assert_eq!(image.indices.len(), 1200 * 360);
        for colour in 0..PALETTE.len() as u8 {
            assert!(count(&image, colour) > 100, "colour {colour}: {}", count(&image, colour));
        }
        // Every column of the picture has a value.
        let [left, top, right, bottom] = MARGIN;
        for x in left..1200 - right {
            assert!((top..360 - bottom).any(|y| image.get(x, y) == VALUE), "column {x}");
        }
    }

    #[test]
    fn a_steep_line_is_whole() {
        let step = |i: i64| if i < 100 { 0.0 } else { 100.0 };
        let point = |i| Drawn { t: 60 * i, value: step(i), lower: f64::NAN, upper: f64::NAN };
        for count in [2, 200, 20_000] {
            let points: Vec<Drawn> = (100 - count / 2..100 + count / 2).map(point).collect();
            let image = Picture { title: "", points: &points, raised: &[] }.pixels(600, 200);
            let drawn = |y: usize| (0..600).any(|x| image.get(x, y) == VALUE);
            let rows: Vec<usize> = (0..200).filter(|y| drawn(*y)).collect();
            let (first, last) = (rows[0], rows[rows.len() - 1]);
            assert!(last - first > 80 && rows.len() == last - first + 1, "{count} points: {rows:?}");
        }
    }

    #[test]
    fn a_gap_is_a_gap_and_nothing_is_nothing() {
        let gap = |i: i64| (4_000..8_000).contains(&i);
        let point = |i: i64| {
            let value = if gap(i) { f64::NAN } else { 7.0 };
            Drawn { t: 60 * i, value, lower: f64::NAN, upper: f64::INFINITY }
        };
        let points: Vec<Drawn> = (0..12_000).map(point).collect();
        let image = Picture { title: "", points: &points, raised: &[] }.pixels(600, 200);
        let middle = MARGIN[0] + (600 - MARGIN[0] - MARGIN[2]) / 2;
        assert!((0..200).all(|y| image.get(middle, y) != VALUE));
        assert_eq!(count(&image, BAND), 0);
        let empty = Picture { title: "\u{e9}", points: &[], raised: &[(0, 1)] }.pixels(1, 1);
        assert_eq!((empty.width, empty.height, count(&empty, VALUE)), (200, 120, 0));
    }
}

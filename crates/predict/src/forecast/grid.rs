//! History on an even grid.

/// Points kept at most: two years of hours.
const MOST: usize = 20_000;

/// Times farther than this from the epoch, some 3000 years, are no times.
const FARTHEST: i64 = 100_000_000_000;

/// Values one step apart, without gaps.
pub(super) struct Grid {
    pub(super) start: i64,
    pub(super) step: i64,
    pub(super) values: Vec<f64>,
}

impl Grid {
    /// `None` when no value is finite.
    pub(super) fn new(history: &[(i64, f64)], step: Option<i64>) -> Option<Self> {
        let mut points: Vec<(i64, f64)> = history
            .iter()
            .copied()
            .filter(|(t, v)| (-FARTHEST..FARTHEST).contains(t) && v.is_finite() && v.abs() < 1e150)
            .collect();
        // Stable, so that of equal times the later in the list is last, and wins below.
        points.sort_by_key(|&(t, _)| t);
        let &(last, _) = points.last()?;
        let step = step.filter(|s| (1..FARTHEST).contains(s)).unwrap_or_else(|| usual_step(&points));
        let first = points[0].0.max(last.saturating_sub((MOST as i64 - 1).saturating_mul(step)));
        let len = ((last - first) / step) as usize + 1;
        let start = last - (len as i64 - 1) * step;
        let mut values = vec![f64::NAN; len];
        for (t, value) in points {
            // To the nearest slot: clocks are a little off.
            let slot = (t - start + step / 2).div_euclid(step);
            if slot >= 0 && (slot as usize) < len {
                values[slot as usize] = value;
            }
        }
        fill(&mut values, (86_400 / step).max(1) as usize);
        Some(Self { start, step, values })
    }

    /// Time of the newest value.
    pub(super) fn end(&self) -> i64 {
        self.start + (self.values.len() as i64 - 1) * self.step
    }

    /// Slots of a window, end exclusive.
    pub(super) fn slots(&self, start: i64, end: i64) -> std::ops::Range<usize> {
        let index = |t: i64| {
            (t.saturating_sub(self.start).saturating_add(self.step - 1).div_euclid(self.step))
                .clamp(0, self.values.len() as i64)
        };
        index(start) as usize..index(end) as usize
    }
}

/// Seconds between the points of a series in order of time: the median distance, 60 when there is none.
#[must_use]
pub fn usual_step(points: &[(i64, f64)]) -> i64 {
    let mut gaps: Vec<i64> = points.windows(2).map(|w| w[1].0 - w[0].0).filter(|&g| g > 0).collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).copied().unwrap_or(60)
}

/// A gap takes the value of a day before where there is one, else the value before it.
fn fill(values: &mut [f64], day: usize) {
    let first = values.iter().copied().find(|v| v.is_finite()).unwrap_or(0.0);
    for i in 0..values.len() {
        if !values[i].is_finite() {
            values[i] = if i >= day && day > 1 {
                values[i - day]
            } else if i > 0 {
                values[i - 1]
            } else {
                first
            };
        }
    }
}

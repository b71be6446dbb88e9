//! Which points are the incident, which are the reference just before it, and how unusual a series is in them.
//!
//! A series is compared twice: with its own past windows (is the level unusual?) and with the points just before (did it
//! change now?). The scale of both is the spread of the *same statistic* over windows of normal operation, so that noise,
//! coarse histogram buckets and slow drift calibrate themselves. An alarm may be late, so an earlier split is tried as well.

use crate::case::{Case, Series};
use crate::signal::{Bad, Class, Signal};
use crate::stats::{mean, median, select, worst_two};

/// At most this many windows of normal operation are looked at for each series.
const NULL_WINDOWS: usize = 160;
/// How many points an alarm may be late.
pub(crate) const LATE_POINTS: usize = 3;
/// Fewer points than this before an assumed begin are no reference.
const LEAST_REFERENCE: usize = 2;

/// Where the incident begins among the points of a case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Split {
    /// Points before are the reference.
    pub reference_end: usize,
    /// Points from here on are the incident.
    pub incident_begin: usize,
}

/// The points of the case.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub len: usize,
    pub splits: Vec<Split>,
    /// First points of the windows of normal operation.
    null_starts: Vec<usize>,
}

impl Window {
    pub(crate) fn of(case: &Case) -> Self {
        let len = case.times_us.len();
        let step = i64::from(case.interval_s) * 1_000_000;
        // A point is stamped with the begin of its interval: the one that covers the alarm belongs to the incident.
        let alarm = case.times_us.partition_point(|t| *t + step <= case.symptom.start_us);
        let begin = alarm.min(len.saturating_sub(1));
        // Without a point before the alarm there is no reference: the incident must not be compared with itself.
        let mut splits = vec![Split { reference_end: begin, incident_begin: begin }];
        let early = alarm.saturating_sub(LATE_POINTS).max(LEAST_REFERENCE);
        if early < begin {
            splits.push(Split { reference_end: early, incident_begin: early });
        }
        Self { len, splits, null_starts: null_starts(case, len) }
    }

    /// The points of a series before the alarm.
    pub(crate) fn before<'s>(&self, series: &'s Series) -> &'s [f64] {
        let end = self.splits.first().map_or(0, |s| s.reference_end);
        &series.values[..end.min(series.values.len())]
    }
}

/// Windows of normal operation without a gap where there are enough of them, evenly spread.
fn null_starts(case: &Case, len: usize) -> Vec<usize> {
    let points =
        case.series.iter().map(|s| s.baseline.len()).max().unwrap_or(0).max(case.baseline_times_us.len());
    if len == 0 || points < len {
        return Vec::new();
    }
    let span = i64::from(case.interval_s) * 1_000_000 * (len as i64);
    let whole = |at: &usize| match (case.baseline_times_us.get(*at), case.baseline_times_us.get(at + len - 1))
    {
        (Some(a), Some(b)) => b - a < span,
        _ => case.baseline_times_us.is_empty(),
    };
    let all: Vec<usize> = (0..=points - len).filter(whole).collect();
    let all = if all.len() < 20 { (0..=points - len).collect() } else { all };
    let stride = all.len().div_ceil(NULL_WINDOWS).max(1);
    all.into_iter().step_by(stride).collect()
}

/// How a series behaves in the incident.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Score {
    /// Robust deviation in the bad direction (or the larger one for two-sided signals, signed by direction: up is positive).
    pub z: f64,
    /// Usual value: the median just before, or of the baseline.
    pub normal: f64,
    /// Value in the incident: the mean of the two worst points.
    pub observed: f64,
    /// Index of the worst point.
    pub at: usize,
    /// Index of the first point that is at least half way to the value in the incident.
    pub since: usize,
    /// Mean over all incident points.
    pub mean: f64,
    /// Excess over what such windows show anyway, in the unit of the series and in the bad direction; at least 0.
    pub excess: f64,
}

/// Scores one series. `None` without points in the incident.
pub(crate) fn score(series: &Series, signal: &Signal, window: &Window) -> Option<Score> {
    let usual = median(series.baseline.iter().copied());
    match signal.bad {
        Bad::Up => directed(series, usual, signal, window, 1.0),
        Bad::Down => directed(series, usual, signal, window, -1.0),
        Bad::Both => {
            let up = directed(series, usual, signal, window, 1.0)?;
            let mut down = directed(series, usual, signal, window, -1.0)?;
            if down.z > up.z {
                down.z = -down.z;
                Some(down)
            } else {
                Some(up)
            }
        }
    }
}

/// How far a series fell, whatever direction is bad.
pub(crate) fn fall(series: &Series, signal: &Signal, window: &Window) -> Option<f64> {
    let usual = median(series.baseline.iter().copied());
    directed(series, usual, signal, window, -1.0).map(|s| s.z)
}

/// Scores one direction; `z` is positive when the series moved that way. `usual` is the median of the baseline.
fn directed(series: &Series, usual: f64, signal: &Signal, window: &Window, sign: f64) -> Option<Score> {
    let mut best: Option<Score> = None;
    for split in &window.splits {
        let Some(score) = at_split(series, usual, signal, window, *split, sign) else {
            continue;
        };
        if best.is_none_or(|b| score.z > b.z) {
            best = Some(score);
        }
    }
    best
}

fn at_split(
    series: &Series,
    usual: f64,
    signal: &Signal,
    window: &Window,
    split: Split,
    sign: f64,
) -> Option<Score> {
    let values = &series.values;
    let end = values.len().min(window.len);
    let incident = values.get(split.incident_begin..end)?;
    let observed = sign * worst_two(incident.iter().map(|v| v * sign));
    if !observed.is_finite() {
        return None;
    }
    let reference = values.get(..split.reference_end.min(end)).unwrap_or(&[]);
    let before = median(reference.iter().copied());
    let most = window.null_starts.len();
    let (mut levels, mut steps) = (Vec::with_capacity(most), Vec::with_capacity(most));
    for start in &window.null_starts {
        let Some(chunk) = series.baseline.get(*start..start + window.len) else {
            continue;
        };
        let worst = worst_two(chunk[split.incident_begin..].iter().map(|v| v * sign));
        if worst.is_finite() {
            levels.push(worst);
            let step = worst - sign * median(chunk[..split.reference_end].iter().copied());
            if step.is_finite() {
                steps.push(step);
            }
        }
    }
    let normal = if before.is_finite() { before } else { usual };
    // Memory hardly moves by itself: a small step is news.
    let relative = if signal.class == Class::Memory { 0.01 } else { 0.03 };
    let floor = signal.floor.max(relative * usual.abs().min(normal.abs()));
    let level_z = standardise(sign * observed, levels, floor);
    let step_z = standardise(sign * (observed - before), steps, floor);
    let (level_scale, step_scale) = (level_z.map_or(floor, |l| l.1), step_z.map_or(floor, |s| s.1));
    let (level_z, step_z) = (level_z.map(|l| l.0), step_z.map(|s| s.0));
    let z = match (level_z, step_z) {
        // What went from far below its usual level to its usual level changed, but did not leave what is normal.
        (Some(level), Some(step)) if matches!(signal.class, Class::Memory | Class::Disk) => {
            step.min(level.max(0.8 * step))
        }
        (Some(level), Some(step)) => step.min(level.max(0.4 * step)),
        (Some(level), None) => level,
        (None, Some(step)) => step,
        // Nothing to compare with: a change against the points before counts by its size alone.
        (None, None) if before.is_finite() => {
            (sign * (observed - before) / floor.max(0.1 * before.abs())).clamp(-6.0, 6.0)
        }
        (None, None) => return None,
    };
    let gain = (sign * (observed - if normal.is_finite() { normal } else { observed })).max(0.0);
    let excess = match (level_z, step_z) {
        (Some(level), Some(step)) => (level * level_scale).min(step * step_scale).clamp(0.0, gain),
        (Some(level), None) => (level * level_scale).max(0.0),
        _ => gain,
    };
    let at = worst_index(incident, sign) + split.incident_begin;
    let half = sign * (normal + observed) / 2.0;
    let first = incident.iter().position(|v| v * sign >= half).unwrap_or(0);
    Some(Score {
        z: z.clamp(-1000.0, 1000.0),
        normal: if normal.is_finite() { normal } else { observed },
        observed,
        at,
        since: if normal.is_finite() { first + split.incident_begin } else { at },
        mean: mean(incident.iter().copied()),
        excess: if z > 0.0 { excess.max(0.2 * gain) } else { 0.0 },
    })
}

/// Deviation from the values of normal windows, and the scale that it is measured in.
fn standardise(value: f64, mut null: Vec<f64>, floor: f64) -> Option<(f64, f64)> {
    if null.len() < 8 || !value.is_finite() {
        return None;
    }
    let center = select(&mut null, 0.5);
    let high = select(&mut null, 0.97);
    for v in &mut null {
        *v = (*v - center).abs();
    }
    let scale = (1.4826 * select(&mut null, 0.5)).max((high - center) / 2.0).max(floor);
    Some(((value - center) / scale, scale))
}

fn worst_index(values: &[f64], sign: f64) -> usize {
    let mut best = 0;
    let mut worst = f64::NEG_INFINITY;
    for (at, v) in values.iter().enumerate() {
        if v * sign > worst {
            worst = v * sign;
            best = at;
        }
    }
    best
}

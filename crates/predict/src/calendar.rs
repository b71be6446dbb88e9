//! Declared time: offsets of a time zone, and windows in which a series is known to differ.

use serde::{Deserialize, Serialize};

/// Offsets of one time zone from UTC, as data: the crate knows no zone database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offsets {
    /// `(from, seconds)`: from this instant (unix seconds) on, local time is UTC plus so many seconds. Ascending.
    transitions: Vec<(i64, i32)>,
}

impl Offsets {
    /// Offsets from transitions in any order.
    #[must_use]
    pub fn new(mut transitions: Vec<(i64, i32)>) -> Self {
        transitions.sort_unstable();
        Self { transitions }
    }

    /// One offset for all time, in seconds east of UTC.
    #[must_use]
    pub fn fixed(seconds: i32) -> Self {
        Self { transitions: vec![(i64::MIN, seconds)] }
    }

    /// Local seconds of an instant. Before the first transition the first offset holds.
    #[must_use]
    pub fn local(&self, t: i64) -> i64 {
        t.saturating_add(self.at(t))
    }

    /// The instant of local seconds; where the clock is set back, the later one, and where it is set forward, one near.
    #[must_use]
    pub fn instant(&self, local: i64) -> i64 {
        let near = local.saturating_sub(self.at(local));
        local.saturating_sub(self.at(near))
    }

    fn at(&self, t: i64) -> i64 {
        let after = self.transitions.partition_point(|&(from, _)| from <= t);
        self.transitions.get(after.saturating_sub(1)).map_or(0, |&(_, seconds)| i64::from(seconds))
    }
}

/// A window in which the series is known to differ: a sale, a holiday, a recurring job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeakEvent {
    /// Name; what was learned under it is used at its next occurrence.
    pub name: String,
    /// Start, unix seconds, inclusive.
    pub start: i64,
    /// End, unix seconds, exclusive.
    pub end: i64,
    /// Expected value relative to an ordinary day (7 is seven times), when declared; above 0.
    pub multiplier: Option<f64>,
    /// Seconds before the start over which the effect builds up; at least 0.
    #[serde(default)]
    pub warm_up: i64,
    /// Seconds after the end over which it wears off; at least 0.
    #[serde(default)]
    pub cool_down: i64,
}

impl PeakEvent {
    /// Whether an instant lies inside.
    #[must_use]
    pub fn contains(&self, t: i64) -> bool {
        self.start <= t && t < self.end
    }

    /// Share of the effect at an instant, 0 to 1: 1 inside, a line in warm-up and cool-down.
    #[must_use]
    pub fn share(&self, t: i64) -> f64 {
        let ramp = |distance: i64, length: i64| {
            if distance > 0 && distance < length { 1.0 - distance as f64 / length as f64 } else { 0.0 }
        };
        if self.contains(t) {
            1.0
        } else if t < self.start {
            ramp(self.start.saturating_sub(t), self.warm_up)
        } else {
            ramp(t.saturating_sub(self.end).saturating_add(1), self.cool_down)
        }
    }

    /// The event that most affects an instant, the first of equals.
    pub(crate) fn at(events: &[Self], t: i64) -> Option<(&Self, f64)> {
        let mut found: Option<(&Self, f64)> = None;
        for event in events {
            let share = event.share(t);
            if share > found.map_or(0.0, |(_, most)| most) {
                found = Some((event, share));
            }
        }
        found
    }

    /// This event and its repetitions every `days` days (7 for a weekly job) that begin before `until` (unix seconds), at the
    /// same local time; 1000 at most.
    #[must_use]
    pub fn every(&self, days: u32, offsets: &Offsets, until: i64) -> Vec<Self> {
        let (from, to) = (offsets.local(self.start), offsets.local(self.end));
        (0..1000)
            .map(|k| k * i64::from(days.max(1)) * 86_400)
            .map(|later| Self {
                start: offsets.instant(from.saturating_add(later)),
                end: offsets.instant(to.saturating_add(later)),
                ..self.clone()
            })
            .take_while(|event| event.start < until)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_change_at_their_instant() {
        let zone = Offsets::new(vec![(1000, 7200), (0, 3600)]);
        assert_eq!(zone.local(999), 999 + 3600);
        assert_eq!(zone.local(1000), 1000 + 7200);
        assert_eq!(zone.local(-5), -5 + 3600);
        assert_eq!(Offsets::default().local(42), 42);
        assert_eq!(Offsets::fixed(-60).local(0), -60);
        for t in [-500_000, -5, 500, 999, 20_000] {
            assert_eq!(zone.instant(zone.local(t)), t);
        }
    }

    fn event() -> PeakEvent {
        let (start, end) = (100, 200);
        PeakEvent { name: "sale".to_owned(), start, end, multiplier: None, warm_up: 50, cool_down: 20 }
    }

    #[test]
    fn effects_build_up_and_wear_off() {
        let shares = [49, 50, 75, 100, 199, 209, 219, 220].map(|t| event().share(t));
        assert_eq!(shares, [0.0, 0.0, 0.5, 1.0, 1.0, 0.5, 0.0, 0.0]);
        let events = [PeakEvent { name: "early".to_owned(), start: 0, end: 60, ..event() }, event()];
        let at = |t| PeakEvent::at(&events, t).map(|(e, _)| e.name.as_str());
        assert_eq!([at(10), at(75), at(90), at(400)], [Some("early"), Some("sale"), Some("sale"), None]);
    }

    #[test]
    fn repetitions_keep_their_local_time() {
        const DAY: i64 = 86_400;
        let zone = Offsets::new(vec![(0, 3600), (10 * DAY, 7200)]);
        let weekly = PeakEvent { start: 2 * DAY, end: 2 * DAY + 600, ..event() }.every(7, &zone, 20 * DAY);
        let starts: Vec<i64> = weekly.iter().map(|e| e.start).collect();
        assert_eq!(starts, [2 * DAY, 9 * DAY, 16 * DAY - 3600]);
        assert!(weekly.iter().all(|e| e.end - e.start == 600));
    }
}

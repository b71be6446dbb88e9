//! Series that windows do not hold, or not yet: the lake is asked for their points once no more late data is waited for.
//!
//! The engine says which stretch of time is due, its owner asks, and the answer is played through the same code as
//! windows are. A point is due only if windows came within it, so that silence of everything is a gap here as well.

use std::collections::{BTreeMap, VecDeque};

use causeway_model::{Completeness, Micros, SeriesKind, Window};
use serde::{Deserialize, Serialize};

use crate::baseline::{Baseline, BaselineConfig, Play};
use crate::engine::Engine;
use crate::objective::{Objective, ObjectiveConfig};
use crate::peak::Calendar;
use crate::simulate::Past;

/// How long gateways wait for late records, microseconds. What may come later has to be asked for.
pub(crate) const LATENESS_US: i64 = 10_000_000;
/// Points that wait at most; the oldest are given up.
const WAITING: usize = 3_000;
/// Microseconds of `now` before a question that failed is asked again.
pub(crate) const RETRY_US: i64 = 60_000_000;

/// What the lake is asked for a series, as people wrote it or as it was made from what they wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// One SELECT. `$from` and `$to` stand for the ends of the time that is asked for, as timestamps; `$step` for the length
    /// of a point in microseconds. Its columns: `time`, `value`, if it likes `count` (how many values `value` is the mean or
    /// the sum of); each set of the others is a series.
    pub sql: String,
    /// What its series are called.
    pub signal: String,
    /// Gauge: the mean of a point matters. Count: the sum, and a point without any row is a zero.
    pub kind: SeriesKind,
}

/// On whose behalf something is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// A Baseline.
    Baseline(BaselineConfig),
    /// An objective.
    Objective(ObjectiveConfig),
}

/// A stretch of time of which points are wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// For what.
    pub subject: Subject,
    /// Whether this is the past, to learn from, and not what is due.
    pub lesson: bool,
    /// Begin, Unix microseconds.
    pub from_us: Micros,
    /// End, not part of it.
    pub to_us: Micros,
    /// Length of a point, microseconds.
    pub step_us: i64,
}

impl Ask {
    /// Entities whose series are wanted.
    #[must_use]
    pub fn entities(&self) -> &[String] {
        match &self.subject {
            Subject::Baseline(config) => &config.entities,
            Subject::Objective(config) => &config.entities,
        }
    }

    /// Name of the Baseline or the SLO.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.subject {
            Subject::Baseline(config) => &config.name,
            Subject::Objective(config) => &config.name,
        }
    }

    /// Namespace of the Baseline or the SLO.
    #[must_use]
    pub fn namespace(&self) -> &str {
        match &self.subject {
            Subject::Baseline(config) => &config.namespace,
            Subject::Objective(config) => &config.namespace,
        }
    }
}

/// When asks are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// End of the newest window.
    pub(crate) watermark_us: Micros,
    /// What is older has reached the lake.
    pub(crate) seen_us: Micros,
    pub(crate) now_us: Micros,
}

/// Points that wait to be asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Due {
    /// Begin of each, and how complete its windows were; oldest first.
    points: VecDeque<(Micros, Completeness)>,
    running: Option<(i64, Completeness)>,
    /// Why the last question failed.
    pub(crate) problem: Option<String>,
    /// End of what is being asked for.
    #[serde(skip)]
    under_way: Option<Micros>,
    #[serde(skip)]
    not_before_us: Micros,
}

impl Due {
    /// Notes a window.
    pub(crate) fn window(&mut self, window: Window, step_us: i64, completeness: Completeness) {
        let number = window.start_us.div_euclid(step_us);
        if let Some((late, seen)) = self.running.take_if(|(running, _)| *running != number) {
            self.push(late * step_us, seen);
        }
        let none = Completeness { seen: 0, expected: 0.0, ..completeness };
        let (_, sum) = self.running.get_or_insert((number, none));
        sum.watermark_us = completeness.watermark_us;
        sum.seen += completeness.seen;
        sum.expected += completeness.expected;
        if window.end_us.rem_euclid(step_us) == 0
            && let Some((number, seen)) = self.running.take()
        {
            self.push(number * step_us, seen);
        }
    }

    fn push(&mut self, start_us: Micros, completeness: Completeness) {
        self.points.push_back((start_us, completeness));
        if self.points.len() > WAITING {
            self.points.pop_front();
        }
    }

    /// Begin and end of what is to be asked now, if anything.
    pub(crate) fn ask(&mut self, step_us: i64, delay_us: i64, at: Moment) -> Option<(Micros, Micros)> {
        if self.under_way.is_some() || at.now_us < self.not_before_us {
            return None;
        }
        let ripe_us = (at.watermark_us + LATENESS_US - delay_us.max(LATENESS_US)).min(at.seen_us);
        let from_us = self.points.front()?.0;
        let last = self.points.iter().rev().find(|(start_us, _)| start_us + step_us <= ripe_us)?.0;
        self.under_way = Some(last + step_us);
        Some((from_us, last + step_us))
    }

    /// Takes the points that were asked for up to `to_us`.
    pub(crate) fn answered(&mut self, to_us: Micros) -> Vec<(Micros, Completeness)> {
        (self.under_way, self.problem, self.not_before_us) = (None, None, 0);
        let count = self.points.iter().take_while(|(start_us, _)| *start_us < to_us).count();
        self.points.drain(..count).collect()
    }

    /// The question could not be answered.
    pub(crate) fn failed(&mut self, problem: String, now_us: Micros) {
        (self.under_way, self.problem) = (None, Some(problem));
        self.not_before_us = now_us + RETRY_US;
    }
}

/// A Baseline or an objective that learns from the past, apart from the engine, which goes on meanwhile.
#[derive(Debug)]
pub struct Lesson(Pupil);

#[derive(Debug)]
enum Pupil {
    Baseline(Box<Baseline>, Calendar),
    Objective(Box<Objective>),
}

impl Lesson {
    /// Takes the next part of the past, in order of time. O(points), some microseconds each.
    pub fn take(&mut self, past: &BTreeMap<Micros, Past>) {
        match &mut self.0 {
            Pupil::Baseline(baseline, calendar) => {
                let play = Play::new(baseline.config(), past);
                let namespace = baseline.config().namespace.clone();
                for (start_us, past) in past {
                    let complete = whole(*start_us, baseline.config().resolution_us);
                    // What was out of the ordinary then is no news.
                    drop(play.point(baseline, &namespace, *start_us, past, calendar, complete));
                }
            }
            Pupil::Objective(objective) => {
                for (start_us, past) in past {
                    objective.recall(*start_us, past);
                }
            }
        }
    }
}

/// A point of the past has all that there is.
fn whole(start_us: Micros, step_us: i64) -> Completeness {
    Completeness { watermark_us: start_us + step_us, seen: 1, expected: 1.0 }
}

impl Engine {
    /// What the lake is to be asked for now. Each is given once, until [`Engine::answer`], [`Engine::taught`] or
    /// [`Engine::unanswered`] says what became of it.
    ///
    /// `seen_us`: what is older has reached the lake for sure.
    pub fn take_asks(&mut self, now_us: Micros, seen_us: Micros) -> Vec<Ask> {
        let at = Moment { watermark_us: self.assembler.released_until_us(), seen_us, now_us };
        let mut asks = self.baselines.asks(at);
        asks.extend(self.objectives.asks(at));
        asks
    }

    /// Takes the points that were asked for. What is not in `past` does not exist.
    pub fn answer(&mut self, ask: &Ask, past: &BTreeMap<Micros, Past>) {
        let found = match &ask.subject {
            Subject::Baseline(config) => {
                self.baselines.answer(config, ask.to_us, past, &self.tenants, &self.calendar)
            }
            Subject::Objective(config) => self.objectives.answer(config, ask.to_us, past, &self.tenants),
        };
        if !found.is_empty() {
            self.place(found, self.assembler.released_until_us());
        }
    }

    /// The lake could not answer, for this reason.
    pub fn unanswered(&mut self, ask: &Ask, problem: String, now_us: Micros) {
        match &ask.subject {
            Subject::Baseline(config) => self.baselines.unanswered(config, ask.lesson, problem, now_us),
            Subject::Objective(config) => {
                self.objectives.unanswered(config, ask.lesson, problem, now_us);
            }
        }
    }

    /// What is to learn from the past; to be given back by [`Engine::taught`].
    #[must_use]
    pub fn lesson(&self, subject: &Subject) -> Lesson {
        Lesson(match subject {
            Subject::Baseline(config) => {
                Pupil::Baseline(Box::new(Baseline::pupil(config.clone())), self.calendar.clone())
            }
            Subject::Objective(config) => Pupil::Objective(Box::new(Objective::pupil(config.clone()))),
        })
    }

    /// Takes what was learned from the past.
    pub fn taught(&mut self, lesson: Lesson) {
        match lesson.0 {
            Pupil::Baseline(baseline, _) => self.baselines.taught(*baseline, &self.calendar),
            Pupil::Objective(objective) => self.objectives.taught(*objective),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: i64 = 60_000_000;

    fn window(index: i64) -> Window {
        Window { start_us: index * 10_000_000, end_us: (index + 1) * 10_000_000 }
    }

    fn whole(window: Window) -> Completeness {
        Completeness { watermark_us: window.end_us, seen: 5, expected: 5.0 }
    }

    #[test]
    fn a_point_is_due_once_its_delay_is_over_and_not_without_windows() {
        let mut due = Due::default();
        // The minutes 0, 1 and 3: in minute 2 nothing came at all.
        for index in (0..12).chain(18..24) {
            due.window(window(index), STEP, whole(window(index)));
        }
        let delay = 3 * STEP;
        let at = |watermark_us, now_us| Moment { watermark_us, seen_us: i64::MAX, now_us };
        assert_eq!(
            due.ask(STEP, delay, at(4 * STEP - LATENESS_US - 1, 0)),
            None,
            "minute 0 may still get data"
        );
        let watermark = 5 * STEP - LATENESS_US;
        let unseen = Moment { seen_us: STEP - 1, ..at(watermark, 0) };
        assert_eq!(due.ask(STEP, delay, unseen), None, "it has not reached the lake");
        assert_eq!(due.ask(STEP, delay, at(watermark, 0)), Some((0, 2 * STEP)));
        assert_eq!(due.ask(STEP, delay, at(watermark, 0)), None, "it is under way");
        due.failed("no such column".into(), 100);
        assert_eq!(due.ask(STEP, delay, at(watermark, 100)), None, "not at once");
        assert_eq!(due.ask(STEP, delay, at(watermark, 100 + RETRY_US)), Some((0, 2 * STEP)));
        let points = due.answered(2 * STEP);
        assert_eq!(
            points.iter().map(|(start, c)| (*start, c.seen)).collect::<Vec<_>>(),
            [(0, 30), (STEP, 30)]
        );
        assert_eq!(due.problem, None);
        assert_eq!(due.ask(STEP, LATENESS_US, at(4 * STEP, 0)), Some((3 * STEP, 4 * STEP)));
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut due = Due::default();
        for minute in 0..2 * WAITING as i64 {
            let window = Window { start_us: minute * STEP, end_us: (minute + 1) * STEP };
            due.window(window, STEP, whole(window));
        }
        assert_eq!(due.points.len(), WAITING);
    }
}

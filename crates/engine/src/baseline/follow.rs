//! One series of a Baseline: its points, its detector, and the finding while it deviates.

use std::collections::VecDeque;

use causeway_model::{Completeness, Finding, FindingState, Micros, SeriesId, Window};
use causeway_predict::{Alert, Config, Detector, Direction, Observation, Prior, Transition};
use serde::{Deserialize, Serialize};

use super::config::{BaselineConfig, Form};
use super::outlook::Outlook;
use super::sample::Sample;
use super::text;
use crate::detect::{Point, finding_id};
use crate::peak::LocalTime;

/// Points kept for people.
const POINTS: usize = 120;
/// The band that is shown moves when an end is off by more than this part of the value.
const SHOWN: f64 = 0.25;

/// What an open finding is held against: the band from before it began, moved along with season and events. The detector rests
/// meanwhile.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Band {
    expected: f64,
    lower: f64,
    upper: f64,
    /// When these held; 0 in snapshots that did not know it.
    #[serde(default)]
    at_us: Micros,
}

impl Band {
    /// The same band at another time: an hour that usually has more, or an event, moves it.
    fn at(self, detector: &Detector, at_us: Micros) -> Self {
        if self.at_us == 0 {
            return self;
        }
        let moved = |end| detector.moved(end, self.at_us / 1_000_000, at_us / 1_000_000);
        let [expected, lower, upper] = [self.expected, self.lower, self.upper].map(moved);
        Self { expected, lower, upper, at_us }
    }
}

/// One series.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Followed {
    form: Form,
    detector: Detector,
    alert: Alert,
    /// Number of the running point since the epoch, and what it holds.
    running: Option<(i64, Sample)>,
    /// Detector and band from before the first violation of late, and the end of that violation's point.
    before: Option<(Detector, Band, Micros)>,
    opened: Option<(Finding, Band)>,
    pub(super) points: VecDeque<Point>,
    pub(super) first_us: Option<Micros>,
    pub(super) last_data_us: Micros,
    /// End of the newest window that held something for the series.
    pub(super) last_sample_us: Micros,
    /// Ends of the band as people were told last.
    pub(super) shown: Option<(f64, f64)>,
    pub(super) ready: bool,
    #[serde(default)]
    pub(super) outlook: Outlook,
}

impl Followed {
    pub(super) fn new(config: &BaselineConfig, form: Form, prior: Option<Prior>) -> Self {
        Self {
            form,
            detector: Detector::new(Config { prior, ..config.detector(form) }),
            alert: Alert::new(config.rule, config.missing),
            running: None,
            before: None,
            opened: None,
            points: VecDeque::new(),
            first_us: None,
            last_data_us: 0,
            last_sample_us: 0,
            shown: None,
            ready: false,
            outlook: Outlook::default(),
        }
    }

    /// Takes what is declared about the time of the series.
    pub(super) fn declare(&mut self, time: &LocalTime) {
        time.tell(&mut self.detector);
        if let Some((detector, _, _)) = &mut self.before {
            time.tell(detector);
        }
    }

    pub(super) fn detector(&self) -> &Detector {
        &self.detector
    }

    pub(super) fn finding(&self) -> Option<&Finding> {
        self.opened.as_ref().map(|(finding, _)| finding)
    }

    pub(super) fn has_no_data(&self) -> bool {
        self.points.back().is_some_and(|p| p.value.is_nan())
    }

    /// Share of what has to be learned, 0 to 1.
    pub(super) fn learned(&self, config: &BaselineConfig, at_us: Micros) -> f64 {
        if !config.is_learned() {
            return if self.first_us.is_some() { 1.0 } else { 0.0 };
        }
        let covered = self.first_us.map_or(0, |first| at_us - first) as f64;
        let wanted = config.minimum_history_us as f64;
        let share = if wanted > 0.0 { (covered / wanted).min(1.0) } else { 1.0 };
        share.min(self.detector.learned())
    }

    /// Ends the finding because it is followed no longer.
    pub(super) fn close(&mut self, at_us: Micros) -> Option<Finding> {
        let (finding, _) = self.opened.take()?;
        let mut finding = Finding { state: FindingState::Closed, at_us, ..finding };
        finding.note = finding.note.replacen(" is ", " was ", 1).replacen(" has ", " had ", 1);
        Some(finding)
    }

    /// Goes on in the place of `present` after the past was learned: what was open then is no news.
    pub(super) fn graduate(&mut self, config: &BaselineConfig, present: Option<&Self>) {
        if self.opened.take().is_some() {
            self.alert = Alert::new(config.rule, config.missing);
        }
        (self.running, self.before) = (present.and_then(|present| present.running), None);
    }

    /// Takes what a window holds for the series, if anything. Gives a finding when one opens or closes.
    pub(super) fn observe(
        &mut self,
        config: &BaselineConfig,
        namespace: &str,
        series: &SeriesId,
        window: Window,
        sample: Option<Sample>,
        completeness: Completeness,
    ) -> Option<Finding> {
        let number = window.start_us.div_euclid(config.resolution_us);
        // A gap of all data ends a point late; the points within it do not exist.
        let late = self.running.take_if(|(running, _)| *running != number);
        let late = late.and_then(|(number, sum)| {
            let end_us = (number + 1) * config.resolution_us;
            self.point(config, namespace, series, end_us, sum, completeness)
        });
        let (_, sum) = self.running.get_or_insert((number, Sample::default()));
        if let Some(sample) = sample {
            sum.add(sample);
            self.first_us.get_or_insert(window.start_us);
            self.last_sample_us = window.end_us;
        }
        if window.end_us.rem_euclid(config.resolution_us) != 0 {
            return late;
        }
        let (_, sum) = self.running.take()?;
        // At most one of the two changes anything: the late point has no effect that this one could undo at once.
        let now = self.point(config, namespace, series, window.end_us, sum, completeness);
        late.or(now)
    }

    fn value(&self, config: &BaselineConfig, sum: Sample) -> Option<f64> {
        match self.form {
            Form::Count => Some(sum.sum),
            Form::Level => (sum.count > 0.0).then(|| sum.sum / sum.count),
            Form::Duration | Form::Share => {
                (sum.count >= config.minimum_events.max(1.0)).then(|| sum.sum / sum.count)
            }
        }
    }

    fn point(
        &mut self,
        config: &BaselineConfig,
        namespace: &str,
        series: &SeriesId,
        end_us: Micros,
        sum: Sample,
        completeness: Completeness,
    ) -> Option<Finding> {
        let value = self.value(config, sum);
        let too_few = value.is_none() && sum.count > 0.0;
        let (band, observation, score) = match &self.opened {
            Some((_, band)) => {
                let band = if config.is_learned() { band.at(&self.detector, end_us) } else { *band };
                let observation = match value {
                    Some(value) if violates(config, band, value) => Observation::Violating,
                    Some(_) if completeness.share() >= 0.8 => Observation::Normal,
                    _ => Observation::Missing,
                };
                (band, observation, 0.0)
            }
            None => self.judge(config, end_us, value, sum, completeness),
        };
        if value.is_some() {
            self.last_data_us = end_us;
        }
        self.keep(config, end_us, value, band);
        // A point of too few events is neither normal, nor violating, nor missing.
        if too_few || !self.ready {
            return None;
        }
        let transition = self.alert.observe(end_us / 1_000_000, observation)?;
        match transition {
            Transition::Opened { since } => {
                let since_us = since * 1_000_000 - config.resolution_us;
                let band = self.reset().unwrap_or(band);
                let finding = self.found(
                    config,
                    namespace,
                    series,
                    (since_us, end_us),
                    value,
                    band,
                    score,
                    completeness,
                );
                self.opened = Some((finding.clone(), band));
                Some(finding)
            }
            Transition::Closed => self.close(end_us),
            Transition::LostData | Transition::Resumed => None,
        }
    }

    /// The verdict on a point while nothing is open.
    fn judge(
        &mut self,
        config: &BaselineConfig,
        end_us: Micros,
        value: Option<f64>,
        sum: Sample,
        completeness: Completeness,
    ) -> (Band, Observation, f64) {
        let unlearned = self.detector.clone();
        let weight = matches!(self.form, Form::Duration | Form::Share).then_some(sum.count);
        let verdict = self.detector.observe_weighted(end_us / 1_000_000, value, weight);
        let number = |v: Option<f64>| v.unwrap_or(f64::NAN);
        let band = Band {
            expected: number(verdict.expected),
            lower: number(verdict.lower),
            upper: number(verdict.upper),
            at_us: end_us,
        };
        self.ready = verdict.ready && self.learned(config, end_us) >= 1.0;
        let flagged = verdict.anomalous || (verdict.outside && self.before.is_some());
        let observation = match value {
            None => Observation::Missing,
            Some(value) if flagged && self.has_enough(config, value, band) => Observation::Violating,
            Some(_) if completeness.share() < 0.8 => Observation::Missing,
            Some(_) => Observation::Normal,
        };
        let reach_us = i64::from(config.rule.size) * config.resolution_us;
        if self.before.as_ref().is_some_and(|(_, _, at_us)| end_us - at_us >= reach_us) {
            self.before = None;
        }
        if observation == Observation::Violating && self.before.is_none() {
            self.before = Some((unlearned, band, end_us));
        }
        (band, observation, verdict.score)
    }

    /// Whether a deviation of a count is one of enough events.
    fn has_enough(&self, config: &BaselineConfig, value: f64, band: Band) -> bool {
        if self.form != Form::Count || !config.is_learned() {
            return true;
        }
        let usual = if band.expected.is_finite() { band.expected } else { 0.0 };
        value.max(usual) >= config.minimum_events
    }

    /// Puts the detector back to before the violations, and gives the band of then.
    fn reset(&mut self) -> Option<Band> {
        let (detector, band, _) = self.before.take()?;
        self.detector = detector;
        Some(band)
    }

    fn keep(&mut self, config: &BaselineConfig, end_us: Micros, value: Option<f64>, band: Band) {
        let factor = config.factor();
        let point = Point {
            at_us: end_us,
            value: value.map_or(f64::NAN, |v| v / factor),
            expected: band.expected / factor,
            lower: band.lower / factor,
            upper: band.upper / factor,
        };
        self.points.push_back(point);
        if self.points.len() > POINTS {
            self.points.pop_front();
        }
        if !self.ready {
            return;
        }
        let near = |old: f64, new: f64| {
            (old.is_nan() && new.is_nan()) || (old - new).abs() <= SHOWN * old.abs().max(new.abs())
        };
        let still =
            self.shown.is_some_and(|(lower, upper)| near(lower, point.lower) && near(upper, point.upper));
        if !still {
            self.shown = Some((point.lower, point.upper));
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a finding has that many parts")]
    fn found(
        &self,
        config: &BaselineConfig,
        namespace: &str,
        series: &SeriesId,
        (since_us, at_us): (Micros, Micros),
        value: Option<f64>,
        band: Band,
        score: f64,
        completeness: Completeness,
    ) -> Finding {
        let factor = config.factor();
        let mut finding = Finding {
            id: finding_id(&format!("{namespace}\u{0}{}", config.name), series, since_us),
            namespace: namespace.to_owned(),
            series: series.clone(),
            state: FindingState::Open,
            at_us,
            since_us,
            observed: value.map_or(f64::NAN, |v| v / factor),
            expected: band.expected / factor,
            lower: band.lower / factor,
            upper: band.upper / factor,
            score,
            completeness,
            note: String::new(),
        };
        finding.note = text::note(config, &finding);
        finding
    }
}

fn violates(config: &BaselineConfig, band: Band, value: f64) -> bool {
    // An absent bound is NaN, which nothing is beyond.
    let above = value > band.upper;
    let below = value < band.lower;
    match config.direction {
        Direction::Above => above,
        Direction::Below => below,
        Direction::Both => above || below,
    }
}

//! How a Baseline stands, for people.

use causeway_model::{Micros, SeriesKind};

use super::outlook::{Graded, OutlookConfig, OutlookReport};
use super::text::{prediction, value_text};
use super::{Baseline, Selector};

/// What the series of a Baseline do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BaselineState {
    /// No series has enough history.
    #[default]
    Learning,
    /// Every series that is judged is within its band.
    WithinBand,
    /// A finding of a series is open.
    Deviating,
    /// No series that is judged has data.
    NoData,
}

/// What is known of a Baseline.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BaselineReport {
    /// State.
    pub state: BaselineState,
    /// Share of the minimum history that the best known series has, 0 to 1.
    pub learned: f64,
    /// Series followed.
    pub tracked: usize,
    /// Series beyond the limit, which are not followed: the most at once of late.
    pub left_out: usize,
    /// The deviating series in words, as they were when they began, at most three.
    pub deviating: Vec<String>,
    /// The band of the first series that has one, in words. It moves by steps of a quarter.
    pub band: Option<String>,
    /// Unix microseconds of the newest value; `None` before the first.
    pub last_us: Option<Micros>,
    /// How the future looks; `None` when nobody asked.
    pub outlook: Option<OutlookReport>,
    /// Microseconds without a value after which data counts as missing.
    pub quiet_us: i64,
    /// Why the lake could not answer the last question for its points.
    pub unanswered: Option<String>,
}

impl Baseline {
    pub(super) fn report(&self) -> BaselineReport {
        let judged = || self.series.iter().filter(|(_, followed)| followed.ready);
        let deviating = || self.series.iter().filter_map(|(_, followed)| followed.finding());
        let state = if judged().next().is_none() {
            BaselineState::Learning
        } else if deviating().next().is_some() {
            BaselineState::Deviating
        } else if judged().all(|(_, followed)| followed.has_no_data()) {
            BaselineState::NoData
        } else {
            BaselineState::WithinBand
        };
        let learned =
            self.series.iter().map(|(_, f)| f.learned(&self.config, self.at_us)).fold(0.0, f64::max);
        let words = |finding: &causeway_model::Finding| {
            if finding.note.is_empty() {
                let shown = |value| value_text(&self.config, value);
                let (entity, observed) = (&finding.series.entity, shown(finding.observed));
                return format!("{entity}: {observed}, expected {}", shown(finding.expected));
            }
            finding.note.clone()
        };
        BaselineReport {
            state,
            learned,
            tracked: self.series.len(),
            left_out: self.left_out,
            deviating: deviating().take(3).map(words).collect(),
            band: judged().find_map(|(_, followed)| followed.shown).and_then(|band| self.band(band)),
            last_us: self.series.iter().map(|(_, f)| f.last_data_us).max().filter(|at| *at > 0),
            outlook: self.config.outlook.map(|wanted| self.outlook(&wanted)),
            quiet_us: self.config.quiet_us(),
            unanswered: self.due.problem.clone(),
        }
    }

    fn outlook(&self, wanted: &OutlookConfig) -> OutlookReport {
        let foretold = self.series.iter().filter_map(|(id, followed)| followed.outlook.foretold(id));
        let next = foretold.min_by_key(|foretold| foretold.deadline_us);
        OutlookReport {
            ready: self.series.iter().any(|(_, followed)| followed.ready && followed.outlook.is_ready()),
            next: next.map(|foretold| {
                let words = prediction(&self.config, wanted, &foretold);
                (foretold, words)
            }),
            graded: Graded::of(&self.ledger),
            brier: self.ledger.brier(),
        }
    }

    fn band(&self, (lower, upper): (f64, f64)) -> Option<String> {
        let may_be_negative = match &self.config.selector {
            Selector::Metric(_) => true,
            Selector::Query(question) => question.kind != SeriesKind::Count,
            _ => false,
        };
        let lowest = if may_be_negative { f64::NEG_INFINITY } else { 0.0 };
        let shown = |value: f64| value_text(&self.config, two_digits(value.max(lowest)));
        match (lower.is_finite(), upper.is_finite()) {
            (true, true) => Some(format!("{} to {}", shown(lower), shown(upper))),
            (true, false) => Some(format!("from {}", shown(lower))),
            (false, true) => Some(format!("up to {}", shown(upper))),
            (false, false) => None,
        }
    }
}

/// Two significant digits.
fn two_digits(value: f64) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    let step = 10_f64.powf(value.abs().log10().floor() - 1.0);
    (value / step).round() * step
}

//! What became of predictions, and whether their probabilities mean what they say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Classes of probability that are counted apart.
const CLASSES: usize = 10;

/// A prediction that something crosses a line.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Unix seconds at which it was made.
    pub made: i64,
    /// Unix seconds by which it is to happen.
    pub deadline: i64,
    /// Stated probability, 0 to 1.
    pub probability: f64,
}

/// What was seen between the prediction and the end of its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// Unix seconds of the first crossing after the prediction was made.
    pub crossed: Option<i64>,
    /// Unix seconds of the first action that was taken against it.
    pub acted: Option<i64>,
    /// Share of the time that was observed, 0 to 1.
    pub completeness: f64,
}

/// What became of a prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Grade {
    /// It happened in time.
    Hit,
    /// It did not happen, and nobody did anything about it.
    Miss,
    /// It did not happen after an action: what would have been is not known, so it says nothing of the probability.
    Prevented,
    /// Too little was observed to tell.
    Unknown,
}

impl Prediction {
    /// The grade, once its time is over or it has happened; `None` while it can still happen. A crossing up to `grace` seconds
    /// after the deadline counts.
    #[must_use]
    pub fn grade(&self, seen: &Seen, now: i64, grace: i64) -> Option<Grade> {
        let end = self.deadline.saturating_add(grace.max(0));
        if seen.crossed.is_some_and(|at| at >= self.made && at <= end) {
            return Some(Grade::Hit);
        }
        if now <= end {
            return None;
        }
        let acted = seen.acted.is_some_and(|at| at >= self.made && at <= end);
        Some(if seen.completeness < 0.8 {
            Grade::Unknown
        } else if acted {
            Grade::Prevented
        } else {
            Grade::Miss
        })
    }
}

/// Counts of graded predictions. Merging is adding; at most 200 bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    hits: u64,
    misses: u64,
    prevented: u64,
    unknown: u64,
    /// Crossings that nobody predicted.
    unforeseen: u64,
    /// Sum of squared errors of the probabilities.
    square: f64,
    /// Sum of seconds from prediction to crossing, over hits.
    lead: f64,
    /// By class of probability: predictions with a known end, those that happened, and the sum of their probabilities.
    classes: [(u64, u64, f64); CLASSES],
}

/// How often predictions of like probability came true.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// Mean stated probability, 0 to 1.
    pub stated: f64,
    /// Share that happened, 0 to 1.
    pub happened: f64,
    /// Predictions.
    pub count: u64,
}

impl Ledger {
    /// Counts a graded prediction. `seen` gives the lead time of hits.
    pub fn add(&mut self, prediction: &Prediction, grade: Grade, seen: &Seen) {
        let happened = match grade {
            Grade::Hit => {
                self.hits += 1;
                self.lead += seen.crossed.map_or(0.0, |at| at.saturating_sub(prediction.made) as f64);
                1.0
            }
            Grade::Miss => {
                self.misses += 1;
                0.0
            }
            Grade::Prevented => {
                self.prevented += 1;
                return;
            }
            Grade::Unknown => {
                self.unknown += 1;
                return;
            }
        };
        let p = if prediction.probability.is_finite() { prediction.probability.clamp(0.0, 1.0) } else { 0.5 };
        self.square += (p - happened) * (p - happened);
        let class = &mut self.classes[((p * CLASSES as f64) as usize).min(CLASSES - 1)];
        class.0 += 1;
        class.1 += u64::from(grade == Grade::Hit);
        class.2 += p;
    }

    /// Counts a crossing that no prediction foretold.
    pub fn add_unforeseen(&mut self) {
        self.unforeseen += 1;
    }

    /// Adds another ledger's counts.
    pub fn merge(&mut self, other: &Self) {
        self.hits += other.hits;
        self.misses += other.misses;
        self.prevented += other.prevented;
        self.unknown += other.unknown;
        self.unforeseen += other.unforeseen;
        self.square += other.square;
        self.lead += other.lead;
        for (own, theirs) in self.classes.iter_mut().zip(&other.classes) {
            *own = (own.0 + theirs.0, own.1 + theirs.1, own.2 + theirs.2);
        }
    }

    /// Predictions of a grade.
    #[must_use]
    pub fn count(&self, grade: Grade) -> u64 {
        match grade {
            Grade::Hit => self.hits,
            Grade::Miss => self.misses,
            Grade::Prevented => self.prevented,
            Grade::Unknown => self.unknown,
        }
    }

    /// Crossings that nobody predicted.
    #[must_use]
    pub fn unforeseen(&self) -> u64 {
        self.unforeseen
    }

    /// Share of decided predictions that came true, 0 to 1.
    #[must_use]
    pub fn precision(&self) -> Option<f64> {
        share(self.hits, self.misses)
    }

    /// Share of crossings that were predicted, 0 to 1.
    #[must_use]
    pub fn recall(&self) -> Option<f64> {
        share(self.hits, self.unforeseen)
    }

    /// Mean seconds from prediction to crossing, over hits.
    #[must_use]
    pub fn mean_lead(&self) -> Option<f64> {
        (self.hits > 0).then(|| self.lead / self.hits as f64)
    }

    /// Mean squared error of the probabilities (Brier 1950): 0 is perfect, 0.25 is what always saying a half gets.
    #[must_use]
    pub fn brier(&self) -> Option<f64> {
        let decided = self.hits + self.misses;
        (decided > 0).then(|| self.square / decided as f64)
    }

    /// Stated and true frequencies, by class of probability, the empty ones left out.
    #[must_use]
    pub fn reliability(&self) -> Vec<Reliability> {
        self.classes
            .iter()
            .filter(|(count, _, _)| *count > 0)
            .map(|&(count, happened, stated)| Reliability {
                stated: stated / count as f64,
                happened: happened as f64 / count as f64,
                count,
            })
            .collect()
    }

    /// A probability as past predictions of its class came true: their share, with the stated probability worth `prior`
    /// predictions.
    #[must_use]
    pub fn calibrated(&self, probability: f64, prior: f64) -> f64 {
        let p = probability.clamp(0.0, 1.0);
        let (count, happened, _) = self.classes[((p * CLASSES as f64) as usize).min(CLASSES - 1)];
        let (count, prior) = (count as f64, prior.max(1e-9));
        (happened as f64 + prior * p) / (count + prior)
    }
}

fn share(of: u64, rest: u64) -> Option<f64> {
    (of + rest > 0).then(|| of as f64 / (of + rest) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE: Prediction = Prediction { made: 100, deadline: 200, probability: 0.8 };

    #[test]
    fn grades() {
        let seen = |crossed, acted, completeness| Seen { crossed, acted, completeness };
        let cases = [
            (seen(Some(150), None, 0.1), 160, Some(Grade::Hit)),
            (seen(Some(150), Some(120), 1.0), 160, Some(Grade::Hit)),
            (seen(Some(205), None, 1.0), 300, Some(Grade::Hit)),
            (seen(Some(50), None, 1.0), 300, Some(Grade::Miss)),
            (seen(Some(250), None, 1.0), 300, Some(Grade::Miss)),
            (seen(None, None, 1.0), 205, None),
            (seen(None, None, 1.0), 300, Some(Grade::Miss)),
            (seen(None, Some(150), 1.0), 300, Some(Grade::Prevented)),
            (seen(None, Some(90), 1.0), 300, Some(Grade::Miss)),
            (seen(None, Some(150), 0.5), 300, Some(Grade::Unknown)),
            (seen(None, None, 0.5), 300, Some(Grade::Unknown)),
        ];
        for (seen, now, grade) in cases {
            assert_eq!(MADE.grade(&seen, now, 10), grade, "{seen:?} at {now}");
        }
    }

    #[test]
    fn counts_merge_and_calibrate() {
        let mut ledger = Ledger::default();
        let mut other = Ledger::default();
        let seen = Seen { crossed: Some(160), acted: None, completeness: 1.0 };
        for i in 0..10 {
            let half = if i % 2 == 0 { &mut ledger } else { &mut other };
            half.add(&MADE, if i < 6 { Grade::Hit } else { Grade::Miss }, &seen);
        }
        other.add(&MADE, Grade::Prevented, &seen);
        other.add(&MADE, Grade::Unknown, &seen);
        other.add_unforeseen();
        ledger.merge(&other);
        assert_eq!(
            [Grade::Hit, Grade::Miss, Grade::Prevented, Grade::Unknown].map(|g| ledger.count(g)),
            [6, 4, 1, 1]
        );
        assert_eq!(ledger.precision(), Some(0.6));
        assert_eq!(ledger.recall(), Some(6.0 / 7.0));
        assert_eq!(ledger.mean_lead(), Some(60.0));
        assert!(ledger.brier().is_some_and(|b| (b - (6.0 * 0.04 + 4.0 * 0.64) / 10.0).abs() < 1e-9));
        let reliability = ledger.reliability();
        assert_eq!(reliability.len(), 1);
        assert!((reliability[0].happened - 0.6).abs() < 1e-9 && (reliability[0].stated - 0.8).abs() < 1e-9);
        assert!((ledger.calibrated(0.8, 10.0) - 0.7).abs() < 1e-9);
        assert_eq!(Ledger::default().calibrated(0.3, 5.0), 0.3);
        assert_eq!(Ledger::default().brier(), None);
    }
}

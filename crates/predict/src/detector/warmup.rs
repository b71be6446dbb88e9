//! The first points: kind, step, level and scatter of a new series.

use serde::{Deserialize, Serialize};

use super::Transform;
use super::model::Model;
use crate::config::{Config, SignalKind};

/// A point with its weight.
type Point = (i64, f64, Option<f64>);

/// Points held back until there are enough of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Warmup {
    points: Vec<Point>,
}

fn wanted(config: &Config) -> usize {
    let all = config.warmup.clamp(5, 250);
    if config.prior.is_some() { (all / 6).max(4) } else { all }
}

impl Warmup {
    pub(super) fn share(&self, config: &Config) -> f64 {
        (self.points.len() as f64 / wanted(config) as f64).min(1.0)
    }

    pub(super) fn memory(&self) -> usize {
        self.points.capacity() * size_of::<Point>()
    }

    /// Adds a point; the model when it was the last one wanted.
    pub(super) fn push(&mut self, config: &Config, t: i64, value: f64, weight: Option<f64>) -> Option<Model> {
        self.points.push((t, value, weight));
        (self.points.len() >= wanted(config)).then(|| self.model(config))
    }

    fn model(&self, config: &Config) -> Model {
        let kind = match config.kind {
            SignalKind::Auto if self.points.iter().all(|&(_, v, _)| v >= 0.0 && v.fract() == 0.0) => {
                SignalKind::Count
            }
            SignalKind::Auto => SignalKind::Gauge,
            kind => kind,
        };
        let transform = Transform::of(kind);
        let step = config.step.unwrap_or_else(|| {
            let gaps = self.points.windows(2).map(|w| (w[1].0 - w[0].0) as f64).collect();
            median(gaps) as i64
        });
        let values: Vec<f64> = self.points.iter().map(|&(_, v, _)| transform.forward(v)).collect();
        let mut level = median(values.clone());
        let mut scale = median(values.windows(2).map(|w| (w[1] - w[0]).abs()).collect());
        if scale == 0.0 {
            scale = values.windows(2).map(|w| (w[1] - w[0]).abs()).sum::<f64>() / values.len().max(2) as f64;
        }
        if let Some(prior) = config.prior {
            let x = transform.forward(prior.level);
            let spread = (transform.forward(prior.level + prior.scale) - x).abs();
            let own = values.len() as f64 / (values.len() as f64 + 20.0);
            scale = own * scale + (1.0 - own) * spread;
            if level.is_nan() {
                level = x;
            }
        }
        let mut model = Model::new(kind, step.max(1), level, scale);
        for &(t, value, weight) in &self.points {
            model.observe(config, t, Some(value), weight);
        }
        model.settle();
        model
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

//! What a repair was foretold to do, as the plan carries it, and what became of it.

use causeway_actions::{Decimal, canonical_json, sha256_hex};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether harm is foretold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum EffectVerdict {
    /// It would do more harm than it does good.
    Harm,
    /// No harm is foretold.
    NoHarm,
    /// Too little is known to say.
    Unknown,
}

/// A signal of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum EffectSignal {
    /// Requests that arrive, per second.
    Rate,
    /// Mean seconds of a request.
    Latency,
    /// Share of the requests that fail.
    Errors,
    /// Used share of the CPU limit.
    Cpu,
    /// Used share of the connections to a store.
    Pool,
}

/// What becomes of one signal once new instances are warm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignalForecast {
    /// Service as in telemetry.
    #[schemars(length(max = 253))]
    pub entity: String,
    /// Signal.
    pub signal: EffectSignal,
    /// When it was planned.
    pub now: Decimal,
    /// Likely value.
    pub median: Decimal,
    /// Ends of the 80 % interval.
    pub low: Decimal,
    /// See `low`.
    pub high: Decimal,
}

/// What the repair would do to its target and its neighbours, foretold from telemetry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PredictedEffect {
    /// Harm, NoHarm or Unknown.
    pub verdict: EffectVerdict,
    /// Why, in one sentence.
    #[schemars(length(max = 512))]
    pub summary: String,
    /// The target first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12))]
    pub signals: Vec<SignalForecast>,
    /// Digest over this and planDigest.
    #[schemars(length(max = 128))]
    pub digest: String,
}

/// What was measured of one signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignalMeasure {
    /// Service as in telemetry.
    #[schemars(length(max = 253))]
    pub entity: String,
    /// Signal.
    pub signal: EffectSignal,
    /// Its mean.
    pub value: Decimal,
    /// Whether the 80 % interval held it.
    pub held: bool,
}

impl PredictedEffect {
    /// With the digest that binds it to the plan with this digest.
    #[must_use]
    pub fn sealed(self, plan_digest: &str) -> Self {
        let digest = self.digest_for(plan_digest);
        Self { digest, ..self }
    }

    /// The digest of this prediction for that plan.
    #[must_use]
    pub fn digest_for(&self, plan_digest: &str) -> String {
        let Self { verdict, summary, signals, digest: _ } = self;
        let content = serde_json::json!({
            "planDigest": plan_digest, "verdict": verdict, "summary": summary, "signals": signals,
        });
        sha256_hex(canonical_json(&content).as_bytes())
    }

    /// The forecast of a signal.
    #[must_use]
    pub fn forecast(&self, entity: &str, signal: EffectSignal) -> Option<&SignalForecast> {
        self.signals.iter().find(|forecast| forecast.entity == entity && forecast.signal == signal)
    }
}

impl SignalForecast {
    /// What `value` says of it. The bounds count as inside.
    #[must_use]
    pub fn measured(&self, value: f64) -> SignalMeasure {
        let value = Decimal::from_f64(value, DIGITS);
        let held = (self.low.to_f64()..=self.high.to_f64()).contains(&value.to_f64());
        SignalMeasure { entity: self.entity.clone(), signal: self.signal, value, held }
    }
}

/// Digits behind the point of forecasts and measures.
pub const DIGITS: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prediction_belongs_to_one_plan_and_can_not_be_altered() {
        let effect = PredictedEffect {
            verdict: EffectVerdict::NoHarm,
            summary: "no harm is expected".into(),
            signals: Vec::new(),
            digest: String::new(),
        }
        .sealed("sha256:plan");
        assert_eq!(effect.digest, effect.digest_for("sha256:plan"));
        assert_ne!(effect.digest, effect.digest_for("sha256:other"));
        let altered = PredictedEffect { summary: "all is well".into(), ..effect.clone() };
        assert_ne!(altered.digest, altered.digest_for("sha256:plan"));
    }

    #[test]
    fn the_interval_holds_its_ends() {
        let decimal = |value| Decimal::from_f64(value, DIGITS);
        let forecast = SignalForecast {
            entity: "shop/web".into(),
            signal: EffectSignal::Latency,
            now: decimal(0.1),
            median: decimal(0.2),
            low: decimal(0.15),
            high: decimal(0.3),
        };
        let held = |value| forecast.measured(value).held;
        assert!(held(0.15) && held(0.3) && !held(0.149) && !held(0.31));
    }
}

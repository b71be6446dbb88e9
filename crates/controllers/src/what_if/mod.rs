//! What a plan would do, asked of the engine when it is made; and what was measured of that afterwards.

mod steps;

use std::sync::Arc;

use causeway_actions::{Decimal, Plan};
use causeway_crds::Remediation;
use causeway_crds::remediation::MeasuredEffect;
use causeway_engine::whatif::{Effect, Foretold, MEASURE_S, SETTLE_S, Signal, Verdict};
use causeway_remediate::effect::DIGITS;
use causeway_remediate::{EffectSignal, EffectVerdict, PredictedEffect, SignalForecast};
use jiff::{SignedDuration, Timestamp};

pub use self::steps::steps;
use crate::ports::Engine;
use crate::text::{bounded, stamp_us};

/// A prediction as the plan with this digest carries it.
#[must_use]
pub fn predicted_effect(effect: &Effect, plan_digest: &str) -> PredictedEffect {
    let forecast = |foretold: &Foretold| {
        let decimal = |value| Decimal::from_f64(value, DIGITS);
        SignalForecast {
            entity: bounded(&foretold.entity, 253),
            signal: written(foretold.signal),
            now: decimal(foretold.now),
            median: decimal(foretold.median),
            low: decimal(foretold.low),
            high: decimal(foretold.high),
        }
    };
    let verdict = match effect.verdict {
        Verdict::Harm => EffectVerdict::Harm,
        Verdict::NoHarm => EffectVerdict::NoHarm,
        Verdict::Unknown => EffectVerdict::Unknown,
    };
    let signals = effect.signals.iter().take(12).map(forecast).collect();
    let summary = bounded(&effect.summary, 512);
    PredictedEffect { verdict, summary, signals, digest: String::new() }.sealed(plan_digest)
}

/// The prediction for a plan. `entity` names the service that runs as a workload of a kind, namespace and name.
pub(crate) fn foretell(
    engine: &dyn Engine,
    plan: &Plan,
    actions: &[causeway_actions::ActionKind],
    view: &causeway_actions::TargetView,
    entity: &dyn Fn(&str, &str, &str) -> String,
) -> PredictedEffect {
    let effect = engine.what_if(&steps(&plan.mutations, actions, view, entity));
    predicted_effect(&effect, &plan.digest())
}

fn written(signal: Signal) -> EffectSignal {
    match signal {
        Signal::Rate => EffectSignal::Rate,
        Signal::Latency => EffectSignal::Latency,
        Signal::Errors => EffectSignal::Errors,
        Signal::Cpu => EffectSignal::Cpu,
        Signal::Pool => EffectSignal::Pool,
    }
}

fn read(signal: EffectSignal) -> Signal {
    match signal {
        EffectSignal::Rate => Signal::Rate,
        EffectSignal::Latency => Signal::Latency,
        EffectSignal::Errors => Signal::Errors,
        EffectSignal::Cpu => Signal::Cpu,
        EffectSignal::Pool => Signal::Pool,
    }
}

/// When the effect of a run is to be measured, in the time of the data; `None` where there is nothing to measure: it foretold
/// nothing, its changes are not all made, or they were taken back.
fn period(run: &Remediation) -> Option<(Timestamp, Timestamp)> {
    let foretold = run.spec.predicted_effect.as_ref().is_some_and(|effect| !effect.signals.is_empty());
    let status = run.status.as_ref().filter(|_| foretold)?;
    let undone = status
        .results
        .iter()
        .any(|result| result.direction == causeway_crds::remediation::StepDirection::Undo);
    let from = status.verification.as_ref().filter(|_| !undone)?.data_from.0;
    let later = |seconds: f64| from.checked_add(SignedDuration::from_secs_f64(seconds)).ok();
    Some((later(SETTLE_S)?, later(SETTLE_S + MEASURE_S)?))
}

/// Whether a run waits for its measurement.
pub(crate) fn awaits(run: &Remediation) -> bool {
    period(run).is_some() && run.status.as_ref().is_some_and(|status| status.effect.is_none())
}

/// Intervals that held what was measured, of all these runs, and those that did not.
pub(crate) fn tally(runs: &[Arc<Remediation>]) -> (u64, u64) {
    let effects = runs.iter().filter_map(|run| run.status.as_ref()?.effect.as_ref());
    let signals = effects.flat_map(|effect| &effect.signals);
    signals.fold(
        (0, 0),
        |(held, missed), measure| {
            if measure.held { (held + 1, missed) } else { (held, missed + 1) }
        },
    )
}

/// What was measured of a run's prediction; `None` while the data has not come so far.
pub(crate) fn measure(engine: &dyn Engine, run: &Remediation) -> Option<MeasuredEffect> {
    let (from, until) = period(run)?;
    if engine.watermark()? < until.as_microsecond() {
        return None;
    }
    let (from_us, until_us) = (from.as_microsecond(), until.as_microsecond());
    let signals = run.spec.predicted_effect.iter().flat_map(|effect| &effect.signals);
    let measured = signals.filter_map(|forecast| {
        let value = engine.measured(&forecast.entity, read(forecast.signal), from_us, until_us)?;
        Some(forecast.measured(value))
    });
    Some(MeasuredEffect::of(measured.collect(), stamp_us(until_us)))
}

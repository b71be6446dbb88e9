//! Queues that grow: messages that wait for a consumer, more every minute, far more than usual.

use std::collections::BTreeMap;

use causeway_causal::signal::{Class, classify};
use causeway_causal::state::StateKind;
use causeway_causal::text::number;
use causeway_model::Micros;

use crate::case::MetricHistory;
use crate::measured::{MINUTE_US, state};
use crate::state::State;

/// Minutes that a queue has to grow for.
const GROWS: usize = 5;
/// Minutes of history before them that say what is usual.
const USUAL: usize = 8;
/// Messages below which nobody cares.
const LEAST: f64 = 100.0;
/// How many times the usual backlog it has to be.
const TIMES: f64 = 5.0;

/// Queues that grow at data time `at_us`, one a consumer and metric; its partitions are added up. What was told before
/// (`open`) is over when it has become less for two minutes. Cost: linear in series that have such a name, and the minutes
/// of their history.
pub(crate) fn states(
    metrics: &MetricHistory,
    at_us: Micros,
    tenant: &dyn Fn(&str) -> String,
    open: &dyn Fn(&State) -> bool,
) -> Vec<State> {
    let mut queues: BTreeMap<(&str, &str), BTreeMap<i64, f64>> = BTreeMap::new();
    for (id, history) in metrics {
        if classify(&id.signal, "").class == Class::Lag {
            let waiting = queues.entry((&id.entity, &id.signal)).or_default();
            for (minute, value) in history.by_minute(MINUTE_US) {
                *waiting.entry(minute).or_default() += value;
            }
        }
    }
    let now = at_us.div_euclid(MINUTE_US);
    let found = queues.into_iter().filter_map(|((entity, signal), waiting)| {
        // The minute that runs is not whole yet.
        let values: Vec<f64> = waiting.range(..now).map(|(_, value)| *value).collect();
        let fresh = waiting.range(..now).next_back().is_some_and(|(minute, _)| now - minute <= 3);
        let newest = values.last().copied().filter(|_| fresh)?;
        let mut state = state(tenant, entity, StateKind::QueueGrowth, &format!("Queue/{signal}"), newest);
        let holds = if open(&state) { !falls(&values) } else { grows(&values) };
        // In steps of two, so that the sentence does not change with every minute.
        let at_least = 2.0_f64.powf(newest.max(1.0).log2().floor());
        state.note =
            format!("{} messages and more wait for {entity}, and there are ever more", number(at_least));
        holds.then_some(state)
    });
    found.collect()
}

/// Whether the newest values grow, to far more than is usual.
fn grows(values: &[f64]) -> bool {
    let Some(begin) = values.len().checked_sub(GROWS + 1).filter(|begin| *begin >= USUAL) else {
        return false;
    };
    let (before, recent) = values.split_at(begin);
    let mut before = before.to_vec();
    before.sort_by(f64::total_cmp);
    let usual = before.get(before.len() / 2).copied().unwrap_or_default();
    let newest = recent.last().copied().unwrap_or_default();
    let every_minute = recent.windows(2).all(|pair| pair.first() < pair.last());
    every_minute && newest >= LEAST.max(TIMES * usual)
}

fn falls(values: &[f64]) -> bool {
    let last = values.len().checked_sub(3).and_then(|begin| values.get(begin..)).unwrap_or_default();
    last.len() == 3
        && last.windows(2).all(|pair| pair.first() > pair.last() || pair.iter().all(|v| *v < LEAST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_grows_when_every_minute_has_more_and_falls_when_it_is_worked_off() {
        let with = |recent: &[f64]| [vec![3.0; 10], recent.to_vec()].concat();
        for (recent, expected) in [
            (vec![10.0, 60.0, 120.0, 200.0, 290.0, 400.0], true),
            (vec![10.0, 20.0, 30.0, 40.0, 50.0, 60.0], false),
            (vec![10.0, 60.0, 120.0, 110.0, 290.0, 400.0], false),
            (vec![400.0; 6], false),
        ] {
            assert_eq!(grows(&with(&recent)), expected, "{recent:?}");
        }
        let busy: Vec<f64> = (0..16).map(|m| 1_000.0 + f64::from(m)).collect();
        assert!(!grows(&busy), "it always has as many");
        assert!(!grows(&[10.0, 60.0, 120.0, 200.0, 290.0, 400.0]), "nothing is known of what is usual");
        assert!(falls(&with(&[400.0, 300.0, 200.0])) && falls(&with(&[4.0, 4.0, 4.0])));
        assert!(!falls(&with(&[400.0, 300.0, 310.0])));
    }
}

//! What came of many actions, as figures and as a list.

use std::collections::BTreeMap;

use crate::stage::Cost;
use crate::{Case, Kind};

/// Figures of some cases, as a table for people.
pub(crate) struct Figures {
    pub(crate) table: String,
    pub(crate) harmful_blocked: f64,
    pub(crate) helpful_blocked: f64,
    pub(crate) held: f64,
}

pub(crate) fn figures(cases: &[Case]) -> Figures {
    let mut by_kind: BTreeMap<Kind, (usize, usize)> = BTreeMap::new();
    let mut by_action: BTreeMap<String, [(usize, usize); 3]> = BTreeMap::new();
    let (mut held, mut measured) = (0, 0);
    for case in cases {
        let kind = case.kind();
        let count = by_kind.entry(kind).or_default();
        *count = (count.0 + usize::from(case.is_blocked()), count.1 + 1);
        let action = case.name.split(' ').next().unwrap_or_default().to_owned();
        let count = &mut by_action.entry(action).or_default()[kind as usize];
        *count = (count.0 + usize::from(case.is_blocked()), count.1 + 1);
        held += case.held.0;
        measured += case.held.1;
    }
    let mut by_signal: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (class, (held, all)) in cases.iter().flat_map(|case| &case.by_signal) {
        let count = by_signal.entry(class).or_default();
        *count = (count.0 + held, count.1 + all);
    }
    let share = |(part, all): (usize, usize)| if all == 0 { f64::NAN } else { part as f64 / all as f64 };
    let of = |kind| by_kind.get(&kind).copied().unwrap_or_default();
    let cell = |(blocked, all): (usize, usize)| format!("{blocked}/{all}");
    let mut table =
        format!("{:<16}{:>10}{:>10}{:>10}   (blocked/all)\n", "action", "harmful", "helpful", "useless");
    for (action, counts) in &by_action {
        let [harmful, helpful, useless] = counts.map(cell);
        table.push_str(&format!("{action:<16}{harmful:>10}{helpful:>10}{useless:>10}\n"));
    }
    let [harmful, helpful, useless] =
        [Kind::Harmful, Kind::Helpful, Kind::Useless].map(|kind| cell(of(kind)));
    table.push_str(&format!("{:<16}{harmful:>10}{helpful:>10}{useless:>10}\n", "all"));
    table.push_str(&format!(
        "{} actions; 80 % intervals that held: {held} of {measured} ({:.1} %)\n",
        cases.len(),
        100.0 * share((held, measured))
    ));
    for (class, count) in by_signal {
        table.push_str(&format!(
            "  {class:<26} {:>4} of {:>4} ({:.0} %)\n",
            count.0,
            count.1,
            100.0 * share(count)
        ));
    }
    Figures {
        table,
        harmful_blocked: share(of(Kind::Harmful)),
        helpful_blocked: share(of(Kind::Helpful)),
        held: share((held, measured)),
    }
}

/// What was judged wrongly, or missed, for whoever works on the model.
pub(crate) fn tell(cases: &[Case]) {
    for case in cases {
        let wrong = match case.kind() {
            Kind::Harmful => !case.is_blocked(),
            Kind::Helpful => case.is_blocked(),
            Kind::Useless => false,
        };
        let Cost { harm, saved } = case.cost;
        let mark = if wrong { "WRONG" } else { "     " };
        println!(
            "{mark} {:>4} {:<44} fault {:<30} harm {:>6.1} % saved {:>6.1} % {:?} {:?} held {}/{}: {}",
            case.seed,
            case.name,
            case.fault,
            100.0 * harm,
            100.0 * saved,
            case.kind(),
            case.effect.verdict,
            case.held.0,
            case.held.1,
            case.effect.summary
        );
        for missed in &case.missed {
            println!("             missed {missed}");
        }
    }
}

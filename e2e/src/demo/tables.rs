//! Tables of a demo's figures.

use std::io::Write as _;

use anyhow::Result;
use comfy_table::{ContentArrangement, Table, presets};

use super::summary::Summary;

/// An empty table.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(header);
    table
}

fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

/// The figures of one demo.
pub(super) fn summary_table(s: &Summary) -> Table {
    let mut t = table(&["FIGURE", "VALUE"]);
    let seconds = |v: Option<i64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v} s"));
    t.add_row([
        "detected".to_owned(),
        format!("{}, after {}", yes(s.detected), seconds(s.seconds_to_detect)),
    ]);
    t.add_row([
        "cause".to_owned(),
        format!(
            "{} ({})",
            s.cause.as_deref().unwrap_or("none named"),
            s.cause_kind.as_deref().unwrap_or("-")
        ),
    ]);
    t.add_row(["label".to_owned(), format!("{} ({})", s.verdict.label.join(", "), s.verdict.fault_type)]);
    t.add_row(["cause right".to_owned(), yes(s.cause_right).to_owned()]);
    for action in &s.actions {
        t.add_row([
            "action".to_owned(),
            format!("{} on {}: {} {}", action.runbook, action.target, action.phase, action.outcome),
        ]);
    }
    t.add_row([
        "repaired".to_owned(),
        format!("{}, verified after {}", yes(s.repaired), seconds(s.seconds_to_repair)),
    ]);
    if let Some(cost) = &s.cost {
        let told = |orders: f64, visits: f64| {
            format!("{visits:.0} visits, {orders:.0} orders of them ({:.0} EUR)", orders * cost.order_value)
        };
        t.add_row(["lost".to_owned(), told(cost.orders_lost, cost.visits_lost)]);
        t.add_row([
            "lost without a repair".to_owned(),
            told(cost.orders_lost_without, cost.visits_lost_without),
        ]);
        t.add_row([
            "orders that succeed at the end".to_owned(),
            format!("{:.1} %", cost.success_at_end * 100.0),
        ]);
    }
    t.add_row([
        "records".to_owned(),
        format!(
            "{} ({} logs, {} spans, {} metric points)",
            s.sent.total(),
            s.sent.logs,
            s.sent.spans,
            s.sent.points
        ),
    ]);
    t.add_row([
        "log records by id".to_owned(),
        format!("{} stored, {} twice, {} kill -9", s.logs_stored, s.logs_doubled, s.crashes),
    ]);
    if let Some((told, made)) = s.mutations {
        t.add_row(["mutations".to_owned(), format!("{told} told, {made} in the API server's audit log")]);
    }
    t.add_row(["peak memory".to_owned(), format!("{} MiB", s.peak_memory_mib)]);
    t.add_row(["wall time".to_owned(), format!("{} s", s.wall_seconds)]);
    t
}

/// Progress of `--all`.
pub(super) fn case_line(summary: Option<&Summary>, json: bool) {
    if let Some(s) = summary
        && !json
    {
        writeln!(
            std::io::stdout(),
            "{}: detected {}, cause right {}, repaired {}",
            s.case,
            yes(s.detected),
            yes(s.cause_right),
            yes(s.repaired)
        )
        .ok();
    }
}

/// The table of `--all`.
pub(super) fn case_table(summaries: &[Summary], json: bool) -> Result<()> {
    let mut out = std::io::stdout();
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(summaries)?)?;
        return Ok(());
    }
    let mut t = table(&[
        "CASE",
        "FAULT",
        "LABEL",
        "FALSE ALARM",
        "DETECTED",
        "CAUSE",
        "RIGHT",
        "REPAIRED",
        "PEAK MiB",
    ]);
    for s in summaries {
        t.add_row([
            s.case.clone(),
            s.verdict.fault_type.clone(),
            s.verdict.label.join(", "),
            yes(s.false_alarm).to_owned(),
            s.seconds_to_detect.map_or_else(|| "no symptom".to_owned(), |v| format!("{v} s")),
            s.cause.clone().unwrap_or_else(|| "-".to_owned()),
            yes(s.cause_right).to_owned(),
            s.seconds_to_repair.map_or_else(|| yes(s.repaired).to_owned(), |v| format!("{v} s")),
            s.peak_memory_mib.to_string(),
        ]);
    }
    writeln!(out, "{t}")?;
    Ok(())
}

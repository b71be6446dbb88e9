//! What a demo shows on the terminal.

use std::collections::BTreeSet;
use std::io::Write as _;

use causeway_causal::wording::quantity;
use jiff::Timestamp;
use owo_colors::OwoColorize as _;
use serde_json::Value;

use super::DemoArguments;
use super::mrkdwn;
use super::remote::EngineState;
use super::run::phase;
use super::summary::Summary;
use super::tables::{summary_table, table};
use crate::otlp::Sent;
use crate::process::Places;
use crate::recording::Recording;

/// The terminal; silent when only JSON is wanted.
pub(super) struct Screen {
    quiet: bool,
    /// What is said first; the first line is the title.
    opening: Vec<String>,
    /// Credential of the demo's own LogSource.
    token: &'static str,
    told: BTreeSet<String>,
}

fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    object.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

impl Screen {
    pub(super) fn new(arguments: &DemoArguments, opening: Vec<String>, token: &'static str) -> Self {
        Self { quiet: arguments.json || arguments.all, opening, token, told: BTreeSet::new() }
    }

    /// What is said before a recording is played.
    pub(super) fn of_recording(recording: &Recording) -> Vec<String> {
        vec![
            "Causeway: a recorded outage, from the first record to the verified repair".to_owned(),
            format!(
                "Recording {}: {} services of Train Ticket; {} s of normal spans and logs, {} metric rows from before the fault, {} s of the fault.",
                recording.name,
                recording.services().len(),
                recording.normal.length_us / 1_000_000,
                recording.normal_rows.rows.len(),
                recording.fault.length_us / 1_000_000
            ),
            "The feeder re-times it, loops the normal stretch, then the fault until it is repaired, then normal data again.".to_owned(),
        ]
    }

    fn line(&self, line: &str) {
        if !self.quiet {
            // A closed terminal is no reason to stop.
            writeln!(std::io::stdout(), "{line}").ok();
        }
    }

    fn head(&self, title: &str) {
        self.line(&format!("\n{}", title.bold().cyan()));
    }

    pub(super) fn starting(&self) {
        for (at, line) in self.opening.iter().enumerate() {
            let line = if at == 0 { format!("{}", line.bold()) } else { line.clone() };
            self.line(&line);
        }
        self.line("Data time runs in steps of 10 s; each step waits until the pipeline and all controllers have settled.");
    }

    pub(super) fn started(&self, api: &str, kubernetes: &str) {
        self.line(&format!("Causeway answers at {api}, {kubernetes}"));
        self.head("1. Learning what is normal");
    }

    pub(super) fn warming(&mut self, state: &EngineState, sent: Sent) {
        if state.windows.is_multiple_of(15)
            && state.windows > 0
            && self.told.insert(format!("w{}", state.windows))
        {
            self.line(&format!(
                "  {:>3} windows · {:>6} records · {} services · {} call edges · {} templates · {} of {} baselines ready",
                state.windows,
                sent.total(),
                state.services,
                state.edges,
                state.templates,
                state.baselines_ready,
                state.baselines
            ));
        }
    }

    pub(super) fn learned(&self, state: &EngineState, sent: Sent) {
        self.line(&format!(
            "  learned from {} records: {} services, {} call edges, {} log templates, {} metric series, {} golden-signal baselines",
            sent.total(),
            state.services,
            state.edges,
            state.templates,
            state.metrics,
            state.baselines
        ));
    }

    pub(super) fn fault_begins(&self) {
        self.head("2. The fault begins (Causeway is not told)");
    }

    /// What the model of the shop knows, which Causeway is not told.
    pub(super) fn shop(&mut self, at: &str, key: String, what: &str) {
        if self.told.insert(key) {
            self.line(&format!("{at}{} {what}", "shop".dimmed()));
        }
    }

    pub(super) fn asks(&self, page: &str, token: &std::path::Path) {
        self.line(&format!(
            "  {} a repair waits for you: {}\n    sign in with the token in {}; the clock stands still until you approve or reject",
            "?".yellow(),
            page.bold(),
            token.display()
        ));
    }

    pub(super) fn outage(&self, what: &str) {
        self.line(&format!("  {} {what}", "✗".red()));
    }

    pub(super) fn crashed(&self, count: u32, acknowledged: bool) {
        let request =
            if acknowledged { "acknowledged just before" } else { "not acknowledged: it will be sent again" };
        self.line(&format!(
            "  {} kill -9, number {count}; the request on its way was {request}; started again on the same folder",
            "✗".red()
        ));
    }

    pub(super) fn during(
        &mut self,
        now: Timestamp,
        fault_at: Timestamp,
        state: &EngineState,
        incidents: &[Value],
        remediations: &[Value],
    ) {
        let at = format!("  +{:>3} s ", now.as_second() - fault_at.as_second());
        for finding in &state.open_findings {
            if self.told.insert(format!("f{}{}", finding.entity, finding.signal)) {
                let unit = match finding.signal.as_str() {
                    "latency" => "s",
                    "error_ratio" => "ratio",
                    // A burning objective: the share of bad events, and the share that is allowed.
                    objective if objective.starts_with("slo:") => "ratio",
                    _ => "",
                };
                let value = |v: Option<f64>| v.map_or_else(|| "?".to_owned(), |v| quantity(v, unit));
                self.line(&format!(
                    "{at}{} {} of {} is {}, expected {}",
                    "finding".yellow(),
                    finding.signal,
                    finding.entity,
                    value(finding.observed),
                    value(finding.expected)
                ));
            }
        }
        for incident in incidents {
            self.incident(&at, incident);
        }
        for remediation in remediations {
            self.remediation(&at, remediation);
        }
    }

    fn incident(&mut self, at: &str, incident: &Value) {
        let name = text(incident, "/metadata/name");
        if self.told.insert(format!("i{name}")) {
            self.line(&format!(
                "{at}{} {name}: {}",
                "incident".red().bold(),
                text(incident, "/status/symptom/summary")
            ));
        }
        let cause = text(incident, "/status/cause/entity");
        let confidence = text(incident, "/status/cause/confidence");
        if !cause.is_empty() && self.told.insert(format!("c{name}{cause}{confidence}")) {
            let abstained = incident.pointer("/status/cause/abstained") == Some(&Value::Bool(true));
            let verdict = if abstained { "not sure, best guess" } else { "cause" };
            self.line(&format!(
                "{at}{} {cause} · {} · confidence {confidence}",
                verdict.magenta().bold(),
                text(incident, "/status/cause/kind")
            ));
            for sentence in
                incident.pointer("/status/explanation").and_then(Value::as_array).into_iter().flatten()
            {
                let cited: Vec<&str> = sentence
                    .pointer("/evidence")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                self.line(&format!(
                    "           {} {}",
                    text(sentence, "/text"),
                    format!("[{}]", cited.join(", ")).dimmed()
                ));
            }
            let path: Vec<&str> = incident
                .pointer("/status/path")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .map(|step| text(step, "/from"))
                .chain(
                    incident
                        .pointer("/status/path")
                        .and_then(Value::as_array)
                        .and_then(|p| p.last())
                        .map(|s| text(s, "/to")),
                )
                .collect();
            if !path.is_empty() {
                self.line(&format!("           path: {}", path.join(" → ")));
            }
        }
        let state = text(incident, "/status/state");
        if self.told.insert(format!("s{name}{state}")) && !state.is_empty() && state != "Open" {
            self.line(&format!("{at}{} {name} is {}", "incident".red().bold(), state.bold()));
        }
    }

    fn remediation(&mut self, at: &str, remediation: &Value) {
        let name = text(remediation, "/metadata/name");
        if self.told.insert(format!("r{name}")) {
            self.line(&format!(
                "{at}{} {name}: {}",
                "plan".blue().bold(),
                text(remediation, "/spec/summary")
            ));
            for line in text(remediation, "/spec/diff").lines() {
                let shown = match line.chars().next() {
                    Some('+') => format!("{}", line.green()),
                    Some('-') => format!("{}", line.red()),
                    _ => line.to_owned(),
                };
                self.line(&format!("           {shown}"));
            }
            self.line(&format!("           undo: {}", text(remediation, "/spec/inverse/type")));
        }
        let (phase, reason) = (phase(remediation), text(remediation, "/status/message"));
        if !phase.is_empty() && self.told.insert(format!("p{name}{phase}")) {
            self.line(&format!(
                "{at}{} {name} is {} {}",
                "repair".green().bold(),
                phase.bold(),
                reason.dimmed()
            ));
        }
    }

    pub(super) fn end(
        &self,
        summary: &Summary,
        incidents: &[Value],
        remediations: &[Value],
        slack: &[Value],
    ) {
        if self.quiet {
            return;
        }
        self.head("3. Incidents and Remediations, as `kubectl get` shows them");
        let mut rows = table(&["INCIDENT", "SEVERITY", "STATE", "CAUSE", "ENTITY", "CONF"]);
        for i in incidents {
            rows.add_row([
                text(i, "/metadata/name"),
                text(i, "/status/severity"),
                text(i, "/status/state"),
                text(i, "/status/cause/kind"),
                text(i, "/status/cause/entity"),
                text(i, "/status/cause/confidence"),
            ]);
        }
        self.line(&rows.to_string());
        let mut rows = table(&["REMEDIATION", "RUNBOOK", "TARGET", "PHASE", "OUTCOME", "REASON"]);
        for r in remediations {
            rows.add_row([
                text(r, "/metadata/name"),
                text(r, "/spec/runbookRef/name"),
                text(r, "/spec/targets/0/name"),
                phase(r),
                text(r, "/status/outcome"),
                text(r, "/status/reason"),
            ]);
        }
        self.line(&rows.to_string());
        self.head("4. The Slack message, as it looks now");
        for message in slack {
            for line in mrkdwn::lines(message) {
                self.line(&format!("  │ {line}"));
            }
        }
        self.line(&format!(
            "  posted {} time(s), edited in place {} time(s)",
            summary.slack.0, summary.slack.1
        ));
        self.head("5. Summary (times in data time)");
        self.line(&summary_table(summary).to_string());
    }

    pub(super) fn where_next(
        &self,
        arguments: &DemoArguments,
        summary: &Summary,
        places: &Places,
        otlp: &str,
    ) {
        if arguments.json && !arguments.all {
            writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(summary).unwrap_or_default()).ok();
            return;
        }
        self.line(&format!("\nThe report with pictures: {}", arguments.report.display().bold()));
        if arguments.keep {
            self.line(&format!("Causeway keeps running. Look around:\n  kubectl --kubeconfig {} get incidents,remediations -A\n  causeway query --data {} \"SELECT service, count(*) AS lines FROM logs GROUP BY service ORDER BY lines DESC LIMIT 10\"", places.kubeconfig().display(), places.data.display()));
            self.line(&format!(
                "Your own data: OTEL_EXPORTER_OTLP_ENDPOINT={otlp} OTEL_EXPORTER_OTLP_HEADERS=\"authorization=Bearer {}\"", self.token
            ));
        } else {
            self.line(
                "Run it with --keep to look around with kubectl and SQL, and to send your own telemetry:",
            );
            self.line(&format!("  OTEL_EXPORTER_OTLP_ENDPOINT=<the printed address> OTEL_EXPORTER_OTLP_HEADERS=\"authorization=Bearer {}\"", self.token));
        }
    }
}

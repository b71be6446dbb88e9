//! An incident as a Slack message in Block Kit. Pure.
//!
//! Everything that comes from outside stands in `plain_text` objects or in code, never in Slack's markup: a name like
//! `<!channel>` or `*x*` is shown as it is. `&`, `<` and `>` are escaped in every text object, as Slack asks for.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::literal::{cut, link_url, one_line, percent, visible};
use crate::notice::{IncidentNotice, IncidentState, Severity};
use crate::notifier::Digest;

/// Limits of Block Kit, in characters, with room for escapes below them.
const HEADER_LIMIT: usize = 140;
const FIELD_LIMIT: usize = 300;
const TEXT_LIMIT: usize = 2400;
const DIFF_LIMIT: usize = 2000;
/// Explanation sentences and links that are shown.
const EVIDENCE_LINES: usize = 8;
const LINKS: usize = 5;
const DIGEST_LINES: usize = 40;

/// The message for an incident: `{"text", "blocks", "unfurl_links", "unfurl_media"}`, without a channel.
///
/// `text` is what a phone shows; `blocks` is the message. At most 14 blocks, each below Slack's limits.
#[must_use]
pub fn render_slack(notice: &IncidentNotice) -> Value {
    let headline = headline(notice);
    let mut blocks = vec![json!({"type": "header", "text": plain(&headline, HEADER_LIMIT)}), facts(notice)];
    if let Some(cause) = &notice.cause {
        let sure =
            notice.confidence.map(|fraction| format!(" ({} sure)", percent(fraction))).unwrap_or_default();
        blocks.push(label(&format!("*Cause*{sure}")));
        blocks.push(paragraph(cause));
    }
    if !notice.evidence.is_empty() {
        blocks.push(label("*Why*"));
        blocks.push(paragraph(&evidence(notice)));
    }
    if let Some(impact) = &notice.impact {
        blocks.push(label("*Impact*"));
        blocks.push(paragraph(impact));
    }
    if let Some(remediation) = &notice.remediation {
        let name = code(&format!("{}/{}", notice.namespace, remediation.name));
        blocks.push(label(&format!("*Repair* {name}: {}", code(&remediation.phase))));
        let effect = Some(&remediation.effect).filter(|effect| !effect.is_empty());
        let expected = effect.map(|effect| format!("\nExpected: {effect}")).unwrap_or_default();
        blocks.push(paragraph(&format!("{}{expected}", remediation.action)));
        if !remediation.diff.trim().is_empty() {
            blocks.push(fenced(&remediation.diff));
        }
    }
    blocks.extend(links(notice));
    blocks.push(footer(notice));
    message(&headline, blocks)
}

/// The message for incidents that were held back.
#[must_use]
pub fn render_slack_digest(digest: &Digest) -> Value {
    let headline = format!("{} incidents, held back to keep this channel readable", digest.lines.len());
    let mut text: Vec<String> = digest
        .lines
        .iter()
        .take(DIGEST_LINES)
        .map(|line| {
            format!("{} {}  {}", mark(line.severity, line.state), line.state.as_str(), one_line(&line.text))
        })
        .collect();
    if digest.lines.len() > DIGEST_LINES {
        text.push(format!("… and {} more", digest.lines.len() - DIGEST_LINES));
    }
    let since = json!({"type": "context", "elements": [mrkdwn(&format!("since {}", moment(digest.since)))]});
    let header = json!({"type": "header", "text": plain(&headline, HEADER_LIMIT)});
    message(&headline, vec![header, paragraph(&text.join("\n")), since])
}

/// Replaces Slack's three control characters.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn plain(text: &str, limit: usize) -> Value {
    json!({"type": "plain_text", "text": bounded(text, limit), "emoji": false})
}

/// Visible, cut so that it stays below `limit` characters also after escaping, and escaped.
fn bounded(text: &str, limit: usize) -> String {
    let text = visible(text);
    let mut keep = limit;
    loop {
        let escaped = escape(&cut(&text, keep));
        if escaped.chars().count() <= limit || keep == 0 {
            return escaped;
        }
        keep = keep * 3 / 4;
    }
}

fn mrkdwn(text: &str) -> Value {
    json!({"type": "mrkdwn", "text": text, "verbatim": true})
}

/// A text in Slack's markup: only for texts of our own.
fn label(text: &str) -> Value {
    json!({"type": "section", "text": mrkdwn(text)})
}

fn paragraph(text: &str) -> Value {
    let text = bounded(text, TEXT_LIMIT);
    // Slack refuses empty texts.
    let text = if text.trim().is_empty() { "–".to_owned() } else { text };
    json!({"type": "section", "text": {"type": "plain_text", "text": text, "emoji": false}})
}

/// A text of unknown origin inside a line of markup: as code, in which only the backtick means something.
fn code(text: &str) -> String {
    let text = one_line(text).replace('`', "'");
    let text = bounded(if text.is_empty() { "–" } else { &text }, FIELD_LIMIT);
    format!("`{text}`")
}

fn fenced(text: &str) -> Value {
    let text = visible(text).replace('`', "'");
    label(&format!("```{}```", bounded(text.trim_end(), DIFF_LIMIT)))
}

fn mark(severity: Severity, state: IncidentState) -> &'static str {
    match (state, severity) {
        (state, _) if state.is_final() => "✅",
        (_, Severity::Critical) => "🔴",
        (_, Severity::Warning) => "🟠",
        (_, Severity::Info) => "🔵",
    }
}

fn headline(notice: &IncidentNotice) -> String {
    let mark = mark(notice.severity, notice.state);
    let escalated = if notice.escalated.is_some() && !notice.state.is_final() { "Escalated, " } else { "" };
    format!("{mark} {escalated}{}: {}", notice.state.as_str(), one_line(&notice.title))
}

fn facts(notice: &IncidentNotice) -> Value {
    let field = |name: &str, value: &str| mrkdwn(&format!("*{name}*\n{value}"));
    let mut fields = vec![
        field("Service", &code(&notice.service)),
        field("Severity", notice.severity.as_str()),
        field("Incident", &code(&format!("{}/{}", notice.namespace, notice.name))),
        field("Since", &moment(notice.times.opened)),
    ];
    if let Some(why) = &notice.escalated {
        fields.push(field("Escalated", &code(why)));
    }
    if let Some(predicted) = &notice.predicted {
        let chance = percent(predicted.probability);
        fields.push(field("Expected", &format!("{chance}, at {}", moment(predicted.deadline))));
    }
    if let Some(resolved) = notice.times.resolved {
        fields.push(field("Until", &moment(resolved)));
    }
    json!({"type": "section", "fields": fields})
}

/// A moment in the reader's own time zone, with UTC for clients that don't know the syntax.
fn moment(time: Timestamp) -> String {
    let fallback = time.strftime("%Y-%m-%d %H:%M:%S UTC");
    format!("<!date^{}^{{date_short_pretty}} {{time_secs}}|{fallback}>", time.as_second())
}

fn evidence(notice: &IncidentNotice) -> String {
    let mut lines: Vec<String> = notice
        .evidence
        .iter()
        .take(EVIDENCE_LINES)
        .map(|statement| {
            let cited = one_line(&statement.evidence.join(", "));
            let cited = if cited.is_empty() { String::new() } else { format!(" [{cited}]") };
            format!("• {}{cited}", cut(&one_line(&statement.text), FIELD_LIMIT))
        })
        .collect();
    if notice.evidence.len() > EVIDENCE_LINES {
        lines.push(format!("… and {} more", notice.evidence.len() - EVIDENCE_LINES));
    }
    lines.join("\n")
}

fn links(notice: &IncidentNotice) -> Option<Value> {
    let shown: Vec<String> = notice
        .links
        .iter()
        .filter_map(|link| {
            let url = link_url(&link.url)?;
            // A label stands inside markup: only letters, digits and harmless marks are kept.
            let name: String = one_line(&link.label)
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '.' | '/' | ':' | ','))
                .collect();
            let name = if name.trim().is_empty() { "link".to_owned() } else { cut(&name, 60) };
            (url.len() <= 500).then(|| format!("<{}|{name}>", url.replace('&', "&amp;")))
        })
        .take(LINKS)
        .collect();
    (!shown.is_empty()).then(|| label(&shown.join("  ·  ")))
}

fn footer(notice: &IncidentNotice) -> Value {
    let text = format!("Causeway · {} · updated {}", code(&notice.id), moment(notice.times.updated));
    json!({"type": "context", "elements": [mrkdwn(&text)]})
}

fn message(headline: &str, blocks: Vec<Value>) -> Value {
    json!({
        "text": bounded(headline, HEADER_LIMIT),
        "blocks": blocks,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::notice::{Link, RemediationNotice, Statement};
    use crate::notifier::DigestLine;
    use crate::sample;

    #[test]
    fn an_incident_with_everything() {
        insta::assert_json_snapshot!(render_slack(&sample::mitigating()));
    }

    #[test]
    fn a_predicted_incident_without_a_cause() {
        insta::assert_json_snapshot!(render_slack(&sample::predicted()));
    }

    #[test]
    fn a_digest() {
        let line = |id: &str, severity, state| DigestLine {
            id: id.to_owned(),
            severity,
            state,
            text: format!("shop/{id}: <!channel> errors"),
        };
        let digest = Digest {
            lines: vec![
                line("a", Severity::Critical, IncidentState::Open),
                line("b", Severity::Warning, IncidentState::Resolved),
            ],
            since: sample::at(0),
        };
        insta::assert_json_snapshot!(render_slack_digest(&digest));
    }

    /// Every text of the message, with its type.
    fn texts(value: &Value, found: &mut Vec<(String, String)>) {
        match value {
            Value::Object(fields) => {
                if let (Some(Value::String(kind)), Some(Value::String(text))) =
                    (fields.get("type"), fields.get("text"))
                {
                    found.push((kind.clone(), text.clone()));
                }
                fields.values().for_each(|value| texts(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| texts(value, found)),
            _ => {}
        }
    }

    fn hostile(text: &str) -> IncidentNotice {
        let mut notice = sample::mitigating();
        for field in
            [&mut notice.id, &mut notice.name, &mut notice.namespace, &mut notice.title, &mut notice.service]
        {
            *field = text.to_owned();
        }
        notice.cause = Some(text.to_owned());
        notice.impact = Some(text.to_owned());
        notice.escalated = Some(text.to_owned());
        notice.evidence = vec![Statement { text: text.to_owned(), evidence: vec![text.to_owned()] }; 20];
        notice.remediation = Some(RemediationNotice {
            name: text.to_owned(),
            phase: text.to_owned(),
            action: text.to_owned(),
            effect: text.to_owned(),
            diff: text.to_owned(),
        });
        notice.links = vec![
            Link { label: text.to_owned(), url: text.to_owned() },
            Link { label: text.to_owned(), url: "https://a".into() },
        ];
        notice
    }

    /// What is left of a text in markup when our own markup is taken away: dates, links, bold labels, code.
    fn check(notice: &IncidentNotice) {
        let message = render_slack(notice);
        let mut found = Vec::new();
        texts(&message, &mut found);
        assert!(message["blocks"].as_array().unwrap().len() <= 14);
        assert!(message["text"].as_str().unwrap().chars().count() <= 150);
        for (kind, text) in &found {
            assert!(!text.is_empty() && text.chars().count() <= 3000, "{kind}: {} characters", text.len());
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
            if kind == "plain_text" {
                assert!(!text.contains(['<', '>']), "{text:?}");
            } else {
                assert_eq!(text.matches("```").count() % 2, 0, "{text:?}");
                for tag in text.split('<').skip(1) {
                    assert!(tag.starts_with("!date^") || tag.starts_with("https://"), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn hostile_texts_stay_texts() {
        for text in [
            "<!channel> *bold* `code` ```block``` <https://evil|click> & done",
            "```",
            "",
            "\u{1b}[2J\u{202e}evil\r\nline",
            &"&".repeat(5000),
            &"`<".repeat(3000),
        ] {
            check(&hostile(text));
        }
        let rendered = render_slack(&hostile("<!channel> ` x")).to_string();
        assert!(!rendered.contains("<!channel>"));
        assert!(rendered.contains("`&lt;!channel&gt; ' x`"), "{rendered}");
    }

    proptest! {
        #[test]
        fn any_text_stays_a_text(text in any::<String>()) {
            check(&hostile(&text));
        }
    }
}

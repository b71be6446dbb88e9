//! An incident as text, as its message would look: for terminals and logs. Pure.

use std::fmt::Write;

use crate::literal::{cut, link_url, one_line, percent, visible};
use crate::notice::IncidentNotice;

/// Width of the text, in characters; longer words stick out.
const WIDTH: usize = 100;

/// The message for an incident as plain text of 100 columns with a bar at its left, without colours, ending in a line
/// end. Control characters of the notice are left out, so that it can't steer the terminal.
#[must_use]
pub fn render_text(notice: &IncidentNotice) -> String {
    let mut lines = vec![format!(
        "[{}] {}: {}",
        notice.severity.as_str(),
        notice.state.as_str(),
        one_line(&notice.title)
    )];
    lines.extend(facts(notice));
    if let Some(cause) = &notice.cause {
        let sure =
            notice.confidence.map(|fraction| format!(" ({} sure)", percent(fraction))).unwrap_or_default();
        section(&mut lines, &format!("Cause{sure}"), [one_line(cause)]);
    }
    let evidence = notice.evidence.iter().map(|statement| {
        let cited = one_line(&statement.evidence.join(", "));
        let cited = if cited.is_empty() { String::new() } else { format!(" [{cited}]") };
        format!("• {}{cited}", one_line(&statement.text))
    });
    section(&mut lines, "Why", evidence);
    section(&mut lines, "Impact", notice.impact.iter().map(|impact| one_line(impact)));
    if let Some(remediation) = &notice.remediation {
        let title = format!("Repair {}: {}", one_line(&remediation.name), one_line(&remediation.phase));
        let effect = Some(&remediation.effect).filter(|effect| !effect.is_empty());
        let expected = effect.map(|effect| format!("Expected: {}", one_line(effect)));
        section(&mut lines, &title, [one_line(&remediation.action)].into_iter().chain(expected));
        let diff = visible(&remediation.diff);
        lines.extend(diff.lines().map(|line| format!("    {}", cut(line, WIDTH - 6))));
    }
    let links = notice
        .links
        .iter()
        .filter_map(|link| Some(format!("{}: {}", one_line(&link.label), link_url(&link.url)?)));
    section(&mut lines, "More", links);
    framed(&lines)
}

fn facts(notice: &IncidentNotice) -> Vec<String> {
    let clock = |time: jiff::Timestamp| time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let mut facts = vec![format!(
        "Service {} · Incident {}/{} · since {}",
        one_line(&notice.service),
        one_line(&notice.namespace),
        one_line(&notice.name),
        clock(notice.times.opened)
    )];
    facts.extend(notice.escalated.iter().map(|why| format!("Escalated: {}", one_line(why))));
    if let Some(predicted) = &notice.predicted {
        facts.push(format!(
            "Expected with {} at {}",
            percent(predicted.probability),
            clock(predicted.deadline)
        ));
    }
    if let Some(resolved) = notice.times.resolved {
        facts.push(format!("Over since {}", clock(resolved)));
    }
    facts
}

fn section(lines: &mut Vec<String>, title: &str, content: impl IntoIterator<Item = String>) {
    let mut content = content.into_iter().peekable();
    if content.peek().is_some() {
        lines.push(String::new());
        lines.push(title.to_owned());
        lines.extend(content.map(|line| format!("  {line}")));
    }
}

fn framed(lines: &[String]) -> String {
    let mut text = String::new();
    for line in lines {
        for part in wrapped(line) {
            // Writing to a String can't fail.
            writeln!(text, "▌ {part}").unwrap_or_default();
        }
    }
    text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Breaks a line at spaces; what follows the first part is indented like it, and two more under a bullet.
fn wrapped(line: &str) -> Vec<String> {
    let indent = line.len() - line.trim_start().len();
    let is_code = indent >= 4;
    if is_code || line.chars().count() <= WIDTH {
        return vec![line.to_owned()];
    }
    let hanging = indent + if line.trim_start().starts_with('•') { 2 } else { 0 };
    let mut parts = Vec::new();
    let mut part = " ".repeat(indent);
    let mut is_empty = true;
    for word in line.split_whitespace() {
        if !is_empty && part.chars().count() + 1 + word.chars().count() > WIDTH {
            parts.push(std::mem::replace(&mut part, " ".repeat(hanging)));
            is_empty = true;
        }
        if !is_empty {
            part.push(' ');
        }
        part.push_str(word);
        is_empty = false;
    }
    parts.push(part);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn looks_like_the_message() {
        insta::assert_snapshot!(render_text(&sample::mitigating()));
        insta::assert_snapshot!(render_text(&sample::predicted()));
    }

    #[test]
    fn long_lines_are_wrapped_and_the_terminal_is_safe() {
        let mut notice = sample::mitigating();
        notice.cause = Some(format!("\u{1b}[2J{}", "word ".repeat(60)));
        let text = render_text(&notice);
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH + 2), "{text}");
    }
}

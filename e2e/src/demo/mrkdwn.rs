//! A Slack message as lines for a terminal, about as Slack would show it.

use owo_colors::OwoColorize as _;
use serde_json::Value;

/// What stands before and after a block of code.
const FENCE: &str = "```";

/// The blocks of a message, one string a line; its text where it has none.
pub(super) fn lines(message: &Value) -> Vec<String> {
    let blocks = message.get("blocks").and_then(Value::as_array).into_iter().flatten();
    let shown: Vec<String> = blocks.flat_map(block).collect();
    if shown.is_empty() { markup(string(message.get("text"))) } else { shown }
}

fn block(block: &Value) -> Vec<String> {
    let parts = |name: &str| block.get(name).and_then(Value::as_array).into_iter().flatten().map(text_of);
    let mut out = markup(text_of(block));
    // A field is a label in bold over its value.
    out.extend(parts("fields").map(|field| match field.split_once('\n') {
        Some((label, value)) => format!("{} {}", inline(label), inline(value)),
        None => inline(field),
    }));
    out.extend(parts("elements").flat_map(markup));
    out
}

/// The text of a block or an element: itself, or in an object of its own.
fn text_of(part: &Value) -> &str {
    let text = part.get("text");
    string(text.and_then(|text| text.get("text")).or(text))
}

fn string(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

/// Lines of a text in Slack's markup.
fn markup(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (at, part) in text.split(FENCE).enumerate() {
        let part = part.trim_matches('\n');
        if at % 2 == 0 {
            out.extend(part.lines().map(inline));
        } else {
            out.extend(part.lines().map(|line| code(&plain(line))));
        }
    }
    out
}

/// A line of a difference.
fn code(line: &str) -> String {
    match line.chars().next() {
        Some('+') => format!("    {}", line.green()),
        Some('-') => format!("    {}", line.red()),
        _ => format!("    {line}"),
    }
}

/// One line: bold labels, code, links and times.
fn inline(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some(at) = rest.find(['*', '`', '<']) {
        let (before, marked) = rest.split_at(at);
        out.push_str(&plain(before));
        let (open, body) = marked.split_at(1);
        let close = if open == "<" { '>' } else { open.chars().next().unwrap_or_default() };
        let Some((body, after)) = body.split_once(close) else {
            out.push_str(&plain(marked));
            return out;
        };
        let body = match open {
            "*" => plain(body).bold().to_string(),
            "`" => plain(body).cyan().to_string(),
            _ => link(body),
        };
        out.push_str(&body);
        rest = after;
    }
    out.push_str(&plain(rest));
    out
}

/// `!date^1700000000^{format}|text` is its text, `https://address|text` both.
fn link(body: &str) -> String {
    match body.split_once('|') {
        Some((target, text)) if target.starts_with("!date^") => plain(text),
        Some((target, text)) => format!("{}: {}", plain(text), plain(target)),
        None => plain(body),
    }
}

/// Slack's three escapes, taken back.
fn plain(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_reads_as_slack_shows_it() {
        let message = json!({"text": "short", "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": "Resolved: slow"}},
            {"type": "section", "fields": [
                {"type": "mrkdwn", "text": "*Service*\n`shop/web`"},
                {"type": "mrkdwn", "text": "*Since*\n<!date^1795656480^{date_short_pretty}|2026-11-26 01:28:00 UTC>"}]},
            {"type": "section", "text": {"type": "mrkdwn", "text": "a -&gt; b\n```Deployment/a\n+ x: 1```"}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": "<https://c.example/i|Open>"}]},
        ]});
        let shown = lines(&message);
        let bare = |label: &str| format!("{} ", label.bold());
        assert_eq!(
            shown,
            [
                "Resolved: slow".to_owned(),
                format!("{}{}", bare("Service"), "shop/web".cyan()),
                format!("{}2026-11-26 01:28:00 UTC", bare("Since")),
                "a -> b".to_owned(),
                "    Deployment/a".to_owned(),
                format!("    {}", "+ x: 1".green()),
                "Open: https://c.example/i".to_owned(),
            ]
        );
        assert_eq!(lines(&json!({"text": "1 &lt; 2 and *half"})), ["1 < 2 and *half"]);
    }
}

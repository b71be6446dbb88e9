//! Stack traces: templated by exception types and frames, never by line numbers or messages.

use std::fmt::Write as _;

use crate::skeleton::{PLACEHOLDER, parse};

/// Frames that the text of a template shows; all of them count for its id.
const SHOWN_FRAMES: usize = 64;

/// Characters of a frame's name that count.
const MAX_NAME: usize = 256;

/// The template text of a message that holds a stack trace, or `None` if it holds none.
///
/// Understood: frames of Java, .NET and JavaScript (`at name(…)`), Python (`File "…", line N, in name`),
/// Rust (`N: name`) and Go (`name(…)` above an indented `file.go:N`).
pub(crate) fn template(message: &str) -> Option<String> {
    memchr::memchr(b'\n', message.as_bytes())?;
    let lines: Vec<&str> = message.lines().collect();
    let kinds: Vec<Line> = (0..lines.len()).map(|i| classify(&lines, i)).collect();
    if kinds.iter().filter(|k| matches!(k, Line::Frame(_))).count() < 2 {
        return None;
    }
    let mut text = String::new();
    let mut hidden = String::new();
    let mut frames = 0;
    for (i, kind) in kinds.iter().enumerate() {
        let line = match kind {
            Line::Frame(f) => {
                frames += 1;
                format!("at {f}")
            }
            Line::Exception(prefix, name) => format!("{prefix}{name}: {PLACEHOLDER}"),
            Line::Text if i == 0 => parse(lines[0]).skeleton.text(),
            Line::Text => continue,
        };
        let out = if frames > SHOWN_FRAMES { &mut hidden } else { &mut text };
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&line);
    }
    if !hidden.is_empty() {
        // A digest keeps deep traces apart that differ below what is shown.
        let digest = xxhash_rust::xxh3::xxh3_64(hidden.as_bytes());
        write!(text, "\n… {} more ({digest:016x})", hidden.lines().count()).ok()?;
    }
    Some(text)
}

/// Whether a line of a file continues the stack trace above it.
pub(crate) fn continues(line: &str) -> bool {
    let t = line.trim_start();
    let indented = t.len() < line.len();
    (indented && (t.starts_with("at ") || t.starts_with("File \"") || is_more(t)))
        || t.starts_with("Caused by: ")
        || t.starts_with("Traceback (most recent call last)")
}

enum Line {
    Frame(String),
    Exception(&'static str, String),
    Text,
}

fn is_more(t: &str) -> bool {
    t.strip_prefix("... ").is_some_and(|r| r.ends_with(" more") || r.ends_with(" common frames omitted"))
}

fn classify(lines: &[&str], i: usize) -> Line {
    let t = lines[i].trim();
    if let Some(rest) = t.strip_prefix("at ") {
        let name = rest.split(['(', ' ']).next().unwrap_or_default();
        return Line::Frame(normalise(name));
    }
    if let Some(rest) = t.strip_prefix("File \"") {
        let file = rest.split('"').next().unwrap_or_default();
        let file = file.rsplit(['/', '\\']).next().unwrap_or_default();
        let function = rest.rsplit(" in ").next().unwrap_or_default();
        return Line::Frame(normalise(&format!("{file}:{function}")));
    }
    if let Some((n, name)) = t.split_once(": ")
        && !n.is_empty()
        && n.bytes().all(|c| c.is_ascii_digit())
        && name.contains("::")
    {
        return Line::Frame(normalise(name));
    }
    let above_go_file = lines.get(i + 1).is_some_and(|l| l.starts_with(['\t', ' ']) && l.contains(".go:"));
    if above_go_file && t.ends_with(')') {
        let name = t.rsplit_once('(').map_or(t, |(n, _)| n);
        return Line::Frame(normalise(name));
    }
    let (prefix, rest) = match t.strip_prefix("Caused by: ") {
        Some(rest) => ("Caused by: ", rest),
        None => ("", t),
    };
    let name = rest.split(':').next().unwrap_or_default().trim_start_matches("Exception in thread ");
    let typed =
        ["Exception", "Error", "Throwable", "Failure", "Interrupt", "Exit"].iter().any(|e| name.ends_with(e));
    let identifier = name.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'$'));
    if identifier && (typed || (!prefix.is_empty() && !name.is_empty())) {
        return Line::Exception(prefix, normalise(name));
    }
    Line::Text
}

/// Generated names (`$Proxy12`, `lambda$run$3`, `GeneratedMethodAccessor7`) lose their numbers.
fn normalise(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut hex = false;
    for c in name.chars().take(MAX_NAME) {
        if c.is_ascii_digit() || (hex && c.is_ascii_hexdigit()) {
            if !out.ends_with('#') {
                out.push('#');
            }
            hex = hex || name.contains("0x");
        } else {
            hex = false;
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const JAVA: &str = "Request 17 failed\njava.lang.IllegalStateException: no 5\n\tat a.b.C.run(C.java:12)\n\tat a.b.D$$Lambda$14.call(D.java:3)\nCaused by: java.io.IOException: x\n\tat e.F.g(F.java:1)\n\t... 12 more";

    #[test]
    fn java_ignores_numbers_and_messages() {
        let other =
            JAVA.replace("17", "99").replace("no 5", "other").replace(":12)", ":13)").replace("$14", "$77");
        assert_eq!(template(JAVA), template(&other));
        assert_eq!(
            template(JAVA).unwrap(),
            "Request <*> failed\njava.lang.IllegalStateException: <*>\nat a.b.C.run\nat a.b.D$$Lambda$#.call\nCaused by: java.io.IOException: <*>\nat e.F.g"
        );
        assert_ne!(template(JAVA), template(&JAVA.replace("e.F.g", "e.F.h")));
    }

    #[test]
    fn other_languages() {
        let python = "Traceback (most recent call last):\n  File \"/app/x.py\", line 3, in main\n    run()\n  File \"/app/y.py\", line 9, in run\n    fail()\nValueError: bad 17";
        assert_eq!(
            template(python).unwrap(),
            "Traceback (most recent call last):\nat x.py:main\nat y.py:run\nValueError: <*>"
        );
        let go = "panic: boom\n\ngoroutine 1 [running]:\nmain.f(0xc000)\n\t/src/main.go:7 +0x1d\nmain.main()\n\t/src/main.go:3 +0x2a";
        assert_eq!(template(go).unwrap(), "panic: boom\nat main.f\nat main.main");
        assert_eq!(template("two\nlines"), None);
    }

    #[test]
    fn deep_traces_differ_below_what_is_shown() {
        let deep = |last: &str| {
            (0..100).fold("x".to_owned(), |t, _| t + "\n\tat a.b(C:1)") + "\n\tat " + last + "(C:1)"
        };
        assert_ne!(template(&deep("p")), template(&deep("q")));
        assert!(template(&deep("p")).unwrap().lines().count() < 70);
    }
}

//! Text from outside made harmless for eyes: what would move the cursor, change colours or turn the direction of reading is
//! shown as a sign, and what is too long is cut. Escaping for HTML is the template's.

use std::fmt::Write as _;

use serde_json::Value;

/// The text, with at most `limit` characters of it.
pub fn inert(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit.saturating_mul(4)));
    let mut rest = text.chars();
    for c in rest.by_ref().take(limit) {
        match c {
            '\n' | '\t' => out.push(c),
            // The signs of Unicode's block Control Pictures.
            '\0'..='\u{1f}' => out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}')),
            '\u{7f}' => out.push('\u{2421}'),
            _ if is_hidden(c) => {
                // Writing to a String can't fail.
                let _sign = write!(out, "⟨U+{:04X}⟩", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    let more = rest.count();
    if more > 0 {
        let _rest = write!(out, "… ({more} more characters)");
    }
    out
}

/// Characters that are not seen themselves, and change how others are seen.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{80}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// All texts of a value, keys included.
pub fn inert_value(value: Value, limit: usize) -> Value {
    match value {
        Value::String(text) => Value::String(inert(&text, limit)),
        Value::Array(items) => items.into_iter().map(|item| inert_value(item, limit)).collect(),
        Value::Object(map) => {
            map.into_iter().map(|(key, value)| (inert(&key, limit), inert_value(value, limit))).collect()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_act_is_a_sign() {
        assert_eq!(inert("\u{1b}[31mred\u{1b}[0m\rX\u{7f}", 100), "␛[31mred␛[0m␍X␡");
        assert_eq!(inert("user\u{202e}txt.exe", 100), "user⟨U+202E⟩txt.exe");
        assert_eq!(inert("a\u{200b}b\u{85}", 100), "a⟨U+200B⟩b⟨U+0085⟩");
        assert_eq!(inert("two\nlines\tand ümlaut ✓", 100), "two\nlines\tand ümlaut ✓");
    }

    #[test]
    fn a_long_line_is_cut() {
        let line = "x".repeat(1 << 20);
        assert_eq!(inert(&line, 5), "xxxxx… (1048571 more characters)");
    }
}

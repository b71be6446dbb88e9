//! Makes texts of unknown origin harmless.

/// Removes what could disturb a display: control characters (terminal escapes begin with one), and the characters that
/// reverse the direction of text or are invisible. Line ends become `\n`, tabs become a space.
pub(crate) fn visible(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .filter_map(|character| match character {
            '\n' | '\r' | '\u{2028}' | '\u{2029}' => Some('\n'),
            '\t' => Some(' '),
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => None,
            other if other.is_control() => None,
            other => Some(other),
        })
        .collect()
}

/// [`visible`], in one line.
pub(crate) fn one_line(text: &str) -> String {
    visible(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At most `limit` characters of the text, with an ellipsis when something was cut.
pub(crate) fn cut(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(limit.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// A fraction in [0, 1] as percent, without decimals.
pub(crate) fn percent(fraction: f64) -> String {
    format!("{:.0} %", (fraction * 100.0).clamp(0.0, 100.0))
}

/// The URL if it is plain `http` or `https`, without characters that end a link in some syntax.
pub(crate) fn link_url(url: &str) -> Option<String> {
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    let is_clean =
        url.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '|' | '"' | '`' | '\\'));
    (is_web && is_clean).then(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escapes_and_overrides_are_removed() {
        assert_eq!(visible("a\u{1b}[31mb\u{7}\r\nc\u{202e}d\te"), "a[31mb\ncd e");
        assert_eq!(one_line("a\n\n b\u{2028}c"), "a b c");
        assert_eq!(cut("äöü", 2), "ä…");
        assert_eq!(percent(0.914), "91 %");
        assert_eq!(link_url("javascript:alert(1)"), None);
        assert_eq!(link_url("https://a/b|c"), None);
        assert_eq!(link_url("https://a/b?c=d").as_deref(), Some("https://a/b?c=d"));
    }

    proptest! {
        #[test]
        fn nothing_but_line_ends_is_left_of_control_characters(text in any::<String>()) {
            prop_assert!(visible(&text).chars().all(|c| c == '\n' || !c.is_control()));
            prop_assert!(!one_line(&text).contains('\n'));
            prop_assert!(cut(&text, 10).chars().count() <= 10);
        }
    }
}

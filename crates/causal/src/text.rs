//! Numbers, times and words as they appear in sentences, and the words that a sentence claims.

use crate::ranking::Evidence;
use crate::wording::figures;

/// A number with three significant digits, without trailing zeros or an exponent.
pub fn number(value: f64) -> String {
    significant(value, 3)
}

/// A number with so many significant digits (whole numbers are not rounded to tens), without trailing zeros or an exponent.
pub(crate) fn significant(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return "unknown".to_owned();
    }
    let size = value.abs();
    let places = if size > 0.0 { digits as i32 - 1 - size.log10().floor() as i32 } else { 0 };
    let places = places.clamp(0, 12) as usize;
    let text = format!("{value:.places$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// RFC 3339 in UTC with whole seconds.
pub(crate) fn time(at_us: i64) -> String {
    jiff::Timestamp::from_second(at_us.div_euclid(1_000_000))
        .map_or_else(|_| at_us.to_string(), |t| t.to_string())
}

/// Everything that a piece of evidence says, as one text.
pub(crate) fn facts(e: &Evidence) -> String {
    let mut out = format!("{} {} {} {} {}", e.entity, e.signal, e.unit, e.note, figures(e));
    for value in [e.baseline, e.observed].into_iter().flatten() {
        out.push(' ');
        out.push_str(&number(value));
    }
    if let Some(at) = e.at_us {
        out.push(' ');
        out.push_str(&time(at));
    }
    out
}

/// Words of a sentence that claim a fact: numbers, and names with an inner sign or a digit.
pub(crate) fn claims(sentence: &str) -> impl Iterator<Item = &str> {
    sentence
        .split_whitespace()
        .map(|w| {
            w.trim_matches(|c: char| matches!(c, ',' | ';' | '(' | ')' | '"' | '\'' | '!' | '?'))
                .trim_end_matches(['.', ':'])
        })
        .filter(|w| {
            let digit = w.bytes().any(|b| b.is_ascii_digit());
            let inner = w.len() > 2 && w[1..w.len() - 1].contains(['/', '-', '_', '.', '#']) && w.is_ascii();
            digit || inner
        })
}

/// Whether a text contains a word with nothing word-like on either side.
pub(crate) fn contains_word(text: &str, word: &str) -> bool {
    if word.is_empty() {
        return true;
    }
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let mut from = 0;
    while let Some(at) = text[from..].find(word) {
        let (begin, end) = (from + at, from + at + word.len());
        let before = text[..begin].chars().next_back();
        let after = text[end..].chars().next();
        let decimal = word.ends_with(|c: char| c.is_ascii_digit())
            && text[end..].strip_prefix('.').is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()));
        if !before.is_some_and(part) && !after.is_some_and(part) && !decimal {
            return true;
        }
        from = end;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in
            [(0.0, "0"), (0.02134, "0.0213"), (1.5, "1.5"), (1234.6, "1235"), (99.96, "100"), (2.1, "2.1")]
        {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn words_are_whole() {
        assert!(contains_word("rose to 2.1 s", "2.1"));
        assert!(!contains_word("rose to 2.15 s", "2.1"));
        assert!(!contains_word("12.1", "2.1"));
        assert!(!contains_word("cart-db", "cart"));
        assert_eq!(
            claims("p99 of shop/cart rose to 2.1 s.").collect::<Vec<_>>(),
            ["p99", "shop/cart", "2.1"]
        );
    }
}

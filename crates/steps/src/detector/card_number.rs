//! Payment card numbers.

use std::ops::Range;

use super::text::{before, byte, run_end};
use super::{Detector, MaskBuiltin, Trigger};

pub(super) const DETECTOR: Detector =
    Detector { builtin: MaskBuiltin::CardNumber, trigger: Trigger::Digits, find };

/// Groupings in which cards are printed. Ids with hyphens, such as UUIDs, have others.
const GROUPS: [&[usize]; 5] = [&[4, 4, 4, 4, 3], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4], &[4, 3, 3, 3]];

fn find(text: &str, run: Range<usize>) -> Option<Range<usize>> {
    if continues_a_word(text, run.start) {
        return None;
    }
    let plain = (13..=19).contains(&run.len()) && ends_a_word(text, run.end);
    if plain && is_card(text, run.clone()) {
        return Some(run);
    }
    if run.len() != 4 {
        return None;
    }
    let separator = byte(text, run.end).filter(|b| matches!(b, b' ' | b'-' | b'.'))?;
    GROUPS.iter().find_map(|groups| {
        let end = grouped_end(text, run.start, groups, separator)?;
        (ends_a_word(text, end) && is_card(text, run.start..end)).then_some(run.start..end)
    })
}

/// Whether what stands before makes the digits the rest of an id, a decimal or a negative number.
fn continues_a_word(text: &str, start: usize) -> bool {
    match before(text, start) {
        None => false,
        Some(b'.') => before(text, start - 1).is_some_and(|b| b.is_ascii_alphanumeric()),
        Some(b'-') => {
            before(text, start - 1).is_none_or(|b| !b.is_ascii_alphabetic()) || hyphen_id(text, start)
        }
        Some(b) => b.is_ascii_alphanumeric() || b == b'_',
    }
}

/// Whether the word before the hyphen has digits, as ids have.
fn hyphen_id(text: &str, start: usize) -> bool {
    let word = super::text::run_start(text, start - 1, |b| b.is_ascii_alphanumeric());
    text.as_bytes()[word..start].iter().any(u8::is_ascii_digit)
}

fn ends_a_word(text: &str, end: usize) -> bool {
    match byte(text, end) {
        None => true,
        Some(b'.' | b'-') => byte(text, end + 1).is_none_or(|b| !b.is_ascii_alphanumeric()),
        Some(b) => !b.is_ascii_alphanumeric() && b != b'_',
    }
}

fn grouped_end(text: &str, start: usize, groups: &[usize], separator: u8) -> Option<usize> {
    let mut at = start;
    for (index, length) in groups.iter().enumerate() {
        if index > 0 {
            if byte(text, at) != Some(separator) {
                return None;
            }
            at += 1;
        }
        let end = run_end(text, at, |b| b.is_ascii_digit());
        if end - at != *length {
            return None;
        }
        at = end;
    }
    Some(at)
}

fn is_card(text: &str, range: Range<usize>) -> bool {
    let digits: Vec<u8> =
        text.as_bytes()[range].iter().filter(|b| b.is_ascii_digit()).map(|b| b - b'0').collect();
    let not_one_digit = digits.iter().any(|d| Some(d) != digits.first());
    not_one_digit && issuer_fits(&digits) && luhn(&digits)
}

/// Whether the issuer's prefix goes with the length. Ranges: the issuers' public documentation.
fn issuer_fits(digits: &[u8]) -> bool {
    let prefix = |n: usize| digits.iter().take(n).fold(0u32, |acc, d| acc * 10 + u32::from(*d));
    match digits.len() {
        13 => prefix(1) == 4,
        14 => matches!(prefix(2), 36 | 38 | 39) || matches!(prefix(3), 300..=305),
        15 => matches!(prefix(2), 34 | 37) || matches!(prefix(4), 1800 | 2131),
        16 => {
            prefix(1) == 4
                || matches!(prefix(2), 51..=55 | 62 | 65)
                || matches!(prefix(4), 2221..=2720 | 3528..=3589 | 6011 | 5018 | 5020 | 5038 | 6304)
                || matches!(prefix(3), 644..=649)
        }
        17..=19 => {
            matches!(prefix(2), 62)
                || matches!(prefix(4), 6011 | 6759 | 6761..=6763)
                || digits.len() == 19 && prefix(1) == 4
        }
        _ => false,
    }
}

/// The check digit of ISO/IEC 7812-1, annex B (Luhn).
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| match (index % 2, u32::from(*digit)) {
            (0, d) => d,
            (_, d) if d > 4 => d * 2 - 9,
            (_, d) => d * 2,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::DETECTOR;

    #[test]
    fn finds_cards_and_leaves_other_numbers() {
        for (text, want) in [
            ("paid with 4111111111111111.", Some("4111111111111111")),
            ("card=5500-0000-0000-0004, ok", Some("5500-0000-0000-0004")),
            ("4111 1111 1111 1111 12/27", Some("4111 1111 1111 1111")),
            ("100 4111 1111 1111 1111", Some("4111 1111 1111 1111")),
            ("amex 3782 822463 10005", Some("3782 822463 10005")),
            ("\"pan\":\"378282246310005\"", Some("378282246310005")),
            ("card-4012888888881881", Some("4012888888881881")),
            ("4111111111111112", None),
            ("t=1700000000000000000", None),
            ("blk_-4611686018427387904 blk_4111111111111111", None),
            ("550e8400-e29b-4111-8111-111111111111", None),
            ("41111111-1111-4111-8111-111111111111", None),
            ("0.4111111111111111", None),
            ("id 0000000000000000", None),
            ("v4.111.1111", None),
        ] {
            assert_eq!(found(&DETECTOR, text).first().map(String::as_str), want, "{text}");
        }
    }
}

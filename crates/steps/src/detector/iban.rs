//! International bank account numbers.

use std::ops::Range;

use super::text::{before, byte};
use super::{Detector, MaskBuiltin, Trigger};

pub(super) const DETECTOR: Detector = Detector { builtin: MaskBuiltin::Iban, trigger: Trigger::Digits, find };

/// Lengths by country, from the IBAN registry of ISO 13616.
const LENGTHS: [(&str, usize); 46] = [
    ("AD", 24),
    ("AE", 23),
    ("AT", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BR", 29),
    ("CH", 21),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DK", 18),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GR", 27),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IS", 26),
    ("IT", 27),
    ("KW", 30),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("MC", 27),
    ("MT", 31),
    ("NL", 18),
    ("NO", 15),
    ("PL", 28),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("SA", 24),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("TR", 26),
];

fn find(text: &str, run: Range<usize>) -> Option<Range<usize>> {
    let start = run.start.checked_sub(2)?;
    let country = text.get(start..run.start)?;
    let (_, length) = LENGTHS.iter().find(|(code, _)| *code == country)?;
    if before(text, start).is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return None;
    }
    let (account, end) = read(text, start, *length)?;
    let whole = byte(text, end).is_none_or(|b| !b.is_ascii_alphanumeric() && b != b'_');
    (whole && remainder(&account) == 1).then_some(start..end)
}

/// Reads `length` letters and digits, between which single spaces may stand in groups of four.
fn read(text: &str, start: usize, length: usize) -> Option<(Vec<u8>, usize)> {
    let mut account = Vec::with_capacity(length);
    let mut at = start;
    while account.len() < length {
        match byte(text, at)? {
            b' ' if account.len() % 4 == 0 && !account.is_empty() => {}
            b if b.is_ascii_uppercase() || b.is_ascii_digit() => account.push(b),
            _ => return None,
        }
        at += 1;
    }
    Some((account, at))
}

/// Remainder modulo 97 after moving the first four characters to the end (ISO 7064, MOD 97-10).
fn remainder(account: &[u8]) -> u32 {
    let (head, tail) = account.split_at(account.len().min(4));
    tail.iter().chain(head).fold(0, |acc, b| match b {
        b'0'..=b'9' => (acc * 10 + u32::from(b - b'0')) % 97,
        _ => (acc * 100 + u32::from(b.wrapping_sub(b'A')) + 10) % 97,
    })
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::DETECTOR;

    #[test]
    fn finds_accounts() {
        for (text, want) in [
            ("to DE89370400440532013000.", Some("DE89370400440532013000")),
            ("iban GB29 NWBK 6016 1331 9268 19 ok", Some("GB29 NWBK 6016 1331 9268 19")),
            ("DE88370400440532013000", None),
            ("NODE89370400440532013000", None),
            ("XX89370400440532013000", None),
        ] {
            assert_eq!(found(&DETECTOR, text).first().map(String::as_str), want, "{text}");
        }
    }
}

//! Private keys in PEM blocks (RFC 7468).

use std::ops::Range;

use super::{Detector, MaskBuiltin, Trigger};

pub(super) const DETECTOR: Detector =
    Detector { builtin: MaskBuiltin::PrivateKey, trigger: Trigger::Literals(&["-----begin"]), find };

/// The whole block; to the end of the text when its last line is missing.
fn find(text: &str, at: Range<usize>) -> Option<Range<usize>> {
    let rest = &text[at.end..];
    let label_end = rest.find("-----")?;
    if !rest[..label_end].to_ascii_uppercase().contains("PRIVATE KEY") {
        return None;
    }
    let body = at.end + label_end + 5;
    let end = text[body..].find("-----END").map_or(text.len(), |offset| {
        let label = body + offset + "-----END".len();
        text[label..].find("-----").map_or(text.len(), |dashes| label + dashes + 5)
    });
    Some(at.start..end)
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::DETECTOR;

    #[test]
    fn finds_blocks() {
        let block = "-----BEGIN RSA PRIVATE KEY-----\\nMIIB\\n-----END RSA PRIVATE KEY-----";
        for (text, want) in [
            (format!("k={block} x"), Some(block)),
            (
                "-----BEGIN PRIVATE KEY-----\nMIIB cut".to_owned(),
                Some("-----BEGIN PRIVATE KEY-----\nMIIB cut"),
            ),
            ("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----".to_owned(), None),
            ("-----BEGIN".to_owned(), None),
        ] {
            assert_eq!(found(&DETECTOR, &text).first().map(String::as_str), want, "{text}");
        }
    }
}

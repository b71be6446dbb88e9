//! E-mail addresses.

use std::ops::Range;

use super::text::{run_end, run_start};
use super::{Detector, MaskBuiltin, Trigger};

pub(super) const DETECTOR: Detector =
    Detector { builtin: MaskBuiltin::Email, trigger: Trigger::Literals(&["@"]), find };

/// Last labels that are no domains: unit names of systemd (`user@1000.service`), files and classes.
const NOT_A_DOMAIN: [&str; 14] = [
    "service", "socket", "target", "timer", "mount", "slice", "scope", "device", "swap", "js", "ts", "tgz",
    "java", "class",
];

/// An address as people write it: a local part and a domain with a dot and an alphabetic last label.
fn find(text: &str, at: Range<usize>) -> Option<Range<usize>> {
    // RFC 5322 allows more, but in a log line the other characters delimit keys, quotes and paths.
    let local = |b: u8| b.is_ascii_alphanumeric() || b"%+-_.'".contains(&b);
    let start = run_start(text, at.start, local);
    let start = start + text[start..at.start].bytes().take_while(|b| b"'.-+%".contains(b)).count();
    if start == at.start || at.start - start > 64 {
        return None;
    }
    let domain_end = run_end(text, at.end, |b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    let domain = text[at.end..domain_end].trim_end_matches(['.', '-']);
    let (rest, last) = domain.rsplit_once('.')?;
    let last_fits = (2..=24).contains(&last.len())
        && last.bytes().all(|b| b.is_ascii_alphabetic())
        && !NOT_A_DOMAIN.contains(&last.to_ascii_lowercase().as_str());
    let rest_fits = !rest.is_empty() && rest.split('.').all(|label| !label.is_empty());
    // `git@host` is how repositories are addressed, and names nobody.
    let address = last_fits && rest_fits && &text[start..at.start] != "git";
    address.then(|| start..at.end + domain.len())
}

#[cfg(test)]
mod tests {
    use super::super::found;
    use super::DETECTOR;

    #[test]
    fn finds_addresses_and_leaves_other_uses_of_the_sign() {
        for (text, want) in [
            ("mail to jane.doe+x@mail.example.com.", Some("jane.doe+x@mail.example.com")),
            ("<a_b@example.co.uk>", Some("a_b@example.co.uk")),
            ("user='o'neil@example.org'", Some("o'neil@example.org")),
            ("user=root@example.com,", Some("root@example.com")),
            ("https://x/?mail=a@b.io&y", Some("a@b.io")),
            ("java.lang.Object@1b2c3d4", None),
            ("started user@1000.service", None),
            ("lodash@4.17.21", None),
            ("'root'@'localhost'", None),
            ("git@github.com:a/b", None),
            ("img@sha256:00ff", None),
            ("@ home", None),
            ("ä@b.de", None),
        ] {
            assert_eq!(found(&DETECTOR, text).first().map(String::as_str), want, "{text}");
        }
    }
}

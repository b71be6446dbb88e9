//! What a word with digits or inner punctuation is, by its form.

use crate::mask::{AT, BACKSLASH, COLON, Certainty, DIGIT, DOT, Masker, SLASH, Sink, WORD, class};
use crate::value::{date, digits, has_file_extension, is_domain, is_hex, is_uuid, time_of_day};

impl<S: Sink> Masker<'_, S> {
    /// A word with digits or inner punctuation: decides by its form.
    pub(crate) fn shaped(&mut self, s: usize, e: usize, n: usize) -> usize {
        let b = self.line;
        let w = &b[s..e];
        if w[0].is_ascii_digit() || (w.len() > 1 && matches!(w[0], b'-' | b'+') && w[1].is_ascii_digit()) {
            return self.numeric(s, e, n);
        }
        let seen = w.iter().fold(0, |a, c| a | class(*c));
        if seen & (SLASH | BACKSLASH) != 0
            && let Some(end) = self.path(s, e, n)
        {
            return self.value(s, end);
        }
        if seen & DOT != 0
            && let Some(p) = w.windows(2).position(|d| d == b"..")
        {
            let dots = w[p..].iter().take_while(|c| **c == b'.').count();
            return self.split(s, s + p, s + p + dots, e, n);
        }
        if seen & DIGIT != 0 && (is_uuid(w) || is_hex(w, 6)) {
            return self.value(s, e);
        }
        if seen & AT != 0
            && let Some(end) = self.at_sign(s, e)
        {
            return end;
        }
        if seen & COLON != 0
            && let Some(c) = memchr::memchr(b':', w)
        {
            return self.colon(s, s + c, e, n);
        }
        if seen & DIGIT != 0 { self.mixed(s, e) } else { self.name(s, e) }
    }

    /// A word that begins with a digit is a value; dates take their time along, lists their members.
    fn numeric(&mut self, s: usize, mut e: usize, n: usize) -> usize {
        let b = self.line;
        if let Some(at) = text_after_colon(&b[s..e]) {
            self.sink.value(Certainty::Form, s, s + at);
            self.sink.separator(s + at, s + at + 1);
            return self.plain_or_shaped(s + at + 1, e, n);
        }
        let w = &b[s..n];
        let d = date(w);
        if d > 0 && s + d == e && e < n && b[e] == b' ' {
            let t = time_of_day(&b[e + 1..n]);
            if t > 0 {
                e += 1 + t;
            }
        } else if let t @ 1.. = time_of_day(w)
            && s + t > e
        {
            e = s + t;
        }
        if n >= e + 6
            && b[e] == b' '
            && matches!(b[e + 1], b'+' | b'-')
            && digits(&b[e + 2..n]) == 4
            && b[s..e].contains(&b':')
        {
            e += 6;
        }
        // 25233975,0,93: a list without blanks is one value.
        while e + 1 < n
            && b[e] == b','
            && (b[e + 1].is_ascii_digit()
                || (b[e + 1] == b'-' && b.get(e + 2).is_some_and(u8::is_ascii_digit)))
        {
            e += 2;
            while e < n && class(b[e]) & WORD != 0 {
                e += 1;
            }
            while matches!(b[e - 1], b'.' | b':') {
                e -= 1;
            }
        }
        self.value(s, e)
    }

    /// End of a path or URL that begins at `s`, if there is one.
    fn path(&self, s: usize, e: usize, n: usize) -> Option<usize> {
        let b = self.line;
        let w = &b[s..e];
        let slashes = w.iter().filter(|c| **c == b'/').count();
        let drive = w.len() > 2 && w[0].is_ascii_alphabetic() && w[1] == b':' && matches!(w[2], b'\\' | b'/');
        let url = w
            .windows(3)
            .position(|d| d == b"://")
            .is_some_and(|p| w[..p].iter().all(|c| c.is_ascii_alphanumeric() || *c == b'+'));
        let rooted =
            w.starts_with(b"/") || w.starts_with(b"./") || w.starts_with(b"../") || w.starts_with(b"~/");
        let dotted = memchr::memchr(b'.', &w[1..w.len().max(2) - 1]).is_some();
        let relative = (slashes >= 2 || dotted) && memchr::memchr(b':', w).is_none();
        if !(url || rooted || drive || relative || (w.contains(&b'\\') && w.len() > 2)) {
            return None;
        }
        let mut end = e;
        if url || rooted || drive {
            let more =
                |c: u8| class(c) & WORD != 0 || matches!(c, b'?' | b'=' | b'&' | b'#' | b'*' | b'!' | b';');
            while end < n && (more(b[end]) || (url && b[end] == b',')) {
                end += 1;
            }
            while end > s + 1 && matches!(b[end - 1], b'.' | b':' | b',' | b';' | b'!' | b'?' | b'=') {
                end -= 1;
            }
        }
        // "GET /path HTTP/1.1": the protocol belongs to the request target.
        if b[end..n].starts_with(b" HTTP/") {
            end += 6;
            end += b[end..n].iter().take_while(|c| c.is_ascii_digit() || **c == b'.').count();
        }
        Some(end)
    }

    /// `Name@7317849d` keeps the name; `user@host.example` is one value.
    fn at_sign(&mut self, s: usize, e: usize) -> Option<usize> {
        let w = &self.line[s..e];
        let at = memchr::memchr(b'@', w)?;
        if at == 0 && w.get(1).is_some_and(u8::is_ascii_digit) {
            self.sink.separator(s, s + 1);
            return Some(self.value(s + 1, e));
        }
        let (name, rest) = (&w[..at], &w[at + 1..]);
        let hash = rest.first().is_some_and(u8::is_ascii_digit) || is_hex(rest, 6);
        let identifier = !name.is_empty()
            && name.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'$' | b'_'));
        if hash && identifier {
            self.sink.word(s, s + at);
            self.sink.separator(s + at, s + at + 1);
            return Some(self.value(s + at + 1, e));
        }
        (!name.is_empty() && rest.contains(&b'.')).then(|| self.value(s, e))
    }

    /// `key:value`, `host:port`, `Class:line`, addresses.
    fn colon(&mut self, s: usize, at: usize, e: usize, n: usize) -> usize {
        let b = self.line;
        let (key, rest) = (&b[s..at], &b[at + 1..e]);
        let key_digit = key.iter().any(u8::is_ascii_digit);
        let key_dot = key.contains(&b'.') || key.contains(&b'/');
        let port = !rest.is_empty() && rest.iter().all(u8::is_ascii_digit);
        let hexes = b[s..e].iter().all(|c| c.is_ascii_hexdigit() || *c == b':');
        let colons = b[s..e].iter().filter(|c| **c == b':').count();
        if (hexes && colons >= 2 && b[s..e].iter().any(u8::is_ascii_digit))
            || (key_digit && rest.iter().any(u8::is_ascii_digit))
            || (key_dot && port)
        {
            return self.value(s, e);
        }
        let next = at + b[at..e].iter().take_while(|c| **c == b':').count();
        self.split(s, at, next, e, n)
    }

    /// Letters and digits: identifiers are values, names with one or two digits stay words for now.
    fn mixed(&mut self, s: usize, e: usize) -> usize {
        let w = &self.line[s..e];
        let letters = w.iter().take_while(|c| c.is_ascii_alphabetic()).count();
        if letters >= 2 && letters < w.len() && matches!(w[letters], b'-' | b'.' | b'/') {
            let rest = &w[letters + 1..];
            let numeric = rest.first().is_some_and(u8::is_ascii_digit)
                && rest.iter().all(|c| c.is_ascii_digit() || *c == b'.');
            if numeric {
                self.sink.word(s, s + letters);
                self.sink.separator(s + letters, s + letters + 1);
                return self.value(s + letters + 1, e);
            }
        }
        let count = w.iter().filter(|c| c.is_ascii_digit()).count();
        let version = w[0] == b'v' && letters == 1;
        let member = w.windows(2).any(|p| p[0] == b'_' && (p[1].is_ascii_digit() || p[1] == b'-'));
        if count >= 3 || version || member || has_file_extension(w) || is_domain(w) {
            return self.value(s, e);
        }
        self.sink.word(s, e);
        e
    }

    /// Dotted or slashed names without digits.
    fn name(&mut self, s: usize, e: usize) -> usize {
        let w = &self.line[s..e];
        if w.contains(&b'.') && (has_file_extension(w) || is_domain(w)) {
            return self.value(s, e);
        }
        self.sink.word(s, e);
        e
    }
}

/// Where a value ends and text follows: `10.0.0.1:50010:Got`.
fn text_after_colon(w: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b':', w).find(|p| {
        let rest = &w[p + 1..];
        let word = rest.iter().take_while(|c| c.is_ascii_alphanumeric()).count();
        rest.first().is_some_and(u8::is_ascii_alphabetic) && !is_hex(&rest[..word], 1)
    })
}

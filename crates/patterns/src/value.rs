//! Classes of variable text and the recognisers that tell them apart.
//!
//! Everything here looks at ASCII bytes only, so slices cut at the returned offsets stay valid UTF-8.

use serde::{Deserialize, Serialize};

/// What kind of value stands at a variable position of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VariableClass {
    /// Integer or decimal, with sign, or a run of them joined by commas.
    Number,
    /// Hexadecimal number or digest: `0x1f`, or at least eight hex digits.
    Hex,
    /// UUID in its 8-4-4-4-12 form.
    Uuid,
    /// IPv4, IPv6 or hardware address, with or without port.
    Ip,
    /// Number with a unit of time: `12ms`, `<1 sec`.
    Duration,
    /// Number with a unit of information: `64KB`, `2GiB`.
    Size,
    /// File path, file name or URL.
    Path,
    /// Date, time of day, or both.
    Time,
    /// Anything else that varies: names, identifiers, free text.
    Word,
}

/// Length of the run of ASCII digits at the start.
pub(crate) fn digits(b: &[u8]) -> usize {
    b.iter().take_while(|c| c.is_ascii_digit()).count()
}

/// Length of a time of day (`7:07`, `07:07:00`, `18:01:47.978`, `9:5:1:606`) at the start, or 0.
pub(crate) fn time_of_day(b: &[u8]) -> usize {
    let h = digits(b);
    if h == 0 || h > 2 || b.get(h) != Some(&b':') {
        return 0;
    }
    let m = digits(&b[h + 1..]);
    let mut i = h + 1 + m;
    if !(1..=2).contains(&m) {
        return 0;
    }
    let s = if b.get(i) == Some(&b':') { digits(&b[i + 1..]) } else { 0 };
    if !(1..=2).contains(&s) {
        // Hours and minutes alone are written with two digits.
        return if m == 2 { i } else { 0 };
    }
    i += 1 + s;
    if matches!(b.get(i), Some(b'.' | b',' | b':')) {
        let f = digits(&b[i + 1..]);
        if f > 0 {
            i += 1 + f;
        }
    }
    i
}

/// Whether a time of day with seconds stands at the start.
pub(crate) fn has_seconds(b: &[u8]) -> bool {
    let n = time_of_day(b);
    b[..n].iter().filter(|c| **c == b':').count() >= 2
}

/// Length of a numeric date (`2017-05-16`, `17/06/09`, `16.05.2017`, `17/Jun/2005`) at the start, or 0.
pub(crate) fn date(b: &[u8]) -> usize {
    let y = digits(b);
    if !(1..=4).contains(&y) {
        return 0;
    }
    let sep = match b.get(y) {
        Some(c @ (b'-' | b'/' | b'.')) => *c,
        _ => return 0,
    };
    let mid = &b[y + 1..];
    let m = match digits(mid) {
        0 if mid.len() >= 3 && is_month(&mid[..3]) => 3,
        m @ 1..=2 => m,
        _ => return 0,
    };
    if mid.get(m) != Some(&sep) {
        return 0;
    }
    let d = digits(&mid[m + 1..]);
    // Four parts are a version or an address, one long part makes it a date.
    let four = y == 4 || d == 4 || sep == b'/';
    if !(1..=4).contains(&d) || !four || (y == 4) == (d == 4) && sep != b'/' {
        return 0;
    }
    let end = y + 1 + m + 1 + d;
    if b.get(end) == Some(&sep) { 0 } else { end }
}

/// `Jan` to `Dec`, in the usual capitalisation.
pub(crate) fn is_month(w: &[u8]) -> bool {
    matches!(
        w,
        b"Jan"
            | b"Feb"
            | b"Mar"
            | b"Apr"
            | b"May"
            | b"Jun"
            | b"Jul"
            | b"Aug"
            | b"Sep"
            | b"Oct"
            | b"Nov"
            | b"Dec"
    )
}

/// `Mon` to `Sun`, in the usual capitalisation.
pub(crate) fn is_weekday(w: &[u8]) -> bool {
    matches!(w, b"Mon" | b"Tue" | b"Wed" | b"Thu" | b"Fri" | b"Sat" | b"Sun")
}

fn spaces(b: &[u8]) -> usize {
    b.iter().take_while(|c| **c == b' ').count()
}

/// Length of an English date with time (`Fri Jun 17 07:07:00 2005`, `Sat May 8 09:04:50 EDT 2004`) at the
/// start, or 0; weekday, zone and year are optional, the time of day is not.
pub(crate) fn english_time(b: &[u8]) -> usize {
    let mut i = 0;
    if b.len() > 4 && is_weekday(&b[..3]) {
        i = 3 + usize::from(b[3] == b',');
        i += spaces(&b[i..]);
    }
    if b.len() < i + 3 || !is_month(&b[i..i + 3]) {
        return 0;
    }
    i += 3;
    let s = spaces(&b[i..]);
    let d = digits(&b[i + s..]);
    if s == 0 || !(1..=2).contains(&d) {
        return 0;
    }
    i += s + d;
    i += usize::from(b.get(i) == Some(&b','));
    let s = spaces(&b[i..]);
    if s > 0 && digits(&b[i + s..]) == 4 && b.get(i + s + 4) == Some(&b' ') {
        i += s + 4;
    }
    let s = spaces(&b[i..]);
    let t = time_of_day(&b[i + s..]);
    if s == 0 || t == 0 {
        return 0;
    }
    i += s + t;
    if b.len() > i + 4
        && b[i] == b' '
        && b[i + 1..i + 4].iter().all(u8::is_ascii_uppercase)
        && b[i + 4] == b' '
    {
        i += 4;
    }
    if b.get(i) == Some(&b' ')
        && digits(&b[i + 1..]) == 4
        && !b.get(i + 5).is_some_and(u8::is_ascii_alphanumeric)
    {
        i += 5;
    }
    i
}

/// Whether the whole text is a UUID.
pub(crate) fn is_uuid(w: &[u8]) -> bool {
    w.len() == 36
        && w.iter().enumerate().all(|(i, c)| match i {
            8 | 13 | 18 | 23 => *c == b'-',
            _ => c.is_ascii_hexdigit(),
        })
}

/// Whether the whole text is a hexadecimal string of at least `min` digits.
pub(crate) fn is_hex(w: &[u8], min: usize) -> bool {
    w.len() >= min && w.iter().all(u8::is_ascii_hexdigit)
}

fn is_ipv4(w: &[u8]) -> bool {
    let host = w.split(|c| *c == b':' || *c == b'/').next().unwrap_or_default();
    let mut parts = 0;
    host.split(|c| *c == b'.').all(|p| {
        parts += 1;
        !p.is_empty() && p.len() <= 3 && p.iter().all(u8::is_ascii_digit)
    }) && parts == 4
}

fn is_colon_hex(w: &[u8]) -> bool {
    let host = w.split(|c| *c == b'/' || *c == b'%').next().unwrap_or_default();
    host.iter().filter(|c| **c == b':').count() >= 2
        && host.iter().all(|c| c.is_ascii_hexdigit() || *c == b':')
}

const TIME_UNITS: [&[u8]; 17] = [
    b"ns", b"us", b"ms", b"s", b"m", b"h", b"d", b"sec", b"secs", b"second", b"seconds", b"min", b"mins",
    b"minute", b"minutes", b"hour", b"hours",
];

/// Whether the whole text is a unit of time.
pub(crate) fn is_time_unit(w: &[u8]) -> bool {
    TIME_UNITS.contains(&w)
}

fn is_size_unit(w: &[u8]) -> bool {
    let u = w.to_ascii_lowercase();
    matches!(
        u.as_slice(),
        b"b" | b"k" | b"kb" | b"kib" | b"mb" | b"mib" | b"g" | b"gb" | b"gib" | b"tb" | b"tib" | b"bytes"
    ) || w == b"M"
        || w == b"T"
}

/// Class of a text that is already known to be a value.
pub(crate) fn classify(w: &[u8]) -> VariableClass {
    use VariableClass as C;
    if is_uuid(w) {
        return C::Uuid;
    }
    if w.first() == Some(&b'<') {
        return C::Duration;
    }
    let t = w.strip_prefix(b"-").or_else(|| w.strip_prefix(b"+")).unwrap_or(w);
    let n = t.iter().take_while(|c| c.is_ascii_digit() || **c == b'.' || **c == b',').count();
    if n > 0 && n == t.len() && !is_ipv4(t) && date(t) != t.len() {
        return C::Number;
    }
    if t.len() > 2 && (t.starts_with(b"0x") || t.starts_with(b"0X")) && is_hex(&t[2..], 1) {
        return C::Hex;
    }
    if date(t) > 0 || time_of_day(t) > 0 || english_time(t) > 0 {
        return C::Time;
    }
    if is_ipv4(t) || is_colon_hex(t) {
        return C::Ip;
    }
    if n > 0 && is_time_unit(&t[n..]) {
        return C::Duration;
    }
    if n > 0 && is_size_unit(&t[n..]) {
        return C::Size;
    }
    if n > 0 && &t[n..] == b"%" {
        return C::Number;
    }
    if is_hex(t, 8) {
        return C::Hex;
    }
    let drive = t.len() > 2 && t[1] == b':' && (t[2] == b'\\' || t[2] == b'/');
    if t.starts_with(b"/") || drive || memchr::memmem::find(t, b"://").is_some() || has_file_extension(t) {
        return C::Path;
    }
    C::Word
}

/// Whether the text ends in the extension of a file people name in logs.
pub(crate) fn has_file_extension(w: &[u8]) -> bool {
    let Some(dot) = memchr::memrchr(b'.', w) else { return false };
    if dot == 0 || w.len() - dot > 11 {
        return false;
    }
    let ext = w[dot + 1..].to_ascii_lowercase();
    matches!(
        ext.as_slice(),
        b"exe"
            | b"dll"
            | b"sys"
            | b"so"
            | b"jar"
            | b"war"
            | b"log"
            | b"txt"
            | b"xml"
            | b"json"
            | b"yaml"
            | b"yml"
            | b"conf"
            | b"cfg"
            | b"ini"
            | b"properties"
            | b"html"
            | b"htm"
            | b"php"
            | b"jsp"
            | b"js"
            | b"css"
            | b"png"
            | b"jpg"
            | b"gif"
            | b"gz"
            | b"tgz"
            | b"tar"
            | b"zip"
            | b"tmp"
            | b"bak"
            | b"pid"
            | b"lock"
            | b"db"
            | b"sql"
            | b"csv"
            | b"parquet"
            | b"sh"
            | b"py"
            | b"rb"
            | b"pem"
            | b"crt"
            | b"key"
            | b"cab"
            | b"msi"
            | b"manifest"
    )
}

/// Whether the text is a domain name: labels that end in a common top-level domain, of which those that
/// are also endings of property names and files (`id`, `io`, `sh`) are left out.
pub(crate) fn is_domain(w: &[u8]) -> bool {
    let mut labels = 0;
    let mut last: &[u8] = b"";
    for l in w.split(|c| *c == b'.') {
        if l.is_empty() || !l.iter().all(|c| c.is_ascii_alphanumeric() || *c == b'-') {
            return false;
        }
        labels += 1;
        last = l;
    }
    let generic = matches!(
        last,
        b"com"
            | b"net"
            | b"org"
            | b"edu"
            | b"gov"
            | b"mil"
            | b"info"
            | b"biz"
            | b"local"
            | b"lan"
            | b"internal"
            | b"localdomain"
    );
    let country = matches!(
        last,
        b"au"
            | b"br"
            | b"ca"
            | b"ch"
            | b"cn"
            | b"cz"
            | b"de"
            | b"dk"
            | b"es"
            | b"eu"
            | b"fi"
            | b"fr"
            | b"hk"
            | b"il"
            | b"jp"
            | b"kr"
            | b"mx"
            | b"nl"
            | b"nz"
            | b"ro"
            | b"ru"
            | b"se"
            | b"sg"
            | b"th"
            | b"tr"
            | b"tw"
            | b"ua"
            | b"uk"
            | b"us"
            | b"vn"
            | b"za"
    );
    (generic && labels >= 2) || (country && labels >= 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use VariableClass as C;

    #[test]
    fn classes() {
        for (text, class) in [
            ("17", C::Number),
            ("-2", C::Number),
            ("0.2477829", C::Number),
            ("25233975,0,93", C::Number),
            ("97%", C::Number),
            ("0xfc0ce", C::Hex),
            ("54fadb412c4e40cdbaed9335e4c35a9e", C::Hex),
            ("b9000564-fe1a-409b-b8cc-1e88b294cd1d", C::Uuid),
            ("10.11.10.1", C::Ip),
            ("10.250.19.102:54106", C::Ip),
            ("fe80::1ff:fe23:4567:890a", C::Ip),
            ("65020ms", C::Duration),
            ("<1 sec", C::Duration),
            ("126MB", C::Size),
            ("/var/lib/x", C::Path),
            ("C:\\Windows\\x.dll", C::Path),
            ("hdfs://a:9000/b", C::Path),
            ("18:01:47,978", C::Time),
            ("2017-05-16 05:00:00", C::Time),
            ("Fri Jun 17 07:07:00 2005", C::Time),
            ("17/Jun/2005", C::Time),
            ("blk_38865049064139660", C::Word),
            ("2.6.5-1.358", C::Word),
        ] {
            assert_eq!(classify(text.as_bytes()), class, "{text}");
        }
    }

    #[test]
    fn lengths() {
        assert_eq!(english_time(b"Sat May  8 09:04:50 EDT 2004 x"), 28);
        assert_eq!(english_time(b"Jul  1, 2017 x"), 0);
        assert_eq!(date(b"2.6.5.1"), 0);
        assert_eq!(date(b"10.190.173.170"), 0);
        assert_eq!(date(b"17/06/09 x"), 8);
        assert_eq!(time_of_day(b"1:2"), 0);
        assert!(
            is_domain(b"proxy.cse.cuhk.edu.hk") && !is_domain(b"org.apache.hadoop") && !is_domain(b"com.app")
        );
    }
}

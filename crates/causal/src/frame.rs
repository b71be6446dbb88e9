//! Where in the code a failure came from: the stack frame of a trace, whatever language wrote it.
//!
//! Known forms: `Tax.java:41`, `tax.kt:41`, `File "tax.py", line 41`, `/src/tax.go:41 +0x1d`, `tax.js:41:13`,
//! `Tax.cs:line 41`, `src/tax.rs:41:5`, `tax.rb:41:in`, `tax.php(41)`, `Tax.scala:41`, `tax.cpp:41`. Frames of the
//! language's own libraries and of installed packages are passed over while there is one of the application.

/// Extensions of source files.
const EXTENSIONS: [&str; 22] = [
    "java", "kt", "kts", "groovy", "scala", "clj", "py", "go", "js", "mjs", "cjs", "ts", "tsx", "jsx", "cs",
    "fs", "rs", "rb", "php", "cpp", "cc", "c",
];

/// What the line of a frame has in it when it is not the application's own.
const LIBRARIES: [&str; 29] = [
    "at java.",
    "at javax.",
    "at jakarta.",
    "at jdk.",
    "at sun.",
    "at com.sun.",
    "at kotlin.",
    "at kotlinx.",
    "at scala.",
    "at org.springframework.",
    "at org.apache.",
    "at org.hibernate.",
    "at io.netty.",
    "at reactor.",
    "at System.",
    "at Microsoft.",
    "java.base/",
    "site-packages/",
    "dist-packages/",
    "/lib/python",
    "node_modules/",
    "node:",
    "internal/",
    "/usr/local/go/src/",
    "/pkg/mod/",
    "runtime/panic.go",
    "/rustc/",
    "/.cargo/registry/",
    "/gems/",
];

/// A place in the source: a file and a line.
struct Place<'a> {
    file: &'a str,
    line: &'a str,
}

/// The frame that a failure came from, as `file:line`; `None` where the text shows none. Cost: linear in the text.
pub(crate) fn stack_frame(text: &str) -> Option<String> {
    let mut own: Option<Place<'_>> = None;
    let mut any: Option<Place<'_>> = None;
    for line in text.lines() {
        let python = python_frame(line);
        let innermost_last = python.is_some();
        let Some(place) = python.or_else(|| named_line(line)) else { continue };
        let slot = if is_library(line) { &mut any } else { &mut own };
        // Python tells its calls from the outermost on; the others begin with the innermost.
        if slot.is_none() || innermost_last {
            *slot = Some(place);
        }
    }
    own.or(any).map(|place| format!("{}:{}", place.file, place.line))
}

fn is_library(line: &str) -> bool {
    LIBRARIES.iter().any(|mark| line.contains(mark))
}

/// `File "/app/tax.py", line 41, in rate`.
fn python_frame(line: &str) -> Option<Place<'_>> {
    let (file, rest) = line.trim_start().strip_prefix("File \"")?.split_once('"')?;
    let rest = rest.strip_prefix(", line ")?;
    let digits = digits(rest);
    (!file.is_empty() && !digits.is_empty()).then_some(Place { file, line: digits })
}

/// The first file name with an extension of source code and a line number behind it.
fn named_line(line: &str) -> Option<Place<'_>> {
    let mut from = 0;
    while let Some(dot) = line.get(from..)?.find('.').map(|at| from + at) {
        from = dot + 1;
        let rest = &line[from..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let extension = &rest[..end];
        if !EXTENSIONS.contains(&extension) {
            continue;
        }
        let behind = &rest[end..];
        let number = behind
            .strip_prefix(":line ")
            .or_else(|| behind.strip_prefix(':'))
            .or_else(|| behind.strip_prefix('(').filter(|inner| inner.contains(')')))
            .map(digits)
            .filter(|digits| !digits.is_empty() && digits.len() <= 6);
        let Some(number) = number else { continue };
        let begin = line[..dot]
            .rfind(|c: char| c.is_whitespace() || matches!(c, '(' | '[' | '"' | '\'' | '=' | ',' | '@' | '<'))
            .map_or(0, |at| at + line[at..].chars().next().map_or(1, char::len_utf8));
        let file = line[begin..from + end].trim_start_matches("file://");
        if file.chars().next().is_some_and(|c| c.is_alphanumeric() || matches!(c, '/' | '.' | '_'))
            && file.len() > extension.len() + 1
        {
            return Some(Place { file, line: number });
        }
    }
    None
}

fn digits(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_many_languages() {
        let cases = [
            (
                "java",
                "java.lang.IllegalStateException: rate 2.1\n\tat java.base/java.util.Objects.check(Objects.java:385)\n\tat com.shop.tax.Rates.of(Rates.java:118)\n\tat com.shop.tax.Api.get(Api.java:40)",
                Some("Rates.java:118"),
            ),
            (
                "python",
                "Traceback (most recent call last):\n  File \"/app/api.py\", line 12, in get\n  File \"/app/rates.py\", line 41, in of\n  File \"/usr/lib/python3.11/decimal.py\", line 7, in q\nValueError: 2.1",
                Some("/app/rates.py:41"),
            ),
            (
                "go",
                "panic: rate 2.1\n\ngoroutine 7 [running]:\nmain.rate(...)\n\t/usr/local/go/src/runtime/panic.go:884 +0x212\n\t/src/tax/rates.go:41 +0x1d",
                Some("/src/tax/rates.go:41"),
            ),
            (
                "node",
                "RangeError: 2.1\n    at node:internal/process/task_queues:95:5\n    at rate (/app/node_modules/big.js/big.js:3:1)\n    at of (/app/src/rates.js:41:13)",
                Some("/app/src/rates.js:41"),
            ),
            ("node esm", "at file:///app/rates.mjs:9:3", Some("/app/rates.mjs:9")),
            (
                "dotnet",
                "System.ArgumentException: 2.1\n   at System.Decimal.Parse() in /_/src/Decimal.cs:line 9\n   at Shop.Tax.Rates.Of(String c) in /src/Rates.cs:line 41",
                Some("/src/Rates.cs:41"),
            ),
            (
                "rust",
                "thread 'main' panicked at src/rates.rs:41:5:\nrate 2.1\n  at /rustc/abc/library/core/src/panicking.rs:72:14",
                Some("src/rates.rs:41"),
            ),
            ("ruby", "rates.rb:41:in `of': 2.1 (ArgumentError)", Some("rates.rb:41")),
            ("php", "#0 /var/www/rates.php(41): Rates->of()", Some("/var/www/rates.php:41")),
            ("in one line", "ERROR total out of range at app/tax.py:41 in f", Some("app/tax.py:41")),
            ("only a library", "\tat java.util.Objects.check(Objects.java:385)", Some("Objects.java:385")),
            ("no place", "10.0.0.1:8080 refused at 12:30:10, see v1.2.go", None),
            ("no number", "could not read config.js", None),
            ("not ascii", "Größe „über\u{2026}“ in Größe.java:7", Some("Größe.java:7")),
            ("empty", "", None),
        ];
        for (name, text, frame) in cases {
            assert_eq!(stack_frame(text).as_deref(), frame, "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_fails(text in "\\PC{0,80}(\\.java|\\.py|\\.rs)?[:( ]?[0-9]{0,8}\\PC{0,20}") {
            let _frame = stack_frame(&text);
        }
    }
}

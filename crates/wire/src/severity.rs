//! Severity numbers of level names.

/// OpenTelemetry's severity number of a level as loggers write it, 0 when it is not known.
/// Digits are syslog severities (RFC 5424) up to 7, and levels of pino and bunyan (10, 20, … 60) from there.
pub(crate) fn severity_number(text: &str) -> i32 {
    let text = text.trim().trim_matches(['[', ']', '<', '>']);
    if let Ok(number) = text.parse::<u32>() {
        return match number {
            0..=2 => 21,
            3 | 50..=59 => 17,
            4 | 40..=49 => 13,
            5 => 10,
            6 | 30..=39 => 9,
            7 | 20..=29 => 5,
            10..=19 => 1,
            60..=69 => 21,
            _ => 0,
        };
    }
    match text.to_ascii_lowercase().as_str() {
        "trace" | "finest" | "verbose" => 1,
        "debug" | "dbg" | "fine" | "finer" => 5,
        "info" | "information" | "informational" | "inf" | "i" => 9,
        "notice" => 10,
        "warn" | "warning" | "wrn" | "w" => 13,
        "error" | "err" | "severe" | "e" => 17,
        "fatal" | "critical" | "crit" | "alert" | "emerg" | "emergency" | "panic" | "f" => 21,
        _ => 0,
    }
}

//! Times of the week, such as `Mon-Fri 08:00-18:00`.

use jiff::Timestamp;
use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// Days and hours of every week: `Mon-Fri 08:00-18:00`, `Sat,Sun 10:00-16:00`. An end that is not after the begin is on the
/// next day: `Fri 22:00-06:00` ends on Saturday. `24:00` is midnight at the end of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Schedule {
    text: String,
    /// Monday first.
    days: [bool; 7],
    /// Minutes from midnight.
    begin: u16,
    end: u16,
}

/// The text is no schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a schedule such as \"Mon-Fri 08:00-18:00\" or \"Sat,Sun 22:00-06:00\"")]
pub struct NotASchedule(String);

impl Schedule {
    /// Parses a schedule.
    ///
    /// # Errors
    /// Unknown days, hours that are none, or equal begin and end.
    pub fn parse(text: &str) -> Result<Self, NotASchedule> {
        read(text).ok_or_else(|| NotASchedule(text.chars().take(60).collect()))
    }

    /// Whether `now` lies within, in the time of `zone`. The begin belongs to it, the end does not.
    pub fn contains(&self, now: Timestamp, zone: &TimeZone) -> bool {
        let local = now.to_zoned(zone.clone());
        let minute = u16::from(local.hour().unsigned_abs()) * 60 + u16::from(local.minute().unsigned_abs());
        let today = day_index(local.weekday());
        if self.begin < self.end {
            return self.days[today] && (self.begin..self.end).contains(&minute);
        }
        let yesterday = (today + 6) % 7;
        (self.days[today] && minute >= self.begin) || (self.days[yesterday] && minute < self.end)
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn day_index(day: Weekday) -> usize {
    usize::from(day.to_monday_zero_offset().unsigned_abs())
}

fn read(text: &str) -> Option<Schedule> {
    if text.len() > 60 {
        return None;
    }
    let (names, hours) = text.split_once(' ')?;
    let day = |name: &str| DAYS.iter().position(|known| *known == name);
    let mut days = [false; 7];
    for part in names.split(',') {
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (day(first)?, day(last)?),
            None => (day(part)?, day(part)?),
        };
        let mut at = first;
        loop {
            *days.get_mut(at)? = true;
            if at == last {
                break;
            }
            at = (at + 1) % 7;
        }
    }
    let (begin, end) = hours.split_once('-')?;
    let (begin, end) = (minutes(begin)?, minutes(end)?);
    (begin != end && begin < 1440).then(|| Schedule { text: text.to_owned(), days, begin, end })
}

fn minutes(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    if !two(hour) || !two(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let total = hour * 60 + minute;
    (minute < 60 && total <= 1440).then_some(total)
}

impl TryFrom<String> for Schedule {
    type Error = NotASchedule;
    fn try_from(text: String) -> Result<Self, NotASchedule> {
        Self::parse(&text)
    }
}

impl From<Schedule> for String {
    fn from(schedule: Schedule) -> Self {
        schedule.text
    }
}

impl JsonSchema for Schedule {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Schedule".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let day = "(Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
        let pattern =
            format!("^{day}(-{day})?(,{day}(-{day})?)* [0-2][0-9]:[0-5][0-9]-[0-2][0-9]:[0-5][0-9]$");
        json_schema!({"type": "string", "maxLength": 60, "pattern": pattern})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn holds_in_the_time_of_its_zone() {
        let office = Schedule::parse("Mon-Fri 08:00-18:00").unwrap();
        let amsterdam = TimeZone::fixed(jiff::tz::offset(1));
        // 27 November 2026 is a Friday.
        for (now, want) in [
            ("2026-11-27T06:59:59Z", false),
            ("2026-11-27T07:00:00Z", true),
            ("2026-11-27T16:59:59Z", true),
            ("2026-11-27T17:00:00Z", false),
            ("2026-11-28T10:00:00Z", false),
        ] {
            assert_eq!(office.contains(at(now), &amsterdam), want, "{now}");
        }
        assert!(!office.contains(at("2026-11-27T07:00:00Z"), &TimeZone::UTC));
    }

    #[test]
    fn goes_over_midnight_and_over_the_end_of_the_week() {
        let night = Schedule::parse("Fri 22:00-06:00").unwrap();
        let held = |now: &str| night.contains(at(now), &TimeZone::UTC);
        assert!(held("2026-11-27T23:00:00Z") && held("2026-11-28T05:59:00Z"));
        assert!(
            !held("2026-11-27T05:00:00Z") && !held("2026-11-28T06:00:00Z") && !held("2026-11-28T23:00:00Z")
        );
        let wrapped = Schedule::parse("Sat-Mon,Wed 00:00-24:00").unwrap();
        let days: Vec<bool> = (23..30)
            .map(|day| wrapped.contains(at(&format!("2026-11-{day}T12:00:00Z")), &TimeZone::UTC))
            .collect();
        assert_eq!(days, [true, false, true, false, false, true, true]);
    }

    #[test]
    fn refuses_what_is_no_schedule() {
        for bad in [
            "",
            "Mon",
            "Mon 8:00-18:00",
            "Mon 08:00-08:00",
            "Mon 24:00-08:00",
            "Mon 08:00-25:00",
            "mon 08:00-09:00",
            "Mon- 08:00-09:00",
            "Mon 08:00",
            "Mon 08:60-09:00",
            "Mon  08:00-09:00",
        ] {
            assert!(Schedule::parse(bad).is_err(), "{bad}");
        }
    }
}

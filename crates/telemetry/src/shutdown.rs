//! One signal that stops everything, and a deadline for what does not listen.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Why the process stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShutdownReason {
    /// SIGTERM or SIGINT, by name.
    Signal(&'static str),
    /// A part of the process asked for it, in a few words: the process should end with a failure.
    Failure(String),
    /// The work is done.
    Finished,
}

/// Why signals could not be listened for.
#[derive(Debug, thiserror::Error)]
pub enum ShutdownError {
    /// The operating system refused a signal handler.
    #[error("signal handler could not be installed")]
    Signal(#[from] io::Error),
}

/// Tasks that had not ended at the deadline, by name; they are cut off when the process ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("still running at the deadline: {}", .tasks.join(", "))]
pub struct Overdue {
    /// Names of the tasks, sorted.
    pub tasks: Vec<String>,
}

/// Stops a process in order; clones share it.
#[derive(Debug, Clone)]
pub struct Shutdown {
    token: CancellationToken,
    tracker: TaskTracker,
    running: Arc<Mutex<BTreeMap<String, usize>>>,
    reason: Arc<Mutex<Option<ShutdownReason>>>,
    deadline: Duration,
}

impl Shutdown {
    /// Makes a shutdown whose tasks have `deadline` to end once it was triggered.
    #[must_use]
    pub fn new(deadline: Duration) -> Self {
        Self {
            token: CancellationToken::new(),
            tracker: TaskTracker::new(),
            running: Arc::default(),
            reason: Arc::default(),
            deadline,
        }
    }

    /// Triggers on the first SIGTERM or SIGINT.
    ///
    /// # Errors
    /// [`ShutdownError::Signal`] when a handler can't be installed.
    pub fn listen_for_signals(&self) -> Result<(), ShutdownError> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                () = shutdown.token.cancelled() => return,
            };
            shutdown.trigger(ShutdownReason::Signal(name));
        });
        Ok(())
    }

    /// Stops everything now; the first reason is kept.
    pub fn trigger(&self, reason: ShutdownReason) {
        let mut kept = self.reason.lock();
        if kept.is_none() {
            tracing::info!(?reason, "shutting down");
            *kept = Some(reason);
        }
        drop(kept);
        self.token.cancel();
    }

    /// Why the process stops; `None` before that.
    #[must_use]
    pub fn reason(&self) -> Option<ShutdownReason> {
        self.reason.lock().clone()
    }

    /// A token that is cancelled when the shutdown is triggered.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Runs a task that [`Shutdown::finish`] waits for. The task has to listen to [`Shutdown::token`].
    pub fn spawn<F>(&self, name: &str, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        *self.running.lock().entry(name.to_owned()).or_default() += 1;
        let guard = Running { name: name.to_owned(), running: Arc::clone(&self.running) };
        self.tracker.spawn(async move {
            let _guard = guard;
            task.await
        })
    }

    /// Waits for the trigger, then for every spawned task, at most for the deadline.
    ///
    /// # Errors
    /// [`Overdue`] names the tasks that had not ended in time.
    pub async fn finish(&self) -> Result<ShutdownReason, Overdue> {
        self.token.cancelled().await;
        self.tracker.close();
        if tokio::time::timeout(self.deadline, self.tracker.wait()).await.is_err() {
            return Err(Overdue { tasks: self.running.lock().keys().cloned().collect() });
        }
        Ok(self.reason().unwrap_or(ShutdownReason::Finished))
    }
}

/// Counts a task as running; in `Drop`, so that a panicking task is counted out too.
struct Running {
    name: String,
    running: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut running = self.running.lock();
        if let Some(count) = running.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                running.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_that_listen_end_in_order() {
        let shutdown = Shutdown::new(Duration::from_secs(5));
        let token = shutdown.token();
        let task = shutdown.spawn("wal", async move {
            token.cancelled().await;
            7
        });
        shutdown.trigger(ShutdownReason::Failure("port in use".to_owned()));
        shutdown.trigger(ShutdownReason::Finished);
        let reason = shutdown.finish().await.unwrap();
        assert_eq!(reason, ShutdownReason::Failure("port in use".to_owned()));
        assert_eq!(task.await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_listen_is_named() {
        let shutdown = Shutdown::new(Duration::from_secs(5));
        shutdown.spawn("stuck", std::future::pending::<()>());
        shutdown.spawn("quick", async {}).await.unwrap();
        shutdown.trigger(ShutdownReason::Finished);
        let overdue = shutdown.finish().await.unwrap_err();
        assert_eq!(overdue.tasks, ["stuck"]);
        assert_eq!(overdue.to_string(), "still running at the deadline: stuck");
    }

    #[tokio::test]
    async fn a_signal_triggers_it() {
        let shutdown = Shutdown::new(Duration::from_secs(5));
        shutdown.listen_for_signals().unwrap();
        let kill = tokio::process::Command::new("kill")
            .args(["-TERM", &std::process::id().to_string()])
            .status()
            .await
            .unwrap();
        assert!(kill.success());
        assert_eq!(shutdown.finish().await.unwrap(), ShutdownReason::Signal("SIGTERM"));
    }
}

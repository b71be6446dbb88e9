//! Sends one HTTP request until it arrives or is given up.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Client, RequestBuilder, Response, header, redirect};
use tokio::time::Instant;

use crate::error::NotifyError;

/// Longest time that one try may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How often and how long a message is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in total, at least 1.
    pub attempts: u32,
    /// Delay after the first failure, before jitter; doubled each time.
    pub base: Duration,
    /// Longest delay of the doubling; a receiver's `Retry-After` may ask for more.
    pub cap: Duration,
    /// No try begins later than this after the first.
    pub max_age: Duration,
}

impl Default for RetryPolicy {
    /// Eight tries, from 1 s to 5 min apart, for at most a day.
    fn default() -> Self {
        Self {
            attempts: 8,
            base: Duration::from_secs(1),
            cap: Duration::from_secs(300),
            max_age: Duration::from_secs(86_400),
        }
    }
}

impl RetryPolicy {
    /// Delay after `failures` (from 1) failures: the doubled base, of which the upper half is random; `random` is
    /// uniform in [0, 1]. Never less than the receiver asked for.
    #[must_use]
    pub fn delay(&self, failures: u32, random: f64, asked: Option<Duration>) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let full = self.base.saturating_mul(1_u32 << doublings).min(self.cap);
        let delay = full / 2 + (full / 2).mul_f64(random.clamp(0.0, 1.0));
        delay.max(asked.unwrap_or_default())
    }
}

type PauseFn = dyn Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync;

/// Waits between two tries.
#[derive(Clone)]
pub struct Pause(Arc<PauseFn>);

impl Pause {
    /// Really waits.
    #[must_use]
    pub fn real() -> Self {
        Self(Arc::new(|duration| Box::pin(tokio::time::sleep(duration))))
    }

    /// Waits in another way, for tests.
    #[must_use]
    pub fn custom(
        wait: impl Fn(Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(wait))
    }
}

impl fmt::Debug for Pause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Pause")
    }
}

/// HTTP with retries: shared by all notifiers; clones share the connections.
#[derive(Debug, Clone)]
pub struct Delivery {
    client: Client,
    policy: RetryPolicy,
    pause: Pause,
}

/// An answer with its body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Vec<u8>,
}

impl Delivery {
    /// Makes the HTTP client. It follows no redirects, so that a signed message goes where it was meant to go.
    ///
    /// # Errors
    /// [`NotifyError::Client`] when TLS can't be set up.
    pub fn new(policy: RetryPolicy, pause: Pause) -> Result<Self, NotifyError> {
        let client = Client::builder()
            .timeout(REQUEST_TIMEOUT)
            .redirect(redirect::Policy::none())
            .user_agent("causeway")
            .build()
            .map_err(|_| NotifyError::Client)?;
        Ok(Self { client, policy, pause })
    }

    /// Sends the request that `prepare` makes until `judge` accepts the answer to it. `prepare` is called for each
    /// try, so that a signature carries the time of its own try.
    pub(crate) async fn send<T>(
        &self,
        prepare: impl Fn(&Client) -> RequestBuilder,
        judge: impl Fn(&Answer) -> Result<T, NotifyError>,
    ) -> Result<T, NotifyError> {
        let begun = Instant::now();
        let mut waited = Duration::ZERO;
        let mut attempt = 1;
        loop {
            let (error, asked) = match self.attempt(prepare(&self.client)).await {
                Ok(answer) => match judge(&answer) {
                    Ok(accepted) => return Ok(accepted),
                    Err(error) => (error, None),
                },
                Err(failed) => failed,
            };
            if !error.is_transient() {
                return Err(error);
            }
            let delay = self.policy.delay(attempt, rand::random(), asked);
            let age = begun.elapsed().max(waited).saturating_add(delay);
            if attempt >= self.policy.attempts || age > self.policy.max_age {
                return Err(NotifyError::Exhausted { attempts: attempt, last: Box::new(error) });
            }
            tracing::debug!(attempt, ?delay, %error, "notification is tried again");
            (self.pause.0)(delay).await;
            waited += delay;
            attempt += 1;
        }
    }

    async fn attempt(&self, request: RequestBuilder) -> Result<Answer, (NotifyError, Option<Duration>)> {
        let response = request.send().await.map_err(|error| (transport(&error), None))?;
        let status = response.status();
        if !status.is_success() {
            return Err((NotifyError::Status { status: status.as_u16() }, retry_after(&response)));
        }
        let body = response.bytes().await.map_err(|error| (transport(&error), None))?;
        Ok(Answer { body: body.to_vec() })
    }
}

/// The kind of a transport error; its text would hold the URL, which may be a secret.
fn transport(error: &reqwest::Error) -> NotifyError {
    if error.is_builder() {
        return NotifyError::Config("not a usable URL");
    }
    NotifyError::Transport(if error.is_timeout() {
        "timed out"
    } else if error.is_connect() {
        "could not connect"
    } else {
        "connection broke"
    })
}

/// `Retry-After`, in seconds or as a date (RFC 9110, 10.2.3).
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(date.duration_since(Timestamp::now())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_and_obey_the_receiver() {
        let policy = RetryPolicy { cap: Duration::from_secs(6), ..RetryPolicy::default() };
        let seconds = |failures, asked| policy.delay(failures, 1.0, asked).as_secs();
        assert_eq!([seconds(1, None), seconds(2, None), seconds(3, None), seconds(4, None)], [1, 2, 4, 6]);
        assert_eq!(seconds(1, Some(Duration::from_secs(30))), 30);
        assert_eq!(policy.delay(2, 0.0, None), Duration::from_secs(1));
    }
}

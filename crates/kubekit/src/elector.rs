//! Leader election on a Lease that steps down when it can't renew.
//!
//! The holder of a lease is believed for as long as *this* process has seen it unchanged on its own monotonic clock;
//! clocks of other machines are never compared. Every write is a replace with the resource version that was read, so
//! that of two candidates one gets a conflict. The epoch (`leaseTransitions`) grows with every acquisition: a write
//! that carries it can be told from one by a former leader.

use std::future::Future;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// Whether this process leads: `Some(epoch)` while it does. The epoch is the lease's `leaseTransitions`.
pub type Leadership = watch::Receiver<Option<u64>>;

/// Which lease, who asks, and the three times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElectorConfig {
    /// Namespace of the lease.
    pub namespace: String,
    /// Name of the lease.
    pub name: String,
    /// Name of this process, different for every process that ever asks (pod name with a random part).
    pub identity: String,
    /// How long others have to wait after the last renewal they saw. Whole seconds.
    pub lease_duration: Duration,
    /// How long this process leads after its last successful renewal; less than `lease_duration`.
    pub renew_deadline: Duration,
    /// Time between two tries.
    pub retry_period: Duration,
}

impl ElectorConfig {
    /// The usual times: 15 s, 10 s, 2 s.
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>, identity: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
            identity: identity.into(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }

    /// The three times in the usual proportion, for a lease of this duration.
    #[must_use]
    pub fn lasting(self, lease_duration: Duration) -> Self {
        Self {
            lease_duration,
            renew_deadline: lease_duration * 2 / 3,
            retry_period: lease_duration * 2 / 15,
            ..self
        }
    }
}

/// Takes part in one election.
#[derive(Debug)]
pub struct Elector {
    api: Api<Lease>,
    config: ElectorConfig,
    leadership: watch::Sender<Option<u64>>,
    /// What another holder's lease looked like, and since when.
    seen: Option<(Sighting, Instant)>,
    /// The lease as we last wrote it, and when that renewal began.
    held: Option<(Lease, Instant)>,
}

#[derive(Debug, PartialEq, Eq)]
struct Sighting {
    holder: String,
    renewed: Option<Timestamp>,
    transitions: i32,
}

impl Elector {
    /// A candidate; nothing happens before [`Elector::run`].
    #[must_use]
    pub fn new(client: Client, config: ElectorConfig) -> Self {
        let api = Api::namespaced(client, &config.namespace);
        Self { api, config, leadership: watch::Sender::new(None), seen: None, held: None }
    }

    /// Tells about leadership, from `None` on.
    #[must_use]
    pub fn leadership(&self) -> Leadership {
        self.leadership.subscribe()
    }

    /// Takes part until `stop`, then releases the lease if it is ours, so that another process can follow at once.
    /// Cancel `stop` only after everything that acts as leader has ended.
    ///
    /// When leadership is lost, the receiver shows `None` within the renew deadline of the last renewal, even if the
    /// API server does not answer at all; the elector then goes on as a candidate.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            // Half of the renew deadline, so that one request that hangs leaves time for another.
            let deadline = self.deadline().min(Instant::now() + self.config.renew_deadline / 2);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                tried = timeout_at(deadline, self.attempt()) => self.judge(tried.unwrap_or(Ok(Turn::Unanswered))),
            }
            let wake = (Instant::now() + self.config.retry_period).min(self.deadline());
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = tokio::time::sleep_until(wake) => {}
            }
            if self.held.is_some() && Instant::now() >= self.deadline() {
                self.step_down("renew deadline passed");
            }
        }
        self.release().await;
    }

    /// The moment at which an unanswered request has to be given up.
    fn deadline(&self) -> Instant {
        match &self.held {
            Some((_, renewed)) => *renewed + self.config.renew_deadline,
            None => Instant::now() + self.config.renew_deadline,
        }
    }

    fn judge(&mut self, tried: Result<Turn, kube::Error>) {
        match tried {
            Ok(Turn::Leading) | Ok(Turn::Waiting) => {}
            Ok(Turn::Lost) => self.step_down("another process holds the lease"),
            Ok(Turn::Unanswered) => {
                tracing::warn!(lease = self.config.name, "lease request was not answered")
            }
            Err(error) => tracing::warn!(lease = self.config.name, %error, "lease request failed"),
        }
        if self.held.is_some() && Instant::now() >= self.deadline() {
            self.step_down("renew deadline passed");
        }
    }

    async fn attempt(&mut self) -> Result<Turn, kube::Error> {
        let begun = Instant::now();
        match self.held.take() {
            // Put back before the first await, so that a cancelled attempt does not lose it.
            Some(held) => {
                let lease = held.0.clone();
                self.held = Some(held);
                self.renew(lease, begun).await
            }
            None => self.campaign(begun).await,
        }
    }

    async fn renew(&mut self, mut lease: Lease, begun: Instant) -> Result<Turn, kube::Error> {
        let spec = lease.spec.get_or_insert_default();
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        match self.replace(&lease).await {
            Ok(written) => {
                self.held = Some((written, begun));
                Ok(Turn::Leading)
            }
            Err(kube::Error::Api(status)) if status.is_conflict() => self.after_conflict(begun).await,
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Turn::Lost),
            Err(error) => Err(error),
        }
    }

    /// A conflict is either somebody's takeover, an edit of the lease's metadata, or our own renewal whose answer
    /// was lost: then the lease is still ours in the same epoch.
    async fn after_conflict(&mut self, begun: Instant) -> Result<Turn, kube::Error> {
        let live = self.api.get_opt(&self.config.name).await?;
        let epoch = *self.leadership.borrow();
        match live {
            Some(lease) if self.is_ours(&lease) && epoch == Some(epoch_of(&lease)) => {
                let mut lease = lease;
                lease.spec.get_or_insert_default().renew_time = Some(MicroTime(Timestamp::now()));
                match self.replace(&lease).await {
                    Ok(written) => {
                        self.held = Some((written, begun));
                        Ok(Turn::Leading)
                    }
                    // Whoever interferes is met again in the next turn, before the deadline.
                    Err(kube::Error::Api(status)) if status.is_conflict() => Ok(Turn::Unanswered),
                    Err(error) => Err(error),
                }
            }
            _ => Ok(Turn::Lost),
        }
    }

    async fn campaign(&mut self, begun: Instant) -> Result<Turn, kube::Error> {
        let Some(lease) = self.api.get_opt(&self.config.name).await? else {
            let fresh = Lease {
                metadata: ObjectMeta { name: Some(self.config.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.claim(0)),
            };
            return match self.api.create(&PostParams::default(), &fresh).await {
                Ok(written) => Ok(self.lead(written, begun)),
                Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(Turn::Waiting),
                Err(error) => Err(error),
            };
        };
        if !self.may_take(&lease, begun) {
            return Ok(Turn::Waiting);
        }
        let transitions = lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or_default();
        let claimed = Lease { spec: Some(self.claim(transitions.saturating_add(1))), ..lease };
        match self.replace(&claimed).await {
            Ok(written) => Ok(self.lead(written, begun)),
            Err(kube::Error::Api(status)) if status.is_conflict() => Ok(Turn::Waiting),
            Err(error) => Err(error),
        }
    }

    /// A lease may be taken when it was released, when it is ours from before (an outage, or a claim whose answer was
    /// lost), or when it did not change for its whole duration before our eyes.
    fn may_take(&mut self, lease: &Lease, now: Instant) -> bool {
        let empty = LeaseSpec::default();
        let spec = lease.spec.as_ref().unwrap_or(&empty);
        let holder = spec.holder_identity.clone().unwrap_or_default();
        if holder.is_empty() || holder == self.config.identity {
            return true;
        }
        let sighting = Sighting {
            holder,
            renewed: spec.renew_time.as_ref().map(|time| time.0),
            transitions: spec.lease_transitions.unwrap_or_default(),
        };
        let promised = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
        let duration = self.config.lease_duration.max(Duration::from_secs(promised.unwrap_or_default()));
        match &self.seen {
            Some((seen, since)) if *seen == sighting => now.duration_since(*since) >= duration,
            _ => {
                self.seen = Some((sighting, now));
                false
            }
        }
    }

    fn claim(&self, transitions: i32) -> LeaseSpec {
        let now = Some(MicroTime(Timestamp::now()));
        LeaseSpec {
            holder_identity: Some(self.config.identity.clone()),
            lease_duration_seconds: i32::try_from(self.config.lease_duration.as_secs()).ok(),
            acquire_time: now.clone(),
            renew_time: now,
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }

    fn is_ours(&self, lease: &Lease) -> bool {
        let holder = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref());
        holder == Some(self.config.identity.as_str())
    }

    fn lead(&mut self, lease: Lease, begun: Instant) -> Turn {
        let epoch = epoch_of(&lease);
        tracing::info!(lease = self.config.name, epoch, "leading");
        self.seen = None;
        self.held = Some((lease, begun));
        self.leadership.send_replace(Some(epoch));
        Turn::Leading
    }

    fn step_down(&mut self, reason: &str) {
        if self.held.take().is_some() {
            tracing::warn!(lease = self.config.name, reason, "no longer leading");
            self.leadership.send_replace(None);
        }
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease, kube::Error> {
        self.api.replace(&self.config.name, &PostParams::default(), lease).await
    }

    async fn release(mut self) {
        let Some((mut lease, renewed)) = self.held.take() else { return };
        self.leadership.send_replace(None);
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(MicroTime(Timestamp::now()));
        match timeout_at(renewed + self.config.lease_duration, self.replace(&lease)).await {
            Ok(Ok(_)) => tracing::info!(lease = self.config.name, "lease released"),
            Ok(Err(error)) => tracing::warn!(lease = self.config.name, %error, "lease was not released"),
            Err(_) => tracing::warn!(lease = self.config.name, "lease was not released in time"),
        }
    }
}

/// The lease was lost while work for it went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("leadership of epoch {epoch} is lost")]
pub struct LeadershipLost {
    /// The epoch that is over.
    pub epoch: u64,
}

/// Waits until this process leads, then runs `work(epoch)`. The work is dropped in the middle when leadership ends: what
/// it has begun is found by its successor. Returns `None` when `stop` comes before this process ever led; after that,
/// ending the work on `stop` is the work's own business.
///
/// # Errors
/// [`LeadershipLost`]: the process should end with a failure and be started again, so that nothing of it is left.
pub async fn while_leading<F, W>(
    mut leadership: Leadership,
    stop: CancellationToken,
    work: F,
) -> Result<Option<W::Output>, LeadershipLost>
where
    F: FnOnce(u64) -> W,
    W: Future,
{
    let epoch = tokio::select! {
        biased;
        () = stop.cancelled() => return Ok(None),
        led = leadership.wait_for(Option::is_some) => match led {
            Ok(epoch) => (*epoch).unwrap_or_default(),
            // The elector has ended without ever leading.
            Err(_) => return Ok(None),
        },
    };
    tokio::select! {
        biased;
        // Also when the elector is gone: nobody renews then.
        _ = leadership.wait_for(|now| *now != Some(epoch)) => Err(LeadershipLost { epoch }),
        done = work(epoch) => Ok(Some(done)),
    }
}

/// What came out of one try.
#[derive(Debug)]
enum Turn {
    Leading,
    Waiting,
    Lost,
    Unanswered,
}

fn epoch_of(lease: &Lease) -> u64 {
    let transitions = lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or_default();
    u64::try_from(transitions).unwrap_or_default()
}

//! Makes and rehearses changes of what Git declares.

use std::time::Duration;

use causeway_actions::{AwaitFields, GitChange, GitProvider, LiveState, Mutation, live_state};
use causeway_gitops::{Credentials, Git, GitError, Made as InGit, Mode, Provider, Step, Target};
use causeway_manifests::{Change, ObjectId};
use causeway_remediate::Direction;
use jiff::Timestamp;
use kube::Client;

use super::mutate::{Made, Turn};
use super::secret;
use crate::error::ControllerError;
use crate::objects;

/// How long a repository may not answer, or be pushed to by others, until it is given up.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a step in Git needs besides itself.
pub(super) struct Repositories<'a> {
    /// Reads the Secrets that tenants name.
    pub(super) client: &'a Client,
    pub(super) git: &'a Git,
    pub(super) http: &'a reqwest::Client,
}

/// The change as the files are edited for it.
fn changes(change: &GitChange) -> Vec<Change> {
    let target = &change.target;
    let group = target.api_version.split_once('/').map_or("", |(group, _)| group);
    let object = ObjectId {
        group: group.to_owned(),
        kind: target.kind.clone(),
        namespace: target.namespace.clone(),
        name: target.name.clone(),
    };
    let of_field = |field: &causeway_actions::FieldChange| {
        let (from, to) = field.values();
        Change {
            object: object.clone(),
            release: change.release.clone(),
            path: field.steps(),
            from,
            to,
            source: field.source.clone(),
        }
    };
    change.fields.iter().map(of_field).collect()
}

fn step<'a>(change: &'a GitChange, changes: &'a [Change], remediation: &'a str, at: Timestamp) -> Step<'a> {
    let repository = &change.repository;
    Step {
        target: Target {
            url: &repository.url,
            branch: &repository.branch,
            path: &repository.path,
            mode: if change.pull_request { Mode::PullRequest } else { Mode::Commit },
            provider: repository.provider.map(|provider| match provider {
                GitProvider::GitHub => Provider::GitHub,
                GitProvider::GitLab => Provider::GitLab,
                GitProvider::Gitea => Provider::Gitea,
            }),
            api_url: repository.api_url.as_deref(),
        },
        changes,
        remediation,
        key: &change.idempotency_key,
        reverts: change.reverts.as_deref(),
        at,
    }
}

impl Repositories<'_> {
    /// What would change in Git, as text. The inner error says why nothing can.
    pub(super) async fn rehearse(
        &self,
        change: &GitChange,
        remediation: &str,
        at: Timestamp,
    ) -> Result<Result<String, String>, ControllerError> {
        let credentials = match self.credentials(change).await? {
            Ok(credentials) => credentials,
            Err(missing) => return Ok(Err(missing)),
        };
        let changes = changes(change);
        match self.git.rehearse(&credentials, &step(change, &changes, remediation, at)).await {
            Ok(diff) => {
                let how = if change.pull_request { "pull request" } else { "commit" };
                let repository = &change.repository;
                Ok(Ok(format!("{how} to {}, branch {}\n{diff}", repository.url, repository.branch)))
            }
            Err(GitError::Unclear(message)) => Err(ControllerError::Unanswered(message)),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// Makes the change, once. What has no clear answer is tried again: a retry finds what was made.
    pub(super) async fn make(
        &self,
        change: &GitChange,
        remediation: &str,
        rehearsed: Option<&str>,
        turn: &Turn<'_>,
    ) -> Result<Made, ControllerError> {
        let credentials = match self.credentials(change).await? {
            Ok(credentials) => credentials,
            Err(missing) => return Ok(unseen(missing, change, turn)),
        };
        let changes = changes(change);
        let step = step(change, &changes, remediation, turn.claimed_at);
        let made = self.git.make(&credentials, self.http, &step, rehearsed).await;
        Ok(judge(made, change, turn))
    }

    /// Looks for what was made of the change before a crash, and goes on with that. Where nothing was, it may not be made any
    /// more, as `why` tells.
    pub(super) async fn find(
        &self,
        change: &GitChange,
        why: &str,
        turn: &Turn<'_>,
    ) -> Result<Made, ControllerError> {
        let credentials = match self.credentials(change).await? {
            Ok(credentials) => credentials,
            Err(missing) => return Ok(unseen(missing, change, turn)),
        };
        let changes = changes(change);
        let step = step(change, &changes, turn.remediation, turn.claimed_at);
        Ok(match self.git.find(&credentials, self.http, &step).await {
            Ok(Some(made)) => judge(Ok(made), change, turn),
            Ok(None) => Made::Refused(format!("{why}; nothing of it is in {}", change.repository.url)),
            Err(error) => judge(Err(error), change, turn),
        })
    }

    async fn credentials(&self, change: &GitChange) -> Result<Result<Credentials, String>, ControllerError> {
        let Some(name) = change.repository.secret_ref.as_ref().map(|reference| &reference.name) else {
            return Ok(Ok(Credentials::default()));
        };
        let namespace = &change.target.namespace;
        let data = secret::data(self.client, namespace, name).await?;
        Ok(data
            .map(|data| Credentials::from_secret(&data))
            .map_err(|missing| format!("{missing} (spec.gitOps.secretRef)")))
    }
}

/// How long a repository that does not answer is waited for: as long as people may merge, too.
fn patience(change: &GitChange) -> Duration {
    change.merged_within_minutes.map_or(PATIENCE, |most| minutes(most).max(PATIENCE))
}

/// What it means for the step what came of it in the repository.
fn judge(made: Result<InGit, GitError>, change: &GitChange, turn: &Turn<'_>) -> Made {
    match made {
        Ok(made) => match (&made, change.merged_within_minutes) {
            (InGit::Proposed(_) | InGit::Conflicting(..), Some(most)) => {
                turn.later(minutes(most), format!("{made}: waits until it is merged"))
            }
            (InGit::AlreadyThere, _) if turn.is_first && turn.direction == Direction::Apply => {
                let message = format!("{made}: somebody else has committed it since, and it is left to them");
                Made::Refused(message)
            }
            _ => Made::Done(made.to_string()),
        },
        Err(GitError::Unclear(message)) => turn.unclear(patience(change), message),
        Err(GitError::Unseen(message)) => unseen(message, change, turn),
        Err(error) => Made::Refused(error.to_string()),
    }
}

/// What it means that the repository can't be looked into: an earlier try may have made the change.
fn unseen(message: String, change: &GitChange, turn: &Turn<'_>) -> Made {
    if turn.is_first { Made::Refused(message) } else { turn.unclear(patience(change), message) }
}

/// Looks whether a change that was made elsewhere has arrived.
pub(super) async fn arrived(
    client: &Client,
    wait: &AwaitFields,
    turn: &Turn<'_>,
) -> Result<Made, ControllerError> {
    let target = &wait.target;
    let live =
        objects::get(client, &target.api_version, &target.kind, &target.namespace, &target.name).await?;
    Ok(match live_state(&Mutation::AwaitFields(wait.clone()), live.as_ref()) {
        LiveState::New => Made::Done(format!("{target} shows the new values")),
        LiveState::Foreign => Made::Refused(format!("{target} shows other values, or is another object now")),
        LiveState::Old | LiveState::Unknown => {
            turn.later(minutes(wait.within_minutes), format!("waits until {target} shows the new values"))
        }
    })
}

fn minutes(count: i32) -> Duration {
    Duration::from_secs(60 * u64::from(count.unsigned_abs()))
}

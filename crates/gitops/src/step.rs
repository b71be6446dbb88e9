//! One step: rehearsed, made, or taken back.

use causeway_manifests::{Change, Edited, Message, Refusal, edit};
use jiff::Timestamp;

use crate::credentials::Credentials;
use crate::error::GitError;
use crate::forge::{Forge, Provider, PullRequest, State};
use crate::git::Git;
use crate::repository::{Branch, Pushed};
use crate::work::Work;

/// Tries to push when others push in between.
const TRIES: usize = 5;

/// How a change gets onto the branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By a commit on the branch.
    Commit,
    /// By a pull request that somebody merges.
    PullRequest,
}

/// The repository, as the policy names it.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// Where it is.
    pub url: &'a str,
    /// The branch that is applied.
    pub branch: &'a str,
    /// The folder that is applied, from the root of the repository.
    pub path: &'a str,
    /// How a change gets there.
    pub mode: Mode,
    /// Whose API opens pull requests.
    pub provider: Option<Provider>,
    /// Where that API is, if not where the provider has it.
    pub api_url: Option<&'a str>,
}

/// One step of a Remediation.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// Where.
    pub target: Target<'a>,
    /// What.
    pub changes: &'a [Change],
    /// Namespace and name of the Remediation.
    pub remediation: &'a str,
    /// Equal for every retry of the step.
    pub key: &'a str,
    /// Key of the step that this one takes back.
    pub reverts: Option<&'a str>,
    /// When the step was claimed: the date of the commit.
    pub at: Timestamp,
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    /// This commit is on the branch.
    Committed(String),
    /// A pull request is open, at this address.
    Proposed(String),
    /// A pull request is open at the first of these, and the branch has changed since, as the second tells.
    Conflicting(String, String),
    /// The pull request at this address was merged, whatever the branch has now.
    Merged(String),
    /// The pull request at this address is closed, and nothing of it was merged.
    Withdrawn(String),
    /// The branch declares the new values already, and not by a commit of this step.
    AlreadyThere,
}

impl std::fmt::Display for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Committed(commit) => write!(f, "committed as {commit}"),
            Self::Proposed(url) => write!(f, "proposed in {url}"),
            Self::Conflicting(url, why) => {
                write!(
                    f,
                    "proposed in {url}, which conflicts with what was pushed since ({why}): merge it by hand, or close it"
                )
            }
            Self::Merged(url) => write!(f, "merged in {url}"),
            Self::Withdrawn(url) => write!(f, "{url} is closed, nothing was merged"),
            Self::AlreadyThere => f.write_str("Git declares it already"),
        }
    }
}

/// What an earlier try has left at the host of pull requests.
#[derive(Default)]
struct Proposal {
    found: Option<PullRequest>,
    /// Whether the branch of the pull request is there, and whether it has the commit of the step.
    pushed: Option<bool>,
}

/// A branch, and what the step does to its files.
struct Prepared {
    branch: Branch,
    edited: Edited,
    modes: Vec<(String, String)>,
}

impl Git {
    /// What the step would change, as text. Nothing is pushed.
    ///
    /// # Errors
    /// The source can't be edited, or the repository does not let us in or does not answer.
    pub async fn rehearse(&self, credentials: &Credentials, step: &Step<'_>) -> Result<String, GitError> {
        let work = self.begin(credentials, &step.target).await?;
        let prepared = prepare(&work, step).await?;
        if prepared.edited.files.is_empty() {
            return Err(GitError::Refused(format!(
                "{} declares these values already, and the cluster has others: it is not what is applied here, or it is not applied yet",
                step.target.branch
            )));
        }
        if let Some(object) = prepared.edited.renamed.first() {
            return Err(GitError::Refused(format!(
                "{object} has a hash of its content in its name: a change makes another object, which nothing here waits for"
            )));
        }
        Ok(prepared.edited.diff)
    }

    /// Makes the step, once: a retry finds what was made before. `rehearsed` is what the rehearsal showed; what would
    /// change now must be part of it.
    ///
    /// # Errors
    /// [`GitError::Unclear`] if it may have happened: try again. [`GitError::Unseen`] if it did not happen now, and an
    /// earlier try may have made it. Everything else did not happen, by no try.
    pub async fn make(
        &self,
        credentials: &Credentials,
        http: &reqwest::Client,
        step: &Step<'_>,
        rehearsed: Option<&str>,
    ) -> Result<Made, GitError> {
        let (work, forge) = self.open(credentials, http, &step.target).await.map_err(GitError::unseen)?;
        for _ in 0..TRIES {
            let (branch, made) = look(&work, step.target.branch, step.key)
                .await?
                .ok_or_else(|| no_branch(&step.target).unseen())?;
            if let Some(commit) = made {
                return Ok(Made::Committed(commit));
            }
            // Before the files are looked at: what is proposed already stays so, whatever was pushed since.
            let proposal = match &forge {
                Some(forge) => proposal(&work, forge, step).await?,
                None => Proposal::default(),
            };
            let prepared = prepare_on(&work, step, branch).await;
            if let Some(made) = proposal.standing(prepared.as_ref().err()) {
                return Ok(made);
            }
            let prepared = match prepared {
                Ok(prepared) => prepared,
                Err(GitError::Source(why)) => return odd(forge.as_ref(), step, proposal, why).await,
                Err(error) => return Err(error),
            };
            if prepared.edited.files.is_empty() {
                let withdrawn = match (&forge, step.reverts) {
                    (Some(forge), Some(_)) => withdraw(forge, step).await?,
                    _ => None,
                };
                return Ok(withdrawn.unwrap_or(Made::AlreadyThere));
            }
            if rehearsed.is_some_and(|rehearsed| !rehearsed.contains(&prepared.edited.diff)) {
                return Err(GitError::Refused(
                    "Git would change in another way than the rehearsal showed".to_owned(),
                ));
            }
            let reverted = match step.reverts {
                Some(key) => work.commit_with(&prepared.branch, key).await?,
                None => None,
            };
            let message = Message {
                remediation: step.remediation,
                key: step.key,
                reverts: step.reverts.map(|key| reverted.as_deref().unwrap_or(key)),
                changes: step.changes,
            };
            let text = message.text();
            let commit = work
                .commit(&prepared.branch, &prepared.edited.files, &prepared.modes, &text, step.at)
                .await?;
            match &forge {
                None => {
                    if work.push(&commit, step.target.branch, false).await? == Pushed::Done {
                        return Ok(Made::Committed(commit));
                    }
                    tracing::info!(remediation = step.remediation, "somebody pushed in between: once more");
                }
                Some(forge) => return propose(&work, forge, step, &commit, &message, proposal).await,
            }
        }
        Err(GitError::Unclear(format!("others pushed to {} {TRIES} times in between", step.target.branch)))
    }

    /// What an earlier try has made of the step, if anything. Makes nothing.
    ///
    /// # Errors
    /// It was not let to look, or was not answered.
    pub async fn find(
        &self,
        credentials: &Credentials,
        http: &reqwest::Client,
        step: &Step<'_>,
    ) -> Result<Option<Made>, GitError> {
        let (work, forge) = self.open(credentials, http, &step.target).await.map_err(GitError::unseen)?;
        let (branch, made) = look(&work, step.target.branch, step.key)
            .await?
            .ok_or_else(|| no_branch(&step.target).unseen())?;
        let (None, Some(forge)) = (&made, &forge) else { return Ok(made.map(Made::Committed)) };
        let proposal = proposal(&work, forge, step).await?;
        let prepared = prepare_on(&work, step, branch).await;
        Ok(proposal.standing(prepared.as_ref().err()))
    }

    /// What a step is made with: a folder, and for pull requests the API.
    async fn open<'a>(
        &self,
        credentials: &'a Credentials,
        http: &reqwest::Client,
        target: &Target<'_>,
    ) -> Result<(Work, Option<Forge<'a>>), GitError> {
        let work = self.begin(credentials, target).await?;
        let forge = match (target.mode, target.provider) {
            (Mode::Commit, _) => None,
            (Mode::PullRequest, Some(provider)) => {
                Some(Forge::new(provider, &work.url, target.api_url, credentials, http)?)
            }
            (Mode::PullRequest, None) => {
                let message = "spec.gitOps.mode PullRequest needs spec.gitOps.provider";
                return Err(GitError::Refused(message.to_owned()));
            }
        };
        Ok((work, forge))
    }

    async fn begin(&self, credentials: &Credentials, target: &Target<'_>) -> Result<Work, GitError> {
        let url = self.check(target.url, target.branch, credentials)?;
        Work::begin(self, url, credentials).await
    }
}

/// A branch, if there is one of this name, and the commit with this key on it.
async fn look(work: &Work, branch: &str, key: &str) -> Result<Option<(Branch, Option<String>)>, GitError> {
    let Some(branch) = work.fetch(branch).await.map_err(GitError::unseen)? else { return Ok(None) };
    let commit = work.commit_with(&branch, key).await.map_err(GitError::unseen)?;
    Ok(Some((branch, commit)))
}

async fn prepare(work: &Work, step: &Step<'_>) -> Result<Prepared, GitError> {
    let branch = work.fetch(step.target.branch).await?.ok_or_else(|| no_branch(&step.target))?;
    prepare_on(work, step, branch).await
}

async fn prepare_on(work: &Work, step: &Step<'_>, branch: Branch) -> Result<Prepared, GitError> {
    let (files, modes) = work.files(&branch).await?;
    let edited = edit(&files, step.target.path, step.changes)?;
    Ok(Prepared { branch, edited, modes })
}

fn no_branch(target: &Target<'_>) -> GitError {
    GitError::Refused(format!("{} has no branch {}", target.url, target.branch))
}

/// The branch of a Remediation's pull request; that which takes it back has one of its own.
fn branch_of(remediation: &str, is_revert: bool) -> String {
    format!("causeway/{remediation}{}", if is_revert { "-revert" } else { "" })
}

/// Looks for what an earlier try has left there.
async fn proposal(work: &Work, forge: &Forge<'_>, step: &Step<'_>) -> Result<Proposal, GitError> {
    let branch = branch_of(step.remediation, step.reverts.is_some());
    // First, so that nothing is pushed where the API says no.
    let found = forge.find(&branch, step.target.branch).await.map_err(GitError::unseen)?;
    let pushed = look(work, &branch, step.key).await?.map(|(_, commit)| commit.is_some());
    Ok(Proposal { found, pushed })
}

impl Proposal {
    /// What there is of the step already; `odd` is why it could not be made now.
    fn standing(&self, odd: Option<&GitError>) -> Option<Made> {
        let found = self.found.as_ref().filter(|_| self.pushed == Some(true))?;
        let url = found.url.clone();
        match (found.state, odd) {
            (State::Open, Some(GitError::Source(why))) => Some(Made::Conflicting(url, why.to_string())),
            (State::Open, _) => Some(Made::Proposed(url)),
            (State::Merged, _) => Some(Made::Merged(url)),
            (State::Closed, _) => None,
        }
    }

    /// Nobody opens again what somebody has closed.
    fn refuse_closed(&self) -> Result<(), GitError> {
        match &self.found {
            Some(PullRequest { state: State::Closed, url, .. }) => {
                Err(GitError::Refused(format!("{url} was closed without being merged")))
            }
            _ => Ok(()),
        }
    }
}

/// Pushes the commit as a branch of its own and opens the pull request, unless one of them is there.
async fn propose(
    work: &Work,
    forge: &Forge<'_>,
    step: &Step<'_>,
    commit: &str,
    message: &Message<'_>,
    proposal: Proposal,
) -> Result<Made, GitError> {
    let branch = branch_of(step.remediation, step.reverts.is_some());
    proposal.refuse_closed()?;
    match proposal.pushed {
        Some(true) => {}
        Some(false) => {
            let message = format!("the branch {branch} is there already, and is not of this step");
            return Err(GitError::Refused(message));
        }
        None => {
            if work.push(commit, &branch, true).await? == Pushed::Raced {
                return Err(GitError::Unclear(format!("somebody else makes the branch {branch}")));
            }
        }
    }
    let found = match proposal.found {
        Some(found) => found,
        None => forge.open(&branch, step.target.branch, &message.subject(), &message.text()).await?,
    };
    Ok(Made::Proposed(found.url))
}

/// What comes of a step whose files have other values by now, and that nothing stands of.
async fn odd(
    forge: Option<&Forge<'_>>,
    step: &Step<'_>,
    proposal: Proposal,
    why: Refusal,
) -> Result<Made, GitError> {
    if let (Some(forge), Some(_)) = (forge, step.reverts)
        && let Some(withdrawn) = withdraw(forge, step).await?
    {
        return Ok(withdrawn);
    }
    proposal.refuse_closed()?;
    Err(why.into())
}

/// Closes the pull request of what is taken back, if nothing of it was merged.
async fn withdraw(forge: &Forge<'_>, step: &Step<'_>) -> Result<Option<Made>, GitError> {
    let branch = branch_of(step.remediation, false);
    let found = forge.find(&branch, step.target.branch).await.map_err(GitError::unseen)?;
    let Some(found) = found.filter(|found| found.state != State::Merged) else { return Ok(None) };
    if found.state == State::Open {
        forge.close(&found).await?;
    }
    Ok(Some(Made::Withdrawn(found.url)))
}

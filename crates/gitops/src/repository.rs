//! What a step needs of a repository: its files, its last commits, a new commit, a push. Nothing is checked out.

use std::ffi::OsStr;

use causeway_manifests::{Files, IDEMPOTENCY_TRAILER, has_trailer};
use jiff::Timestamp;

use crate::error::GitError;
use crate::work::Work;

/// Commits that are looked through for a trailer.
const DEPTH: &str = "--depth=64";
/// Largest file that is read, in bytes.
const FILE: u64 = 1 << 20;
/// Most files and bytes that are read.
const ALL: (usize, u64) = (20_000, 64 << 20);
/// Who commits.
const AUTHOR: (&str, &str) = ("Causeway", "noreply@causeway.dev");

/// A branch as it was fetched.
pub(crate) struct Branch {
    /// Its newest commit.
    pub(crate) head: String,
}

/// What came of a push.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    Done,
    /// Somebody else was faster.
    Raced,
}

impl Work {
    /// Fetches a branch; `None` if there is none of this name.
    pub(crate) async fn fetch(&self, branch: &str) -> Result<Option<Branch>, GitError> {
        let reference = format!("+refs/heads/{branch}:refs/heads/{branch}");
        let url = self.url.as_str();
        let arguments =
            ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", DEPTH, "--", url, reference.as_str()];
        match self.attempt(&arguments, b"", &[]).await? {
            (_, None) => {}
            (_, Some(failure)) if failure.is_missing_branch() => return Ok(None),
            (_, Some(failure)) => return Err(failure.into()),
        }
        let name = format!("refs/heads/{branch}^{{commit}}");
        let head = self
            .run(&["rev-parse", "--verify", "--quiet", "--end-of-options", name.as_str()], b"", &[])
            .await?;
        Ok(Some(Branch { head: text(head).trim().to_owned() }))
    }

    /// The newest commit with this key among the last ones.
    pub(crate) async fn commit_with(&self, branch: &Branch, key: &str) -> Result<Option<String>, GitError> {
        let log = self.run(&["log", "-z", "--format=%H%n%B", branch.head.as_str(), "--"], b"", &[]).await?;
        let log = text(log);
        let found = log.split('\0').filter_map(|entry| entry.split_once('\n'));
        let mut found = found.filter(|(_, message)| has_trailer(message, IDEMPOTENCY_TRAILER, key));
        Ok(found.next().map(|(commit, _)| commit.trim().to_owned()))
    }

    /// The manifests of a branch, and the mode of each.
    pub(crate) async fn files(&self, branch: &Branch) -> Result<(Files, Vec<(String, String)>), GitError> {
        let listed = self
            .run(&["ls-tree", "-r", "-z", "--long", "--full-tree", branch.head.as_str()], b"", &[])
            .await?;
        let listed = text(listed);
        let (mut wanted, mut bytes) = (Vec::new(), 0);
        for entry in listed.split('\0') {
            let Some((attributes, path)) = entry.split_once('\t') else { continue };
            let mut words = attributes.split_whitespace();
            let (Some(mode), Some("blob"), Some(blob), Some(size)) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                continue;
            };
            // Links are not followed.
            let is_file = mode == "100644" || mode == "100755";
            let size: u64 = size.parse().unwrap_or(u64::MAX);
            if is_file && is_manifest(path) && size <= FILE {
                bytes += size;
                wanted.push((path.to_owned(), mode.to_owned(), blob.to_owned()));
            }
        }
        if wanted.len() > ALL.0 || bytes > ALL.1 {
            return Err(GitError::Refused(format!(
                "the repository has {} manifests of {} MiB, at most {} of {} MiB are read",
                wanted.len(),
                bytes >> 20,
                ALL.0,
                ALL.1 >> 20
            )));
        }
        let asked: String = wanted.iter().map(|(_, _, blob)| format!("{blob}\n")).collect();
        let answer = self.run(&["cat-file", "--batch"], asked.as_bytes(), &[]).await?;
        let (mut files, mut modes, mut rest) = (Files::new(), Vec::new(), answer.as_slice());
        for (path, mode, _) in wanted {
            let odd = || GitError::Unclear("git cat-file answered in another form".to_owned());
            let end = rest.iter().position(|b| *b == b'\n').ok_or_else(odd)?;
            let head = String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned();
            let size: usize = head.rsplit(' ').next().and_then(|size| size.parse().ok()).ok_or_else(odd)?;
            let content = rest.get(end + 1..end + 1 + size).ok_or_else(odd)?;
            // What is no text is no manifest.
            if let Ok(content) = String::from_utf8(content.to_vec()) {
                modes.push((path.clone(), mode));
                files.insert(path, content);
            }
            rest = rest.get(end + 2 + size..).unwrap_or_default();
        }
        Ok((files, modes))
    }

    /// Makes a commit on top of a branch, equal for equal content and time.
    pub(crate) async fn commit(
        &self,
        branch: &Branch,
        changed: &Files,
        modes: &[(String, String)],
        message: &str,
        at: Timestamp,
    ) -> Result<String, GitError> {
        let index = self.path("index");
        let own_index = [("GIT_INDEX_FILE", index.as_os_str())];
        self.run(&["read-tree", branch.head.as_str()], b"", &own_index).await?;
        let mut entries = Vec::new();
        for (path, content) in changed {
            let blob = text(self.run(&["hash-object", "-w", "--stdin"], content.as_bytes(), &[]).await?);
            let mode =
                modes.iter().find(|(known, _)| known == path).map_or("100644", |(_, mode)| mode.as_str());
            entries.extend_from_slice(format!("{mode} {}\t{path}\0", blob.trim()).as_bytes());
        }
        self.run(&["update-index", "-z", "--index-info"], &entries, &own_index).await?;
        let tree = text(self.run(&["write-tree"], b"", &own_index).await?);
        let date = format!("@{} +0000", at.as_second());
        let (name, mail) = AUTHOR;
        let identity: Vec<(&str, &OsStr)> = vec![
            ("GIT_AUTHOR_NAME", name.as_ref()),
            ("GIT_AUTHOR_EMAIL", mail.as_ref()),
            ("GIT_AUTHOR_DATE", date.as_ref()),
            ("GIT_COMMITTER_NAME", name.as_ref()),
            ("GIT_COMMITTER_EMAIL", mail.as_ref()),
            ("GIT_COMMITTER_DATE", date.as_ref()),
        ];
        let arguments = ["commit-tree", tree.trim(), "-p", branch.head.as_str(), "-F", "-"];
        let commit = self.run(&arguments, message.as_bytes(), &identity).await?;
        Ok(text(commit).trim().to_owned())
    }

    /// Pushes a commit as the head of a branch that stands where it was fetched, or, with `is_new`, of one that is not there.
    ///
    /// # Errors
    /// The server says no, or does not answer.
    pub(crate) async fn push(&self, commit: &str, branch: &str, is_new: bool) -> Result<Pushed, GitError> {
        let refspec = format!("{commit}:refs/heads/{branch}");
        let absent = format!("--force-with-lease=refs/heads/{branch}:");
        let url = self.url.as_str();
        let mut arguments = vec!["push", "--porcelain", "--no-verify"];
        if is_new {
            arguments.push(&absent);
        }
        arguments.extend(["--", url, refspec.as_str()]);
        let (answer, failure) = self.attempt(&arguments, b"", &[]).await?;
        let Some(failure) = failure else { return Ok(Pushed::Done) };
        let answer = text(answer);
        // No word about the branch: the connection failed, or the server let nobody in.
        let Some(line) = answer.lines().find(|line| line.starts_with('!')) else {
            return Err(failure.into());
        };
        judged(line, branch)
    }
}

/// What came of a push, by the line that the porcelain format has for a branch that failed.
fn judged(line: &str, branch: &str) -> Result<Pushed, GitError> {
    let raced = ["fetch first", "non-fast-forward", "stale info", "cannot lock ref", "failed to update ref"];
    if raced.iter().any(|word| line.contains(word)) {
        return Ok(Pushed::Raced);
    }
    // The connection broke before the server had told what it did.
    if line.contains("[remote failure]") {
        return Err(GitError::Unclear(format!(
            "the server does not say whether it took the push to {branch}"
        )));
    }
    let why = causeway_actions::diff::printable(line.rsplit('\t').next().unwrap_or(line));
    Err(GitError::Refused(format!("the server does not take the push to {branch}: {why}")))
}

fn is_manifest(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == "Kustomization" || [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_refused_only_where_the_server_says_so() {
        for (said, want) in [
            ("[rejected] (fetch first)", "Raced"),
            ("[rejected] (stale info)", "Raced"),
            ("[remote rejected] (failed to update ref)", "Raced"),
            ("[remote rejected] (pre-receive hook declined)", "Refused"),
            ("[remote failure] (remote failed to report status)", "Unclear"),
        ] {
            let judged = judged(&format!("!\t1234:refs/heads/main\t{said}"), "main");
            assert_eq!(judged.map_or_else(|error| error.category(), |_| "Raced"), want, "{said}");
        }
    }
}

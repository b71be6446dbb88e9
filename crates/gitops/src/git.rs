//! The program `git`, run for one repository: typed arguments, no shell, nothing of the machine's configuration.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::credentials::Credentials;
use crate::error::GitError;

/// How `git` is run.
#[derive(Debug, Clone)]
pub struct Git {
    /// The program.
    pub program: PathBuf,
    /// Schemes of URLs that may be used.
    pub protocols: Vec<String>,
    /// Longest run of one command.
    pub timeout: Duration,
}

impl Default for Git {
    /// `git` of the PATH, HTTPS and SSH only, a minute for a command.
    fn default() -> Self {
        Self {
            program: PathBuf::from("git"),
            protocols: vec!["https".to_owned(), "ssh".to_owned()],
            timeout: Duration::from_secs(60),
        }
    }
}

impl Git {
    /// Checks what a policy says of a repository before anything is run.
    ///
    /// # Errors
    /// A URL with another scheme or with credentials in it, a name that is no branch, a Secret that lacks a key.
    pub(crate) fn check(&self, url: &str, branch: &str, credentials: &Credentials) -> Result<Url, GitError> {
        let parsed =
            Url::parse(url).map_err(|why| GitError::Refused(format!("spec.gitOps.url is no URL: {why}")))?;
        let scheme = parsed.scheme();
        if !self.protocols.iter().any(|allowed| allowed == scheme) {
            return Err(GitError::Refused(format!(
                "spec.gitOps.url begins with {scheme}://, allowed is {} (executor, --git-protocols)",
                self.protocols.join(", ")
            )));
        }
        let has_name = scheme != "ssh" && !parsed.username().is_empty();
        if has_name || parsed.password().is_some() {
            return Err(GitError::Refused(
                "spec.gitOps.url holds credentials: put them into its Secret".to_owned(),
            ));
        }
        if !is_branch(branch) {
            return Err(GitError::Refused(format!("spec.gitOps.branch {branch:?} is no name of a branch")));
        }
        if credentials.authorities().is_some_and(|pem| !pem.contains("-----BEGIN CERTIFICATE-----")) {
            return Err(GitError::Refused("ca.crt of the Secret holds no certificate in PEM".to_owned()));
        }
        match credentials.missing(scheme) {
            Some(key) => {
                Err(GitError::Refused(format!("the Secret of spec.gitOps.secretRef has no key {key}")))
            }
            None => Ok(parsed),
        }
    }
}

/// A name that `git` takes for a branch and that can't be taken for an option.
fn is_branch(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(fine)
        && name.len() <= 200
        && !name.contains("..")
        && !name.contains("//")
        && !name.ends_with(['/', '.'])
        && name.split('/').all(|part| !part.starts_with('.') && !part.ends_with(".lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_urls_and_branches_pass() {
        let check = |url: &str, branch: &str| {
            Git::default()
                .check(url, branch, &Credentials::default())
                .map(|url| url.to_string())
                .map_err(|e| e.to_string())
        };
        assert!(check("https://git.example.com/shop/apps.git", "main").is_ok());
        for (url, branch, begins) in [
            ("file:///etc", "main", "spec.gitOps.url begins with file://"),
            ("http://git.example.com/a", "main", "spec.gitOps.url begins with http://"),
            ("ext::sh -c id", "main", "spec.gitOps.url begins with ext://"),
            ("https://me:pw@git.example.com/a", "main", "spec.gitOps.url holds credentials"),
            ("https://token@git.example.com/a", "main", "spec.gitOps.url holds credentials"),
            ("git@git.example.com:a", "main", "spec.gitOps.url is no URL"),
            (
                "ssh://git@git.example.com/a",
                "main",
                "the Secret of spec.gitOps.secretRef has no key identity",
            ),
            ("https://git.example.com/a", "--upload-pack=x", "spec.gitOps.branch"),
            ("https://git.example.com/a", "a..b", "spec.gitOps.branch"),
            ("https://git.example.com/a", "main:other", "spec.gitOps.branch"),
            ("https://git.example.com/a", "x.lock", "spec.gitOps.branch"),
            ("https://git.example.com/a", "", "spec.gitOps.branch"),
        ] {
            let message = check(url, branch).unwrap_err();
            assert!(message.starts_with(begins), "{url} {branch}: {message}");
        }
    }
}

//! What a command that failed has said: in one line, with what to do where that is known, and whether to try again.

use causeway_actions::diff::printable;

use crate::error::GitError;

/// Longest text that is passed on, in characters.
const LONGEST: usize = 400;
/// What a command says, and what it means for who wrote the Secret. None of it passes by itself.
const MEANINGS: [(&str, &str); 9] = [
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "the server shows another host key than known_hosts of the Secret has: it was changed, or somebody stands in between",
    ),
    (
        "host key is known for",
        "known_hosts of the Secret has no key of this server: add the line that ssh-keyscan prints, once you have checked it",
    ),
    (
        "Host key verification failed",
        "the host key of the server is not the one in known_hosts of the Secret",
    ),
    ("Load key", "identity of the Secret is no private key that ssh can use without a passphrase"),
    ("Permission denied (", "the server does not let in the key that identity of the Secret holds"),
    (
        "certificate verification failed",
        "the certificate of the server is not of a known authority: put that authority's certificate into ca.crt of the Secret",
    ),
    (
        "SSL certificate problem",
        "the certificate of the server is not of a known authority: put that authority's certificate into ca.crt of the Secret",
    ),
    ("error setting certificate", "ca.crt of the Secret holds no certificate in PEM"),
    ("error reading ca cert file", "ca.crt of the Secret holds no certificate in PEM"),
];
/// What else a command says when trying again does not help.
const FINAL: [&str; 10] = [
    "Authentication failed",
    "could not read Username",
    "could not read Password",
    "Permission denied",
    "Repository not found",
    "not found",
    "couldn't find remote ref",
    "does not appear to be a git repository",
    "The requested URL returned error: 403",
    "transport '",
];

/// Why a command failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// For people.
    pub(crate) message: String,
    /// Whether it fails again if nothing is changed.
    is_final: bool,
}

impl Failure {
    /// Reads what `git VERB` has written to its standard error.
    pub(crate) fn of(verb: &str, said: &str) -> Self {
        let meaning = MEANINGS.iter().find(|(text, _)| said.contains(text)).map(|(_, meaning)| *meaning);
        let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or("no reason given");
        let told = match (meaning, lines.next_back()) {
            (Some(meaning), _) => meaning.to_owned(),
            (None, Some(last)) => format!("{first}; {last}"),
            (None, None) => first.to_owned(),
        };
        Self {
            message: format!("git {verb}: {}", printable(&told).chars().take(LONGEST).collect::<String>()),
            is_final: meaning.is_some() || FINAL.iter().any(|text| said.contains(text)),
        }
    }

    /// Whether a branch that was asked for is not there.
    pub(crate) fn is_missing_branch(&self) -> bool {
        self.message.contains("couldn't find remote ref")
    }
}

impl From<Failure> for GitError {
    fn from(failure: Failure) -> Self {
        if failure.is_final { Self::Refused(failure.message) } else { Self::Unclear(failure.message) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_to_do_where_that_is_known() {
        let changed = "@@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@@@\n\
            Host key verification failed.\nfatal: Could not read from remote repository.\n\nand the repository exists.\n";
        let failure = Failure::of("fetch", changed);
        assert!(failure.is_final);
        assert!(
            failure.message.starts_with("git fetch: the server shows another host key"),
            "{}",
            failure.message
        );
        let tls =
            "fatal: unable to access 'https://git/': server certificate verification failed. CAfile: none";
        assert!(Failure::of("fetch", tls).message.contains("into ca.crt of the Secret"));
    }

    #[test]
    fn else_it_repeats_the_first_and_the_last_line() {
        let down = "ssh: connect to host git port 22: Connection refused\n\nfatal: Could not read from remote repository.\n";
        let failure = Failure::of("push", down);
        assert_eq!(
            failure.message,
            "git push: ssh: connect to host git port 22: Connection refused; fatal: Could not read from remote repository."
        );
        assert!(matches!(GitError::from(failure), GitError::Unclear(_)));
        assert_eq!(Failure::of("push", "").message, "git push: no reason given");
        let refused = Failure::of("fetch", "fatal: Authentication failed for 'https://git/'\n");
        assert!(matches!(GitError::from(refused), GitError::Refused(_)));
        assert!(Failure::of("fetch", "fatal: couldn't find remote ref refs/heads/x").is_missing_branch());
        let long = Failure::of("fetch", &"x\u{1b}".repeat(500));
        assert!(long.message.chars().count() < 420 && !long.message.contains('\u{1b}'));
    }
}

//! What a command that failed has said: in one line, with what to do where that is known, and whether to try again.

use causeway_actions::diff::printable;

use crate::error::GitError;

/// Longest text that is passed on, in characters.
const LONGEST: usize = 400;
/// What a command says, and what it means for who wrote the Secret. None of it passes by itself.
const MEANINGS: [(&str, &str); 10] = [
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
    (
        "The requested URL returned error: 30",
        "redirects are not followed: set spec.gitOps.url to where the repository is now",
    ),
];
/// What else a command says when nobody is let in.
const LOCKED_OUT: [&str; 4] = [
    "Authentication failed",
    "could not read Username",
    "could not read Password",
    "The requested URL returned error: 403",
];
const MISSING_BRANCH: &str = "couldn't find remote ref";
/// What else a command that changes nothing says when trying again does not help.
const FINAL: [&str; 5] = [
    "Permission denied",
    "Repository not found",
    MISSING_BRANCH,
    "does not appear to be a git repository",
    "transport '",
];

/// Why a command failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// For people.
    pub(crate) message: String,
    /// Whether it fails again if nothing is changed.
    is_final: bool,
    is_missing_branch: bool,
}

/// Whether `git` says that the server has no such repository.
fn is_no_repository(line: &str) -> bool {
    line.split_once("repository '").is_some_and(|(_, rest)| rest.ends_with("' not found"))
}

impl Failure {
    /// Reads what `git VERB` has written to its standard error. What hooks and programs of the server say is told, and means
    /// nothing.
    pub(crate) fn of(verb: &str, said: &str) -> Self {
        let own: Vec<&str> =
            said.lines().map(str::trim).filter(|line| !line.starts_with("remote:")).collect();
        let says = |text: &str| own.iter().any(|line| line.contains(text));
        let meaning = MEANINGS.iter().find(|(text, _)| says(text)).map(|(_, meaning)| *meaning);
        // A push that was let in may have arrived, whatever is said afterwards.
        let is_final = meaning.is_some()
            || LOCKED_OUT.iter().any(|text| says(text))
            || (verb != "push"
                && (FINAL.iter().any(|text| says(text)) || own.iter().any(|line| is_no_repository(line))));
        let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
        let first = lines.next().unwrap_or("no reason given");
        let told = match (meaning, lines.next_back()) {
            (Some(meaning), _) => meaning.to_owned(),
            (None, Some(last)) => format!("{first}; {last}"),
            (None, None) => first.to_owned(),
        };
        Self {
            message: format!("git {verb}: {}", printable(&told).chars().take(LONGEST).collect::<String>()),
            is_final,
            is_missing_branch: says(MISSING_BRANCH),
        }
    }

    /// Whether a branch that was asked for is not there.
    pub(crate) fn is_missing_branch(&self) -> bool {
        self.is_missing_branch
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
    fn only_what_git_says_itself_is_final_and_after_a_push_only_that_nobody_was_let_in() {
        let hung_up = "fatal: the remote end hung up unexpectedly";
        for (said, fetch, push) in [
            ("fatal: Authentication failed for 'https://git/'", true, true),
            ("fatal: could not read Username for 'https://git': terminal prompts disabled", true, true),
            ("fatal: could not read Password for 'https://a@git': terminal prompts disabled", true, true),
            ("fatal: unable to access 'https://git/': The requested URL returned error: 403", true, true),
            ("fatal: unable to access 'https://git/': The requested URL returned error: 301", true, true),
            ("git@git: Permission denied (publickey).", true, true),
            ("Host key verification failed.", true, true),
            ("ERROR: Repository not found.", true, false),
            ("remote: Not Found\nfatal: repository 'https://git/shop/apps.git/' not found", true, false),
            ("fatal: 'shop' does not appear to be a git repository", true, false),
            ("fatal: couldn't find remote ref refs/heads/x", true, false),
            ("fatal: transport 'file' not allowed", true, false),
            ("sh: jq: command not found", false, false),
            ("/etc/profile: Permission denied", true, false),
            ("remote: jq: command not found", false, false),
            ("remote: repository 'a' not found", false, false),
            ("remote: Permission denied (publickey).", false, false),
            ("remote: Authentication failed for 'https://git/'", false, false),
            ("remote: fatal: couldn't find remote ref refs/heads/x", false, false),
            ("fatal: unable to access 'https://git/': The requested URL returned error: 502", false, false),
            ("error: RPC failed; curl 56 Recv failure: Connection reset by peer", false, false),
        ] {
            let said = format!("{said}\n{hung_up}\n");
            assert_eq!(Failure::of("fetch", &said).is_final, fetch, "fetch: {said}");
            assert_eq!(Failure::of("push", &said).is_final, push, "push: {said}");
        }
        let hook = Failure::of("fetch", "remote: couldn't find remote ref refs/heads/x\nfatal: hung up");
        assert!(!hook.is_missing_branch());
        assert_eq!(hook.message, "git fetch: remote: couldn't find remote ref refs/heads/x; fatal: hung up");
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

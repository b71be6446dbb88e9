//! A folder of its own for one step, and commands in it.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use url::Url;

use crate::credentials::Credentials;
use crate::error::GitError;
use crate::failure::Failure;
use crate::git::Git;

/// Most that a command may answer, in bytes.
const ANSWER: u64 = 128 << 20;
/// Most that it may say of errors, in bytes.
const SAID: u64 = 1 << 20;

/// A bare repository in a folder that goes when this is dropped.
pub(crate) struct Work {
    git: Git,
    pub(crate) url: Url,
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Work {
    pub(crate) async fn begin(git: &Git, url: Url, credentials: &Credentials) -> Result<Self, GitError> {
        let io = |error: std::io::Error| GitError::Unclear(format!("cannot make a folder for git: {error}"));
        let folder = tempfile::Builder::new().prefix("causeway-git-").tempdir().map_err(io)?;
        let home = folder.path().join("home");
        std::fs::create_dir(&home).map_err(io)?;
        let mut variables = credentials.lay_out(&home).map_err(io)?;
        variables.push(("HOME", home.to_string_lossy().into_owned()));
        let work = Self { git: git.clone(), url, folder, variables };
        work.run(&["init", "--quiet", "--bare", "--template=", "."], b"", &[]).await?;
        Ok(work)
    }

    /// A path within the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs one command to its end; what it wrote.
    ///
    /// # Errors
    /// It said no, or did not end in time.
    pub(crate) async fn run(
        &self,
        arguments: &[&str],
        input: &[u8],
        more: &[(&str, &OsStr)],
    ) -> Result<Vec<u8>, GitError> {
        let (answer, failure) = self.attempt(arguments, input, more).await?;
        failure.map_or(Ok(answer), |failure| Err(failure.into()))
    }

    /// Runs one command to its end: what it wrote, and why it failed if it did.
    pub(crate) async fn attempt(
        &self,
        arguments: &[&str],
        input: &[u8],
        more: &[(&str, &OsStr)],
    ) -> Result<(Vec<u8>, Option<Failure>), GitError> {
        let verb = arguments.first().copied().unwrap_or_default();
        let mut command = Command::new(&self.git.program);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
            .env("LC_ALL", "C")
            .env("GIT_DIR", self.folder.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", self.git.protocols.join(":"))
            .envs(settings())
            .envs(self.variables.iter().map(|(name, value)| (*name, value.as_str())))
            .envs(more.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let missing = |error: std::io::Error| {
            GitError::Refused(format!(
                "cannot run {}: {error}; the executor's image needs git",
                self.git.program.display()
            ))
        };
        let mut child = command.spawn().map_err(missing)?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async {
            if let Some(mut stdin) = stdin {
                // Who stops reading has said why.
                drop(stdin.write_all(input).await);
                drop(stdin.shutdown().await);
            }
            Ok(())
        };
        let all = async {
            let ((), answer, said) =
                tokio::try_join!(feed, read(stdout, ANSWER, verb), read(stderr, SAID, verb))?;
            let status = child.wait().await.map_err(|error| lost(verb, &error))?;
            Ok::<_, GitError>((status, answer, said))
        };
        let ended = tokio::time::timeout(self.git.timeout, all).await.unwrap_or_else(|_| {
            Err(GitError::Unclear(format!("git {verb} did not end within {:?}", self.git.timeout)))
        });
        let (status, answer, said) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                // Who writes too much, or never ends, is not waited for, and is gone before the folder is.
                drop(child.kill().await);
                return Err(error);
            }
        };
        let failure = (!status.success()).then(|| Failure::of(verb, &String::from_utf8_lossy(&said)));
        Ok((answer, failure))
    }
}

fn lost(verb: &str, error: &std::io::Error) -> GitError {
    GitError::Unclear(format!("git {verb}: {error}"))
}

/// What a command writes into one of its pipes, until the end.
///
/// # Errors
/// It is more than `most` bytes.
async fn read(pipe: Option<impl AsyncRead + Unpin>, most: u64, verb: &str) -> Result<Vec<u8>, GitError> {
    let mut bytes = Vec::new();
    let Some(pipe) = pipe else { return Ok(bytes) };
    pipe.take(most + 1).read_to_end(&mut bytes).await.map_err(|error| lost(verb, &error))?;
    if bytes.len() as u64 <= most {
        return Ok(bytes);
    }
    let message = format!("git {verb} wrote more than {} MiB", most >> 20);
    // What is pushed may have arrived before the server has said so much.
    Err(if verb == "push" { GitError::Unclear(message) } else { GitError::Refused(message) })
}

/// Settings that hold for every command: no redirect with credentials, no hook, no helper.
fn settings() -> Vec<(String, String)> {
    const ALL: [(&str, &str); 9] = [
        ("http.followRedirects", "false"),
        ("http.lowSpeedLimit", "1000"),
        ("http.lowSpeedTime", "30"),
        ("core.hooksPath", "/dev/null"),
        ("credential.helper", ""),
        ("core.fsmonitor", "false"),
        ("gc.auto", "0"),
        ("fetch.recurseSubmodules", "false"),
        ("push.recurseSubmodules", "no"),
    ];
    let mut variables = vec![("GIT_CONFIG_COUNT".to_owned(), ALL.len().to_string())];
    for (index, (key, value)) in ALL.iter().enumerate() {
        variables.push((format!("GIT_CONFIG_KEY_{index}"), (*key).to_owned()));
        variables.push((format!("GIT_CONFIG_VALUE_{index}"), (*value).to_owned()));
    }
    variables
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn what_a_command_writes_is_bounded() {
        let endless = |verb| read(Some(tokio::io::repeat(b'x')), SAID, verb);
        let refused = endless("fetch").await.unwrap_err();
        assert!(matches!(&refused, GitError::Refused(_)), "{refused}");
        assert_eq!(refused.to_string(), "git fetch wrote more than 1 MiB");
        // It may have arrived.
        assert!(matches!(endless("push").await.unwrap_err(), GitError::Unclear(_)));
        assert_eq!(read(Some([b'x'; 8].as_slice()), 8, "fetch").await.unwrap().len(), 8);
        assert!(read(Some([b'x'; 9].as_slice()), 8, "fetch").await.is_err());
    }

    /// A `git` that makes its folder, and then notes its process and does this.
    async fn fake(script: &str, timeout: Duration) -> (Work, TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("git");
        let script =
            format!("#!/bin/sh\n[ \"$1\" = init ] && exit 0\necho $$ >>\"$GIT_DIR/processes\"\n{script}\n");
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let git = Git { program, timeout, ..Git::default() };
        let url = Url::parse("https://git.example.com/a").unwrap();
        (Work::begin(&git, url, &Credentials::default()).await.unwrap(), folder)
    }

    /// The state of a process, as a letter; nothing if there is none.
    fn state(process: &str) -> Option<char> {
        let status = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        status.rsplit_once(") ")?.1.chars().next()
    }

    #[tokio::test]
    async fn a_command_that_writes_too_much_or_never_ends_is_gone() {
        let (long, short) = (Duration::from_secs(600), Duration::from_millis(300));
        for (script, timeout, says) in [
            ("exec yes >&2", long, "git fetch wrote more than 1 MiB"),
            ("exec yes", long, "git fetch wrote more than 128 MiB"),
            ("exec tail -f /dev/null", short, "git fetch did not end within 300ms"),
            // What git starts for it ends with the pipe that it writes into.
            ("yes >&2 &\necho $! >>\"$GIT_DIR/processes\"\nwait", long, "git fetch wrote more than 1 MiB"),
        ] {
            let (work, _folder) = fake(script, timeout).await;
            let error = work.run(&["fetch"], b"", &[]).await.unwrap_err();
            assert_eq!(error.to_string(), says);
            let processes = std::fs::read_to_string(work.path("processes")).unwrap();
            let mut processes = processes.lines();
            let own = processes.next().unwrap();
            assert_eq!(state(own), None, "{script}: git is there, or a zombie");
            for started in processes {
                // Whoever adopted it may not have looked yet.
                while state(started).is_some_and(|state| state != 'Z') {
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}

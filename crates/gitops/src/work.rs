//! A folder of its own for one step, and commands in it.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use url::Url;

use crate::credentials::Credentials;
use crate::error::GitError;
use crate::failure::Failure;
use crate::git::Git;

/// Most that a command may answer.
const ANSWER: usize = 128 << 20;
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
        let mut stdin = child.stdin.take();
        let feed = async {
            if let Some(mut stdin) = stdin.take() {
                // Who stops reading has said why.
                drop(stdin.write_all(input).await);
                drop(stdin.shutdown().await);
            }
        };
        let both = async { tokio::join!(feed, child.wait_with_output()).1 };
        let output = match tokio::time::timeout(self.git.timeout, both).await {
            Ok(Ok(output)) => output,
            Ok(Err(error)) => return Err(GitError::Unclear(format!("git {verb}: {error}"))),
            Err(_) => {
                let seconds = self.git.timeout.as_secs();
                return Err(GitError::Unclear(format!("git {verb} did not end within {seconds} s")));
            }
        };
        if output.stdout.len() > ANSWER {
            return Err(GitError::Refused(format!("git {verb} answered more than {} MiB", ANSWER >> 20)));
        }
        if output.status.success() {
            return Ok((output.stdout, None));
        }
        let failure = Failure::of(verb, &String::from_utf8_lossy(&output.stderr));
        Ok((output.stdout, Some(failure)))
    }
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

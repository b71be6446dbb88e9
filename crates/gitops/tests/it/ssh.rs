//! Steps over SSH: the program `ssh` against a real server that lets in one key.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use causeway_gitops::{Credentials, GitError, Made, Mode, Provider};
use serde_json::Value;

use crate::server::PASSWORD;
use crate::{WEB, World};

/// The server; it ends with its standard input.
struct Ssh {
    process: Child,
    input: Option<ChildStdin>,
    address: String,
    host_key: String,
}

impl Drop for Ssh {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.process.wait());
    }
}

impl Ssh {
    /// Serves the repositories below `root` to who has the key.
    fn start(program: &std::ffi::OsStr, root: &Path, authorized: &Path) -> Self {
        let mut process = Command::new(program)
            .arg("-root")
            .arg(root)
            .arg("-authorized")
            .arg(authorized)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let text = |key: &str| ready[key].as_str().unwrap().to_owned();
        let input = process.stdin.take();
        Self { process, input, address: text("address"), host_key: text("hostKey") }
    }

    /// The line of known_hosts.
    fn known(&self) -> String {
        let port = self.address.rsplit(':').next().unwrap();
        format!("[127.0.0.1]:{port} {}\n", self.host_key)
    }
}

/// A world whose repository is reached over SSH.
struct Over {
    world: World,
    ssh: Ssh,
    identity: String,
}

impl Over {
    /// Nothing where the server was not built.
    async fn ssh() -> Option<Self> {
        let Some(program) = std::env::var_os("CAUSEWAY_GIT_OVER_SSH") else {
            let text =
                "not run: Git over SSH; CAUSEWAY_GIT_OVER_SSH is not set (`cargo xtask test` sets it)\n";
            std::io::stderr().write_all(text.as_bytes()).unwrap();
            return None;
        };
        let mut world = World::new().await;
        let root = world.server.root.path().to_owned();
        let identity = key(&root, "identity");
        let ssh = Ssh::start(&program, &root, &root.join("identity.pub"));
        world.repository.url = format!("ssh://git@{}/shop/apps.git", ssh.address);
        Some(Self { world, ssh, identity })
    }

    fn credentials(&self, change: impl Fn(&mut Vec<(&'static str, String)>)) -> Credentials {
        let mut data = vec![
            ("identity", self.identity.clone()),
            ("known_hosts", self.ssh.known()),
            ("password", PASSWORD.to_owned()),
        ];
        change(&mut data);
        let data = data.into_iter().map(|(key, value)| (key.to_owned(), value.into_bytes()));
        Credentials::from_secret(&data.collect())
    }

    async fn make(&self, is_back: bool) -> Result<Made, GitError> {
        let http = reqwest::Client::new();
        self.world.git.make(&self.credentials(|_| ()), &http, &self.world.step(is_back), None).await
    }

    async fn refused(&self, change: impl Fn(&mut Vec<(&'static str, String)>)) -> String {
        let step = self.world.step(false);
        match self.world.git.rehearse(&self.credentials(change), &step).await {
            Err(GitError::Refused(message)) => message,
            other => panic!("{other:?}"),
        }
    }
}

/// A new private key, and its public half in a file beside it.
fn key(folder: &Path, name: &str) -> String {
    let file = folder.join(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"])
        .arg(&file)
        .status()
        .unwrap();
    assert!(made.success());
    std::fs::read_to_string(file).unwrap()
}

fn set(data: &mut [(&'static str, String)], key: &str, value: &str) {
    data.iter_mut().filter(|(known, _)| *known == key).for_each(|(_, old)| value.clone_into(old));
}

#[tokio::test]
async fn a_commit_is_made_once_and_taken_back() {
    let Some(over) = Over::ssh().await else { return };
    let step = over.world.step(false);
    let shown = over.world.git.rehearse(&over.credentials(|_| ()), &step).await.unwrap();
    assert_eq!(shown, "apps/shop/web.yaml\n-  replicas: 3 # small\n+  replicas: 6 # small\n");
    let Made::Committed(commit) = over.make(false).await.unwrap() else { panic!() };
    assert_eq!(over.world.repository.head("main"), commit);
    assert_eq!(over.make(false).await.unwrap(), Made::Committed(commit));
    assert!(matches!(over.make(true).await.unwrap(), Made::Committed(_)));
    assert_eq!(over.world.web("main"), WEB);
    assert_eq!(over.world.repository.log("main").len(), 3);
}

#[tokio::test]
async fn a_pull_request_is_opened_by_the_api_for_a_branch_that_was_pushed_over_ssh() {
    let Some(mut over) = Over::ssh().await else { return };
    over.world.mode = Mode::PullRequest;
    over.world.provider = Some(Provider::Gitea);
    over.world.api_url = format!("http://{}/api/v1", over.world.server.address);
    let made = over.make(false).await.unwrap();
    assert_eq!(made, Made::Proposed("https://git.example.com/shop/apps/pulls/7".into()));
    assert_eq!(over.world.web("causeway/shop/web-3fa9c1-1"), WEB.replace("3 #", "6 #"));
    assert_eq!(over.world.web("main"), WEB);
    let asked = over.world.server.asked();
    assert!(asked.iter().all(|ask| ask.path.starts_with("/api/v1/repos/shop/apps/pulls")), "{asked:?}");
}

#[tokio::test]
async fn another_host_key_is_refused_and_the_key_is_not_shown_to_it() {
    let Some(over) = Over::ssh().await else { return };
    let root = over.world.server.root.path().to_owned();
    key(&root, "other");
    let other = std::fs::read_to_string(root.join("other.pub")).unwrap();
    let place = over.ssh.known();
    let place = place.split_whitespace().next().unwrap();
    let wrong = over.refused(|data| set(data, "known_hosts", &format!("{place} {other}"))).await;
    assert!(
        wrong.starts_with("git fetch: the server shows another host key than known_hosts of the Secret has"),
        "{wrong}"
    );
    let unknown = over.refused(|data| set(data, "known_hosts", "git.example.com ssh-ed25519 AAAA\n")).await;
    assert!(
        unknown.starts_with("git fetch: known_hosts of the Secret has no key of this server"),
        "{unknown}"
    );
    let missing = over.refused(|data| data.retain(|(key, _)| *key != "known_hosts")).await;
    assert_eq!(missing, "the Secret of spec.gitOps.secretRef has no key known_hosts");
    assert_eq!(over.world.repository.log("main").len(), 1);
}

#[tokio::test]
async fn another_key_is_not_let_in() {
    let Some(over) = Over::ssh().await else { return };
    let other = key(over.world.server.root.path(), "other");
    let message = over.refused(|data| set(data, "identity", &other)).await;
    assert_eq!(message, "git fetch: the server does not let in the key that identity of the Secret holds");
    let message = over.refused(|data| set(data, "identity", "no key")).await;
    assert_eq!(
        message,
        "git fetch: identity of the Secret is no private key that ssh can use without a passphrase"
    );
    let missing = over.refused(|data| data.retain(|(key, _)| *key != "identity")).await;
    assert_eq!(missing, "the Secret of spec.gitOps.secretRef has no key identity");
}

#[tokio::test]
async fn nothing_above_the_root_is_served() {
    let Some(mut over) = Over::ssh().await else { return };
    over.world.repository.url = format!("ssh://git@{}/../../shop/other.git", over.ssh.address);
    let message = over.refused(|_| ()).await;
    assert!(message.contains("does not appear to be a git repository"), "{message}");
}

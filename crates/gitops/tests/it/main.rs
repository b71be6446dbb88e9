//! Steps against real Git servers over HTTP, HTTPS and SSH, and against stand-ins for the APIs of forges.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod server;
mod ssh;
mod tls;

use std::collections::BTreeMap;

use causeway_gitops::{Credentials, Git, GitError, Made, Mode, Provider, Step, Target};
use causeway_manifests::change::{Change, ObjectId, steps};
use serde_json::json;

use crate::server::{PASSWORD, Repository, Server, USER, git};

const WEB: &str =
    "# web\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 3 # small\n";
const KEY: &str = "sha256:forth";
const BACK: &str = "sha256:back";

struct World {
    server: Server,
    repository: Repository,
    git: Git,
    changes: Vec<Change>,
    undo: Vec<Change>,
    mode: Mode,
    provider: Option<Provider>,
    api_url: String,
}

impl World {
    async fn new() -> Self {
        Self::of(Server::start().await)
    }

    fn of(server: Server) -> Self {
        let repository = server.repository(&[("apps/shop/web.yaml", WEB), ("README.md", "apps")]);
        let object = ObjectId {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: "shop".into(),
            name: "web".into(),
        };
        let change = Change {
            object,
            release: None,
            path: steps("/spec/replicas"),
            from: json!(3),
            to: json!(6),
            source: None,
        };
        let undo = Change { from: json!(6), to: json!(3), ..change.clone() };
        let protocols = ["https", "ssh", "http"].map(String::from).to_vec();
        Self {
            server,
            repository,
            git: Git { protocols, ..Git::default() },
            changes: vec![change],
            undo: vec![undo],
            mode: Mode::Commit,
            provider: None,
            api_url: String::new(),
        }
    }

    fn step(&self, is_back: bool) -> Step<'_> {
        Step {
            target: Target {
                url: &self.repository.url,
                branch: "main",
                path: "apps/shop",
                mode: self.mode,
                provider: self.provider,
                api_url: (!self.api_url.is_empty()).then_some(&self.api_url),
            },
            changes: if is_back { &self.undo } else { &self.changes },
            remediation: "shop/web-3fa9c1-1",
            key: if is_back { BACK } else { KEY },
            reverts: is_back.then_some(KEY),
            at: "2026-11-27T20:00:00Z".parse().unwrap(),
        }
    }

    async fn make(&self, is_back: bool) -> Result<Made, GitError> {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        self.git.make(&credentials(PASSWORD), &http, &self.step(is_back), None).await
    }

    async fn rehearse(&self) -> Result<String, GitError> {
        self.git.rehearse(&credentials(PASSWORD), &self.step(false)).await
    }

    fn web(&self, reference: &str) -> String {
        self.repository.read(reference, "apps/shop/web.yaml")
    }
}

fn credentials(password: &str) -> Credentials {
    let data = [("username", USER), ("password", password)];
    Credentials::from_secret(&data.map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec())).into())
}

#[tokio::test]
async fn a_commit_is_made_once_and_taken_back() {
    let world = World::new().await;
    let diff = "apps/shop/web.yaml\n-  replicas: 3 # small\n+  replicas: 6 # small\n";
    assert_eq!(world.rehearse().await.unwrap(), diff);
    assert_eq!(world.repository.log("main").len(), 1, "a rehearsal pushes nothing");
    let Made::Committed(commit) = world.make(false).await.unwrap() else { panic!() };
    assert_eq!(world.repository.head("main"), commit);
    assert_eq!(world.web("main"), WEB.replace("3 #", "6 #"));
    assert_eq!(
        world.repository.log("main")[0],
        "Set /spec/replicas of Deployment/shop/web\n\nDeployment/shop/web: /spec/replicas from 3 to 6\n\n\
         Causeway-Remediation: shop/web-3fa9c1-1\nCauseway-Idempotency-Key: sha256:forth"
    );
    let who = git(
        &world.repository.bare,
        &["log", "-1", "--format=%an <%ae> %ad %cn", "--date=iso-strict", "main"],
    );
    assert_eq!(who.trim(), "Causeway <noreply@causeway.dev> 2026-11-27T20:00:00+00:00 Causeway");
    // A retry after a crash finds it, also when others have gone on.
    assert_eq!(world.make(false).await.unwrap(), Made::Committed(commit.clone()));
    world.repository.push(&[("README.md", "more")], "docs");
    assert_eq!(world.make(false).await.unwrap(), Made::Committed(commit.clone()));
    let Made::Committed(back) = world.make(true).await.unwrap() else { panic!() };
    assert_eq!(world.web("main"), WEB);
    assert!(world.repository.log("main")[0].contains(&format!("This reverts commit {commit}.")));
    assert_eq!(world.make(true).await.unwrap(), Made::Committed(back));
    assert_eq!(world.repository.log("main").len(), 4);
}

#[tokio::test]
async fn equal_steps_make_equal_commits() {
    let (one, other) = (World::new().await, World::new().await);
    // The commits of people have the time of the test: take the same one.
    let (Ok(Made::Committed(a)), Ok(Made::Committed(b))) = (one.make(false).await, other.make(false).await)
    else {
        panic!()
    };
    let show = |world: &World, commit: &str| {
        git(&world.repository.bare, &["show", "--format=%T%n%an%ae%ad%n%cn%ce%cd%n%B", commit])
    };
    assert_eq!(show(&one, &a), show(&other, &b));
}

#[tokio::test]
async fn who_pushes_in_between_is_built_upon() {
    let world = World::new().await;
    // The first push meets a server whose branch has moved since the fetch: a hook moves it, once.
    let script = "#!/bin/sh\nunset GIT_QUARANTINE_PATH GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES\n[ -e moved ] && exit 0\ntouch moved\n\
        export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a\n\
        git update-ref refs/heads/main $(git commit-tree main^{tree} -p main -m other </dev/null)\n";
    world.repository.hook("pre-receive", script);
    let Made::Committed(commit) = world.make(false).await.unwrap() else { panic!() };
    assert_eq!(world.repository.head("main"), commit);
    assert_eq!(world.repository.log("main")[1..], ["other", "begin"]);
    // A server that says no is not asked again.
    world.repository.hook("pre-receive", "#!/bin/sh\necho protected >&2\nexit 1\n");
    let refusal = world.make(true).await.unwrap_err();
    assert!(
        matches!(&refusal, GitError::Refused(message) if message.contains("does not take the push to main")),
        "{refusal}"
    );
}

#[tokio::test]
async fn a_push_whose_answer_is_lost_is_found_by_the_next_try() {
    for (hook, script, says) in [
        // The branch is moved, and the server dies before it has said so.
        (
            "reference-transaction",
            "#!/bin/sh\n[ \"$1\" = committed ] || exit 0\necho 'jq: command not found' >&2\nkill -9 $PPID\n",
            "",
        ),
        (
            "post-receive",
            "#!/bin/sh\nhead -c 2000000 /dev/zero | tr '\\0' 'x' >&2\n",
            "wrote more than 1 MiB",
        ),
    ] {
        let world = World::new().await;
        world.repository.hook(hook, script);
        let unclear = world.make(false).await.unwrap_err();
        assert_eq!(unclear.category(), "Unclear", "{unclear}");
        assert!(unclear.to_string().contains(says), "{unclear}");
        let head = world.repository.head("main");
        assert_eq!(world.make(false).await.unwrap(), Made::Committed(head));
        assert_eq!(world.repository.log("main").len(), 2);
    }
}

#[tokio::test]
async fn redirects_are_not_followed_and_said_before_anything_is_pushed() {
    let world = World { mode: Mode::PullRequest, provider: Some(Provider::GitHub), ..World::new().await };
    let world = World { api_url: format!("http://{}/api/v3", world.server.address), ..world };
    world.server.moves("/api/");
    let moved = world.make(false).await.unwrap_err();
    let says = "answered 301: redirects are not followed, set spec.gitOps.url or spec.gitOps.apiUrl to what is now at \
        https://elsewhere.example.com/api/v3/repos/shop/apps/pulls";
    assert!(moved.to_string().ends_with(says), "{moved}");
    let branches = git(&world.repository.bare, &["branch", "--format=%(refname:short)"]);
    assert_eq!(branches.trim(), "main");
    world.server.moves("/shop/");
    let moved = world.make(false).await.unwrap_err();
    assert!(moved.to_string().contains("set spec.gitOps.url to where the repository is now"), "{moved}");
    assert_eq!(moved.category(), "Unseen");
}

#[tokio::test]
async fn an_api_that_answers_too_much_is_not_read_on() {
    let world = World { mode: Mode::PullRequest, provider: Some(Provider::Gitea), ..World::new().await };
    let world = World { api_url: format!("http://{}/api/v1", world.server.address), ..world };
    world.server.talks();
    let much = world.make(false).await.unwrap_err();
    assert!(much.to_string().ends_with("answered more than 1 MiB"), "{much}");
    assert_eq!(much.category(), "Unclear");
}

#[tokio::test]
async fn what_git_does_not_have_any_more_is_left() {
    let world = World::new().await;
    world.repository.push(&[("apps/shop/web.yaml", &WEB.replace("3 #", "4 #"))], "four");
    assert_eq!(world.make(false).await.unwrap_err().category(), "OtherValue");
    assert_eq!(
        world.rehearse().await.unwrap_err().to_string(),
        "apps/shop/web.yaml:7 has 4, the plan was made on 3"
    );
    world.repository.push(&[("apps/shop/web.yaml", &WEB.replace("3 #", "6 #"))], "six");
    assert_eq!(world.make(false).await.unwrap(), Made::AlreadyThere);
    assert!(world.rehearse().await.unwrap_err().to_string().contains("declares these values already"));
    world.repository.push(&[("apps/shop/web.yaml", WEB)], "three");
    let http = reqwest::Client::new();
    let other = world.git.make(&credentials(PASSWORD), &http, &world.step(false), Some("another diff")).await;
    assert!(other.unwrap_err().to_string().contains("another way than the rehearsal showed"));
    assert_eq!(world.repository.log("main").len(), 4);
}

#[tokio::test]
async fn refusals_name_what_is_wrong_and_no_secret() {
    let world = World::new().await;
    let http = reqwest::Client::new();
    let wrong =
        world.git.make(&credentials("wrong-secret"), &http, &world.step(false), None).await.unwrap_err();
    assert!(
        matches!(&wrong, GitError::Unseen(message) if message.contains("Authentication failed")),
        "{wrong}"
    );
    let rehearsed = world.git.rehearse(&credentials("wrong-secret"), &world.step(false)).await.unwrap_err();
    assert_eq!((rehearsed.category(), rehearsed.to_string()), ("Refused", wrong.to_string()));
    assert!(!wrong.to_string().contains("wrong-secret"));
    let with = |change: &dyn Fn(&mut Target<'_>)| {
        let mut step = world.step(false);
        change(&mut step.target);
        step
    };
    let step = with(&|target| target.branch = "release");
    let missing = world.git.rehearse(&credentials(PASSWORD), &step).await.unwrap_err();
    assert!(missing.to_string().ends_with("has no branch release"), "{missing}");
    let step = with(&|target| target.path = "apps/other");
    let nothing = world.git.rehearse(&credentials(PASSWORD), &step).await.unwrap_err();
    assert_eq!(nothing.to_string(), "nothing in apps/other declares Deployment/shop/web");
    let strict = Git::default().rehearse(&credentials(PASSWORD), &world.step(false)).await.unwrap_err();
    assert!(strict.to_string().contains("begins with http://, allowed is https, ssh"), "{strict}");
    let gone = with(&|target| target.url = "http://127.0.0.1:1/a.git");
    let unclear = world.git.rehearse(&credentials(PASSWORD), &gone).await.unwrap_err();
    assert_eq!(unclear.category(), "Unclear", "{unclear}");
    let none = Credentials::from_secret(&BTreeMap::new());
    let world = World { mode: Mode::PullRequest, provider: Some(Provider::Gitea), ..world };
    let token = world.git.make(&none, &http, &world.step(false), None).await.unwrap_err();
    assert!(token.to_string().contains("pull requests need a token"), "{token}");
}

/// The three APIs: what is sent, in order, and the header that lets it in.
#[tokio::test]
async fn pull_requests_are_opened_once_and_closed() {
    let branch = "causeway/shop/web-3fa9c1-1";
    let title = "Set /spec/replicas of Deployment/shop/web";
    for (provider, root, header, find, pulls) in [
        (
            Provider::GitHub,
            "/api/v3",
            ("authorization", "Bearer let-me-in"),
            "/api/v3/repos/shop/apps/pulls?head=shop%3Acauseway%2Fshop%2Fweb-3fa9c1-1&base=main&state=all&per_page=1",
            "/api/v3/repos/shop/apps/pulls",
        ),
        (
            Provider::Gitea,
            "/api/v1",
            ("authorization", "token let-me-in"),
            "/api/v1/repos/shop/apps/pulls/main/causeway/shop/web-3fa9c1-1",
            "/api/v1/repos/shop/apps/pulls",
        ),
        (
            Provider::GitLab,
            "/api/v4",
            ("private-token", "let-me-in"),
            "/api/v4/projects/shop%2Fapps/merge_requests?source_branch=causeway%2Fshop%2Fweb-3fa9c1-1&target_branch=main&state=all&order_by=created_at&sort=desc&per_page=1",
            "/api/v4/projects/shop%2Fapps/merge_requests",
        ),
    ] {
        let world = World { mode: Mode::PullRequest, provider: Some(provider), ..World::new().await };
        let address = world.server.address;
        let world = World { api_url: format!("http://{address}{root}/"), ..world };
        let first = world.make(false).await.unwrap();
        let Made::Proposed(url) = &first else { panic!("{first:?}") };
        assert!(url.ends_with("/7"), "{url}");
        assert_eq!(world.web("main"), WEB);
        assert_eq!(world.web(branch), WEB.replace("3 #", "6 #"));
        let head = world.repository.head(branch);
        // A retry finds branch and pull request.
        world.repository.push(&[("README.md", "more")], "docs");
        assert_eq!(world.make(false).await.unwrap(), first);
        assert_eq!(world.repository.head(branch), head);
        let asked = world.server.asked();
        let lines: Vec<String> = asked.iter().map(|ask| format!("{} {}", ask.method, ask.path)).collect();
        let (get, post) = (format!("GET {find}"), format!("POST {pulls}"));
        assert_eq!(lines, [get.as_str(), post.as_str(), get.as_str()], "{provider:?}");
        for ask in &asked {
            assert_eq!(ask.headers[header.0], header.1, "{provider:?}");
        }
        let body = &asked[1].body;
        let (from, into, text) = match provider {
            Provider::GitLab => ("source_branch", "target_branch", "description"),
            _ => ("head", "base", "body"),
        };
        assert_eq!(
            (&body["title"], &body[from], &body[into]),
            (&json!(title), &json!(branch), &json!("main"))
        );
        assert!(body[text].as_str().unwrap().contains("Causeway-Remediation: shop/web-3fa9c1-1"));
        // Taken back before it was merged: closed, and no commit.
        assert!(matches!(world.make(true).await.unwrap(), Made::Withdrawn(_)));
        assert_eq!(world.server.state(), Some("closed"));
        let last = world.server.asked().pop().unwrap();
        let (method, closing) = match provider {
            Provider::GitLab => ("PUT", json!({"state_event": "close"})),
            _ => ("PATCH", json!({"state": "closed"})),
        };
        assert_eq!(
            (last.method.as_str(), last.path.as_str(), &last.body),
            (method, format!("{pulls}/7").as_str(), &closing)
        );
        // Closed by somebody: not opened again.
        assert!(
            world.make(false).await.unwrap_err().to_string().ends_with("was closed without being merged")
        );
    }
}

#[tokio::test]
async fn a_merged_pull_request_is_taken_back_by_another() {
    let world = World { mode: Mode::PullRequest, provider: Some(Provider::Gitea), ..World::new().await };
    let world = World { api_url: format!("http://{}/api/v1", world.server.address), ..world };
    world.make(false).await.unwrap();
    world.repository.merge("causeway/shop/web-3fa9c1-1");
    world.server.decide("merged");
    let made = world.make(false).await.unwrap();
    assert!(matches!(made, Made::Committed(_)), "{made:?}");
    // The stand-in knows one pull request: the next one is new.
    let back = world.make(true).await.unwrap();
    assert!(matches!(back, Made::Proposed(_)), "{back:?}");
    let branch = "causeway/shop/web-3fa9c1-1-revert";
    assert_eq!(world.web(branch), WEB);
    assert!(world.repository.log(branch)[0].starts_with("Revert /spec/replicas of Deployment/shop/web"));
    assert_eq!(world.web("main"), WEB.replace("3 #", "6 #"));
}

#[tokio::test]
async fn a_pull_request_stands_whatever_is_pushed_meanwhile() {
    let world = World { mode: Mode::PullRequest, provider: Some(Provider::Gitea), ..World::new().await };
    let world = World { api_url: format!("http://{}/api/v1", world.server.address), ..world };
    let http = reqwest::Client::new();
    let find = async || world.git.find(&credentials(PASSWORD), &http, &world.step(false)).await.unwrap();
    assert_eq!(find().await, None);
    assert_eq!(world.server.state(), None, "who looks makes nothing");
    let Made::Proposed(url) = world.make(false).await.unwrap() else { panic!() };
    assert_eq!(find().await, Some(Made::Proposed(url.clone())));
    world.repository.push(&[("apps/shop/web.yaml", &WEB.replace("3 #", "9 #"))], "nine");
    let why = "apps/shop/web.yaml:7 has 9, the plan was made on 3";
    let conflicting = Made::Conflicting(url.clone(), why.to_owned());
    assert_eq!(world.make(false).await.unwrap(), conflicting);
    assert_eq!(find().await, Some(conflicting));
    // Merged by hand, and changed again: it was made all the same.
    world.server.decide("merged");
    assert_eq!(world.make(false).await.unwrap(), Made::Merged(url));
    world.server.decide("closed");
    let closed = world.make(false).await.unwrap_err().to_string();
    assert!(closed.ends_with("was closed without being merged"), "{closed}");
    assert_eq!(find().await, None);
    // Nothing of it was merged, so that nothing is to be taken back but the pull request.
    world.server.decide("open");
    assert!(matches!(world.make(true).await.unwrap(), Made::Withdrawn(_)));
    assert_eq!(world.server.state(), Some("closed"));
    assert_eq!(world.web("main"), WEB.replace("3 #", "9 #"));
    assert_eq!(world.server.asked().iter().filter(|ask| ask.method == "POST").count(), 1);
}

#[tokio::test]
async fn a_branch_whose_pull_request_was_never_opened_is_proposed() {
    let world = World { mode: Mode::PullRequest, provider: Some(Provider::Gitea), ..World::new().await };
    let world = World { api_url: format!("http://{}/api/v1", world.server.address), ..world };
    world.make(false).await.unwrap();
    let head = world.repository.head("causeway/shop/web-3fa9c1-1");
    world.server.forgets();
    assert!(matches!(world.make(false).await.unwrap(), Made::Proposed(_)));
    assert_eq!(world.repository.head("causeway/shop/web-3fa9c1-1"), head);
}

//! Real tools built from Go modules: `e2e/tools/NAME` pins one module each, because their dependencies collide. One that no
//! module has is a `main.go` beside the `go.mod`.

use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use owo_colors::OwoColorize as _;
use sha2::{Digest as _, Sha256};

use crate::run::{cache, root, say};

/// A folder of `e2e/tools` and what is built from it.
struct Module {
    folder: &'static str,
    /// Its version is the version of all its programs.
    path: &'static str,
    /// Name of the program, package.
    programs: &'static [(&'static str, &'static str)],
    /// What the linker sets: variable, value. Without a version clients see `v0.0.0`, and some refuse that.
    variables: &'static [(&'static str, Show)],
}

/// A form of the version.
#[derive(Clone, Copy, Debug)]
enum Show {
    Whole,
    Major,
    Minor,
}

const MODULES: [Module; 8] = [
    Module {
        folder: "kubernetes",
        path: "k8s.io/kubernetes",
        programs: &[
            ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
            ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
            ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
            ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
        ],
        variables: &[
            ("k8s.io/component-base/version.gitVersion", Show::Whole),
            ("k8s.io/component-base/version.gitMajor", Show::Major),
            ("k8s.io/component-base/version.gitMinor", Show::Minor),
            ("k8s.io/client-go/pkg/version.gitVersion", Show::Whole),
        ],
    },
    Module {
        folder: "etcd",
        path: "go.etcd.io/etcd/server/v3",
        programs: &[("etcd", "go.etcd.io/etcd/server/v3")],
        variables: &[],
    },
    Module {
        folder: "kwok",
        path: KWOK,
        programs: &[("kwok", "sigs.k8s.io/kwok/cmd/kwok")],
        variables: &[("sigs.k8s.io/kwok/pkg/consts.Version", Show::Whole)],
    },
    Module {
        folder: "helm",
        path: "helm.sh/helm/v4",
        programs: &[("helm", "helm.sh/helm/v4/cmd/helm")],
        variables: &[("helm.sh/helm/v4/internal/version.version", Show::Whole)],
    },
    Module {
        folder: "kubeconform",
        path: "github.com/yannh/kubeconform",
        programs: &[("kubeconform", "github.com/yannh/kubeconform/cmd/kubeconform")],
        variables: &[("main.version", Show::Whole)],
    },
    Module {
        folder: "helm-unittest",
        path: "github.com/helm-unittest/helm-unittest",
        programs: &[("helm-unittest", "github.com/helm-unittest/helm-unittest/cmd/helm-unittest")],
        variables: &[],
    },
    Module {
        folder: "kustomize-controller",
        path: FLUX,
        programs: &[("kustomize-controller", FLUX)],
        variables: &[],
    },
    Module {
        folder: "git-over-ssh",
        path: "golang.org/x/crypto",
        programs: &[("git-over-ssh", "causeway.dev/e2e/tools/git-over-ssh")],
        variables: &[],
    },
];

const FLUX: &str = "github.com/fluxcd/kustomize-controller";
/// The sources that it applies; only the definitions of their kinds are taken.
const FLUX_SOURCES: &str = "github.com/fluxcd/source-controller";

const KWOK: &str = "sigs.k8s.io/kwok";
/// How nodes and pods come and go: YAML of the KWOK module itself.
const STAGES: [&str; 5] = [
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
];

/// A program in the cache.
#[derive(Clone, Debug)]
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// Without a leading `v`.
    pub(crate) version: String,
    pub(crate) path: PathBuf,
}

/// The named programs, built when they are absent. The cache's key is a hash of `go.mod`, `go.sum` and `main.go`, so that
/// another version never passes for the one that is pinned.
pub(crate) fn tools(names: &[&str]) -> Result<Vec<Tool>> {
    let mut found = Vec::new();
    for name in names {
        let known =
            MODULES.iter().find_map(|m| Some((m, m.programs.iter().find(|(known, _)| known == name)?)));
        let Some((module, (program, package))) = known else {
            bail!("no tool is named {name:?}; there are {}", all().join(", "));
        };
        let (version, hash) = module.pinned()?;
        let path = cache()?.join(format!("bin/{}-{version}-{hash}/{program}", module.folder));
        found.push((module, *package, Tool { name: program, version, path }));
    }
    if found.iter().any(|(.., tool)| !tool.path.exists()) {
        let folder = cache()?.join("bin");
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let lock = File::create(folder.join("lock"))?;
        if lock.try_lock().is_err() {
            say("another process is building tools: waiting for it");
            lock.lock()?;
        }
        say("building tools from their Go modules (once: about 10 minutes on two cores for all of them)");
        for (module, package, tool) in found.iter().filter(|(.., tool)| !tool.path.exists()) {
            module.build(package, tool)?;
        }
    }
    Ok(found.into_iter().map(|(.., tool)| tool).collect())
}

/// One program.
pub(crate) fn tool(name: &str) -> Result<Tool> {
    tools(&[name])?.pop().with_context(|| format!("no tool is named {name:?}"))
}

/// Builds what is absent and prints a line a program: name, version, path.
#[expect(clippy::print_stdout, reason = "the answer of the command")]
pub(crate) fn print(names: &[String]) -> Result<()> {
    let names: Vec<&str> = if names.is_empty() { all() } else { names.iter().map(String::as_str).collect() };
    for tool in tools(&names)? {
        println!("{:<24} {:<8} {}", tool.name, tool.version, tool.path.display());
    }
    Ok(())
}

fn all() -> Vec<&'static str> {
    MODULES.iter().flat_map(|module| module.programs.iter().map(|(name, _)| *name)).collect()
}

/// The stages of KWOK in one file, taken from the module that its program is built from.
pub(crate) fn kwok_stages() -> Result<String> {
    let source = source("kwok", KWOK)?;
    let paths: Vec<PathBuf> = STAGES.iter().map(|stage| source.join("kustomize/stage").join(stage)).collect();
    joined(&paths)
}

/// The definitions of Flux's kinds in one file, of the versions that its program is built from.
pub(crate) fn flux_definitions() -> Result<String> {
    let folder = folder("kustomize-controller");
    let text = std::fs::read_to_string(folder.join("go.mod")).context("cannot read go.mod of Flux")?;
    let api = format!("{FLUX_SOURCES}/api");
    let version = required(&text, &api).with_context(|| format!("go.mod of Flux does not require {api}"))?;
    let mut paths = Vec::new();
    for module in [FLUX.to_owned(), format!("{FLUX_SOURCES}@v{version}")] {
        let bases = source("kustomize-controller", &module)?.join("config/crd/bases");
        let found = std::fs::read_dir(&bases).with_context(|| format!("cannot read {}", bases.display()))?;
        for entry in found {
            paths.push(entry?.path());
        }
    }
    paths.sort();
    joined(&paths)
}

/// The sources of a module, as the Go tool keeps them.
fn source(name: &str, module: &str) -> Result<PathBuf> {
    let folder = folder(name);
    let download = go(&folder).args(["mod", "download", "-json", module]).output().context(MISSING)?;
    let answer: serde_json::Value = serde_json::from_slice(&download.stdout).unwrap_or_default();
    match answer["Dir"].as_str() {
        Some(source) => Ok(source.into()),
        None => bail!("{}: go mod download {module}: {answer}", folder.display()),
    }
}

/// Several YAML files as one.
fn joined(paths: &[PathBuf]) -> Result<String> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    Ok(paths.iter().map(read).collect::<Result<Vec<String>>>()?.join("---\n"))
}

const MISSING: &str = "cannot start go: install Go 1.26 or newer";

fn folder(name: &str) -> PathBuf {
    root().join("e2e/tools").join(name)
}

fn go(module: &Path) -> Command {
    let mut command = Command::new("go");
    command
        .current_dir(module)
        .env("GOFLAGS", "-mod=readonly")
        .env("GOWORK", "off")
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null());
    command
}

impl Show {
    fn of(self, version: &str) -> String {
        let mut numbers = version.split('.');
        match self {
            Self::Whole => format!("v{version}"),
            Self::Major => numbers.next().unwrap_or_default().to_owned(),
            Self::Minor => numbers.nth(1).unwrap_or_default().to_owned(),
        }
    }
}

impl Module {
    /// The version that `go.mod` requires, and a hash of all files.
    fn pinned(&self) -> Result<(String, String)> {
        let folder = folder(self.folder);
        let mut hash = Sha256::new();
        let mut version = None;
        let own = folder.join("main.go").exists().then_some("main.go");
        for name in ["go.mod", "go.sum"].into_iter().chain(own) {
            let path = folder.join(name);
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            hash.update(&text);
            version = version.or_else(|| required(&text, self.path));
        }
        let version =
            version.with_context(|| format!("{}/go.mod does not require {}", folder.display(), self.path))?;
        let hash = hash.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Ok((version, hash))
    }

    fn build(&self, package: &str, tool: &Tool) -> Result<()> {
        let title = format!("{} {}", tool.name, tool.version);
        let begun = Instant::now();
        if let Some(folder) = tool.path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        let (part, log) = (beside(&tool.path, ".part"), beside(&tool.path, ".log"));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let flags: Vec<String> = self
            .variables
            .iter()
            .map(|(variable, show)| format!(" -X {variable}={}", show.of(&tool.version)))
            .collect();
        let mut child = go(&folder(self.folder))
            .args(["build", "-trimpath", "-ldflags", &format!("-s -w{}", flags.concat()), "-o"])
            .arg(&part)
            .arg(package)
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context(MISSING)?;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            counting(&title, begun)?;
            std::thread::sleep(Duration::from_millis(500));
        };
        if !status.success() {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            bail!("{title}: go build {package} in {} failed:\n{said}", folder(self.folder).display());
        }
        std::fs::rename(&part, &tool.path)?;
        std::fs::remove_file(&log)?;
        say(&format!("{title}: {} s", begun.elapsed().as_secs()));
        Ok(())
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The running time in the line that the result replaces; only where somebody looks.
fn counting(title: &str, begun: Instant) -> Result<()> {
    let mut terminal = std::io::stdout();
    if terminal.is_terminal() {
        write!(terminal, "\r{} {title}: {} s …\r", "▸".cyan().bold(), begun.elapsed().as_secs())?;
        terminal.flush()?;
    }
    Ok(())
}

/// The version in the line of a `go.mod` that requires `path`, without the leading `v`.
fn required(text: &str, path: &str) -> Option<String> {
    text.lines().find_map(|line| {
        let mut words = line.trim().trim_start_matches("require ").split_whitespace();
        (words.next() == Some(path)).then(|| words.next()).flatten()?.strip_prefix('v').map(str::to_owned)
    })
}

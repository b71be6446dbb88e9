//! Processes of a cluster. Each carries a mark in its environment, which `/proc` shows: so they are found after a crash
//! of whoever started them, and after a restart by a test, and a stranger with a recycled process id is never taken
//! for one of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::record::Part;

/// Environment variable of every process of a cluster: the data folder, a colon, the name of the part.
const MARK: &str = "CAUSEWAY_CLUSTER_PART";

/// Whose signals a process gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// Ctrl-C at the terminal ends it too.
    Ours,
    /// It goes on when the command that started it ends.
    Own,
}

/// The mark as an environment variable.
pub(crate) fn mark(data: &Path, name: &str) -> (String, String) {
    (MARK.to_owned(), format!("{}:{name}", data.display()))
}

/// Starts a part; its output goes to its log.
pub(crate) fn spawn(part: &Part, group: Group) -> Result<Child> {
    use std::os::unix::process::CommandExt as _;
    let log = File::create(&part.log).with_context(|| format!("cannot write {}", part.log.display()))?;
    let mut command = Command::new(&part.program);
    command.args(&part.arguments).envs(&part.environment).stdin(Stdio::null());
    command.stdout(log.try_clone()?).stderr(log);
    if group == Group::Own {
        command.process_group(0);
    }
    command.spawn().with_context(|| format!("cannot start {}", part.program.display()))
}

/// The live processes of a cluster: process id and part.
pub(crate) fn find(data: &Path) -> Result<BTreeMap<u32, String>> {
    let prefix = format!("{MARK}={}:", data.display());
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").context("cannot read /proc, by which processes are known")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // Processes of others can't be read, and some end while we look.
        let Ok(environment) = std::fs::read(entry.path().join("environ")) else { continue };
        let name = environment
            .split(|byte| *byte == 0)
            .find_map(|variable| std::str::from_utf8(variable).ok()?.strip_prefix(&prefix));
        if let Some(name) = name {
            found.insert(pid, name.to_owned());
        }
    }
    Ok(found)
}

/// Ends all processes of a cluster at once, also those that are stopped by a signal, and waits until they are gone.
/// Nothing is lost: etcd writes what it acknowledged, and the others have no state.
pub(crate) fn kill(data: &Path) -> Result<usize> {
    let all = find(data)?;
    let begun = Instant::now();
    let mut left = all.clone();
    while !left.is_empty() {
        if begun.elapsed() > Duration::from_secs(20) {
            bail!("still running after kill -9: {left:?}; see `ps`");
        }
        let pids: Vec<String> = left.keys().map(u32::to_string).collect();
        // The shell's own `kill`: a bare Debian has no other. One that is gone by now makes it fail; the loop looks.
        Command::new("sh")
            .args(["-c", "kill -s KILL \"$@\" 2>/dev/null", "sh"])
            .args(&pids)
            .status()
            .context("cannot start sh")?;
        std::thread::sleep(Duration::from_millis(20));
        left = find(data)?;
    }
    Ok(all.len())
}

/// Waits until `ready` says so. Says which part ended instead, with the end of its log.
pub(crate) fn wait_for(
    what: &str,
    children: &mut [(Part, Child)],
    mut ready: impl FnMut() -> Result<bool>,
) -> Result<()> {
    const LONGEST: Duration = Duration::from_secs(120);
    let begun = Instant::now();
    while !ready()? {
        for (part, child) in children.iter_mut() {
            if let Some(status) = child.try_wait()? {
                bail!("{} ended ({status}); end of {}:\n{}", part.name, part.log.display(), tail(&part.log));
            }
        }
        if begun.elapsed() > LONGEST {
            let logs: Vec<String> = children.iter().map(|(part, _)| part.log.display().to_string()).collect();
            bail!("{what} did not happen within {} s; see {}", LONGEST.as_secs(), logs.join(", "));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

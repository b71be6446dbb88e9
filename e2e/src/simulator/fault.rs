//! The fault of a recording: where it is, and what ends it.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::Verdict;

#[derive(Debug, Deserialize)]
struct Label {
    root_cause: Vec<String>,
    fault_type: String,
}

/// A fault in the instances of a workload.
#[derive(Debug)]
pub(super) struct Fault {
    label: Label,
    /// Instances that have the fault; `None` while it has not begun or has ended.
    instances: Option<BTreeSet<String>>,
}

impl Fault {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let label =
            serde_json::from_str(&text).with_context(|| format!("{} is not a label", path.display()))?;
        Ok(Self { label, instances: None })
    }

    pub(super) fn workloads(&self) -> &[String] {
        &self.label.root_cause
    }

    pub(super) fn is_active(&self) -> bool {
        self.instances.is_some()
    }

    pub(super) fn verdict(&self) -> Verdict {
        Verdict {
            label: self.label.root_cause.clone(),
            fault_type: self.label.fault_type.clone(),
            fault_active: self.is_active(),
        }
    }

    /// The fault settles in the instances that run now.
    pub(super) fn begin(&mut self, instances: BTreeSet<String>) -> Result<()> {
        if instances.is_empty() {
            bail!("no pod of the faulty workload runs");
        }
        self.instances = Some(instances);
        Ok(())
    }

    /// A fault of an instance goes with the instance; a fault in the code stays in every instance of it.
    pub(super) fn observe(&mut self, running: &BTreeSet<String>) {
        let of_instance = matches!(self.label.fault_type.as_str(), "network_delay" | "cpu_contention");
        let Some(faulty) = &mut self.instances else { return };
        if of_instance {
            faulty.retain(|uid| running.contains(uid));
            // Without any running instance nothing is repaired: the service is down.
            if faulty.is_empty() && !running.is_empty() {
                self.instances = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(fault_type: &str) -> Fault {
        let label = Label { root_cause: vec!["a".into()], fault_type: fault_type.into() };
        Fault { label, instances: None }
    }

    fn pods(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn only_replacing_every_faulty_instance_ends_the_fault() {
        let mut f = fault("network_delay");
        f.begin(pods(&["1", "2"])).unwrap();
        f.observe(&pods(&["1", "2", "3"]));
        assert!(f.is_active(), "more instances do not heal the faulty ones");
        f.observe(&pods(&["2", "3"]));
        assert!(f.is_active());
        f.observe(&pods(&[]));
        assert!(f.is_active(), "nothing runs");
        f.observe(&pods(&["3", "4"]));
        assert!(!f.is_active());
    }

    #[test]
    fn a_restart_does_not_end_a_fault_in_the_code() {
        let mut f = fault("exception");
        f.begin(pods(&["1"])).unwrap();
        f.observe(&pods(&["2"]));
        assert!(f.is_active());
    }
}

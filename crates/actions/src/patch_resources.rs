//! Changes what a container asks for and what it may use.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::factor::Factor;
use crate::plan::{Action, Plan, PlanError, Risk};
use crate::quantity::{Quantity, Unit};
use crate::registry::rollout_restart::refuse_paused;
use crate::view::{TargetView, target_ref};

/// Multiplies CPU or memory of one container and rolls the workload. Values that are not set stay unset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PatchResources {
    /// Name of the container. Without it: the only one, or the one that is called like the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub container: Option<String>,
    /// Multiplies request and limit of CPU, such as "1.5". Between 0.1 and 10. Needs maxCpu.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_factor: Option<Factor>,
    /// Multiplies request and limit of memory, such as "1.5". Between 0.1 and 10. Needs maxMemory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_factor: Option<Factor>,
    /// No CPU value goes above this, such as "4".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 24))]
    pub max_cpu: Option<String>,
    /// No memory value goes above this, such as "8Gi".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 24))]
    pub max_memory: Option<String>,
}

impl Action for PatchResources {
    const RISK: Risk = Risk::Medium;
    const REVERSIBLE: bool = true;

    fn plan(&self, view: &TargetView) -> Result<Plan, PlanError> {
        let workload = view.workload()?;
        let target = target_ref(workload)?;
        if !matches!(target.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet") {
            return Err(PlanError::WrongKind { action: "PatchResources", kind: target.kind });
        }
        refuse_paused(workload)?;
        if self.cpu_factor.is_none() && self.memory_factor.is_none() {
            return Err(PlanError::BadParameters("set cpuFactor or memoryFactor"));
        }
        let mut after = workload.clone();
        let container = self.container(&mut after, &target.name)?;
        change(container, "cpu", Unit::Cpu, self.cpu_factor.as_ref(), self.max_cpu.as_deref())?;
        change(container, "memory", Unit::Memory, self.memory_factor.as_ref(), self.max_memory.as_deref())?;
        let name = container.get("name").and_then(Value::as_str).unwrap_or_default();
        let summary = format!("Change the resources of container {name} of {target}");
        Plan::patches(&[(workload, after)], Risk::Medium, summary)
    }
}

impl PatchResources {
    fn container<'a>(&self, workload: &'a mut Value, name: &str) -> Result<&'a mut Value, PlanError> {
        let containers = workload.pointer_mut("/spec/template/spec/containers").and_then(Value::as_array_mut);
        let containers = containers.ok_or(PlanError::Malformed { what: "list of containers" })?;
        let wanted = self.container.as_deref().unwrap_or(name);
        let only = self.container.is_none() && containers.len() == 1;
        let is_it = |c: &&mut Value| only || c.get("name").and_then(Value::as_str) == Some(wanted);
        containers.iter_mut().find(is_it).ok_or(PlanError::Missing { what: "container" })
    }
}

/// Multiplies request and limit of one resource.
fn change(
    container: &mut Value,
    resource: &str,
    unit: Unit,
    factor: Option<&Factor>,
    most: Option<&str>,
) -> Result<(), PlanError> {
    let Some(factor) = factor else { return Ok(()) };
    let factor = factor.value()?;
    let unread = PlanError::BadParameters("maxCpu and maxMemory must be quantities such as \"4\" or \"8Gi\"");
    let most = most.ok_or(PlanError::BadParameters("a factor needs a maximum: maxCpu or maxMemory"))?;
    let most = Quantity::parse(most).ok_or(unread)?;
    for kind in ["requests", "limits"] {
        let place = container.pointer_mut(&format!("/resources/{kind}/{resource}"));
        let Some(place) = place else { continue };
        let old = match &*place {
            Value::String(text) => Quantity::parse(text),
            Value::Number(number) => Quantity::parse(&number.to_string()),
            _ => None,
        };
        let old = old.ok_or(PlanError::Malformed { what: "quantity of a container" })?;
        let new = old.times(factor)?.min(most.max(old));
        if (factor < 1.0 && new >= old) || new == old {
            continue;
        }
        *place = Value::from(new.write(unit));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use serde_json::json;

    fn memory(factor: &str, most: &str) -> PatchResources {
        PatchResources {
            memory_factor: Some(Factor::parse(factor).unwrap()),
            max_memory: Some(most.into()),
            ..PatchResources::default()
        }
    }

    #[test]
    fn multiplies_within_the_maximum_and_can_return() {
        let mut view = fixture::view();
        let plan = memory("1.5", "2Gi").plan(&view).unwrap();
        assert!(plan.diff.contains("-               memory: \"512Mi\"\n+               memory: \"768Mi\"\n"), "{}", plan.diff);
        fixture::restores(&plan, &view);
        assert!(memory("4", "1Gi").plan(&view).unwrap().diff.contains("+               memory: \"1Gi\""));
        view.workload.as_mut().unwrap()["spec"]["template"]["spec"]["containers"][1]["resources"] =
            json!({"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}});
        let both = PatchResources {
            cpu_factor: Some(Factor::parse("2").unwrap()),
            max_cpu: Some("4".into()),
            ..memory("2", "4Gi")
        };
        let live = fixture::apply(&both.plan(&view).unwrap().mutations, &view);
        assert_eq!(
            live["Deployment"]["spec"]["template"]["spec"]["containers"][1]["resources"],
            json!({"requests": {"cpu": "500m", "memory": "512Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}})
        );
    }

    #[test]
    fn never_lowers_to_a_maximum_and_knows_its_bounds() {
        let view = fixture::view();
        assert_eq!(memory("2", "256Mi").plan(&view).unwrap_err().category(), "NothingToDo");
        assert_eq!(memory("20", "8Gi").plan(&view).unwrap_err().category(), "BadParameters");
        assert_eq!(memory("2", "much").plan(&view).unwrap_err().category(), "BadParameters");
        assert_eq!(PatchResources::default().plan(&view).unwrap_err().category(), "BadParameters");
        let free = PatchResources { max_memory: None, ..memory("2", "1Gi") };
        assert_eq!(free.plan(&view).unwrap_err().category(), "BadParameters");
        let other = PatchResources { container: Some("db".into()), ..memory("2", "1Gi") };
        assert_eq!(other.plan(&view).unwrap_err().category(), "TargetMissing");
    }
}

//! Keeps new pods away from a node.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::{Action, Plan, PlanError, Risk};
use crate::view::{TargetView, object_at, target_ref};

/// Marks a node as unschedulable; taking it back makes it schedulable again. Repairs of nodes live in the namespace
/// causeway-nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cordon {}

impl Action for Cordon {
    const RISK: Risk = Risk::Low;
    const REVERSIBLE: bool = true;

    fn plan(&self, view: &TargetView) -> Result<Plan, PlanError> {
        let node = view.node.as_ref().ok_or(PlanError::Missing { what: "Node" })?;
        let target = target_ref(node)?;
        if is_cordoned(node) {
            return Err(PlanError::NothingToDo("the node takes no new pods already".into()));
        }
        let mut after = node.clone();
        object_at(&mut after, &["spec"])?.insert("unschedulable".into(), Value::Bool(true));
        Plan::patches(&[(node, after)], Risk::Low, format!("Keep new pods away from {target}"))
    }
}

pub(crate) fn is_cordoned(node: &Value) -> bool {
    node.pointer("/spec/unschedulable").and_then(Value::as_bool) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn marks_the_node_and_can_return() {
        let mut view = fixture::node_view();
        let plan = Cordon {}.plan(&view).unwrap();
        assert_eq!(plan.diff, "Node/causeway-nodes/node-1\n  spec:\n+   unschedulable: true\n");
        fixture::restores(&plan, &view);
        view.node.as_mut().unwrap()["spec"]["unschedulable"] = Value::Bool(true);
        assert_eq!(Cordon {}.plan(&view).unwrap_err().category(), "NothingToDo");
        assert_eq!(Cordon {}.plan(&fixture::view()).unwrap_err().category(), "TargetMissing");
    }
}

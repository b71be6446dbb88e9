//! Whether a recording came to the same end on different Kubernetes APIs: same cause, same kinds of evidence, same
//! repairs. Uids, rollouts and the time that these take differ, and so do confidence and figures.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// Compares summaries of the demo, JSON files; the first is the measure.
pub(crate) fn same(summaries: &[(&'static str, &Path)]) -> Result<()> {
    let read = |(name, path): &(&'static str, &Path)| {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        anyhow::Ok((*name, serde_json::from_str(&text)?))
    };
    agree(&summaries.iter().map(read).collect::<Result<Vec<_>>>()?)
}

fn agree(summaries: &[(&str, Value)]) -> Result<()> {
    let Some(((measure, first), others)) = summaries.split_first() else { return Ok(()) };
    let expected = decided(first);
    if expected["cause"].is_null() || expected["actions"].as_array().is_none_or(Vec::is_empty) {
        bail!("{measure}: no cause, or no repair: {expected:#}");
    }
    for (name, other) in others {
        let found = decided(other);
        if found != expected {
            bail!("{name} has decided otherwise than {measure}:\n{found:#}\nnot\n{expected:#}");
        }
    }
    Ok(())
}

/// What must be the same, of a summary.
fn decided(summary: &Value) -> Value {
    let action = |action: &Value| {
        json!({ "runbook": action["runbook"], "target": action["target"], "steps": action["steps"],
            "phase": action["phase"], "outcome": action["outcome"] })
    };
    let actions: Vec<Value> = summary["actions"].as_array().into_iter().flatten().map(action).collect();
    json!({ "cause": summary["cause"], "causeKind": summary["causeKind"], "evidence": summary["evidence"],
        "actions": actions })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_evidence_and_steps_must_be_equal_and_figures_need_not() {
        let summary = |confidence: &str, step: &str| {
            json!({ "cause": "shop/web", "causeKind": "BadRelease", "evidence": ["Change"], "confidence": confidence,
                "actions": [{ "runbook": "undo", "target": "Deployment/web", "steps": [step], "phase": "Succeeded" }] })
        };
        let one = ("one", summary("0.9", "RolloutUndo"));
        agree(&[one.clone(), ("like", summary("0.8", "RolloutUndo"))]).unwrap();
        let error = agree(&[one, ("unlike", summary("0.9", "Scale"))]).unwrap_err().to_string();
        assert!(error.contains("unlike has decided otherwise than one"), "{error}");
        let none = || ("none", json!({ "actions": [] }));
        assert!(agree(&[none(), none()]).is_err(), "nothing is no proof");
    }
}

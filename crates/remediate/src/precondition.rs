//! Preconditions of a Runbook: short CEL expressions over the target, the cause, the parameters and the cluster.
//!
//! Evaluation is bounded before it begins: the length of the text, the depth of its brackets, the number and the nesting of
//! macros that walk over lists, and the length of the lists that an expression is shown. An expression that fails to
//! evaluate does not hold.

use std::collections::BTreeMap;

use causeway_actions::Decimal;
use cel::{Context, Program, Value as Cel};
use serde_json::{Map, Value, json};

/// Longest expression, in bytes.
pub const LONGEST: usize = 512;
/// Deepest nesting of brackets.
const DEEPEST: usize = 16;
/// Most macros that walk over a list or a map, in one expression.
const MACROS: usize = 2;
/// Items of a list, and entries of a map, that an expression is shown.
const ITEMS: usize = 64;
/// Levels of an object that an expression is shown.
const LEVELS: usize = 12;
const WALKS: [&str; 5] = [".all(", ".exists(", ".exists_one(", ".filter(", ".map("];

/// What expressions look at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// The live object that is acted on.
    pub target: Value,
    /// The workload's autoscaler, or null.
    pub hpa: Value,
    /// `kind`, `entity`, `confidence` and `margin` of the cause.
    pub cause: Value,
    /// What is known of the cluster, such as `runningRepairs`.
    pub cluster: Value,
    /// Values of the parameters.
    pub params: BTreeMap<String, Decimal>,
}

/// A precondition that compiles.
#[derive(Debug)]
pub struct Precondition {
    program: Program,
}

/// Why an expression is refused or does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreconditionError {
    /// It is no CEL, or beyond the bounds.
    #[error("{0}")]
    Compile(String),
    /// It can't be evaluated on this target.
    #[error("{0}")]
    Evaluate(String),
}

impl Precondition {
    /// Reads an expression.
    ///
    /// # Errors
    /// [`PreconditionError::Compile`], which says what is wrong.
    pub fn compile(expression: &str) -> Result<Self, PreconditionError> {
        let refuse = |why: String| Err(PreconditionError::Compile(why));
        if expression.len() > LONGEST {
            return refuse(format!("longer than {LONGEST} bytes"));
        }
        if expression.chars().any(char::is_control) {
            return refuse("it has control characters".to_owned());
        }
        if depth(expression) > DEEPEST {
            return refuse(format!("brackets nest deeper than {DEEPEST}"));
        }
        let packed: String = expression.chars().filter(|c| !c.is_whitespace()).collect();
        let walks: usize = WALKS.iter().map(|walk| packed.matches(walk).count()).sum();
        if walks > MACROS {
            return refuse(format!("more than {MACROS} macros that walk over lists"));
        }
        let program = Program::compile(expression)
            .map_err(|error| PreconditionError::Compile(first_line(&error.to_string())))?;
        let references = program.references();
        let unknown = references.variables().into_iter().find(|name| {
            !["target", "hpa", "cause", "cluster", "params"].contains(name) && !is_bound(&packed, name)
        });
        if let Some(name) = unknown {
            return refuse(format!("{name} is not known: there are target, hpa, cause, cluster and params"));
        }
        Ok(Self { program })
    }

    /// Whether the expression holds.
    ///
    /// # Errors
    /// [`PreconditionError::Evaluate`] if it can't be evaluated, or gives no true or false.
    pub fn holds(&self, facts: &Facts) -> Result<bool, PreconditionError> {
        let params: Map<String, Value> =
            facts.params.iter().map(|(name, value)| (name.clone(), json!(value.to_f64()))).collect();
        let mut context = Context::default();
        for (name, value) in [
            ("target", &facts.target),
            ("hpa", &facts.hpa),
            ("cause", &facts.cause),
            ("cluster", &facts.cluster),
            ("params", &Value::Object(params)),
        ] {
            context
                .add_variable(name, bounded(value, LEVELS))
                .map_err(|error| PreconditionError::Evaluate(first_line(&error.to_string())))?;
        }
        match self.program.execute(&context) {
            Ok(Cel::Bool(holds)) => Ok(holds),
            Ok(_) => Err(PreconditionError::Evaluate("it gives neither true nor false".to_owned())),
            Err(error) => Err(PreconditionError::Evaluate(first_line(&error.to_string()))),
        }
    }
}

/// Whether a macro of the expression binds this name.
fn is_bound(packed: &str, name: &str) -> bool {
    WALKS.iter().any(|walk| packed.contains(&format!("{walk}{name},")))
}

fn depth(expression: &str) -> usize {
    let (mut open, mut most) = (0usize, 0usize);
    for c in expression.chars() {
        match c {
            '(' | '[' | '{' => {
                open += 1;
                most = most.max(open);
            }
            ')' | ']' | '}' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// The value with the first items of every list and map, and without what lies deeper than `levels`.
fn bounded(value: &Value, levels: usize) -> Value {
    match value {
        Value::Array(_) | Value::Object(_) if levels == 0 => Value::Null,
        Value::Array(items) => items.iter().take(ITEMS).map(|item| bounded(item, levels - 1)).collect(),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .filter(|(key, _)| *key != "managedFields")
                .take(ITEMS)
                .map(|(key, field)| (key.clone(), bounded(field, levels - 1)))
                .collect(),
        ),
        Value::String(text) => Value::String(text.chars().take(4096).collect()),
        // CEL does not mix kinds of numbers, and JSON has only one.
        Value::Number(number) => json!(number.as_f64()),
        other => other.clone(),
    }
}

fn first_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("it is no CEL")
        .chars()
        .take(300)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn facts() -> Facts {
        Facts {
            target: json!({"kind": "Deployment", "metadata": {"name": "web", "annotations": {"owner": "shop"}},
                "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}}}),
            hpa: Value::Null,
            cause: json!({"kind": "Saturation", "entity": "shop/web", "confidence": 0.9, "margin": 0.4}),
            cluster: json!({"runningRepairs": 1}),
            params: BTreeMap::from([("factor".to_owned(), Decimal::from_f64(1.5, 1))]),
        }
    }

    fn holds(expression: &str) -> Result<bool, PreconditionError> {
        Precondition::compile(expression)?.holds(&facts())
    }

    #[test]
    fn looks_at_everything_that_is_known() {
        for (expression, want) in [
            ("target.spec.replicas >= 2", true),
            ("target.spec.replicas > 3", false),
            ("cause.kind == 'Saturation' && cause.confidence >= 0.8", true),
            ("params.factor <= 2.0", true),
            ("cluster.runningRepairs < 3", true),
            ("hpa == null", true),
            ("has(target.metadata.annotations) && target.metadata.annotations['owner'] == 'shop'", true),
            ("target.spec.template.spec.containers.exists(c, c.name == 'b')", true),
            ("target.spec.template.spec.containers.all(c, c.name != 'b')", false),
        ] {
            assert_eq!(holds(expression), Ok(want), "{expression}");
        }
    }

    #[test]
    fn refuses_what_is_unknown_unbounded_or_no_cel() {
        let long = format!("'{}' == ''", "x".repeat(600));
        let deep = format!("{}true{}", "(".repeat(40), ")".repeat(40));
        let nested = "target.a.all(x, target.b.all(y, target.c.all(z, x == y && y == z)))";
        for bad in [
            "",
            "target.",
            "1 +",
            "secrets.token == ''",
            "target.spec.replicas >",
            &long,
            &deep,
            nested,
            "true\u{1b}[2J",
        ] {
            let error = Precondition::compile(bad).unwrap_err();
            assert!(matches!(error, PreconditionError::Compile(_)), "{bad}: {error}");
        }
    }

    #[test]
    fn what_can_not_be_evaluated_does_not_hold() {
        for bad in [
            "target.nothing.here == 1",
            "target.spec.replicas",
            "target.spec.replicas + 'a' == 'b'",
            "1 / 0 == 1",
        ] {
            assert!(matches!(holds(bad), Err(PreconditionError::Evaluate(_))), "{bad}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        #[test]
        fn no_text_breaks_it(text in "[a-z0-9.(){}\\[\\]'\"<>=!&|?:,+*/ -]{0,80}") {
            if let Ok(compiled) = Precondition::compile(&text) {
                let first = compiled.holds(&facts());
                prop_assert_eq!(first, compiled.holds(&facts()));
            }
        }
    }
}

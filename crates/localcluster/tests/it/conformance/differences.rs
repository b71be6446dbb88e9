//! Where this server answers differently on purpose: the table of the crate's README.

/// One intended difference.
pub(crate) struct Difference {
    /// Topic and name of the exchange.
    behaviour: &'static str,
    /// Step and JSON pointer into its answer; a `*` stands for any text.
    at: &'static str,
    reason: &'static str,
}

const GO_TEXT: &str = "texts of Go's parsers and types are not imitated; code and reason are the same";
const JSON_ONLY: &str = "only JSON is served, and bodies are JSON or YAML";
const AT_ONCE: &str = "what controllers do later in a real cluster is done in the write";
const CURRENT: &str = "only the current version of a list can be asked for exactly";
const EVENTS: &str = "Events are stored under the names of the core API, and so are their owners";
const METHOD: &str = "a method that a path does not have is refused before the body is read";
const COLUMNS: &str = "columns of built-in kinds are described by their names";
const NO_ADDRESS: &str = "the server has no address and no storage of its own to name";
const NULL_TIMES: &str = "absent times of conditions are not owned";
const SEED: &str = "definitions are installed by the composer, not by a client";

const fn difference(behaviour: &'static str, at: &'static str, reason: &'static str) -> Difference {
    Difference { behaviour, at, reason }
}

pub(crate) const DIFFERENCES: &[Difference] = &[
    difference("apply/refusals", "/10/body/message", GO_TEXT),
    difference("builtin/config-map", "/4/body/message", GO_TEXT),
    difference("builtin/deployment", "/6/body/*message", GO_TEXT),
    difference("builtin/event", "*/managedFields/*", EVENTS),
    difference("builtin/pod", "/2/body/*message", GO_TEXT),
    difference("builtin/pod", "*/f:conditions/*Time", NULL_TIMES),
    difference("builtin/secret", "/2/body/message", GO_TEXT),
    difference("builtin/tables", "*/description", COLUMNS),
    difference("create/malformed", "/0/body/message", GO_TEXT),
    difference("create/malformed", "/1/body/message", GO_TEXT),
    difference("create/malformed", "/3/body/message", GO_TEXT),
    difference("create/malformed", "/7/body/message", GO_TEXT),
    difference("create/malformed", "/8/body/message", JSON_ONLY),
    difference("create/schema", "/4/body/*", GO_TEXT),
    difference("create/schema", "/13/warnings", GO_TEXT),
    difference("create/schema", "/16/body/*", GO_TEXT),
    difference("discovery/definition", "/0/body/metadata/managedFields", SEED),
    difference("discovery/definition-refusals", "/1/body/*", GO_TEXT),
    difference("discovery/definition-refusals", "/3/body/status/*", AT_ONCE),
    difference("discovery/group", "/1/body/resources/0/storageVersionHash", NO_ADDRESS),
    difference("discovery/group", "/2/body/serverAddressByClientCIDRs/*", NO_ADDRESS),
    difference("read/forms", "/7/body/message", JSON_ONLY),
    difference("read/get", "/10*", METHOD),
    difference("read/get", "/11/body", JSON_ONLY),
    difference("read/get", "/12/body/message", JSON_ONLY),
    difference("read/list", "/8/body/message", GO_TEXT),
    difference("read/list", "/9/body/message", GO_TEXT),
    difference("read/list", "/10/body/message", GO_TEXT),
    difference("read/list", "/19/body/message", GO_TEXT),
    difference("read/list", "/24", CURRENT),
    difference("read/watch-refusals", "/1/body/message", GO_TEXT),
    difference("update/json-patch", "/9/body/message", GO_TEXT),
    difference("update/merge-patch", "/7/body/message", GO_TEXT),
    difference("update/merge-patch", "/8/body/message", GO_TEXT),
    difference("update/replace", "/8/body/message", NO_ADDRESS),
];

impl Difference {
    /// Whether the difference at this place is this one.
    pub(crate) fn covers(&self, behaviour: &str, at: &str) -> bool {
        self.behaviour == behaviour && fits(self.at, at)
    }

    /// The line of the README's table.
    pub(crate) fn line(&self) -> String {
        format!("| `{}` | `{}` | {} |", self.behaviour, self.at, self.reason)
    }
}

/// Whether a text fits a pattern in which `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(place) => rest = &rest[place + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[test]
fn the_readme_has_the_table() {
    let readme = include_str!("../../../README.md");
    let expected: Vec<String> = DIFFERENCES.iter().map(Difference::line).collect();
    let found: Vec<&str> = readme.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(found, expected, "the table of README.md must be:\n{}", expected.join("\n"));
}

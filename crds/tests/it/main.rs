//! Tests of the custom resources: committed YAML, CEL rules, examples in the docs, runbooks.

mod cel;
mod committed;
mod examples;
mod runbooks;
mod schema;

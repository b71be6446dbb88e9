//! Tests of the custom resources: committed YAML, CEL rules, examples in the docs, runbooks.

#[cfg(test)]
mod cel;
#[cfg(test)]
mod committed;
#[cfg(test)]
mod convert;
#[cfg(test)]
mod examples;
#[cfg(test)]
mod runbooks;
#[cfg(test)]
mod schema;

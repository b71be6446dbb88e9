//! Custom resource types, their CEL rules, condition types and reasons.

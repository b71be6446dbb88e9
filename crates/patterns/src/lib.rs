//! Groups message texts into templates with content-hashed ids.

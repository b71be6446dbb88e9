//! Partials to series, detectors, topology and incident drafts; snapshots of its state.

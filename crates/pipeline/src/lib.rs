//! Gateway side: steps, patterns, sink; partial aggregates and span stubs.

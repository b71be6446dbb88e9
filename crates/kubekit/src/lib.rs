//! Reconcile harness, generic over the kind: run, backoff, conditions, events, lease.

//! Guards and the state machine of a repair.

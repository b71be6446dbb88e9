//! Notifiers, one file each.

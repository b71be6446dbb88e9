//! Processing steps over batches, one file each.

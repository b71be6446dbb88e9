//! Sans-I/O decoders, one a protocol, from bytes straight into batches.

//! Transports: sockets, limits, authentication and back-pressure; acknowledges what the sink accepted.

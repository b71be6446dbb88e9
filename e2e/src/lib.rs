//! Scenarios, the telemetry feeder and the workload simulator.

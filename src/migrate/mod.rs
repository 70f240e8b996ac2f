//! Takes a running cluster from HTTP to mutual TLS and back: observe, plan, one step, gate, observe again.

pub mod plan;
pub mod stage;

//! The suites over the embedded stack and a real API server, each a module of this one binary.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

mod attacks;
mod cluster;
mod completeness;
mod crash;
mod faults;
mod house;
mod lifecycle;
mod oracle;
mod real_cluster;
mod refusals;
mod removal;
mod tampering;
mod up;

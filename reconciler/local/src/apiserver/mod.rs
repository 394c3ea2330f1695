//! A Kubernetes-compatible API on loopback.

pub mod canonical;
pub mod quantity;
pub mod schema;
pub mod ssa;

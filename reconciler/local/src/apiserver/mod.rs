//! A Kubernetes-compatible API on loopback.

pub mod schema;

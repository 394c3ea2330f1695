//! The embedded stack: a Kubernetes-compatible API on loopback, which knows nothing of Dayfly.

pub mod apiserver;

//! A Kubernetes-compatible API on loopback.

pub mod canonical;
pub mod defaults;
pub mod merge;
pub mod names;
pub mod quantity;
pub mod schema;
pub mod select;
pub mod ssa;
pub mod validate;

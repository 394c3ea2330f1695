//! What a platform says, typed: names, the files of a commit, YAML with places, objects and their kinds, and everything that
//! `apps/`, `catalog/`, `environments/` and `policies/` declare. Pure: no input, no output, no clock.
#![deny(missing_docs)]

pub mod diagnostic;
pub mod digest;
pub mod edit;
#[cfg(any(test, feature = "fixtures"))]
pub mod fixtures;
pub mod help;
pub mod kinds;
pub mod names;
pub mod object;
pub mod platform;
pub mod quantity;
pub mod rule;
pub mod schema;
pub mod scope;
pub mod snapshot;
pub mod workload;
pub mod yaml;

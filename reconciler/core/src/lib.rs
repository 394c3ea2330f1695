//! The reconciler's pure heart: what should run, and what to do about it, as functions of files, history and now.
#![deny(missing_docs)]

pub mod budget;
pub mod cost;
pub mod diagnostic;
pub mod diff;
pub mod digest;
pub mod edit;
pub mod evaluate;
pub mod health;
pub mod history;
pub mod inventory;
pub mod kinds;
pub mod ledger;
pub mod lifecycle;
pub mod names;
pub mod object;
pub mod observed;
pub mod plan;
pub mod platform;
pub mod policy;
pub mod quantity;
pub mod removal;
pub mod render;
pub mod schema;
pub mod snapshot;
pub mod status;
pub mod workload;
pub mod yaml;

#[cfg(test)]
mod fixtures;

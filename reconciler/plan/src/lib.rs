//! What to change in a cluster: what Dayfly has there, what is live, how healthy that is, and the changes that bring it to
//! what was admitted. Pure.
#![deny(missing_docs)]

pub mod diff;
pub mod health;
pub mod immutable;
pub mod inventory;
pub mod observed;
pub mod plan;
pub mod removal;
pub mod status;

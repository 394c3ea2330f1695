//! When an app ends, and who agreed to what: history, expiry, the proposals that follow from them, and signed records. Pure:
//! it takes `now` as an argument, and changes nothing itself.
#![deny(missing_docs)]

pub mod budget;
pub mod clock;
pub mod expiry;
pub mod history;
pub mod ledger;
pub mod promote;
pub mod proposal;
pub mod renew;
pub mod retire;
pub mod situation;
pub mod suspend;

pub use clock::Clock;
pub use expiry::{Expiry, expiry};
pub use proposal::{FileEdit, Proposal, ProposalAction};
pub use situation::{ExpiringApp, Situation};

#[cfg(test)]
mod tests;

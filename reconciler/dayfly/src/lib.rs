//! Dayfly's input and output: git, clusters, the command line. What to do is decided in `dayfly-core`.

pub mod cluster;
pub mod error;
pub mod git;
pub mod home;
pub mod ledger;

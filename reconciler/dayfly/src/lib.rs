//! Dayfly's input and output: git, clusters, the command line. What to do is decided in `dayfly-core`.

pub mod calls;
mod cli;
pub mod cluster;
pub mod clusters;
pub mod controller;
pub mod error;
pub mod git;
pub mod home;
pub mod ledger;
mod output;
mod proposals;
pub mod reconcile;
mod report;
pub mod source;
mod steady;

pub use cli::main;

/// Rendering, policies and lists of objects are many small values, made and dropped: this allocator takes a third less time
/// for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

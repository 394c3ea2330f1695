//! What the tests share.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a harness fails loudly and tells the terminal"
)]

pub mod apps;
pub mod conversation;
pub mod environment;
pub mod generate;
pub mod oracle;
mod pods;
pub mod world;

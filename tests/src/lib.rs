//! What the tests share.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a harness fails loudly and prints to the terminal"
)]

pub mod clients;
pub mod conversation;
pub mod environment;
pub mod fixtures;
pub mod folders;
pub mod generate;
pub mod history;
pub mod oracle;
pub mod passes;
pub mod platform;
mod pods;

use std::time::Duration;

/// How long a test waits for something that has to happen, but at no particular speed.
pub const DEADLINE: Duration = Duration::from_secs(60);

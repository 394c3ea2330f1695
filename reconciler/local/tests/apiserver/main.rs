//! The embedded API server, asked over HTTP as any client would.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

mod client;
mod deletion;
mod faults;
mod load;
mod objects;
mod pages;
mod watches;
mod workloads;

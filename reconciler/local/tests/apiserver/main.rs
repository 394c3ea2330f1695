//! The embedded API server, used over HTTP as by any client.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that cannot continue fails at that line

mod client;
mod deletion;
mod faults;
mod load;
mod objects;
mod pages;
mod watches;
mod workloads;

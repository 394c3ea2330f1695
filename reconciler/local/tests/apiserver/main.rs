//! The embedded API server, asked over HTTP as any client would.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that cannot go on says where

mod client;
mod deletion;
mod faults;
mod load;
mod objects;
mod pages;
mod watches;
mod workloads;

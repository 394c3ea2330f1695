//! The embedded API server, asked over HTTP as any client would.

mod client;
mod deletion;
mod faults;
mod objects;
mod pages;
mod watches;
mod workloads;

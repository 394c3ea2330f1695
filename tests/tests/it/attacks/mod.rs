//! Attacks of somebody who may push any commit, branch or reference, and has neither a key nor a right on a cluster. Each
//! stands beside its honest neighbor, which still works.

mod credentials;
mod dates;
mod git_objects;
mod trees;

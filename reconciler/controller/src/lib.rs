//! The pass, from what git says to clusters that agree, and the loop that repeats it. Joins the edges: git, forge, cluster.

pub mod controller;
pub mod error;
pub mod reconcile;
pub mod source;
mod steady;

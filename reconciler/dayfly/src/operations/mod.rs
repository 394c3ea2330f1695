//! What commands do and decide, with neither arguments nor a terminal.

pub mod adoption;
pub mod check;
#[cfg(feature = "local")]
pub mod local_stack;
pub mod names;
pub mod new_app;
pub mod proposals;
pub mod retirement;
pub mod shipped;

//! The `dayfly` program: the command line over the controller and the edges.

mod cli;
pub mod home;
mod ui;

pub use cli::main;

/// Rendering, policies and lists of objects are many small values, made and dropped: this allocator takes a third less time
/// for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

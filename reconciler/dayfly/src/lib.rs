//! The `dayfly` program: the command line over the controller and the edges. `cli` reads arguments and has the work done
//! by `operations` and the layers below; `ui` tells what came of it.

mod cli;
mod failure;
pub mod home;
mod operations;
mod ui;

pub use cli::{StatedTime, main};

/// Rendering, policies and lists of objects are many small values, made and dropped: this allocator takes a third less time
/// for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

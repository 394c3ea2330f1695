//! The pass, from what git says to clusters that agree, and the loop that repeats it. Joins the edges: git, forge, cluster.

mod apply;
mod basis;
mod blocking;
pub mod error;
mod findings;
mod fleet;
mod inventories;
mod mainline;
mod memory;
mod options;
mod pass;
mod preview;
mod progress;
mod reconciler;
mod removal;
mod report;
mod run;
mod saves;
pub mod source;
mod status;
mod steady;
mod view;
mod waits;

pub use pass::{Changed, Pass, Proposed, Retired};
pub use preview::{PlanPreview, PreviewedChange};
pub use reconciler::Reconciler;
pub use report::{PassFailure, Report, Reports};
pub use run::run;
pub use view::View;

//! The platform's repository: gix reads it, git2 writes it, and nothing else touches it.
#![deny(missing_docs)]

mod error;
mod files;
mod history;
pub mod ledger;
mod names;
mod repository;
mod seed;
mod trees;
mod update;
mod worktree;
mod write;

pub use error::Error;
pub use files::FileChange;
pub use repository::{Repository, Tip};
pub use seed::{MAIN, Seeded, init, seed};
pub use update::update_branch;
pub use worktree::working_tree;
pub use write::{Base, Commit, Writer};

/// The folders that a platform is made of; nothing else of the repository is read.
pub const FOLDERS: [&str; 6] = ["apps/", "catalog/", "charts/", "environments/", "policies/", ".github/"];

/// Who makes Dayfly's commits.
pub const AUTHOR: &str = "Dayfly <dayfly@localhost>";

/// The branch that keeps the signed records.
pub const LEDGER: &str = "refs/heads/dayfly-ledger";

/// Whether a path belongs to the platform.
fn within(path: &str) -> bool {
    let is_in = |folder: &str| path.strip_prefix(folder).is_some_and(|inside| !inside.split('/').any(is_litter));
    // A link in a folder's place has the folder's name.
    FOLDERS.iter().any(|folder| is_in(folder) || folder.strip_suffix('/') == Some(path))
}

/// Whether a name is no part of a platform, committed or not: what is hidden, and what editors put beside the files that
/// they save. A name that some file system takes for git's own is seen, to be refused.
fn is_litter(name: &str) -> bool {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_hidden = name.starts_with('.') && is_plain && !name.to_lowercase().starts_with(".git");
    // vim tries whether it may write with a file of this name.
    is_hidden || name.ends_with('~') || (name.starts_with('#') && name.ends_with('#')) || name == "4913"
}

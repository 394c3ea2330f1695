//! What can go wrong with the repository, and the next step for whoever reads it.

use std::path::{Path, PathBuf};

use dayfly_calls::Stopped;
use dayfly_model::help::{disk_help, shell};

/// What can go wrong with the repository.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no repository.
    #[error("{}: no git repository", .0.display())]
    NotFound(PathBuf),
    /// The repository has no commit on its default branch.
    #[error("{}: {}", .path.display(), unborn(.branch, .others))]
    Unborn {
        /// The repository.
        path: PathBuf,
        /// Its default branch.
        branch: String,
        /// The branches that it has.
        others: Vec<String>,
    },
    /// The history is cut off, so dates cannot be known.
    #[error("{}: the history is shallow, so the apps' ages are unknown", .0.display())]
    Shallow(PathBuf),
    /// A name that leads to no commit.
    #[error("{name}: {}", absent(.path, .meant))]
    NoRevision {
        /// The repository.
        path: PathBuf,
        /// What was asked for.
        name: String,
        /// The references in full that may have been meant.
        meant: Vec<String>,
    },
    /// The first digits of several ids.
    #[error("{0}: several ids begin with these digits")]
    SeveralRevisions(String),
    /// Somebody else has a branch of the name that Dayfly needs.
    #[error("{0}: the branch is there, and is not what Dayfly proposed")]
    ForeignBranch(String),
    /// Trees that git never writes: readers differ in what they say.
    #[error("{revision}: {} is a folder as git never writes one; nothing is changed", root(.folder))]
    Malformed {
        /// The commit.
        revision: String,
        /// The folder; empty for the root.
        folder: String,
    },
    /// More files than any platform has.
    #[error("{}: {} is larger than any platform", .path.display(), root(.folder))]
    TooLarge {
        /// The repository.
        path: PathBuf,
        /// The folder; empty for the root.
        folder: String,
    },
    /// Git is told to see another history than the one that the commits have.
    #[error("{}: this file gives commits other parents than they have", .0.display())]
    Grafts(PathBuf),
    /// Somebody else moved the branch first.
    #[error("{branch} moved from {expected} while Dayfly prepared a commit")]
    Moved {
        /// The branch.
        branch: String,
        /// Where it was.
        expected: String,
    },
    /// A file that Dayfly wants to change has changes of a person.
    #[error("{0}: has changes that are not committed")]
    Uncommitted(String),
    /// Objects are absent or damaged, or the disk said no.
    #[error("{}: {message}", .path.display())]
    Broken {
        /// The repository.
        path: PathBuf,
        /// What the library said.
        message: String,
    },
    /// The ledger is not what it was.
    #[error("dayfly-ledger: {0}; nothing is changed")]
    Ledger(String),
    /// The process was told to stop.
    #[error("git: {0}")]
    Stopped(#[from] Stopped),
    /// A file of the working tree.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// The next step for the person who reads the error.
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Self::NotFound(path) if is_own(path) => {
                format!("put {} aside, and `dayfly up` makes it anew from this folder's commits", path.display())
            }
            Self::NotFound(_) => "start a platform with `dayfly init DIR`, or name its folder with -C DIR".into(),
            Self::Unborn { path, others, .. } if let [other] = &others[..] => {
                format!("if it was renamed: git -C {} symbolic-ref HEAD refs/heads/{other}", shell(path))
            }
            Self::Unborn { path, others, .. } if !others.is_empty() => {
                format!("say which one it is now: git -C {} symbolic-ref HEAD refs/heads/NAME", shell(path))
            }
            Self::Unborn { path, .. } if is_own(path) => {
                format!("push the platform's commits: git push {} HEAD:main", shell(path))
            }
            Self::Unborn { .. } => "commit the platform's files first: git add . && git commit".into(),
            Self::Shallow(_) => {
                "fetch the whole history: git fetch --unshallow (in GitHub Actions: fetch-depth: 0)".into()
            }
            Self::NoRevision { meant, .. } if let [meant] = &meant[..] => format!("write {meant}"),
            Self::NoRevision { meant, .. } if !meant.is_empty() => format!("write one of {}", meant.join(", ")),
            Self::NoRevision { .. } => "give a commit's id, or a branch or tag in full, as in refs/heads/main".into(),
            Self::SeveralRevisions(_) => "write more of them: `git log` shows the whole id".into(),
            Self::ForeignBranch(branch) => format!(
                "look at what it is for; once it is deleted or renamed, Dayfly proposes again: git push REMOTE --delete {branch}"
            ),
            Self::Malformed { .. } => {
                "commit the files anew with git, on top of it; `git fsck` says what is wrong".into()
            }
            Self::TooLarge { .. } => {
                "take out what does not belong to the platform: the next commit is read again".into()
            }
            Self::Grafts(path) => format!("remove it, or push the history by yourself: rm {}", shell(path)),
            Self::Moved { .. } => "run the same command again: it plans anew on the branch as it is now".into(),
            Self::Uncommitted(path) => {
                format!("commit them or put them aside first: git stash -- {}", shell(path.as_ref()))
            }
            Self::Broken { message, .. } if let Some(help) = disk_help(message) => help.into(),
            Self::Broken { path, .. } if is_own(path) => {
                let git = format!("git -C {}", shell(path));
                format!(
                    "`{git} fsck` names what is damaged: remove those files, and `{git} fetch --refetch CLONE HEAD` brings \
                     back what a clone has whole"
                )
            }
            Self::Broken { .. } => "git fsck tells what is damaged; a fresh clone is the usual cure".into(),
            Self::Ledger(_) => "put the branch dayfly-ledger back as it was, from a clone that has it whole".into(),
            Self::Stopped(_) => "run the same command again".into(),
            Self::File { source, .. } => return disk_help(&source.to_string()).map(str::to_owned),
        })
    }

    pub(crate) fn broken(path: &Path, error: impl std::fmt::Display) -> Self {
        let said = error.to_string();
        // git2 adds numbers of its own.
        let message = said.split_once("; class=").map_or(said.as_str(), |(fact, _)| fact).to_owned();
        Self::Broken { path: path.to_owned(), message }
    }

    pub(crate) fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }
}

/// Whether it is the repository that `up` made, which no remote has.
fn is_own(path: &Path) -> bool {
    path.ends_with(".dayfly/platform.git")
}

/// What is said of a name that leads to no commit.
fn absent(path: &Path, meant: &[String]) -> String {
    match meant {
        [] => format!("no such commit in {}", path.display()),
        [_] => "is a short name, and what is approved is named in full".into(),
        _ => "is a short name of several".into(),
    }
}

fn root(folder: &str) -> &str {
    if folder.is_empty() { "the root" } else { folder }
}

fn unborn(branch: &str, others: &[String]) -> String {
    let branch = branch.trim_start_matches("refs/heads/");
    match others {
        [] => format!("the branch {branch} has no commit"),
        others => format!("the default branch {branch} is not there any more; there is {}", others.join(", ")),
    }
}

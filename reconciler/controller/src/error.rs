//! One error for everything that ends a command, and the one place where errors become words for people.

use std::path::PathBuf;

use dayfly_git as git;
use dayfly_model::help::disk_help;

/// What ended a command.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// A file that is not the repository's: a key, a kubeconfig.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The command was asked for something it cannot do.
    #[error("{message}")]
    Usage {
        /// The fact.
        message: String,
        /// The next step.
        help: String,
    },
    /// The request is understood and refused, for a reason in the user's files or the world.
    #[error("{message}")]
    Refused {
        /// The fact.
        message: String,
        /// The next step.
        help: String,
    },
}

/// Why, in a word: decides the exit code, whether to retry, and the label in metrics and conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorReason {
    /// The user's files or the world.
    Refused,
    /// Somebody else was faster: try again on the new state.
    Conflict,
    /// Dayfly was misused or failed itself.
    Failed,
}

impl Error {
    /// A misuse.
    pub fn usage(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), help: help.into() }
    }

    /// A refusal.
    pub fn refused(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::Refused { message: message.into(), help: help.into() }
    }

    /// A failed file operation.
    pub fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// Why, in a word.
    pub fn reason(&self) -> ErrorReason {
        match self {
            Self::Git(git::Error::Moved { .. }) => ErrorReason::Conflict,
            Self::Git(
                git::Error::Ledger(_)
                | git::Error::Malformed { .. }
                | git::Error::TooLarge { .. }
                | git::Error::ForeignBranch(_)
                | git::Error::Grafts(_),
            )
            | Self::Refused { .. } => ErrorReason::Refused,
            Self::Git(_) | Self::File { .. } | Self::Usage { .. } => ErrorReason::Failed,
        }
    }

    /// The next step.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Git(error) => error.help(),
            Self::File { source, .. } => disk_help(&source.to_string()).map(str::to_owned),
            Self::Usage { help, .. } | Self::Refused { help, .. } => Some(help.clone()),
        }
    }
}

impl ErrorReason {
    /// The exit code: 1 for a finding about the user's files or the world, 2 for Dayfly failing or being misused.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Refused => 1,
            Self::Conflict | Self::Failed => 2,
        }
    }
}

//! Why a command did not do what it was asked for.

use dayfly_controller::error::Error;
use dayfly_model::diagnostic::{Diagnostic, Diagnostics};

/// Findings about the user's files, an error, or an error that findings explain.
#[derive(Debug)]
pub struct CommandFailure {
    /// What is wrong with the user's files.
    pub findings: Vec<Diagnostic>,
    /// What ended the command, where that is more than the findings.
    pub error: Option<Error>,
}

impl CommandFailure {
    /// 1 for findings about the user's files or the world, 2 where Dayfly failed or was misused.
    pub fn exit_code(&self) -> u8 {
        self.error.as_ref().map_or(1, |error| error.reason().exit_code())
    }
}

impl From<Error> for CommandFailure {
    fn from(error: Error) -> Self {
        Self { findings: Vec::new(), error: Some(error) }
    }
}

impl From<dayfly_git::Error> for CommandFailure {
    fn from(error: dayfly_git::Error) -> Self {
        Error::from(error).into()
    }
}

impl From<Vec<Diagnostic>> for CommandFailure {
    fn from(findings: Vec<Diagnostic>) -> Self {
        Self { findings, error: None }
    }
}

impl From<Diagnostics> for CommandFailure {
    fn from(findings: Diagnostics) -> Self {
        findings.to_vec().into()
    }
}

impl From<Diagnostic> for CommandFailure {
    fn from(finding: Diagnostic) -> Self {
        vec![finding].into()
    }
}

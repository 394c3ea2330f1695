//! What is wrong with something a user wrote, where, and what to do next.

use std::fmt;
use std::sync::Arc;

use crate::names::AppName;
use crate::rule::Rule;

/// How bad it is: an error refuses, a warning informs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The thing is refused.
    Error,
    /// The thing is accepted; somebody should look.
    Warning,
}

/// A place in a file: both count from 1; 0 where the whole file is meant. Columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// The line, from 1; 0 for the whole file.
    pub line: u32,
    /// The column in characters, from 1; 0 for the whole line.
    pub column: u32,
}

impl Position {
    /// The place of a byte of a text.
    pub fn of(text: &str, at: usize) -> Self {
        let mut at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let before = &text[..at];
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Self { line: u32::try_from(line).unwrap_or(0), column: u32::try_from(column).unwrap_or(0) }
    }
}

/// One finding. Serialized, it is the `diagnostic` of the JSON formats.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file, relative to the repository's root.
    pub path: String,
    /// Where in the file.
    #[serde(flatten)]
    pub position: Position,
    /// What it is about, such as `manifest/unknown-field` or `policy/image-registry`.
    pub rule: Rule,
    /// The app that it concerns; none for a template, an environment or a policy itself.
    pub app: Option<AppName>,
    /// The fact: subject first, no blame, one line.
    pub message: String,
    /// The next step, in words a person who is no developer can act on.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A finding about a whole file, as bad as its rule says.
    pub fn new(rule: Rule, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            severity: rule.severity(),
            path: path.into(),
            position: Position::default(),
            rule,
            app: None,
            message: message.into(),
            help: None,
        }
    }

    /// The same as a warning, where its rule is usually an error.
    pub fn as_warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// The same at a place in the file.
    pub fn at(mut self, position: Position) -> Self {
        self.position = position;
        self
    }

    /// The same, about an app.
    pub fn about(mut self, app: &AppName) -> Self {
        self.app = Some(app.clone());
        self
    }

    /// The same, with a next step.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Whether it refuses.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// `path:line:column: message`, without what is unknown; the help is the printer's to add.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.position.line > 0 {
            write!(f, ":{}", self.position.line)?;
            if self.position.column > 0 {
                write!(f, ":{}", self.position.column)?;
            }
        }
        write!(f, ": {}", self.message)
    }
}

/// Findings that are shared between passes.
pub type Diagnostics = Arc<[Diagnostic]>;

//! What an engine renders: documents, each with the file that they come from.

use std::sync::Arc;

use dayfly_model::diagnostic::Position;
use serde_json::Value;

/// Whose files are rendered, and so which names they see and which kinds they may render.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FolderOwner {
    /// `catalog/<template>/v<major>/`: kinds of apps, in the app's namespace.
    Template,
    /// `environments/<tier>/resources/`: every namespaced kind in the app's namespace, and that Namespace.
    Environment,
    /// `environments/<tier>/shared/`: every kind.
    Shared,
}

/// A file that renders objects, as people wrote it: findings name a place in it.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// From the repository's root.
    pub path: Arc<str>,
    /// What it says.
    pub text: Arc<str>,
}

/// What one file renders: YAML documents as JSON values.
#[derive(Debug)]
pub struct RenderedFile {
    /// The file.
    pub source: SourceFile,
    /// Its documents, in order, without the empty ones.
    pub documents: Vec<Value>,
}

impl SourceFile {
    /// Where the first line that starts with this stands; the whole file if none does.
    pub fn line(&self, start: &str) -> Position {
        let found = self.text.lines().zip(1..).find(|(line, _)| line.trim_start().starts_with(start));
        found.map_or_else(Position::default, |(line, number)| Position {
            line: number,
            column: (line.len() - line.trim_start().len()) as u32 + 1,
        })
    }
}

//! The platform: everything a snapshot declares, typed and validated. What is broken is a diagnostic; the others go on.

pub mod app;
pub mod environment;
pub mod template;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostics, Position};
use crate::digest::Digest;
use crate::names::InstanceKey;

pub use app::App;
pub use environment::Environment;
pub use template::Template;

/// Where each field of a manifest stands, by its path (`spec.parameters.title`, `spec.egress[0]`).
#[derive(Debug, Clone, Default)]
pub struct Spans {
    /// The file, from the repository's root.
    pub path: Arc<str>,
    positions: Arc<BTreeMap<String, Position>>,
}

impl Spans {
    /// The spans of a file.
    pub fn new(path: &str, positions: BTreeMap<String, Position>) -> Self {
        Self { path: path.into(), positions: Arc::new(positions) }
    }

    /// Where the field stands, or the nearest field around it that exists.
    pub fn position(&self, field: &str) -> Position {
        let mut field = field;
        loop {
            if let Some(position) = self.positions.get(field) {
                return *position;
            }
            match field.rfind(['.', '[']) {
                Some(end) => field = &field[..end],
                None => return Position::default(),
            }
        }
    }
}

/// One folder of the platform: what it declares, or why it cannot be read. Broken is not absent.
#[derive(Debug, Clone)]
pub struct Item<T> {
    /// The digest of the folder's files; an item whose folder did not change is reused.
    pub folder: Digest,
    /// What was read, or the errors.
    pub loaded: Result<Arc<T>, Diagnostics>,
    /// Warnings beside a success.
    pub warnings: Diagnostics,
}

/// An app in its tier, with everything that rendering it needs.
#[derive(Debug, Clone)]
pub struct Instance {
    /// App and tier.
    pub key: InstanceKey,
    /// The app.
    pub app: Arc<App>,
    /// Its template.
    pub template: Arc<Template>,
    /// Its tier.
    pub environment: Arc<Environment>,
    /// The app's parameters with the template's defaults, valid against its schema.
    pub parameters: Map<String, Value>,
    /// The namespace it lives in.
    pub namespace: String,
    /// Where people find it: a host name.
    pub host: Option<String>,
}

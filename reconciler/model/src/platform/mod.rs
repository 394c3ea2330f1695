//! The platform: everything a snapshot declares, typed and validated. What is broken is a diagnostic; the others go on.

pub mod app;
pub(crate) mod check;
pub mod environment;
pub(crate) mod format;
mod instance;
mod load;
pub(crate) mod manifest;
pub(crate) mod naming;
mod parameters;
mod read;
mod schema_work;
pub mod template;
pub mod waiver;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::diagnostic::{Diagnostic, Diagnostics, Position};
use crate::digest::{Digest, Revision};
use crate::names::{AppName, InstanceKey, TemplateRef, TierName};
use crate::rule::Rule;
use crate::yaml::{FieldPosition, FieldPositions};

pub use app::App;
pub use check::suggestion;
pub use environment::Environment;
pub use format::dns_label;
pub use format::{duration_text, end_of_day};
pub use template::Template;
pub use waiver::Waiver;

/// A duration as people write it: `30m`, `24h`, `7d`, `2w`.
///
/// # Errors
/// What is wrong with the text, in a sentence.
pub fn duration(text: &str) -> Result<jiff::SignedDuration, String> {
    format::duration(text, "mhdw")
}

/// Everything that one snapshot declares. Cheap to load anew: what did not change is shared with the one before.
#[derive(Debug, Clone, Default)]
pub struct Platform {
    /// The commit, if it was one.
    pub revision: Option<Revision>,
    /// The folders of `apps/`.
    pub apps: BTreeMap<AppName, Item<App>>,
    /// The folders of `catalog/<name>/v<major>/`.
    pub templates: BTreeMap<TemplateRef, Item<Template>>,
    /// The folders of `environments/`.
    pub environments: BTreeMap<TierName, Item<Environment>>,
    /// The `.rego` files of `policies/`, tests included, by path from the repository's root.
    pub policies: Item<BTreeMap<String, Arc<str>>>,
    /// The files of `policies/waivers/`, by file name without `.yaml`.
    pub waivers: BTreeMap<String, Item<Waiver>>,
    /// What belongs to no folder that has a legal name: absent folders, illegal names, two apps that claim one name.
    pub diagnostics: Diagnostics,
    /// Folders of `apps/` without a legal name that would be an app's if written in its way: `Survey` for `survey`.
    pub misnamed: BTreeMap<AppName, String>,
    /// Where each readable app lives.
    placements: BTreeMap<AppName, Arc<naming::Placement>>,
    /// Apps that may not live where they would, and why.
    conflicts: BTreeMap<AppName, Diagnostic>,
}

/// Where each field of a manifest stands, by its path (`spec.parameters.title`, `spec.egress[0]`).
#[derive(Debug, Clone, Default)]
pub struct Spans {
    /// The file, from the repository's root.
    pub path: Arc<str>,
    places: Arc<FieldPositions>,
}

impl Spans {
    /// The spans of a file.
    pub fn new(path: &str, places: FieldPositions) -> Self {
        Self { path: path.into(), places: Arc::new(places) }
    }

    /// A finding about a field: where its value stands, with its name before the message.
    pub fn finding(&self, rule: Rule, field: &str, message: impl fmt::Display) -> Diagnostic {
        Diagnostic::new(rule, &*self.path, format!("{field}: {message}")).at(self.position(field))
    }

    /// Where the field's value stands, or the nearest field around it that exists.
    pub fn position(&self, field: &str) -> Position {
        self.place(field).map_or_else(Position::default, |place| place.value)
    }

    /// Where the field's key stands, or the nearest around it that exists.
    pub fn key(&self, field: &str) -> Position {
        self.place(field).map_or_else(Position::default, |place| place.key)
    }

    fn place(&self, field: &str) -> Option<&FieldPosition> {
        let mut field = field;
        loop {
            if let Some(place) = self.places.get(field) {
                return Some(place);
            }
            field = &field[..field.rfind(['.', '['])?];
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
    /// The name that its manifest claims, and where, if that is not the folder's.
    claim: Option<(String, Position)>,
}

impl<T> Item<T> {
    /// What was read, if it could be.
    pub fn get(&self) -> Option<&Arc<T>> {
        self.loaded.as_ref().ok()
    }

    /// Its errors and warnings.
    pub fn findings(&self) -> impl Iterator<Item = &Diagnostic> {
        self.loaded.as_ref().err().into_iter().flat_map(|errors| errors.iter()).chain(self.warnings.iter())
    }
}

impl<T: Default> Default for Item<T> {
    fn default() -> Self {
        Self { folder: Digest::of_parts([]), loaded: Ok(Arc::default()), warnings: Diagnostics::default(), claim: None }
    }
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
    /// How it is isolated: what the app chose, or the template's first.
    pub runtime: String,
    /// What somebody should look at.
    pub warnings: Diagnostics,
}

#[cfg(test)]
mod tests;

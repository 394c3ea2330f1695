//! The engine Tera: files over an app's values become YAML documents.
//!
//! # What a file sees
//!
//! | name | what it is |
//! |---|---|
//! | `app.name`, `.team`, `.owner`, `.ownerLogin`, `.costCenter`, `.purpose`, `.dataClassification`, `.template`, `.version` | the manifest; what is absent is null |
//! | `params` | the app's parameters with the template's defaults; what is absent is null. Not in `environments/` |
//! | `tier`, `namespace`, `host`, `runtime`, `suspend` | where and how it runs |
//! | `connectors`, `secrets` | lists of names |
//! | `egress` | a list of `{cidr, hostname, port}`, one of the first two null |
//! | `hostnames` | what the tier can filter by name: `none` until there is such a filter |
//! | `files` | the app's other files: path to text |
//!
//! `environments/<tier>/shared/` sees `tier` alone. A file whose name starts with `_` is rendered only where another one
//! includes it: `{% include "_labels.yaml" %}`.
//!
//! # What it may do
//!
//! `if`, `for`, `set`, `include`, `raw`, the filters [`FILTERS`] and the functions [`FUNCTIONS`]. There is no clock,
//! environment variable, file, network or chance, so a rendering depends on one commit alone. A name that nothing defines
//! is an error, in a condition too. Endless work stops: see `tera/source.rs` for how.
//!
//! **A value never changes the structure of the YAML it is put into**: the text that is parsed has holes where values
//! belong, and they are filled afterwards. So quotes are needed only to make a text of a number (`value: "{{ n }}"`), and
//! `name: {{ app.name }}-config` works.

mod context;
mod folder;
mod meter;
mod skeleton;
mod source;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, PoisonError, RwLock};

use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::digest::Digest;
use dayfly_model::platform::{Environment, Instance, Template};
use folder::TeraFolder;
use serde_json::Value;
pub use source::{FILTERS, FUNCTIONS};
use tera::Context;

use super::rendered::{FolderOwner, RenderedFile};

/// One rendering: of an app, or of a tier's shared objects. Its files share a limit of work that a variable of the thread
/// counts, so one thread renders all of them, and nothing else meanwhile.
pub(super) struct TeraRun {
    context: Context,
    is_at_limit: bool,
}

impl TeraRun {
    /// Begins to render an app from these folders.
    pub fn of_app(instance: &Instance, folders: &[&TeraFolder]) -> Self {
        let with_files = folders.iter().any(|folder| folder.uses("files"));
        let (context, bytes) = context::of_app(instance, with_files);
        meter::start(bytes);
        Self { context, is_at_limit: false }
    }

    /// Begins to render a tier's `shared/`.
    pub fn of_shared(environment: &Environment) -> Self {
        meter::start(0);
        Self { context: context::of_shared(environment), is_at_limit: false }
    }

    /// Renders the files of a folder, as long as the limit of work is not reached.
    pub fn render(&mut self, folder: &TeraFolder) -> Vec<Result<RenderedFile, Diagnostic>> {
        let rendered = folder.render(&self.context, self.is_at_limit);
        self.is_at_limit |= rendered.iter().filter_map(|file| file.as_ref().err()).any(folder::is_limit);
        rendered
    }
}

/// How many compiled folders are kept.
const KEPT: usize = 512;

/// Compiled folders by their path and the digest of what they were compiled from: a cache of a pure function, and safe to lose.
static FOLDERS: LazyLock<RwLock<Folders>> = LazyLock::new(RwLock::default);

type Folders = HashMap<(String, Digest), Arc<TeraFolder>>;
type Files = BTreeMap<String, Arc<str>>;

/// The files of a template, compiled.
pub(super) fn of_template(template: &Template) -> Arc<TeraFolder> {
    let folder = format!("catalog/{}/resources/", template.reference);
    cached(folder, template.digest, &template.resources, FolderOwner::Template, Some(&template.parameters))
}

/// The files that an environment renders for each app, compiled.
pub(super) fn of_environment(environment: &Environment) -> Arc<TeraFolder> {
    let folder = format!("environments/{}/resources/", environment.tier);
    cached(folder, environment.digest, &environment.resources, FolderOwner::Environment, None)
}

/// The files that an environment renders once, compiled.
pub(super) fn of_shared(environment: &Environment) -> Arc<TeraFolder> {
    let folder = format!("environments/{}/shared/", environment.tier);
    cached(folder, environment.digest, &environment.shared, FolderOwner::Shared, None)
}

fn cached(
    folder: String,
    digest: Digest,
    files: &Files,
    owner: FolderOwner,
    schema: Option<&Value>,
) -> Arc<TeraFolder> {
    let key = (folder, digest);
    if let Some(known) = FOLDERS.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return known.clone();
    }
    let folder = Arc::new(TeraFolder::new(&key.0, files, owner, schema));
    let mut kept = FOLDERS.write().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= KEPT {
        kept.clear();
    }
    kept.entry(key).or_insert(folder).clone()
}

//! An app that does not exist yet: judged as `check` would judge it, then written.

use std::fs;
use std::path::Path;

use dayfly_controller::error::Error;
use dayfly_git::{Base, Commit, Repository, Writer};
use dayfly_judge::evaluate::{Desired, Evaluator};
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::digest::Revision;
use dayfly_model::names::AppName;
use dayfly_model::platform::Platform;
use dayfly_model::snapshot::{FileEntry, Snapshot};
use dayfly_model::yaml;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Tries an app among the files of a platform.
pub struct AppTrial<'a> {
    snapshot: &'a Snapshot,
    /// The same without the other apps: they do not matter to a single field.
    without_apps: Snapshot,
    name: &'a AppName,
    now: Timestamp,
}

/// What was found wrong with an app, and whether it would run.
pub struct TrialResult {
    pub diagnostics: Vec<Diagnostic>,
    pub is_admitted: bool,
}

/// An app's manifest as a whole.
pub fn app_manifest(name: &AppName, spec: &Map<String, Value>) -> Value {
    json!({ "apiVersion": "dayfly.dev/v1", "kind": "App", "metadata": { "name": name }, "spec": spec })
}

impl<'a> AppTrial<'a> {
    /// Tries the app of that name at a moment.
    pub fn new(snapshot: &'a Snapshot, name: &'a AppName, now: Timestamp) -> Self {
        let without_apps = snapshot.with_folders_of(&Snapshot::default(), &["apps/"]);
        Self { snapshot, without_apps, name, now }
    }

    /// What `check` would say about the app.
    pub fn app(&self, manifest: &Value) -> TrialResult {
        self.judge(self.snapshot, manifest)
    }

    /// What `check` would say about this field, before the others are known. What is absent has a stand-in.
    pub fn field(&self, spec: &Map<String, Value>, field: &str) -> Result<(), Error> {
        let mut spec = spec.clone();
        for (name, stand_in) in [("ttl", "1h"), ("costCenter", "CC-0"), ("owner", "a@example.com"), ("team", "team")] {
            spec.entry(name).or_insert_with(|| json!(stand_in));
        }
        let found = self.judge(&self.without_apps, &app_manifest(self.name, &spec)).diagnostics;
        let is_about = |found: &Diagnostic| {
            let rest = found.message.strip_prefix(field);
            found.is_error() && rest.is_some_and(|rest| rest.starts_with([':', '.', '[']))
        };
        let Some(wrong) = found.into_iter().find(is_about) else { return Ok(()) };
        Err(Error::refused(wrong.message, wrong.help.unwrap_or_else(|| "give another value".into())))
    }

    fn judge(&self, snapshot: &Snapshot, manifest: &Value) -> TrialResult {
        let (path, text) = (format!("apps/{}/app.yaml", self.name), yaml::emit(manifest));
        let with = snapshot.patched(None, [(path, Some(FileEntry::file(text.as_bytes())))]);
        let platform = Platform::load(&with, None);
        let evaluation = Evaluator::default().evaluate(&Desired { tip: &platform, approved: None }, self.now);
        match evaluation.instances.get(self.name) {
            Some(judged) => TrialResult {
                diagnostics: judged.diagnostics().cloned().collect(),
                is_admitted: judged.admitted().is_some(),
            },
            None => TrialResult { diagnostics: Vec::new(), is_admitted: false },
        }
    }
}

/// Writes the manifest as a file below a platform's folder.
pub fn write(root: &Path, path: &str, manifest: &Value) -> Result<(), Error> {
    let file = root.join(path);
    let folder = file.parent().unwrap_or(root);
    fs::create_dir_all(folder).map_err(Error::file(folder))?;
    fs::write(&file, yaml::emit(manifest)).map_err(Error::file(&file))
}

/// Commits the manifest to the default branch of the repository there.
pub fn commit(root: &Path, name: &AppName, path: &str, manifest: &Value, now: Timestamp) -> Result<Revision, Error> {
    let tip = Repository::open(root)?.tip()?;
    let commit = Commit {
        edits: vec![(path.to_owned(), Some(yaml::emit(manifest).into_bytes()))],
        message: format!("apps: start {name}\n\nDayfly-Action: create\nDayfly-App: {name}\n"),
        time: now,
    };
    Ok(Writer::open(root)?.commit(&tip.branch, Base::Tip(tip.revision), &commit)?)
}

//! Judging the files of a platform, all of them or what differs from a base.

use std::collections::BTreeSet;
use std::sync::Arc;

use dayfly_judge::evaluate::{Desired, Evaluated, Evaluator};
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::names::AppName;
use dayfly_model::platform::Platform;
use dayfly_model::snapshot::Snapshot;
use jiff::Timestamp;

/// What was judged, and what was found.
pub struct Checked {
    /// The apps that count.
    pub instances: Vec<Arc<Evaluated>>,
    /// The findings about them and about what they share, by place.
    pub diagnostics: Vec<Diagnostic>,
}

/// Judges these files at a moment. With a base, only the apps count that the change since then touches.
pub fn check(snapshot: &Snapshot, base: Option<&Snapshot>, now: Timestamp) -> Checked {
    let platform = Platform::load(snapshot, None);
    let evaluation = Evaluator::default().evaluate(&Desired { tip: &platform, approved: None }, now);
    let changed = base.map(|base| base.changed_paths(snapshot));
    let touched = changed.as_ref().map(|paths| touched(paths, &platform));
    let unversioned = match (base, &changed) {
        (Some(base), Some(paths)) => platform.changed_without_version(&Platform::load(base, None), paths),
        _ => Vec::new(),
    };
    let counts = |app: Option<&AppName>| match (&touched, app) {
        (Some(touched), Some(app)) => touched.contains(app),
        _ => true,
    };
    let instances: Vec<_> =
        evaluation.instances.values().filter(|instance| counts(Some(&instance.app))).cloned().collect();
    let mut found: BTreeSet<&Diagnostic> = platform.findings().filter(|found| counts(found.app.as_ref())).collect();
    found.extend(evaluation.diagnostics.iter());
    found.extend(&unversioned);
    found.extend(instances.iter().flat_map(|instance| instance.diagnostics()));
    let mut diagnostics: Vec<_> = found.into_iter().cloned().collect();
    diagnostics.sort_by(|a, b| (&a.path, a.position, &a.rule).cmp(&(&b.path, b.position, &b.rule)));
    Checked { instances, diagnostics }
}

/// The apps whose own files, template, environment or policies are among these paths.
fn touched(paths: &[&str], platform: &Platform) -> BTreeSet<AppName> {
    let is_below = |folder: String| paths.iter().any(|path| path.starts_with(&folder));
    let is_touched = |name: &AppName| {
        let app = platform.apps.get(name).and_then(|item| item.loaded.as_ref().ok());
        is_below(format!("apps/{name}/"))
            || is_below("policies/".into())
            || app.is_some_and(|app| {
                is_below(format!("catalog/{}/", app.template)) || is_below(format!("environments/{}/", app.tier))
            })
    };
    platform.apps.keys().filter(|name| is_touched(name)).cloned().collect()
}

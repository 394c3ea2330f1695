//! Passes of a reconciler: waiting for one, and what it says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dayfly_controller::{Pass, Reconciler};
use dayfly_model::diagnostic::Diagnostic;
use dayfly_plan::status::{Phase, Status};
use jiff::Timestamp;

use crate::DEADLINE;

/// Makes passes as a controller does, until one is as wished.
pub async fn pass_until(
    reconciler: &mut Reconciler,
    now: Timestamp,
    what: &str,
    is_wished: impl Fn(&Pass) -> bool,
) -> Arc<Pass> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let pass = reconciler.watch_pass(now).await.unwrap();
        if is_wished(&pass) {
            return pass;
        }
        assert!(Instant::now() < deadline, "never: {what}\n{:#?}\n{}", pass.items, findings_text(&pass));
        let _ = tokio::time::timeout(Duration::from_millis(200), reconciler.cluster_changed()).await;
    }
}

/// Makes passes as a controller does, until one leaves nothing undone.
pub async fn finished_pass(reconciler: &mut Reconciler, now: Timestamp) -> Arc<Pass> {
    pass_until(reconciler, now, "a finished pass", |pass| !pass.is_unfinished()).await
}

/// Waits until a watch reports a change in a cluster, as a controller does between its passes.
pub async fn wait_for_cluster_change(reconciler: &mut Reconciler) {
    tokio::time::timeout(DEADLINE, reconciler.cluster_changed()).await.expect("the change is never seen");
}

/// The status of an app.
pub fn status_of<'a>(pass: &'a Pass, app: &str) -> &'a Status {
    pass.items.iter().find(|item| item.app.as_str() == app).unwrap_or_else(|| panic!("no {app} in {:?}", pass.items))
}

/// The apps that are in a phase.
pub fn apps_in_phase(pass: &Pass, phase: Phase) -> Vec<&str> {
    pass.items.iter().filter(|item| item.phase == phase).map(|item| item.app.as_str()).collect()
}

/// The apps of which an object was changed.
pub fn changed_apps(pass: &Pass) -> BTreeSet<&str> {
    pass.changes.iter().map(|change| change.app.as_str()).collect()
}

/// The findings of a rule.
pub fn findings_of<'a>(pass: &'a Pass, rule: &str) -> Vec<&'a Diagnostic> {
    pass.diagnostics.iter().filter(|finding| finding.rule.id() == rule).collect()
}

/// All findings as a person reads them.
pub fn findings_text(pass: &Pass) -> String {
    pass.diagnostics.iter().map(|finding| format!("{finding}\n")).collect()
}

/// Fails unless a pass found everything as git says: nothing to write, nothing to report, every app ready.
pub fn assert_converged(pass: &Pass) {
    assert_eq!((pass.writes, &pass.changes, findings_text(pass).as_str()), (0, &vec![], ""));
    assert!(pass.items.iter().all(|item| item.phase == Phase::Ready), "{:#?}", pass.items);
}

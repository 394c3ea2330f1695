//! One pass: from what git says to clusters that agree. Shared by `apply`, `run` and `up`, as straight-line code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use dayfly_calls::Calls;
use dayfly_cluster::clusters::ClusterTarget;
use dayfly_git::Repository;
use dayfly_lifecycle::ledger::{Signer, Verifier};
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::names::{AppName, InstanceKey};
use dayfly_model::snapshot::Snapshot;
use dayfly_plan::removal::Removals;
use dayfly_plan::status::Status;
use jiff::Timestamp;

use crate::apply::PLANNED;
use crate::basis::Basis;
use crate::blocking::Blocking;
use crate::error::Error;
use crate::findings;
use crate::fleet::Fleet;
use crate::inventories::Inventories;
use crate::mainline::{Mainline, Retirement};
use crate::memory::Memory;
use crate::options::Options;
use crate::pass::Pass;
use crate::preview::PlanPreview;
use crate::progress::Progress;
use crate::report::{Publisher, Reports};
use crate::source::Source;
use crate::status::StatusInputs;
use crate::view::View;
use crate::waits::{IMPATIENT, PATIENT, Waits};

/// Passes, one after the other, and what is remembered between them; all of it can be read again.
pub struct Reconciler {
    /// Reads git and commits to it, on threads that may block.
    mainline: Blocking<Mainline>,
    pub(crate) fleet: Fleet,
    pub(crate) inventories: Inventories,
    pub(crate) progress: Progress,
    pub(crate) options: Options,
    /// What was found to hold everything that was acted upon, and of which generation of the inventories.
    proven: Option<(Basis, u64)>,
    calls: Calls,
    publisher: Publisher,
    paths: RepositoryPaths,
}

/// Where the repository is.
struct RepositoryPaths {
    repository: PathBuf,
    git_dir: PathBuf,
}

impl Reconciler {
    /// A reconciler of one repository.
    pub fn new(repository: Repository, verifier: Verifier, target: ClusterTarget) -> Self {
        Self::with_calls(repository, verifier, target, Calls::default())
    }

    /// The same, with its own count of calls.
    pub fn with_calls(repository: Repository, verifier: Verifier, target: ClusterTarget, calls: Calls) -> Self {
        let paths =
            RepositoryPaths { repository: repository.path().to_owned(), git_dir: repository.git_dir().to_owned() };
        Self {
            mainline: Blocking::new(Mainline::new(Source::new(repository, verifier), calls.clone())),
            fleet: Fleet::new(target, calls.clone()),
            inventories: Inventories::default(),
            progress: Progress::default(),
            options: Options::default(),
            proven: None,
            calls,
            publisher: Publisher::new(),
            paths,
        }
    }

    /// The same, for these apps only; for all where none is named.
    pub fn only(mut self, apps: BTreeSet<AppName>) -> Self {
        self.options.apps = apps;
        self
    }

    /// The same, remembering what was announced in that file.
    pub fn remembering(mut self, path: PathBuf) -> Self {
        self.mainline.configure(|mainline| mainline.memory = Memory::at(path));
        self
    }

    /// The same, recording in the ledger with that key what is first seen.
    pub fn recording(mut self, signer: Signer) -> Self {
        self.mainline.configure(|mainline| mainline.signer = Some(signer));
        self
    }

    /// The same, at times that a person states and nobody doubts.
    pub fn at_stated_times(mut self, stated: bool) -> Self {
        self.options.is_time_stated = stated;
        self
    }

    /// Where the repository was opened.
    pub fn repository_path(&self) -> &Path {
        &self.paths.repository
    }

    /// The git directory: where refs and objects stand.
    pub fn git_dir(&self) -> &Path {
        &self.paths.git_dir
    }

    /// What the last pass left, now and whenever one ends.
    pub fn reports(&self) -> Reports {
        self.publisher.subscribe()
    }

    /// Waits until something of ours changed in a cluster.
    pub async fn cluster_changed(&mut self) {
        for scope in self.fleet.changed().await {
            self.progress.invalidate(&scope);
        }
    }

    /// One full pass that waits for what it changed to become healthy. Drive it to its end: a commit that was begun is made
    /// also where nobody waits for it any more.
    pub async fn pass(&mut self, now: Timestamp) -> Result<Pass, Error> {
        self.published_pass(now, PATIENT).await.map(Arc::unwrap_or_clone)
    }

    /// One pass of a controller: it plans only what changed in git or in a cluster.
    pub async fn watch_pass(&mut self, now: Timestamp) -> Result<Arc<Pass>, Error> {
        self.published_pass(now, IMPATIENT).await
    }

    async fn published_pass(&mut self, now: Timestamp, waits: Waits) -> Result<Arc<Pass>, Error> {
        let outcome = self.counted_pass(now, waits).await.map(Arc::new);
        self.publisher.publish(&outcome, now);
        outcome
    }

    async fn counted_pass(&mut self, now: Timestamp, waits: Waits) -> Result<Pass, Error> {
        let (began, reads, writes) = (Instant::now(), self.calls.reads(), self.calls.writes());
        let mut pass = self.pass_within(now, waits).await?;
        pass.writes = (self.calls.writes() - writes) as usize;
        pass.calls = pass.writes + (self.calls.reads() - reads) as usize;
        pass.took = began.elapsed();
        Ok(pass)
    }

    async fn pass_within(&mut self, now: Timestamp, waits: Waits) -> Result<Pass, Error> {
        let view = self.read(now).await?;
        let mut pass = Pass::new(&view, now);
        self.observe(&view, waits, &mut pass).await;
        self.refuse_unknown_apps(&view)?;
        self.refuse_rewritten(&view).await?;
        // Must follow `refuse_rewritten`: on a rewritten history the wrong app might be retired.
        let (view, retirement) = self.retire_due(view, now, &mut pass).await?;
        self.mark_expired(&view, now);
        pass.diagnostics.extend(view.findings());
        self.apply_due(&view, now, waits, &mut pass).await;
        let removals = self.prune(&view, now, waits, &mut pass).await;
        self.add_statuses(&view, &removals, now, &mut pass);
        retirement.add_to(&mut pass);
        Ok(pass)
    }

    /// How the apps are, and what somebody should know beside them, without changing anything.
    pub async fn status(&mut self, now: Timestamp) -> Result<(Vec<Status>, Vec<Diagnostic>), Error> {
        let view = self.read(now).await?;
        let mut pass = self.survey(&view, now).await?;
        for some in self.scopes(&view).chunks(PLANNED) {
            drop(self.plan(&view, some, now, &mut pass).await);
        }
        let removals = self.removals(&view, now);
        self.progress.doubt_health();
        self.add_statuses(&view, &removals, now, &mut pass);
        // What is about an app of the list is its message.
        let listed: BTreeSet<_> = pass.items.iter().map(|item| &item.app).collect();
        let is_asked_for = |app: &AppName| self.options.includes(app) && !listed.contains(app);
        pass.diagnostics.retain(|found| found.app.as_ref().is_none_or(&is_asked_for));
        Ok((pass.items, pass.diagnostics))
    }

    /// What a pass would change if these files were the tip.
    pub async fn preview(&mut self, files: Snapshot, now: Timestamp) -> Result<PlanPreview, Error> {
        let view = self.mainline.with(move |mainline| mainline.preview(files, now)).await?;
        let mut pass = self.survey(&view, now).await?;
        let scopes = self.scopes(&view);
        let mut work = self.plan(&view, &scopes, now, &mut pass).await;
        let removals = self.removals(&view, now);
        work.extend(self.removal_work(&removals, &view));
        pass.diagnostics.extend(removals.withheld.iter().map(findings::of_withheld));
        let plans = work.into_iter().map(|work| (work.cluster, work.plan)).collect();
        Ok(PlanPreview::of(plans, pass.diagnostics, self.fleet.unreachable_tiers().cloned().collect()).await)
    }

    /// The part of a pass that changes nothing, up to the plans.
    async fn survey(&mut self, view: &Arc<View>, now: Timestamp) -> Result<Pass, Error> {
        let mut pass = Pass::new(view, now);
        pass.diagnostics.extend(view.findings());
        self.observe(view, PATIENT, &mut pass).await;
        self.refuse_unknown_apps(view)?;
        self.refuse_rewritten(view).await?;
        self.mark_expired(view, now);
        Ok(pass)
    }

    async fn read(&self, now: Timestamp) -> Result<Arc<View>, Error> {
        self.mainline.with(move |mainline| mainline.read(now)).await
    }

    /// Probes the clusters of all tiers, and those where tiers were before, and reads again what somebody else wrote.
    async fn observe(&mut self, view: &View, waits: Waits, pass: &mut Pass) {
        let probed = self.fleet.probe(&view.platform, waits).await;
        pass.diagnostics.extend(probed.findings);
        let mut is_doubtful = probed.is_doubtful;
        for answer in probed.answers {
            is_doubtful = true;
            // Only with its inventories recorded does a cluster count as answered.
            self.fleet.note(&answer);
            let (fleet, name) = (&self.fleet, answer.cluster.name().to_owned());
            let is_home = |tier: &_| fleet.of_tier(tier).is_some_and(|home| home.name() == name);
            let broken = self.inventories.record_probe(answer, |scope| is_home(scope.tier()));
            pass.diagnostics.extend(broken.iter().map(findings::of_inventory));
        }
        self.progress.invalidate_tiers(&probed.moved);
        let former = self.fleet.probe_former(view, waits, &mut self.inventories).await;
        pass.diagnostics.extend(former.findings);
        pass.diagnostics.extend(former.broken.iter().map(findings::of_inventory));
        // How apps are that nobody can ask is not known.
        if is_doubtful || former.has_read {
            self.progress.doubt_health();
        }
        let (read, failed) = self.inventories.reread(&self.fleet, &self.options).await;
        read.iter().for_each(|scope| self.progress.invalidate(scope));
        failed.iter().for_each(|(scope, error)| pass.fail(scope, error));
    }

    /// Refuses an app that was asked for and that neither git nor a cluster has.
    fn refuse_unknown_apps(&self, view: &View) -> Result<(), Error> {
        let is_known = |app: &&AppName| view.platform.apps.contains_key(*app) || self.inventories.has_app(app);
        match self.options.apps.iter().find(|app| !is_known(app)) {
            None => Ok(()),
            Some(app) => {
                Err(Error::refused(format!("{app}: no such app under apps/"), "`dayfly status` lists all apps"))
            }
        }
    }

    /// Pauses where git or the ledger lack what was acted upon.
    async fn refuse_rewritten(&mut self, view: &Arc<View>) -> Result<(), Error> {
        let proof = (Basis::of(view), self.inventories.generation());
        if self.proven != Some(proof) {
            let (view, running) = (view.clone(), self.inventories.running());
            self.mainline.with(move |mainline| mainline.refuse_rewritten(&view, &running)).await?;
            self.proven = Some(proof);
        }
        Ok(())
    }

    /// Commits what is due. Where that moved the tip, the new one is read.
    async fn retire_due(
        &mut self,
        view: Arc<View>,
        now: Timestamp,
        pass: &mut Pass,
    ) -> Result<(Arc<View>, Retirement), Error> {
        let view = self.record_first_sight(view, now, pass).await?;
        let (tip, options) = (view.clone(), self.options.clone());
        let retirement = self.mainline.with(move |mainline| mainline.retire_due(&tip, now, &options)).await?;
        if !retirement.has_committed {
            return Ok((view, retirement));
        }
        // Dropped first, so that reading extends the history without copying it.
        drop(view);
        let view = self.read(now).await?;
        self.refuse_rewritten(&view).await?;
        pass.moves_on(&view);
        Ok((view, retirement))
    }

    /// Records when dates that are ahead were first seen. Where there are any, the history is read again with that. A ledger
    /// that cannot be written stops nobody: whoever pushes such a date would stop all.
    async fn record_first_sight(
        &mut self,
        view: Arc<View>,
        now: Timestamp,
        pass: &mut Pass,
    ) -> Result<Arc<View>, Error> {
        if self.options.is_time_stated || !view.history.has_unseen_dates() {
            return Ok(view);
        }
        let seen = view.clone();
        match self.mainline.with(move |mainline| mainline.record_first_sight(&seen, now)).await {
            Ok(true) => drop(view),
            Ok(false) => return Ok(view),
            Err(Error::Git(stopped @ dayfly_git::Error::Stopped(_))) => return Err(stopped.into()),
            Err(error) => {
                pass.diagnostics.push(findings::of_unrecorded_sight(&view.tip, &error));
                return Ok(view);
            }
        }
        let view = self.read(now).await?;
        self.refuse_rewritten(&view).await?;
        Ok(view)
    }

    /// Marks what is past its end and suspended, so that it loses its routes; what was renewed has them again.
    fn mark_expired(&mut self, view: &View, now: Timestamp) {
        let suspended = view.platform.apps.values().filter_map(|item| item.get()).filter(|app| app.suspend);
        let expired = suspended.filter(|app| view.expiry(&app.name, now).is_some_and(|end| end <= now));
        let keys = expired.map(|app| InstanceKey { app: app.name.clone(), tier: app.tier.clone() });
        self.progress.set_expired(keys.collect());
    }

    /// Adds to a pass how every app is now, what does not go, and what plans skipped.
    fn add_statuses(&mut self, view: &View, removals: &Removals, now: Timestamp, pass: &mut Pass) {
        pass.diagnostics.extend(removals.withheld.iter().map(findings::of_withheld));
        let inventories = &self.inventories;
        self.progress.forget_others(view, |location| inventories.get(location).is_some());
        for (location, skipped) in self.progress.all_skipped() {
            let found = skipped.iter().map(findings::of_skipped);
            pass.diagnostics.extend(found.map(|found| findings::about(found, &location.scope)));
        }
        let mut progress = std::mem::take(&mut self.progress);
        self.status_inputs(view, now).add_statuses(&mut progress, removals, pass);
        self.progress = progress;
    }

    pub(crate) fn status_inputs<'a>(&'a self, view: &'a View, now: Timestamp) -> StatusInputs<'a> {
        StatusInputs { view, fleet: &self.fleet, inventories: &self.inventories, options: &self.options, now }
    }
}

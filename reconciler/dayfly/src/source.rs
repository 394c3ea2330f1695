//! What git says: the tip, what is approved, the history, and the verdicts that follow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dayfly_core::diagnostic::Diagnostic;
use dayfly_core::digest::{Digest, Revision};
use dayfly_core::evaluate::{Approved, Desired, Evaluation, Evaluator};
use dayfly_core::history::{AppFacts, History};
use dayfly_core::ledger::{Approvals, Verifier};
use dayfly_core::lifecycle::Situation;
use dayfly_core::names::{AppName, InstanceKey, TemplateRef, TierName};
use dayfly_core::platform::{Environment, Item, Platform, environment};
use dayfly_core::snapshot::Snapshot;
use jiff::Timestamp;

use crate::error::Error;
use crate::git::{self, Repository, Tip};
use crate::ledger;

/// The folders whose content is that of the approved control revision, whatever the tip says.
const CONTROL: [&str; 3] = ["environments/", "policies/", ".github/"];

/// Reads one repository again and again; each time only what changed.
pub struct Source {
    repository: Repository,
    verifier: Verifier,
    evaluator: Evaluator,
    /// The ledger's records as they were last seen: it only ever grows.
    chain: Vec<Digest>,
    history: History,
    /// All commits that lead to the tip: a merge may have made the platform's own line the second parent.
    ancestors: BTreeSet<Revision>,
    tip: Option<Loaded>,
    baseline: Option<Loaded>,
    /// The instances that do not follow the baseline, and for each with an approval of its own that commit's platform.
    instances: BTreeMap<InstanceKey, Option<Arc<Platform>>>,
    /// Where the tiers of approved commits were.
    homes: BTreeMap<Revision, Homes>,
}

/// Where each tier is.
pub type Homes = BTreeMap<TierName, environment::Cluster>;

/// A commit that was read.
#[derive(Clone)]
struct Loaded {
    snapshot: Arc<Snapshot>,
    /// The platform, with the control folders of `control`.
    platform: Arc<Platform>,
    control: Revision,
}

/// What git says now.
pub struct View {
    /// The branch and its commit.
    pub tip: Tip,
    /// What the ledger approves.
    pub approvals: Approvals,
    /// The tip's platform under the approved environments and policies.
    pub platform: Arc<Platform>,
    /// Every app, judged.
    pub evaluation: Evaluation,
    /// Whether the tip's environments, policies or gate differ from the approved ones and wait for approval.
    pub control_waits: bool,
}

impl Source {
    /// A source that trusts records signed with that key.
    pub fn new(repository: Repository, verifier: Verifier) -> Self {
        Self {
            repository,
            verifier,
            evaluator: Evaluator::default(),
            chain: Vec::new(),
            history: History::default(),
            ancestors: BTreeSet::new(),
            tip: None,
            baseline: None,
            instances: BTreeMap::new(),
            homes: BTreeMap::new(),
        }
    }

    /// The repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// The default branch's history, as of the last [`Source::read`].
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Reads the tip of the default branch.
    pub fn read(&mut self, now: Timestamp) -> Result<View, Error> {
        let tip = self.repository.tip()?;
        let approvals = self.approvals()?;
        self.read_history(tip.revision, now)?;
        let snapshot = match &self.tip {
            Some(known) if known.snapshot.revision() == Some(tip.revision) => known.snapshot.clone(),
            Some(known) => Arc::new(self.repository.snapshot_from(&known.snapshot, tip.revision)?),
            None => Arc::new(self.repository.snapshot(tip.revision)?),
        };
        self.judge(tip, approvals, snapshot, now)
    }

    /// Judges files as if they were the tip, a working tree for instance. The history stays that of the default branch.
    pub fn preview(&mut self, snapshot: Snapshot, now: Timestamp) -> Result<View, Error> {
        let tip = self.repository.tip()?;
        let approvals = self.approvals()?;
        self.read_history(tip.revision, now)?;
        self.judge(tip, approvals, Arc::new(snapshot), now)
    }

    fn approvals(&mut self) -> Result<Approvals, Error> {
        let known = ledger::read(&self.repository, &self.verifier)?;
        let chain = known.as_ref().map_or(&[][..], |known| &known.chain);
        if !chain.starts_with(&self.chain) {
            return Err(Error::refused(
                "dayfly-ledger: records that stood there are gone, so what is approved is unknown; everything stays as it is",
                "put the branch dayfly-ledger back as it was, from a clone that has it whole",
            ));
        }
        self.chain = chain.to_vec();
        known.ok_or_else(|| {
            Error::refused(
                format!(
                    "{}: nothing is approved yet by the key {}",
                    self.repository.path().display(),
                    self.verifier.id()
                ),
                "look at the platform, then approve it as it stands: dayfly adopt",
            )
        })
    }

    fn judge(
        &mut self,
        tip: Tip,
        approvals: Approvals,
        snapshot: Arc<Snapshot>,
        now: Timestamp,
    ) -> Result<View, Error> {
        let control = self.baseline_snapshot(&approvals, &snapshot)?;
        let known = self.tip.take().filter(|known| known.control == approvals.control);
        let platform = match &known {
            Some(known) if Arc::ptr_eq(&known.snapshot, &snapshot) => known.platform.clone(),
            _ => {
                let under_control = snapshot.with_folders_of(&control, &CONTROL);
                Arc::new(Platform::load(&under_control, known.as_ref().map(|known| &*known.platform)))
            }
        };
        let control_waits =
            CONTROL.iter().any(|folder| snapshot.folder_digest(folder) != control.folder_digest(folder));
        let baseline = self.baseline(&approvals, control, &platform);
        self.instances = self.own_approvals(&approvals, &baseline, &platform)?;
        let approved = Approved { baseline: &baseline.platform, instances: &self.instances };
        let evaluation = self.evaluator.evaluate(&Desired { tip: &platform, approved: Some(approved) }, now);
        self.tip = Some(Loaded { snapshot, platform: platform.clone(), control: approvals.control });
        Ok(View { tip, approvals, platform, evaluation, control_waits })
    }

    /// The files of the approved baseline; what they share with other files is read once.
    fn baseline_snapshot(&self, approvals: &Approvals, near: &Snapshot) -> Result<Arc<Snapshot>, Error> {
        Ok(match &self.baseline {
            Some(known) if known.control == approvals.baseline => known.snapshot.clone(),
            _ if near.revision() == Some(approvals.baseline) => Arc::new(near.clone()),
            _ => Arc::new(self.repository.snapshot_from(near, approvals.baseline)?),
        })
    }

    fn baseline(&mut self, approvals: &Approvals, snapshot: Arc<Snapshot>, near: &Platform) -> Loaded {
        match &self.baseline {
            Some(known) if known.control == approvals.baseline => known.clone(),
            _ => {
                let platform = Arc::new(Platform::load(&snapshot, Some(near)));
                let loaded = Loaded { snapshot, platform, control: approvals.baseline };
                self.baseline = Some(loaded.clone());
                self.instances.clear();
                loaded
            }
        }
    }

    /// The instances of the tip whose approval is not the baseline's: approved by themselves, or deleted since.
    fn own_approvals(
        &self,
        approvals: &Approvals,
        baseline: &Loaded,
        tip: &Platform,
    ) -> Result<BTreeMap<InstanceKey, Option<Arc<Platform>>>, Error> {
        let mut own = BTreeMap::new();
        let apps = approvals.instances.keys().map(|key| &key.app).chain(self.history.deleted());
        for app in apps {
            let Some(tier) = tip.apps.get(app).and_then(Item::get).map(|app| app.tier.clone()) else { continue };
            let key = InstanceKey { app: app.clone(), tier };
            let platform = match approvals.of(&key, &self.history) {
                Some(revision) if revision == approvals.baseline => continue,
                Some(revision) if self.knows(&revision) => Some(self.own_approval(&key, revision, baseline, tip)?),
                Some(_) | None => None,
            };
            own.insert(key, platform);
        }
        Ok(own)
    }

    /// The platform of one app's approval: the app and its template at that commit, under the approved control revision.
    fn own_approval(
        &self,
        key: &InstanceKey,
        at: Revision,
        baseline: &Loaded,
        tip: &Platform,
    ) -> Result<Arc<Platform>, Error> {
        if let Some(Some(known)) = self.instances.get(key)
            && known.revision == Some(at)
        {
            return Ok(known.clone());
        }
        let mut files = self.repository.folder(at, &format!("apps/{}/", key.app))?;
        let manifest = files.iter().find(|(path, _)| path.ends_with("/app.yaml")).and_then(|(_, file)| file.bytes());
        let template = manifest.and_then(|bytes| AppFacts::read(bytes).template?.parse::<TemplateRef>().ok());
        if let Some(template) = template {
            files.extend(self.repository.folder(at, &format!("catalog/{template}/"))?);
        }
        let snapshot = Snapshot::new(Some(at), files).with_folders_of(&baseline.snapshot, &CONTROL);
        Ok(Arc::new(Platform::load(&snapshot, Some(tip))))
    }

    /// Where the tiers were at every commit whose environments were approved before, the first one first.
    pub fn homes_before(&mut self, approvals: &Approvals) -> Vec<&Homes> {
        let before = || approvals.baselines.iter().filter(|revision| **revision != approvals.control);
        for revision in before() {
            if !self.homes.contains_key(revision) {
                // A commit that is no more tells nothing.
                let files = self.repository.folder(*revision, "environments/").unwrap_or_default();
                let environments = Platform::load(&Snapshot::new(None, files), None).environments.into_iter();
                let home = |item: &Item<Environment>| Some(item.get()?.cluster.clone());
                let homes = environments.filter_map(|(tier, item)| Some((tier, home(&item)?)));
                self.homes.insert(*revision, homes.collect());
            }
        }
        before().filter_map(|revision| self.homes.get(revision)).collect()
    }

    /// Whether a commit led to the tip, by whatever parent.
    pub fn knows(&self, revision: &Revision) -> bool {
        self.ancestors.contains(revision)
    }

    fn read_ancestors(&mut self, tip: Revision) -> Result<(), Error> {
        let Some(before) = self.history.tip().filter(|before| *before != tip) else {
            if self.ancestors.is_empty() {
                self.ancestors = self.repository.ancestors(tip, &BTreeSet::new())?.0;
            }
            return Ok(());
        };
        let (new, met) = self.repository.ancestors(tip, &self.ancestors)?;
        if met.contains(&before) {
            self.ancestors.extend(new);
        } else {
            self.ancestors = self.repository.ancestors(tip, &BTreeSet::new())?.0;
        }
        Ok(())
    }

    /// Folds the commits that came since the last look; all of them where the branch no longer leads to the last one.
    pub fn read_history(&mut self, tip: Revision, now: Timestamp) -> Result<(), Error> {
        if self.repository.is_shallow()? {
            return Err(git::Error::Shallow(self.repository.path().to_owned()).into());
        }
        self.read_ancestors(tip)?;
        let mut new = self.repository.first_parents(tip, |commit| self.history.contains(commit))?;
        let goes_on = match new.first() {
            None => self.history.tip() == Some(tip),
            Some(first) => self.history.tip() == self.repository.first_parent(*first)?,
        };
        if !goes_on {
            self.history = History::default();
            new = self.repository.first_parents(tip, |_| false)?;
        }
        for revision in new {
            self.history.push(&self.repository.facts(revision)?, now);
        }
        Ok(())
    }
}

impl View {
    /// What is wrong outside of apps, and what waits for a person.
    pub fn findings(&self) -> Vec<Diagnostic> {
        let mut found: Vec<_> = self.platform.findings().chain(self.evaluation.diagnostics.iter()).cloned().collect();
        found.extend(self.evaluation.instances.values().flat_map(|evaluated| evaluated.diagnostics()).cloned());
        if self.control_waits {
            found.push(
                Diagnostic::warning(
                    "approval/control",
                    "environments/, policies/, .github/",
                    format!(
                        "changes since {} wait for approval; what was approved holds meanwhile",
                        self.approvals.control.short()
                    ),
                )
                .help("approve them as they stand: dayfly adopt"),
            );
        }
        found.sort();
        found.dedup();
        found
    }

    /// What the lifecycle's questions depend on.
    pub fn situation<'a>(&self, source: &'a Source, now: Timestamp) -> Situation<'a> {
        Situation { history: &source.history, now, baseline: Some(self.approvals.since) }
    }

    /// When an app's time is up, where its manifest and its tier can be read.
    pub fn expiry(&self, source: &Source, app: &AppName, now: Timestamp) -> Option<Timestamp> {
        let app = self.platform.apps.get(app)?.get()?;
        let environment = self.platform.environments.get(&app.tier)?.get()?;
        Some(self.situation(source, now).expiry(app, environment).at)
    }
}

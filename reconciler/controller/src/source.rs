//! What git says: the tip, what is approved, the history, and the verdicts that follow.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dayfly_git as git;
use dayfly_git::ledger;
use dayfly_git::{Repository, Tip};
use dayfly_judge::evaluate::{Approved, Desired, Evaluation, Evaluator, TimeInputs};
use dayfly_judge::render;
use dayfly_lifecycle::history::{AppChange, AppFacts, History};
use dayfly_lifecycle::ledger::{Approvals, Verifier};
use dayfly_model::digest::Revision;
use dayfly_model::names::{InstanceKey, TemplateRef, TierName};
use dayfly_model::platform::{Environment, Item, Platform};
use dayfly_model::snapshot::Snapshot;
use jiff::Timestamp;

use crate::error::Error;
use crate::view::{Homes, RenderedShared, View};

/// The folders whose content is that of the approved control revision, whatever the tip says.
const CONTROL: [&str; 3] = ["environments/", "policies/", ".github/"];

/// Reads one repository again and again; each time only what changed.
pub struct Source {
    repository: Repository,
    verifier: Verifier,
    evaluator: Evaluator,
    /// The ledger as it was last read: its commit, and what it says. It only ever grows.
    ledger: Option<(Revision, Approvals)>,
    history: Arc<History>,
    ancestors: Arc<BTreeSet<Revision>>,
    /// How many of the ledger's records the dates of the history follow.
    observed: usize,
    tip: Option<Loaded>,
    baseline: Option<Loaded>,
    judged: Option<Judged>,
    /// The instances that do not follow the baseline, and for each with an approval of its own that commit's platform.
    instances: BTreeMap<InstanceKey, Option<Arc<Platform>>>,
    /// Where the tiers of approved commits were.
    homes: BTreeMap<Revision, Arc<Homes>>,
    shared: BTreeMap<TierName, Arc<RenderedShared>>,
}

/// A commit that was read.
#[derive(Clone)]
struct Loaded {
    snapshot: Arc<Snapshot>,
    /// The platform, with the control folders of `control`.
    platform: Arc<Platform>,
    control: Revision,
}

/// What was judged last, and of what: the same again is not judged anew.
struct Judged {
    tip: Arc<Platform>,
    baseline: Arc<Platform>,
    moment: TimeInputs,
    evaluation: Arc<Evaluation>,
}

impl Judged {
    fn is_of(&self, tip: &Arc<Platform>, baseline: &Arc<Platform>, moment: &TimeInputs) -> bool {
        Arc::ptr_eq(&self.tip, tip) && Arc::ptr_eq(&self.baseline, baseline) && self.moment == *moment
    }
}

/// Whether the same instances have approvals of their own, in the very same platforms.
fn are_same(
    some: &BTreeMap<InstanceKey, Option<Arc<Platform>>>,
    others: &BTreeMap<InstanceKey, Option<Arc<Platform>>>,
) -> bool {
    let is_same = |one: &Option<Arc<Platform>>, other: &Option<Arc<Platform>>| match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    };
    some.len() == others.len()
        && some.iter().zip(others).all(|((key, one), (other_key, other))| key == other_key && is_same(one, other))
}

impl Source {
    /// A source that trusts records signed with that key.
    pub fn new(repository: Repository, verifier: Verifier) -> Self {
        Self {
            repository,
            verifier,
            evaluator: Evaluator::default(),
            ledger: None,
            history: Arc::default(),
            ancestors: Arc::default(),
            observed: 0,
            tip: None,
            baseline: None,
            judged: None,
            instances: BTreeMap::new(),
            homes: BTreeMap::new(),
            shared: BTreeMap::new(),
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
        self.read_history(tip.revision, now, &approvals.seen)?;
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
        self.read_history(tip.revision, now, &approvals.seen)?;
        self.judge(tip, approvals, Arc::new(snapshot), now)
    }

    /// What the ledger approves; read again when its branch moved.
    fn approvals(&mut self) -> Result<Approvals, Error> {
        let tip = self.repository.ledger_tip()?;
        if let Some((at, known)) = &self.ledger
            && tip == Some(*at)
        {
            return Ok(known.clone());
        }
        let read = ledger::read(&self.repository, &self.verifier)?;
        let chain = read.as_ref().map_or(&[][..], |read| &read.chain);
        if self.ledger.as_ref().is_some_and(|(_, before)| !chain.starts_with(&before.chain)) {
            return Err(shortened());
        }
        let (Some(at), Some(approvals)) = (tip, read) else {
            return Err(Error::refused(
                format!(
                    "{}: nothing is approved yet by the key {}",
                    self.repository.path().display(),
                    self.verifier.id()
                ),
                "look at the platform, then approve it as it stands: dayfly adopt",
            ));
        };
        self.ledger = Some((at, approvals.clone()));
        Ok(approvals)
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
        let own = self.own_approvals(&approvals, &baseline, &platform)?;
        let moment = TimeInputs::of(&platform, now);
        let same = self.judged.take().filter(|known| known.is_of(&platform, &baseline.platform, &moment));
        let same = same.filter(|_| are_same(&self.instances, &own));
        self.instances = own;
        let (evaluation, renders) = match same {
            Some(known) => (known.evaluation, 0),
            None => {
                let approved = Approved { baseline: &baseline.platform, instances: &self.instances };
                let judged = self.evaluator.evaluate(&Desired { tip: &platform, approved: Some(approved) }, now);
                let renders = judged.renders;
                (Arc::new(judged), renders)
            }
        };
        self.render_shared(&platform);
        let (tip_platform, baseline) = (platform.clone(), baseline.platform);
        self.judged = Some(Judged { tip: tip_platform, baseline, moment, evaluation: evaluation.clone() });
        self.tip = Some(Loaded { snapshot: snapshot.clone(), platform: platform.clone(), control: approvals.control });
        Ok(View {
            tip,
            former_homes: self.former_homes(&approvals),
            approvals,
            snapshot,
            platform,
            shared: self.shared.clone(),
            evaluation,
            renders,
            control_waits,
            replacements: self.repository.replacements()?,
            dated_ahead: self.history.dated_after(now),
            history: self.history.clone(),
            ancestors: self.ancestors.clone(),
        })
    }

    /// Renders the shared objects of every tier whose folder changed.
    fn render_shared(&mut self, platform: &Platform) {
        let mut shared = BTreeMap::new();
        for (tier, item) in &platform.environments {
            let Some(environment) = item.get() else { continue };
            let known = self.shared.get(tier).filter(|known| known.folder == item.folder).cloned();
            let render =
                || RenderedShared { folder: item.folder, manifests: render::render_shared(environment).map(Arc::new) };
            shared.insert(tier.clone(), known.unwrap_or_else(|| Arc::new(render())));
        }
        self.shared = shared;
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
                Some(revision) if self.ancestors.contains(&revision) => {
                    Some(self.own_approval(&key, revision, baseline, tip)?)
                }
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
    fn former_homes(&mut self, approvals: &Approvals) -> Vec<Arc<Homes>> {
        let before = || approvals.baselines.iter().filter(|revision| **revision != approvals.control);
        for revision in before() {
            if !self.homes.contains_key(revision) {
                // A commit that is gone counts as no homes.
                let files = self.repository.folder(*revision, "environments/").unwrap_or_default();
                let environments = Platform::load(&Snapshot::new(None, files), None).environments.into_iter();
                let home = |item: &Item<Environment>| Some(item.get()?.cluster.clone());
                let homes: Homes = environments.filter_map(|(tier, item)| Some((tier, home(&item)?))).collect();
                self.homes.insert(*revision, Arc::new(homes));
            }
        }
        before().filter_map(|revision| self.homes.get(revision).cloned()).collect()
    }

    /// Reads the commits that came since the last read; all of them where the branch no longer leads to the last one.
    /// `seen` says by when commits were there, as the ledger does.
    pub fn read_history(&mut self, tip: Revision, now: Timestamp, seen: &[(Revision, Timestamp)]) -> Result<(), Error> {
        if self.repository.is_shallow()? {
            return Err(git::Error::Shallow(self.repository.path().to_owned()).into());
        }
        let mut new = self.repository.first_parents(tip, |commit| self.history.contains(commit))?;
        let goes_on = match new.first() {
            None => self.history.tip() == Some(tip),
            Some(first) => self.history.tip() == self.repository.first_parent(*first)?,
        };
        if !goes_on {
            self.history = Arc::default();
            self.ancestors = Arc::default();
            new = self.repository.first_parents(tip, |_| false)?;
        }
        let has_new = !new.is_empty();
        for (revision, first_sight) in first_sights(new, seen) {
            let mut facts = self.repository.facts(revision)?;
            facts.seen = first_sight;
            facts.brought = self.brought(revision)?;
            // A view of an earlier moment keeps the history as it was.
            Arc::make_mut(&mut self.ancestors).insert(revision);
            Arc::make_mut(&mut self.history).push(&facts, now);
        }
        if self.history.has_dates_ahead() && (has_new || self.observed != seen.len()) {
            Arc::make_mut(&mut self.history).observe(seen);
        }
        self.observed = seen.len();
        Ok(())
    }

    /// What a merge brings in by its other parents: what was in no history of the branch before. All of it is read before
    /// any of it counts as known: after a failure, the next read finds it again.
    fn brought(&mut self, merge: Revision) -> Result<Vec<(Timestamp, AppChange)>, Error> {
        let mut new = BTreeSet::new();
        for parent in self.repository.parents(merge)?.into_iter().skip(1) {
            new.extend(self.repository.ancestors(parent, &self.ancestors)?);
        }
        let mut brought = Vec::new();
        for revision in &new {
            let time = self.repository.time(*revision)?;
            brought.extend(self.repository.own_changes(*revision)?.into_iter().map(|change| (time, change)));
        }
        Arc::make_mut(&mut self.ancestors).extend(new);
        Ok(brought)
    }
}

/// Commits of one line, the oldest first, each with the earliest time by which it or one after it was there.
fn first_sights(line: Vec<Revision>, seen: &[(Revision, Timestamp)]) -> Vec<(Revision, Option<Timestamp>)> {
    let mut times: BTreeMap<Revision, Timestamp> = BTreeMap::new();
    for (revision, time) in seen {
        times.entry(*revision).and_modify(|known| *known = (*known).min(*time)).or_insert(*time);
    }
    let mut first_sight: Option<Timestamp> = None;
    let mut sights = Vec::with_capacity(line.len());
    for revision in line.into_iter().rev() {
        let own = times.get(&revision).copied();
        first_sight = first_sight.into_iter().chain(own).min();
        sights.push((revision, first_sight));
    }
    sights.reverse();
    sights
}

/// That the ledger lacks what it had.
pub fn shortened() -> Error {
    Error::refused(
        "dayfly-ledger: records that stood there are gone, so what is approved is unknown; everything stays as it is",
        "put the branch dayfly-ledger back as it was, from a clone that has it whole; if it is lost for good, delete the \
         inventories (ConfigMaps in dayfly-system) and .dayfly/lifecycle.json: the next pass adopts by its labels what git still wants",
    )
}

//! The pass's part in retirement: what is due is committed before anything else is planned.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dayfly_forge::{Carried, carry};
use dayfly_lifecycle::retire::{self, Announcements};
use dayfly_lifecycle::suspend;
use dayfly_lifecycle::{Clock, Proposal, ProposalAction};
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::names::{AppName, InstanceKey, TierName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::rewritten::Basis;
use super::{Pass, Proposed, Reconciler, Retired};
use crate::error::{Error, ErrorReason};
use crate::source::View;
use crate::steady::Steady;

/// What the lifecycle remembers between passes. Without it, ends are announced anew: nothing goes sooner.
#[derive(Debug, Default)]
pub(super) struct Memory {
    path: Option<PathBuf>,
    stored: Stored,
    /// What the file holds.
    kept: Option<Stored>,
    /// When the last pass of this process was, on a clock that never jumps.
    ticked: Option<Steady>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Stored {
    announcements: Announcements,
    clock: Option<Clock>,
    /// What the last pass went by.
    basis: Option<Basis>,
}

/// What was retired, and what somebody should know of it.
#[derive(Default)]
pub(super) struct Retirement {
    pub has_committed: bool,
    retired: Vec<Retired>,
    proposals: Vec<Proposed>,
    diagnostics: Vec<Diagnostic>,
}

impl Memory {
    /// Remembers in a file.
    pub fn at(path: PathBuf) -> Self {
        let kept: Option<Stored> = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { path: Some(path), stored: kept.clone().unwrap_or_default(), kept, ticked: None }
    }

    /// What the last pass went by.
    pub fn basis(&self) -> Option<Basis> {
        self.stored.basis
    }

    /// Takes note of what this pass goes by.
    pub fn went_by(&mut self, basis: Basis) {
        self.stored.basis = Some(basis);
    }

    fn tick(&mut self, now: Timestamp) {
        let elapsed = self.ticked.map(|before| before.elapsed());
        self.stored.clock = Some(Clock::tick(self.stored.clock, now, elapsed));
        self.ticked = Some(Steady::now());
    }

    /// Keeps what is new. Where it cannot be kept, ends are announced anew after a restart: that is told, and stops nothing.
    fn keep(&mut self) -> Option<Diagnostic> {
        let path = self.path.clone().filter(|_| self.kept.as_ref() != Some(&self.stored))?;
        let new = path.with_extension("new");
        let bytes = serde_json::to_vec_pretty(&self.stored).unwrap_or_default();
        let folder = path.parent().unwrap_or(Path::new("."));
        let written =
            fs::create_dir_all(folder).and_then(|()| fs::write(&new, bytes)).and_then(|()| fs::rename(&new, &path));
        match written {
            Ok(()) => self.kept = Some(self.stored.clone()),
            Err(error) => {
                let message = format!("cannot be written: {error}; what was announced is forgotten by a restart");
                let found = Diagnostic::warning("retire/memory", path.display().to_string(), message);
                return Some(
                    found.help("make room on the disk, or let Dayfly write there; nothing goes sooner for it"),
                );
            }
        }
        None
    }
}

impl Retirement {
    pub fn tell(self, pass: &mut Pass) {
        pass.retired = self.retired;
        pass.proposals = self.proposals;
        pass.diagnostics.extend(self.diagnostics);
    }
}

impl Reconciler {
    /// Commits what is due, as far as clock and budget allow; a tier that changes by pull request gets a branch.
    pub(super) fn retire_due(&mut self, view: &View, now: Timestamp) -> Result<Retirement, Error> {
        // A stated time is not doubted.
        let clock = (!self.is_time_stated).then(|| {
            self.memory.tick(now);
            self.memory.stored.clock
        });
        let situation = view.situation(&self.source, now);
        let announced = retire::announce(&view.platform, &situation, &self.memory.stored.announcements);
        self.memory.stored.announcements = announced;
        let plan = retire::due(&view.platform, &situation, &self.memory.stored.announcements, clock.flatten().as_ref());
        let mut retirement = Retirement::default();
        retirement.diagnostics.extend(plan.refused.iter().map(|refused| refused.diagnostic()));
        retirement.diagnostics.extend(plan.doubt.map(|doubt| {
            Diagnostic::warning("retire/clock", "clock", doubt)
                .help("look at the machine's time; what is due waits meanwhile")
        }));
        if self.only.is_empty() {
            let suspensions = self.suspensions(view, &plan.overdue);
            // A branch that retires what is suspended in the same pass has to follow that.
            let proposals: Vec<_> = suspensions.iter().chain(&plan.proposals).collect();
            self.carry_all(view, &proposals, now, &mut retirement)?;
        }
        // What a person only supposed is not remembered.
        if !self.is_time_stated {
            retirement.diagnostics.extend(self.memory.keep());
        }
        Ok(retirement)
    }

    /// The proposals to suspend what waits for its retirement too long.
    fn suspensions(&self, view: &View, overdue: &[InstanceKey]) -> Vec<Proposal> {
        let Some(snapshot) = self.source.snapshot() else { return Vec::new() };
        let mut tiers: BTreeMap<&TierName, Vec<AppName>> = BTreeMap::new();
        overdue.iter().for_each(|key| tiers.entry(&key.tier).or_default().push(key.app.clone()));
        tiers.iter().filter_map(|(tier, apps)| suspend::overdue(&view.platform, snapshot, tier, apps)).collect()
    }

    /// What is past its end and suspended has no routes; what was renewed has them again.
    pub(super) fn withdraw_routes(&mut self, view: &View, now: Timestamp) {
        let suspended = view.platform.apps.values().filter_map(|item| item.get()).filter(|app| app.suspend);
        let is_over = |app: &AppName| view.expiry(&self.source, app, now).is_some_and(|end| end <= now);
        let resting = suspended.filter(|app| is_over(&app.name));
        let resting = resting.map(|app| InstanceKey { app: app.name.clone(), tier: app.tier.clone() }).collect();
        let before = std::mem::replace(&mut self.resting, resting);
        let changed: Vec<_> = before.symmetric_difference(&self.resting).cloned().collect();
        changed.iter().for_each(|key| drop(self.settled.remove(key)));
    }

    fn carry_all(
        &self,
        view: &View,
        proposals: &[&Proposal],
        now: Timestamp,
        retirement: &mut Retirement,
    ) -> Result<(), Error> {
        let mut tip = view.tip.clone();
        for proposal in proposals {
            match carry(self.repository(), &tip, proposal, now, self.clusters.calls()).map_err(Error::from) {
                Err(error) if error.reason() == ErrorReason::Conflict && self.repository().tip()? != tip => {
                    return Err(error);
                }
                // What cannot be retired now stops nobody else.
                Err(error) => {
                    let found = Diagnostic::warning("retire/waits", tip.short_branch(), error.to_string());
                    retirement.diagnostics.push(Diagnostic { help: error.help(), ..found });
                }
                Ok(Carried::Committed(commit)) => {
                    retirement.has_committed = true;
                    let retired = proposal.apps.iter().filter(|_| proposal.action == ProposalAction::Retire);
                    retirement.retired.extend(retired.map(|app| Retired {
                        app: app.clone(),
                        tier: proposal.tier.clone(),
                        commit,
                    }));
                    tip.revision = commit;
                }
                Ok(Carried::Branched { branch, .. }) => {
                    retirement.proposals.extend(proposal.apps.iter().map(|app| Proposed {
                        action: proposal.action.to_string(),
                        app: app.clone(),
                        tier: proposal.tier.clone(),
                        pull_request: None,
                        branch: branch.clone(),
                    }));
                }
            }
        }
        Ok(())
    }
}

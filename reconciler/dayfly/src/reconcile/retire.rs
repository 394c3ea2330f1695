//! The pass's part in retirement: what is due is committed before anything else is planned.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use dayfly_core::diagnostic::Diagnostic;
use dayfly_core::lifecycle::retire::{self, Announcements};
use dayfly_core::lifecycle::{Clock, Proposal};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Pass, Proposed, Reconciler, Retired};
use crate::error::{Error, Reason};
use crate::proposals::{Carried, carry};
use crate::source::View;

/// What the lifecycle remembers between passes. Without it, ends are announced anew: nothing goes sooner.
#[derive(Debug, Default)]
pub(super) struct Memory {
    path: Option<PathBuf>,
    stored: Stored,
    /// When the last pass of this process was, on a clock that never jumps.
    ticked: Option<Instant>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Stored {
    announcements: Announcements,
    clock: Option<Clock>,
}

/// What was retired, and what somebody should know of it.
#[derive(Default)]
pub(super) struct Retirement {
    pub retired: Vec<Retired>,
    proposals: Vec<Proposed>,
    diagnostics: Vec<Diagnostic>,
}

impl Memory {
    /// Remembers in a file.
    pub fn at(path: PathBuf) -> Self {
        let stored = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Self { path: Some(path), stored, ticked: None }
    }

    fn tick(&mut self, now: Timestamp) {
        let elapsed = self.ticked.map(|before| SignedDuration::try_from(before.elapsed()).unwrap_or_default());
        self.stored.clock = Some(Clock::tick(self.stored.clock, now, elapsed));
        self.ticked = Some(Instant::now());
    }

    fn keep(&self, before: &Stored) -> Result<(), Error> {
        let Some(path) = self.path.as_ref().filter(|_| self.stored != *before) else { return Ok(()) };
        let new = path.with_extension("new");
        let bytes = serde_json::to_vec_pretty(&self.stored).unwrap_or_default();
        fs::write(&new, bytes).and_then(|()| fs::rename(&new, path)).map_err(Error::file(path))
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
        let before = self.memory.stored.clone();
        // A stated time is not doubted.
        let clock = (!self.is_time_stated).then(|| {
            self.memory.tick(now);
            self.memory.stored.clock
        });
        let situation = view.situation(&self.source, now);
        self.memory.stored.announcements = retire::announce(&view.platform, &situation, &before.announcements);
        let plan = retire::due(&view.platform, &situation, &self.memory.stored.announcements, clock.flatten().as_ref());
        let mut retirement = Retirement::default();
        retirement.diagnostics.extend(plan.refused.iter().map(|refused| refused.diagnostic()));
        retirement.diagnostics.extend(plan.doubt.map(|doubt| {
            Diagnostic::warning("retire/clock", "clock", doubt)
                .help("look at the machine's time; what is due waits meanwhile")
        }));
        if self.only.is_empty() {
            self.carry_all(view, &plan.proposals, now, &mut retirement)?;
        }
        // What a person only supposed is not remembered.
        if !self.is_time_stated {
            self.memory.keep(&before)?;
        }
        Ok(retirement)
    }

    fn carry_all(
        &self,
        view: &View,
        proposals: &[Proposal],
        now: Timestamp,
        retirement: &mut Retirement,
    ) -> Result<(), Error> {
        let mut tip = view.tip.clone();
        for proposal in proposals {
            match carry(self.repository(), &tip, proposal, now, self.clusters.calls()) {
                Err(error) if error.reason() == Reason::Conflict && self.repository().tip()? != tip => {
                    return Err(error);
                }
                // What cannot be retired now stops nobody else.
                Err(error) => {
                    let found = Diagnostic::warning("retire/waits", tip.short_branch(), error.to_string());
                    retirement.diagnostics.push(Diagnostic { help: error.help(), ..found });
                }
                Ok(Carried::Committed(commit)) => {
                    retirement.retired.extend(proposal.apps.iter().map(|app| Retired {
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

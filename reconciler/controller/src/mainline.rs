//! The repository's side of a pass: it reads what git says, checks that git still says what was acted upon, and commits what
//! is due. All of it may block.

use std::collections::BTreeMap;
use std::sync::Arc;

use dayfly_calls::Calls;
use dayfly_forge::{Carried, carry};
use dayfly_git::{LEDGER, ledger};
use dayfly_lifecycle::ledger::{LedgerFact, Signer};
use dayfly_lifecycle::retire::{self, RetirePlan};
use dayfly_lifecycle::{Proposal, ProposalAction, suspend};
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::names::{AppName, InstanceKey, TierName};
use dayfly_model::rule::Rule;
use dayfly_model::snapshot::Snapshot;
use jiff::Timestamp;

use crate::basis::{Basis, refuse_rewritten};
use crate::error::{Error, ErrorReason};
use crate::inventories::Running;
use crate::memory::Memory;
use crate::options::Options;
use crate::pass::{Pass, Proposed, Retired};
use crate::source::Source;
use crate::view::View;

/// The default branch, and what Dayfly remembers of it.
pub(crate) struct Mainline {
    source: Source,
    pub memory: Memory,
    /// Signs what is observed; without it, dates that are ahead count as those before them.
    pub signer: Option<Signer>,
    calls: Calls,
}

/// What was retired or proposed, and what somebody should know of it.
#[derive(Default)]
pub(crate) struct Retirement {
    pub has_committed: bool,
    retired: Vec<Retired>,
    proposals: Vec<Proposed>,
    diagnostics: Vec<Diagnostic>,
}

impl Retirement {
    /// Adds it to a pass.
    pub fn add_to(self, pass: &mut Pass) {
        pass.retired = self.retired;
        pass.proposals = self.proposals;
        pass.diagnostics.extend(self.diagnostics);
    }
}

impl Mainline {
    pub fn new(source: Source, calls: Calls) -> Self {
        Self { source, memory: Memory::default(), signer: None, calls }
    }

    /// Reads and judges the tip of the default branch.
    pub fn read(&mut self, now: Timestamp) -> Result<Arc<View>, Error> {
        self.source.read(now).map(Arc::new)
    }

    /// Judges files as if they were the tip.
    pub fn preview(&mut self, files: Snapshot, now: Timestamp) -> Result<Arc<View>, Error> {
        self.source.preview(files, now).map(Arc::new)
    }

    /// Refuses a history or a ledger that lacks what was acted upon, and remembers what this pass goes by.
    pub fn refuse_rewritten(&mut self, view: &View, running: &[Running]) -> Result<(), Error> {
        refuse_rewritten(self.source.repository(), view, self.memory.basis(), running)?;
        self.memory.went_by(Basis::of(view));
        Ok(())
    }

    /// Records when dates that are ahead were first seen: now. Returns whether it did; a clock in doubt, and one that is
    /// behind the ledger, say nothing.
    pub fn record_first_sight(&mut self, view: &View, now: Timestamp) -> Result<bool, Error> {
        let is_behind = view.approvals.seen.last().is_some_and(|(_, time)| *time > now);
        let Some(signer) = self.signer.as_ref().filter(|_| !is_behind && !self.memory.doubts_clock()) else {
            return Ok(false);
        };
        let (repository, revision) = (self.source.repository(), view.tip.revision);
        let append = || ledger::append(repository, signer, revision, now, LedgerFact::Observation);
        self.calls.commit(LEDGER, append)?;
        Ok(true)
    }

    /// Commits what is due, as far as clock and budget allow; a tier that changes by pull request gets a proposal.
    pub fn retire_due(&mut self, view: &View, now: Timestamp, options: &Options) -> Result<Retirement, Error> {
        // A stated time is not doubted.
        let clock = (!options.is_time_stated).then(|| self.memory.tick(now));
        let situation = view.situation(now);
        let announced = retire::announce(&view.platform, &situation, self.memory.announcements());
        self.memory.announce(announced);
        let plan = retire::due(&view.platform, &situation, self.memory.announcements(), clock.as_ref());
        let mut retirement = Retirement { diagnostics: findings(&plan), ..Retirement::default() };
        if options.includes_all() {
            let suspensions = suspensions(view, &plan.overdue);
            // A branch that retires what is suspended in the same pass has to follow that.
            let proposals: Vec<_> = suspensions.iter().chain(&plan.proposals).collect();
            self.carry_all(view, &proposals, now, &mut retirement)?;
        }
        // What a person only supposed is not remembered.
        if !options.is_time_stated {
            retirement.diagnostics.extend(self.memory.keep());
        }
        Ok(retirement)
    }

    fn carry_all(
        &self,
        view: &View,
        proposals: &[&Proposal],
        now: Timestamp,
        retirement: &mut Retirement,
    ) -> Result<(), Error> {
        let repository = self.source.repository();
        let mut tip = view.tip.clone();
        for proposal in proposals {
            match carry(repository, &tip, proposal, now, &self.calls).map_err(Error::from) {
                Err(error) if error.reason() == ErrorReason::Conflict && repository.tip()? != tip => {
                    return Err(error);
                }
                // What cannot be retired now stops nobody else.
                Err(error) => {
                    let found = Diagnostic::new(Rule::RETIRE_WAITS, tip.short_branch(), error.to_string());
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
                Ok(Carried::Proposed(request)) => {
                    retirement.proposals.extend(proposal.apps.iter().map(|app| Proposed {
                        action: proposal.action.to_string(),
                        app: app.clone(),
                        tier: proposal.tier.clone(),
                        pull_request: request.pull_request,
                        branch: request.branch.clone(),
                    }));
                }
            }
        }
        Ok(())
    }
}

/// What is due and does not go, as findings.
fn findings(plan: &RetirePlan) -> Vec<Diagnostic> {
    let doubt = plan.doubt.as_ref().map(|doubt| {
        let found = Diagnostic::new(Rule::RETIRE_CLOCK, "clock", doubt);
        found.help("look at the machine's time; what is due waits meanwhile")
    });
    plan.refused.iter().map(|refused| refused.diagnostic()).chain(doubt).collect()
}

/// The proposals to suspend what waits for its retirement too long.
fn suspensions(view: &View, overdue: &[InstanceKey]) -> Vec<Proposal> {
    let mut tiers: BTreeMap<&TierName, Vec<AppName>> = BTreeMap::new();
    overdue.iter().for_each(|key| tiers.entry(&key.tier).or_default().push(key.app.clone()));
    tiers.iter().filter_map(|(tier, apps)| suspend::overdue(&view.platform, &view.snapshot, tier, apps)).collect()
}

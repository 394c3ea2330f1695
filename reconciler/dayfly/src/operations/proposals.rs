//! Changes of one app on the default branch: what they are, and the way that they take to git.

use std::path::Path;

use dayfly_calls::Calls;
use dayfly_controller::error::Error;
use dayfly_controller::source::Source;
use dayfly_forge::Carried;
use dayfly_git::{Repository, Tip, ledger};
use dayfly_lifecycle::{Proposal, Situation, renew};
use dayfly_model::names::AppName;
use dayfly_model::platform::Platform;
use dayfly_model::snapshot::Snapshot;
use jiff::{SignedDuration, Timestamp};

use crate::failure::CommandFailure;
use crate::home::PlatformHome;

/// The tip of the platform's repository, read.
pub struct PlatformTip {
    pub repository: Repository,
    pub snapshot: Snapshot,
    pub platform: Platform,
}

impl PlatformTip {
    pub fn of(home: &PlatformHome) -> Result<Self, Error> {
        let repository = home.repository()?;
        let snapshot = repository.snapshot(repository.tip()?.revision)?;
        let platform = Platform::load(&snapshot, None);
        Ok(Self { repository, snapshot, platform })
    }

    /// The renewal of an app, as its history says how long it has lived.
    pub fn renewal(
        &self,
        home: &PlatformHome,
        ledger_key: Option<&Path>,
        app: &AppName,
        by: Option<SignedDuration>,
        now: Timestamp,
    ) -> Result<Proposal, CommandFailure> {
        let verifier = home.signer_or_new(ledger_key)?.verifier();
        let approvals = ledger::read(&self.repository, &verifier)?;
        let baseline = approvals.as_ref().map(|approvals| approvals.since);
        let seen = approvals.map(|approvals| approvals.seen).unwrap_or_default();
        let mut source = Source::new(home.repository()?, verifier);
        source.read_history(self.repository.tip()?.revision, now, &seen)?;
        let situation = Situation { history: source.history(), now, baseline };
        Ok(renew::renew(&self.platform, &self.snapshot, &situation, app, by)?)
    }

    /// Commits the proposal where it is of this tip, or puts it on a branch, as its tier says.
    pub fn carry(&self, proposal: &Proposal, now: Timestamp) -> Result<Carried, Error> {
        let tip = self.repository.tip()?;
        let tip = Tip { revision: self.snapshot.revision().unwrap_or(tip.revision), ..tip };
        Ok(dayfly_forge::carry(&self.repository, &tip, proposal, now, &Calls::default())?)
    }
}

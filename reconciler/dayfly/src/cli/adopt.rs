//! `dayfly adopt`: a signed baseline record approves a commit.

use std::collections::BTreeSet;

use dayfly_core::ledger::Fact;

use super::{Context, Exit};
use crate::error::Error;
use crate::ledger;

/// Approve a commit as it stands
#[derive(clap::Args)]
pub struct Adopt {
    /// The commit, branch or tag [default: the default branch's tip]
    revision: Option<String>,
}

impl Adopt {
    /// Writes the record.
    pub fn run(self, context: &Context) -> Exit {
        let home = context.home();
        let repository = home.repository()?;
        let revision = match &self.revision {
            Some(name) => repository.resolve(name)?,
            None => repository.tip()?.revision,
        };
        let tip = repository.tip()?;
        if !repository.ancestors(tip.revision, &BTreeSet::new())?.0.contains(&revision) {
            let (branch, revision) = (tip.short_branch(), revision.short());
            return Err(Error::refused(
                format!("{revision} is not in the history of {branch}, so nothing could run as it says"),
                format!("merge it into {branch}, then approve it"),
            ));
        }
        let signer = home.signer_or_new(context.global.ledger_key.as_deref())?;
        let approved = ledger::read(&repository, &signer.verifier())?;
        if approved.is_some_and(|approved| approved.baseline == revision) {
            context.output.note(format!("{} is the approved baseline already", revision.short()));
            return Ok(0);
        }
        ledger::append(&repository, &signer, revision, context.now(), Fact::Baseline)?;
        context.output.note(format!(
            "approved {}: its apps, environments and policies hold from now on (key {})",
            revision.short(),
            signer.verifier().id()
        ));
        Ok(0)
    }
}

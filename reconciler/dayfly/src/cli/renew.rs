//! `dayfly renew`: an app's time counts from today again.

use dayfly_controller::source::Source;
use dayfly_git::ledger;
use dayfly_lifecycle::{Situation, renew};
use jiff::SignedDuration;

use super::{Context, Exit, proposed, render};

/// Let an app live longer
#[derive(clap::Args)]
pub struct Renew {
    /// The app
    app: String,
    /// By how much, for an app that ends on a date, such as 7d
    #[arg(long, value_name = "TIME", value_parser = duration)]
    by: Option<SignedDuration>,
}

fn duration(text: &str) -> Result<SignedDuration, String> {
    dayfly_model::platform::duration(text)
}

impl Renew {
    /// Commits the renewal, or puts it on a branch, as the tier says.
    pub fn run(self, context: &Context) -> Exit {
        let (repository, snapshot, platform) = proposed::tip(context)?;
        let app = render::known_app(&platform, &self.app)?;
        let home = context.home();
        let now = context.now();
        let verifier = home.signer_or_new(context.global.ledger_key.as_deref())?.verifier();
        let baseline = ledger::read(&repository, &verifier)?.map(|approvals| approvals.since);
        let mut source = Source::new(home.repository()?, verifier);
        source.read_history(repository.tip()?.revision, now)?;
        let situation = Situation { history: source.history(), now, baseline };
        match renew::renew(&platform, &snapshot, &situation, &app, self.by) {
            Ok(proposal) => {
                proposed::carry(context, &repository, &snapshot, &proposal)?;
                context.output.note(format!("  {}", proposal.body));
                Ok(0)
            }
            Err(diagnostic) => proposed::refuse(context, &diagnostic),
        }
    }
}

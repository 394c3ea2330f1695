//! `dayfly adopt`: a signed record approves a commit as it stands, or one app as it renders there.

use dayfly_model::digest::Revision;
use serde::Serialize;

use super::CommandResult;
use super::context::CommandContext;
use crate::failure::CommandFailure;
use crate::operations::adoption::{Adoption, WaitingApp, approvable};

/// Approve a commit as it stands
#[derive(clap::Args)]
pub struct AdoptArgs {
    /// The commit: an id, or a reference in full, as in refs/tags/v1 [default: the default branch's tip]
    revision: Option<String>,
    /// Approve only this app, as it renders at that commit; several times for several apps
    #[arg(long = "app", value_name = "APP")]
    apps: Vec<String>,
}

/// What was approved. Serialized, it is the `Approval` of the JSON formats.
#[derive(Serialize)]
struct ApprovalReport {
    revision: Revision,
    key: String,
    /// Whether it approves everything at the commit, or single apps.
    baseline: bool,
    /// Whether environments, policies or the gate waited for it.
    control: bool,
    /// The apps that waited for it.
    apps: Vec<WaitingApp>,
    /// How many records were written; none where all was approved already.
    records: usize,
}

impl AdoptArgs {
    /// Writes the record, and says what it approves.
    pub fn run(self, context: &CommandContext) -> CommandResult {
        let home = context.platform()?;
        let repository = home.repository()?;
        let revision = approvable(&repository, self.revision.as_deref())?;
        let signer = home.signer_or_new(context.ledger_key())?;
        let (key, baseline) = (signer.verifier().id(), self.apps.is_empty());
        let adoption = Adoption { repository, signer, revision, now: context.now() };
        let mut report = ApprovalReport { revision, key, baseline, control: false, apps: Vec::new(), records: 0 };
        if baseline {
            approve_all(context, &adoption, &mut report)?;
        } else {
            approve_apps(context, &adoption, &self.apps, &mut report)?;
        }
        if context.printer.is_data() {
            context.printer.data("Approval", &report)?;
        }
        Ok(0)
    }
}

/// Approves the commit, and says what waited for it.
fn approve_all(
    context: &CommandContext,
    adoption: &Adoption,
    report: &mut ApprovalReport,
) -> Result<(), CommandFailure> {
    let (printer, at) = (&context.printer, report.revision.short());
    let Some(waiting) = adoption.approve_all()? else {
        printer.note(format!("{at} is the approved baseline already"));
        return Ok(());
    };
    (report.records, report.control, report.apps) = (1, waiting.control, waiting.apps);
    printer.note(format!("approved {at}: its apps, environments and policies hold from now on (key {})", report.key));
    if report.control {
        printer.note("  changed: environments/, policies/ or .github/");
    }
    for waiting in &report.apps {
        printer.note(format!("  {}: {} in {}", waiting.was, waiting.app, waiting.tier));
    }
    Ok(())
}

/// Approves each of these apps as the commit renders it.
fn approve_apps(
    context: &CommandContext,
    adoption: &Adoption,
    names: &[String],
    report: &mut ApprovalReport,
) -> Result<(), CommandFailure> {
    let (printer, at) = (&context.printer, report.revision.short());
    for (name, approval) in names.iter().zip(adoption.app_approvals(names)?) {
        let Some(approval) = approval else {
            printer.note(format!("{name} is approved already as {at} renders it"));
            continue;
        };
        report.apps.push(adoption.approve_app(approval)?);
        report.records += 1;
        printer.note(format!("approved {name} as {at} renders it (key {})", report.key));
    }
    Ok(())
}

//! What git says at one moment: the tip, what is approved, the history, and the verdicts that follow. It owns all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dayfly_git::Tip;
use dayfly_judge::evaluate::Evaluation;
use dayfly_judge::render::Manifests;
use dayfly_lifecycle::Situation;
use dayfly_lifecycle::history::History;
use dayfly_lifecycle::ledger::Approvals;
use dayfly_model::diagnostic::{Diagnostic, Diagnostics};
use dayfly_model::digest::{Digest, Revision};
use dayfly_model::names::{AppName, InstanceKey, TierName};
use dayfly_model::platform::Platform;
use dayfly_model::platform::environment::ClusterRef;
use dayfly_model::rule::Rule;
use dayfly_model::snapshot::Snapshot;
use jiff::Timestamp;

/// The cluster that each tier is on.
pub type Homes = BTreeMap<TierName, ClusterRef>;

/// A tier's shared objects, rendered.
pub(crate) struct RenderedShared {
    /// The digest of the tier's folder that they were rendered from.
    pub folder: Digest,
    pub manifests: Result<Arc<Manifests>, Diagnostics>,
}

/// What git says now.
pub struct View {
    /// The branch and its commit.
    pub tip: Tip,
    /// What the ledger approves.
    pub approvals: Approvals,
    /// The tip's files.
    pub snapshot: Arc<Snapshot>,
    /// The tip's platform under the approved environments and policies.
    pub platform: Arc<Platform>,
    /// Every app, judged.
    pub evaluation: Arc<Evaluation>,
    /// The shared objects of each tier that can be read, rendered, or why they cannot be.
    pub(crate) shared: BTreeMap<TierName, Arc<RenderedShared>>,
    /// How many apps were rendered and decided for this view.
    pub renders: usize,
    /// Whether the tip's environments, policies or gate differ from the approved ones and wait for approval.
    pub control_waits: bool,
    /// How many objects git would show another one for.
    pub(crate) replacements: usize,
    /// How many commits have a date that is still to come.
    pub(crate) dated_ahead: usize,
    /// The default branch's history.
    pub history: Arc<History>,
    /// All commits that lead to the tip: a merge may have made the platform's own line the second parent.
    pub(crate) ancestors: Arc<BTreeSet<Revision>>,
    /// Where the tiers were at every commit whose environments were approved before, the first one first.
    pub(crate) former_homes: Vec<Arc<Homes>>,
}

impl View {
    /// What is wrong outside of apps, and what waits for a person.
    pub fn findings(&self) -> Vec<Diagnostic> {
        let mut found: Vec<_> = self.platform.findings().chain(self.evaluation.diagnostics.iter()).cloned().collect();
        found.extend(self.evaluation.instances.values().flat_map(|evaluated| evaluated.diagnostics()).cloned());
        if self.control_waits {
            found.push(
                Diagnostic::new(
                    Rule::APPROVAL_CONTROL,
                    "environments/, policies/, .github/",
                    format!(
                        "changes since {} wait for approval; what was approved holds meanwhile",
                        self.approvals.control.short()
                    ),
                )
                .help("approve them as they stand: dayfly adopt"),
            );
        }
        if self.replacements > 0 {
            let have = if self.replacements == 1 { "has a replacement" } else { "have replacements" };
            let fact = format!(
                "{} of git's objects {have}, and git shows that; here it counts for nothing",
                self.replacements
            );
            let delete = "git for-each-ref --format='delete %(refname)' refs/replace/ | git update-ref --stdin";
            let help = format!("what git shows is not what runs until they are deleted, here and in clones: {delete}");
            found.push(Diagnostic::new(Rule::GIT_REPLACED, "refs/replace/", fact).help(help));
        }
        if self.dated_ahead > 0 {
            let commits =
                if self.dated_ahead == 1 { "1 commit is" } else { &format!("{} commits are", self.dated_ahead) };
            let fact = format!("{commits} dated ahead of the clock; they count as of when they were first seen");
            let help = "look at the clocks of those who commit, and at the clock of this machine";
            found.push(Diagnostic::new(Rule::GIT_AHEAD, self.tip.short_branch(), fact).help(help));
        }
        found.sort();
        found.dedup();
        found
    }

    /// Whether a commit led to the tip, by whatever parent.
    pub fn knows(&self, revision: &Revision) -> bool {
        self.ancestors.contains(revision)
    }

    /// What the lifecycle's questions depend on.
    pub fn situation(&self, now: Timestamp) -> Situation<'_> {
        Situation { history: &self.history, now, baseline: Some(self.approvals.since) }
    }

    /// When an app's time is up, as its manifest and its tier say; as its last one that could be read said.
    pub fn expiry(&self, app: &AppName, now: Timestamp) -> Option<Timestamp> {
        Some(self.situation(now).expiring_app(&self.platform, app)?.expiry.at)
    }

    /// The tier where an app was when its manifest could last be read.
    pub fn last_key(&self, app: &AppName, now: Timestamp) -> Option<InstanceKey> {
        let tier = self.history.life(app, now)?.facts.tier.as_deref()?.parse().ok()?;
        Some(InstanceKey { app: app.clone(), tier })
    }
}

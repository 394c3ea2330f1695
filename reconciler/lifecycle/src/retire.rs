//! Retirement: apps whose time is up are deleted, as far as the tier's budget for surprises allows.

use std::collections::BTreeMap;

use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::names::{AppName, InstanceKey, TierName};
use dayfly_model::platform::environment::{Changes, Environment};
use dayfly_model::platform::{App, Platform, duration_text};
use dayfly_model::rule::Rule;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::budget;
use crate::clock::Clock;
use crate::expiry::day;
use crate::proposal::{FileEdit, Proposal, ProposalAction, branch};
use crate::situation::{ExpiringApp, Situation, subject};

/// When an app's end was first announced, so that it is no surprise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The tier that it was announced for.
    pub tier: TierName,
    /// The end that was announced.
    pub expires: Timestamp,
    /// Since when it is announced.
    pub since: Timestamp,
}

/// The ends that were announced.
pub type Announcements = BTreeMap<AppName, Announcement>;

/// What is to be retired, and what is not although it is due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetirePlan {
    /// One proposal a tier.
    pub proposals: Vec<Proposal>,
    /// Tiers where more apps are due unannounced than the budget allows.
    pub refused: Vec<RefusedRetirement>,
    /// Apps whose end and grace are over in a tier where a retirement waits for a pull request: they are to be suspended.
    pub overdue: Vec<InstanceKey>,
    /// Why nothing is retired at all: the clock is in doubt.
    pub doubt: Option<String>,
}

/// A budget that stops a retirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRetirement {
    /// The tier.
    pub tier: TierName,
    /// The apps that are due and are withheld.
    pub apps: Vec<AppName>,
    /// The fact, in words.
    pub message: String,
}

impl RefusedRetirement {
    /// The same as a finding about the environment.
    pub fn diagnostic(&self) -> Diagnostic {
        let path = format!("environments/{}/environment.yaml", self.tier);
        let help = "`dayfly retire APP` retires an app; those announced for `retire.grace` go by themselves.";
        Diagnostic::new(Rule::RETIRE_BUDGET, path, self.message.clone()).help(help)
    }
}

/// An app whose time is up.
struct Due<'p> {
    app: ExpiringApp<'p>,
    is_announced: bool,
}

impl<'p> Due<'p> {
    fn of(app: ExpiringApp<'p>, situation: &Situation<'_>, announced: &Announcements) -> Self {
        let environment = app.environment;
        let is_announced = announced.get(app.name).is_some_and(|known| {
            let is_old_enough = situation.now.duration_since(known.since) >= environment.retire.grace;
            known.tier == environment.tier && known.expires <= app.expiry.at && is_old_enough
        });
        Self { app, is_announced }
    }
}

/// What is due for retirement now. A clock in doubt stops everything; a tier's budget stops what was not announced for the
/// tier's grace.
pub fn due(
    platform: &Platform,
    situation: &Situation<'_>,
    announced: &Announcements,
    clock: Option<&Clock>,
) -> RetirePlan {
    let mut plan = RetirePlan { doubt: clock.and_then(Clock::doubt), ..RetirePlan::default() };
    if plan.doubt.is_some() {
        return plan;
    }
    let mut tiers: BTreeMap<&TierName, Vec<ExpiringApp<'_>>> = BTreeMap::new();
    for app in platform.apps.keys().filter_map(|name| situation.expiring_app(platform, name)) {
        tiers.entry(&app.environment.tier).or_default().push(app);
    }
    for (tier, apps) in tiers {
        let Some(environment) = apps.first().map(|app| app.environment) else { continue };
        let total = apps.len();
        let due = apps.into_iter().filter(|app| app.expiry.is_due(situation.now));
        let due: Vec<_> = due.map(|app| Due::of(app, situation, announced)).collect();
        let surprises = due.iter().filter(|due| !due.is_announced).count();
        let refusal = over_budget(environment, surprises, total);
        plan.overdue.extend(overdue(environment, &due, situation.now));
        let (going, withheld): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|due| due.is_announced || refusal.is_none());
        if let Some(message) = refusal {
            let apps = withheld.iter().map(|due| due.app.name.clone()).collect();
            plan.refused.push(RefusedRetirement { tier: tier.clone(), apps, message });
        }
        plan.proposals.extend(proposal(environment, &going));
    }
    plan
}

/// The announcements after this pass: the end of every app that is nearer than its tier's longest reminder or its grace. It
/// is announced since now, unless one was announced before. An end that moves and is still near keeps that announcement,
/// whatever the tier: whoever moves it a little every day would never be retired otherwise.
pub fn announce(platform: &Platform, situation: &Situation<'_>, before: &Announcements) -> Announcements {
    let ending = platform.apps.keys().filter_map(|name| {
        let ExpiringApp { environment, expiry, .. } = situation.expiring_app(platform, name)?;
        let expires = expiry.at;
        let window = environment.ttl.remind.iter().copied().fold(environment.retire.grace, jiff::SignedDuration::max);
        if expires.duration_since(situation.now) > window {
            return None;
        }
        let since = before.get(name).map_or(situation.now, |known| known.since);
        Some((name.clone(), Announcement { tier: environment.tier.clone(), expires, since }))
    });
    ending.collect()
}

/// The proposal to retire one app now, whatever its time: a person asked for it.
pub fn retire(platform: &Platform, name: &AppName, reason: &str) -> Result<Proposal, Diagnostic> {
    let (app, environment) = subject(platform, name)?;
    Ok(Proposal {
        action: ProposalAction::Retire,
        apps: vec![name.clone()],
        tier: app.tier.clone(),
        by: environment.changes,
        branch: branch(ProposalAction::Retire, name, &app.tier),
        edits: removal(app),
        title: format!("{name}: retire from {}", app.tier),
        body: format!("{name} of {} is taken down, with everything it stores.\n\nReason: {reason}", app.owner),
        labels: vec!["retire".into()],
        reason: reason.to_owned(),
    })
}

/// Why so many surprises among all apps of the tier are too many, if they are.
fn over_budget(environment: &Environment, surprises: usize, total: usize) -> Option<String> {
    let over = budget::check(&environment.retire, surprises, total).err()?;
    let grace = duration_text(environment.retire.grace);
    Some(format!("{surprises} apps of {} are due that were not announced for {grace}, and {over}", environment.tier))
}

/// The apps whose retirement waits for a pull request longer than the grace.
fn overdue(environment: &Environment, due: &[Due<'_>], now: Timestamp) -> Vec<InstanceKey> {
    let waits = environment.retire.by == Changes::PullRequest;
    let late = |due: &&Due<'_>| waits && now.duration_since(due.app.expiry.at) >= environment.retire.grace;
    let key = |due: &Due<'_>| InstanceKey { app: due.app.name.clone(), tier: environment.tier.clone() };
    due.iter().filter(late).map(key).collect()
}

/// One proposal to retire all of these apps of a tier; none where there are none. No app can have the name in its branch.
fn proposal(environment: &Environment, going: &[Due<'_>]) -> Option<Proposal> {
    let tier = &environment.tier;
    let (title, reason) = match going {
        [] => return None,
        [one] => (
            format!("{}: retire from {tier}, its time is up", one.app.name),
            format!("expired by {}", one.app.expiry.reason),
        ),
        many => (format!("{tier}: retire {} apps, their time is up", many.len()), "expired".to_owned()),
    };
    let line = |due: &Due<'_>| {
        let ExpiringApp { name, owner, expiry, .. } = &due.app;
        format!("- {name} of {owner}: ended {} by {}", day(expiry.at), expiry.reason)
    };
    let lines: Vec<_> = going.iter().map(line).collect();
    let after = "What they run and store is taken down. To bring an app back, revert this commit and renew the app.";
    Some(Proposal {
        action: ProposalAction::Retire,
        apps: going.iter().map(|due| due.app.name.clone()).collect(),
        tier: tier.clone(),
        by: environment.retire.by,
        branch: format!("dayfly/retire/_expired/{tier}"),
        edits: going.iter().flat_map(removal_of).collect(),
        title,
        body: format!("{}\n\n{after}", lines.join("\n")),
        labels: vec!["retire".into()],
        reason,
    })
}

fn removal_of(due: &Due<'_>) -> Vec<FileEdit> {
    match due.app.app {
        Some(app) => removal(app),
        // Of an app that cannot be read nobody knows the files: the folder is removed as a whole.
        None => vec![FileEdit { path: format!("apps/{}/", due.app.name), content: None }],
    }
}

/// The removal of every file in an app's folder.
fn removal(app: &App) -> Vec<FileEdit> {
    let files = std::iter::once("app.yaml").chain(app.files.keys().map(String::as_str));
    files.map(|file| FileEdit { path: format!("apps/{}/{file}", app.name), content: None }).collect()
}

//! Retirement: whose time is up goes, as far as the tier's budget for surprises allows.

use std::collections::BTreeMap;

use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::names::{AppName, InstanceKey, TierName};
use dayfly_model::platform::environment::{Changes, Environment};
use dayfly_model::platform::{App, Platform, duration_text};
use dayfly_model::rule::Rule;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::expiry::day;
use crate::budget;
use crate::clock::Clock;
use crate::proposal::{FileEdit, Proposal, ProposalAction, branch};
use crate::situation::{Candidate, Situation, subject};

/// When an app's end was first told, so that it is no surprise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The tier it was told for.
    pub tier: TierName,
    /// The end that was told.
    pub expires: Timestamp,
    /// Since when.
    pub since: Timestamp,
}

/// The ends that were told.
pub type Announcements = BTreeMap<AppName, Announcement>;

/// What is to be retired, and what is not although it is due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetirePlan {
    /// One proposal a tier.
    pub proposals: Vec<Proposal>,
    /// Tiers where more is due unannounced than the budget allows.
    pub refused: Vec<Refused>,
    /// Apps whose end and grace are over in a tier where retirement waits for a pull request: they are to be suspended.
    pub overdue: Vec<InstanceKey>,
    /// Why nothing is retired at all, where the clock is in doubt.
    pub doubt: Option<String>,
}

/// A budget that stops a retirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The tier.
    pub tier: TierName,
    /// The apps that are due and stay.
    pub apps: Vec<AppName>,
    /// The fact, in words.
    pub message: String,
}

impl Refused {
    /// The same as a finding about the environment.
    pub fn diagnostic(&self) -> Diagnostic {
        let path = format!("environments/{}/environment.yaml", self.tier);
        let help = "`dayfly retire APP` retires an app; those announced for `retire.grace` go by themselves.";
        Diagnostic::new(Rule::RETIRE_BUDGET, path, self.message.clone()).help(help)
    }
}

/// An app whose time is up.
struct Due<'p> {
    candidate: Candidate<'p>,
    announced: bool,
}

impl<'p> Due<'p> {
    fn of(candidate: Candidate<'p>, situation: &Situation<'_>, announced: &Announcements) -> Self {
        let environment = candidate.environment;
        let announced = announced.get(candidate.name).is_some_and(|told| {
            let known = situation.now.duration_since(told.since) >= environment.retire.grace;
            told.tier == environment.tier && told.expires <= candidate.expiry.at && known
        });
        Self { candidate, announced }
    }
}

/// What is due for retirement now. The clock's doubt stops everything; a tier's budget stops what nobody was told.
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
    let mut tiers: BTreeMap<&TierName, Vec<Candidate<'_>>> = BTreeMap::new();
    for candidate in platform.apps.keys().filter_map(|name| situation.candidate(platform, name)) {
        tiers.entry(&candidate.environment.tier).or_default().push(candidate);
    }
    for (tier, candidates) in tiers {
        let Some(environment) = candidates.first().map(|candidate| candidate.environment) else { continue };
        let apps = candidates.len();
        let due = candidates.into_iter().filter(|candidate| candidate.expiry.is_due(situation.now));
        let due: Vec<_> = due.map(|candidate| Due::of(candidate, situation, announced)).collect();
        let surprises = due.iter().filter(|due| !due.announced).count();
        let refusal = over_budget(environment, surprises, apps);
        plan.overdue.extend(overdue(environment, &due, situation.now));
        let (going, staying): (Vec<_>, Vec<_>) = due.into_iter().partition(|due| due.announced || refusal.is_none());
        if let Some(message) = refusal {
            let apps = staying.iter().map(|due| due.candidate.name.clone()).collect();
            plan.refused.push(Refused { tier: tier.clone(), apps, message });
        }
        plan.proposals.extend(proposal(environment, &going));
    }
    plan
}

/// The announcements after this pass: every app within its tier's longest reminder or the grace of its end, told since now
/// unless the same or an earlier end was told before.
pub fn announce(platform: &Platform, situation: &Situation<'_>, before: &Announcements) -> Announcements {
    let ending = platform.apps.keys().filter_map(|name| {
        let Candidate { environment, expiry, .. } = situation.candidate(platform, name)?;
        let expires = expiry.at;
        let window = environment.ttl.remind.iter().copied().fold(environment.retire.grace, jiff::SignedDuration::max);
        if expires.duration_since(situation.now) > window {
            return None;
        }
        let told = before.get(name).filter(|told| told.tier == environment.tier && told.expires <= expires);
        let since = told.map_or(situation.now, |told| told.since);
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

/// Why so many surprises are too many, if they are.
fn over_budget(environment: &Environment, surprises: usize, apps: usize) -> Option<String> {
    let over = budget::check(&environment.retire, surprises, apps).err()?;
    let grace = duration_text(environment.retire.grace);
    Some(format!("{surprises} apps of {} are due that were not announced for {grace}, and {over}", environment.tier))
}

/// What waits for a pull request longer than the grace.
fn overdue(environment: &Environment, due: &[Due<'_>], now: Timestamp) -> Vec<InstanceKey> {
    let waits = environment.retire.by == Changes::PullRequest;
    let late = |due: &&Due<'_>| waits && now.duration_since(due.candidate.expiry.at) >= environment.retire.grace;
    let key = |due: &Due<'_>| InstanceKey { app: due.candidate.name.clone(), tier: environment.tier.clone() };
    due.iter().filter(late).map(key).collect()
}

/// One proposal for all apps of a tier that go. Its branch has a name that no app can have.
fn proposal(environment: &Environment, going: &[Due<'_>]) -> Option<Proposal> {
    let tier = &environment.tier;
    let (title, reason) = match going {
        [] => return None,
        [one] => (
            format!("{}: retire from {tier}, its time is up", one.candidate.name),
            format!("expired by {}", one.candidate.expiry.reason),
        ),
        many => (format!("{tier}: retire {} apps, their time is up", many.len()), "expired".to_owned()),
    };
    let line = |due: &Due<'_>| {
        let Candidate { name, owner, expiry, .. } = &due.candidate;
        format!("- {name} of {owner}: ended {} by {}", day(expiry.at), expiry.reason)
    };
    let lines: Vec<_> = going.iter().map(line).collect();
    let after = "What they run and store is taken down. To bring an app back, revert this commit and renew the app.";
    Some(Proposal {
        action: ProposalAction::Retire,
        apps: going.iter().map(|due| due.candidate.name.clone()).collect(),
        tier: tier.clone(),
        by: environment.retire.by,
        branch: format!("dayfly/retire/_expired/{tier}"),
        edits: going
            .iter()
            .flat_map(|due| match due.candidate.app {
                Some(app) => removal(app),
                // What cannot be read goes as a whole.
                None => vec![FileEdit { path: format!("apps/{}/", due.candidate.name), content: None }],
            })
            .collect(),
        title,
        body: format!("{}\n\n{after}", lines.join("\n")),
        labels: vec!["retire".into()],
        reason,
    })
}

/// The removal of an app's folder: every file in it.
fn removal(app: &App) -> Vec<FileEdit> {
    let files = std::iter::once("app.yaml").chain(app.files.keys().map(String::as_str));
    files.map(|file| FileEdit { path: format!("apps/{}/{file}", app.name), content: None }).collect()
}

//! Which instances are to go from a cluster: only those that git positively deleted, and never too many at once.
//!
//! An instance that has an inventory is removed when the app's folder existed in the default branch's history and the tip
//! has it no more, or when the tip moved the app to another tier and it runs there. Everything else keeps it: a folder that
//! cannot be read, a history that was rewritten, an `apps/` that is empty all of a sudden, a surprise above the budget.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::budget;
use crate::digest::Revision;
use crate::history::History;
use crate::inventory::{Inventory, Scope};
use crate::names::{InstanceKey, TierName};
use crate::platform::Platform;

/// What the decision depends on.
pub struct Facts<'a> {
    /// The tip's platform.
    pub platform: &'a Platform,
    /// The tip's history.
    pub history: &'a History,
    /// The inventories that were found, of all tiers.
    pub inventories: Vec<&'a Inventory>,
    /// The instances that run as git says. An app that changes its tier leaves the old one only then.
    pub settled: &'a BTreeSet<InstanceKey>,
    /// The commit up to which somebody confirmed all deletions, whatever the budget says.
    pub confirmed: Option<Revision>,
    /// Now.
    pub now: Timestamp,
}

/// The decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removals {
    /// What goes.
    pub remove: Vec<Scope>,
    /// What would go and stays for now, and why: a sentence, and the next step.
    pub stays: Vec<Stay>,
}

/// A removal that does not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stay {
    /// Whose objects.
    pub scope: Scope,
    /// Why.
    pub why: String,
    /// The next step.
    pub help: String,
}

/// What of the instances in the clusters is to go.
pub fn removals(facts: &Facts<'_>) -> Removals {
    let mut removals = Removals::default();
    let mut surprises: BTreeMap<&TierName, Vec<&Scope>> = BTreeMap::new();
    for inventory in &facts.inventories {
        let Scope::Instance(key) = inventory.scope() else { continue };
        match fate(facts, inventory, key) {
            Fate::Keep => {}
            Fate::Stay(why, help) => removals.stays.push(Stay { scope: inventory.scope().clone(), why, help }),
            Fate::Announced => removals.remove.push(inventory.scope().clone()),
            Fate::Surprise => surprises.entry(&key.tier).or_default().push(inventory.scope()),
        }
    }
    for (tier, scopes) in surprises {
        match over_budget(facts, tier, scopes.len()) {
            None => removals.remove.extend(scopes.into_iter().cloned()),
            Some((why, help)) => removals.stays.extend(scopes.into_iter().map(|scope| Stay {
                scope: scope.clone(),
                why: why.clone(),
                help: help.clone(),
            })),
        }
    }
    removals.remove.sort();
    removals
}

enum Fate {
    Keep,
    Stay(String, String),
    Announced,
    Surprise,
}

fn fate(facts: &Facts<'_>, inventory: &Inventory, key: &InstanceKey) -> Fate {
    let item = facts.platform.apps.get(&key.app);
    if let Some(item) = item {
        let Some(app) = item.get() else { return Fate::Keep };
        let moved = InstanceKey { app: key.app.clone(), tier: app.tier.clone() };
        return match moved == *key {
            true => Fate::Keep,
            false if facts.settled.contains(&moved) => Fate::Announced,
            false => Fate::Stay(
                format!("{} moves to {} and goes on running in {} until it runs there", key.app, moved.tier, key.tier),
                format!("`dayfly status {}` tells what {} waits for", key.app, moved.tier),
            ),
        };
    }
    if facts.history.life(&key.app, facts.now).is_none() {
        return Fate::Stay(
            format!("{} runs in {}, and the history of git does not know it", key.app, key.tier),
            "look whether this is the right repository and branch; nothing is deleted meanwhile".into(),
        );
    }
    if facts.platform.apps.is_empty() && !is_confirmed(facts) {
        return Fate::Stay(
            "apps/ has no app any more, so nothing is deleted".into(),
            "if all apps are meant to go, confirm it: dayfly retire --confirm".into(),
        );
    }
    let expires: Option<Timestamp> = inventory.last().expires.as_deref().and_then(|at| at.parse().ok());
    let is_announced = expires.is_some_and(|at| at <= facts.now);
    if is_announced { Fate::Announced } else { Fate::Surprise }
}

fn is_confirmed(facts: &Facts<'_>) -> bool {
    facts.confirmed.is_some() && facts.confirmed == facts.history.tip()
}

fn over_budget(facts: &Facts<'_>, tier: &TierName, removals: usize) -> Option<(String, String)> {
    if is_confirmed(facts) {
        return None;
    }
    let Some(environment) = facts.platform.environments.get(tier).and_then(|item| item.get()) else {
        return Some((
            format!("environments/{tier} cannot be read, so nothing is deleted from {tier}"),
            format!("mend or restore environments/{tier}/environment.yaml"),
        ));
    };
    let total = facts
        .inventories
        .iter()
        .filter(|inventory| matches!(inventory.scope(), Scope::Instance(key) if key.tier == *tier));
    let over = budget::check(&environment.retire, removals, total.count()).err()?;
    Some((
        format!("{removals} apps of {tier} are no longer in git, and {over}; nothing was deleted"),
        "look whether they are all meant to go, then confirm it: dayfly retire --confirm".into(),
    ))
}

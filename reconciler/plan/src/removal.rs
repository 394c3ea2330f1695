//! Which instances are to go from a cluster: only those that git positively deleted, and never too many at once.
//!
//! An instance that has an inventory is removed when the app's folder existed in the default branch's history and the tip
//! no longer has it, or when the tip moved the app to another tier, or its tier to another cluster, and it runs there.
//! Everything else keeps it: a folder that cannot be read, a history that was rewritten, an `apps/` that is empty all of a
//! sudden, a surprise above the budget. A removal is a surprise if it was neither announced by an expiry nor confirmed by a
//! person; so a change of an app's tier is one, and a move of a tier that was approved is none.

use std::collections::{BTreeMap, BTreeSet};

use dayfly_lifecycle::budget;
use dayfly_lifecycle::expiry;
use dayfly_lifecycle::history::{History, Life};
use dayfly_model::names::{AppName, InstanceKey, TierName};
use dayfly_model::platform::{Environment, Platform};
use dayfly_model::scope::{Location, Scope};
use jiff::Timestamp;

use crate::inventory::Inventory;

/// What the decision depends on.
pub struct RemovalFacts<'a> {
    /// The tip's platform.
    pub platform: &'a Platform,
    /// The tip's history.
    pub history: &'a History,
    /// The inventories that were found, of all tiers.
    pub inventories: Vec<FoundInventory<'a>>,
    /// What runs as git says where its tier is now. What moves is removed from where it was only then.
    pub converged: &'a BTreeSet<Scope>,
    /// The tiers that an approved commit moved to another cluster.
    pub moved: &'a BTreeSet<TierName>,
    /// When Dayfly adopted the platform: no app's time counts from before.
    pub since: Timestamp,
    /// Whether somebody confirmed that an app is meant to be gone, whatever the budget says.
    pub is_confirmed: &'a dyn Fn(&AppName) -> bool,
    /// Whether somebody confirmed this very tip: what it lacks may go, even where its history knows nothing of it.
    pub is_tip_confirmed: bool,
    /// What time it is.
    pub now: Timestamp,
}

/// An inventory that was found on a cluster.
pub struct FoundInventory<'a> {
    /// The inventory.
    pub inventory: &'a Inventory,
    /// The id of the cluster.
    pub cluster: &'a str,
    /// The name of the cluster, where it was left behind there: its tier is on another one now.
    pub left_behind_on: Option<&'a str>,
}

impl FoundInventory<'_> {
    fn location(&self) -> Location {
        Location { cluster: self.cluster.to_owned(), scope: self.inventory.scope().clone() }
    }

    fn tier(&self) -> &TierName {
        self.inventory.scope().tier()
    }
}

/// What is to be removed, and what is not although git no longer has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removals {
    /// What is removed, with all that it has.
    pub remove: Vec<Location>,
    /// What is not removed for now.
    pub withheld: Vec<Withheld>,
}

/// A removal that does not happen for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    /// Whose objects stay.
    pub scope: Scope,
    /// Why, in a sentence.
    pub why: String,
    /// The next step for a person.
    pub help: String,
}

/// Decides about every inventory that was found.
pub fn removals(facts: &RemovalFacts<'_>) -> Removals {
    let mut removals = Removals::default();
    let mut surprises: BTreeMap<&TierName, Vec<&FoundInventory<'_>>> = BTreeMap::new();
    for found in &facts.inventories {
        let (scope, tier) = (found.inventory.scope(), found.tier());
        let decision = match scope {
            Scope::Instance(key) => decide_instance(facts, found, key),
            Scope::Shared(_) => decide_shared(facts, found),
        };
        match decision {
            RemovalDecision::Keep => {}
            RemovalDecision::Withhold { why, help } => {
                removals.withheld.push(Withheld { scope: scope.clone(), why, help });
            }
            RemovalDecision::RemoveExpected if environment(facts, tier).is_some() => {
                removals.remove.push(found.location());
            }
            RemovalDecision::RemoveExpected | RemovalDecision::RemoveBySurprise => {
                surprises.entry(tier).or_default().push(found);
            }
        }
    }
    for (tier, found) in surprises {
        match over_budget(facts, tier, found.len()) {
            None => removals.remove.extend(found.into_iter().map(FoundInventory::location)),
            Some((why, help)) => removals.withheld.extend(found.into_iter().map(|found| Withheld {
                scope: found.inventory.scope().clone(),
                why: why.clone(),
                help: help.clone(),
            })),
        }
    }
    removals.remove.sort();
    removals
}

enum RemovalDecision {
    /// It is where git has it, or nobody can tell.
    Keep,
    /// It is to be removed, and for now it is not.
    Withhold { why: String, help: String },
    /// It is removed: that was announced by an expiry, confirmed by a person, or approved.
    RemoveExpected,
    /// It is removed if the budget of its tier allows that.
    RemoveBySurprise,
}

impl RemovalDecision {
    fn withhold(why: String, help: impl Into<String>) -> Self {
        Self::Withhold { why, help: help.into() }
    }
}

fn decide_instance(facts: &RemovalFacts<'_>, found: &FoundInventory<'_>, key: &InstanceKey) -> RemovalDecision {
    let is_confirmed = (facts.is_confirmed)(&key.app);
    if let Some(item) = facts.platform.apps.get(&key.app) {
        let Some(app) = item.get() else { return RemovalDecision::Keep };
        return decide_moved(facts, found, key, &app.tier, is_confirmed);
    }
    if let Some(folder) = facts.platform.misnamed.get(&key.app) {
        return RemovalDecision::withhold(
            format!("apps/{folder} has no legal name, and stands where {} stood, which goes on running", key.app),
            format!("name the folder apps/{} again", key.app),
        );
    }
    let Some(life) = facts.history.life(&key.app, facts.now) else {
        if facts.is_tip_confirmed {
            return RemovalDecision::RemoveExpected;
        }
        return RemovalDecision::withhold(
            format!("{} runs in {}, and the history of git does not know it", key.app, key.tier),
            "look whether this is the right repository and branch; if it may go all the same: dayfly retire --confirm",
        );
    };
    if is_confirmed || is_expired(facts, key, &life) {
        return RemovalDecision::RemoveExpected;
    }
    if facts.platform.apps.is_empty() {
        return RemovalDecision::withhold(
            "apps/ has no app any more, so nothing is deleted".into(),
            "if all apps are meant to go, confirm it: dayfly retire --confirm",
        );
    }
    RemovalDecision::RemoveBySurprise
}

/// Decides about an instance whose app the tip has, in this tier or in another one, on this cluster or on another one.
fn decide_moved(
    facts: &RemovalFacts<'_>,
    found: &FoundInventory<'_>,
    key: &InstanceKey,
    tier: &TierName,
    is_confirmed: bool,
) -> RemovalDecision {
    let (place, here, is_expected) = match found.left_behind_on {
        _ if *tier != key.tier => (tier.to_string(), format!("in {}", key.tier), is_confirmed),
        Some(cluster) if !facts.moved.contains(&key.tier) => return withhold_unapproved(&key.tier, cluster),
        Some(cluster) => ("another cluster".to_owned(), format!("on {cluster}"), true),
        None => return RemovalDecision::Keep,
    };
    let moved = InstanceKey { app: key.app.clone(), tier: tier.clone() };
    match facts.converged.contains(&Scope::Instance(moved)) {
        true if is_expected => RemovalDecision::RemoveExpected,
        true => RemovalDecision::RemoveBySurprise,
        false => RemovalDecision::withhold(
            format!("{} moves to {place} and goes on running {here} until it runs there", key.app),
            format!("`dayfly status {}` tells what it waits for", key.app),
        ),
    }
}

/// A tier is on another cluster, and no approved commit says so: the kubeconfig may have changed by mistake.
fn withhold_unapproved(tier: &TierName, cluster: &str) -> RemovalDecision {
    RemovalDecision::withhold(
        format!("{tier} is on another cluster than before, and no approved commit moved it away from {cluster}"),
        "look whether the kubeconfig's context leads to the right cluster; nothing is deleted meanwhile",
    )
}

/// Whether the time of an app that git deleted was up, by its last manifest and the tier that this names.
fn is_expired(facts: &RemovalFacts<'_>, key: &InstanceKey, life: &Life) -> bool {
    let known = life.facts.lifetime().zip(environment(facts, &key.tier));
    let is_of_tier = life.facts.tier.as_deref() == Some(key.tier.as_str());
    known.is_some_and(|(lifetime, environment)| {
        is_of_tier && expiry(lifetime, environment, life, Some(facts.since), facts.now).is_due(facts.now)
    })
}

/// A tier's shared objects are removed only from a cluster that the tier moved away from, after all its apps there.
fn decide_shared(facts: &RemovalFacts<'_>, found: &FoundInventory<'_>) -> RemovalDecision {
    let (scope, tier) = (found.inventory.scope(), found.tier());
    let is_app_of_it = |other: &FoundInventory<'_>| {
        (other.cluster, other.tier()) == (found.cluster, tier) && other.inventory.scope() != scope
    };
    let Some(cluster) = found.left_behind_on.filter(|_| !facts.inventories.iter().any(is_app_of_it)) else {
        return RemovalDecision::Keep;
    };
    if !facts.moved.contains(tier) {
        return withhold_unapproved(tier, cluster);
    }
    if facts.converged.contains(scope) {
        return RemovalDecision::RemoveExpected;
    }
    RemovalDecision::withhold(
        format!("what {tier} has once moves to another cluster and stays on {cluster} until it stands there"),
        format!("see the findings about environments/{tier}/shared/"),
    )
}

fn environment<'a>(facts: &RemovalFacts<'a>, tier: &TierName) -> Option<&'a Environment> {
    facts.platform.environments.get(tier).and_then(|item| item.get()).map(|environment| &**environment)
}

fn over_budget(facts: &RemovalFacts<'_>, tier: &TierName, removals: usize) -> Option<(String, String)> {
    let Some(environment) = environment(facts, tier) else {
        return Some((
            format!("environments/{tier} cannot be read, so nothing is deleted from {tier}"),
            format!("mend or restore environments/{tier}/environment.yaml"),
        ));
    };
    let total = facts
        .inventories
        .iter()
        .filter(|found| matches!(found.inventory.scope(), Scope::Instance(key) if key.tier == *tier));
    let over = budget::check(&environment.retire, removals, total.count()).err()?;
    Some((
        format!("{removals} apps are to go from where they run in {tier}, and {over}; nothing was deleted"),
        "look whether they are all meant to go, then confirm it: dayfly retire --confirm".into(),
    ))
}

#[cfg(test)]
mod tests;

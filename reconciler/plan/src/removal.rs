//! Which instances are to go from a cluster: only those that git positively deleted, and never too many at once.
//!
//! An instance that has an inventory is removed when the app's folder existed in the default branch's history and the tip
//! has it no more, or when the tip moved the app to another tier, or its tier to another cluster, and it runs there.
//! Everything else keeps it: a folder that cannot be read, a history that was rewritten, an `apps/` that is empty all of a
//! sudden, a surprise above the budget. A surprise is whatever nobody announced by an expiry or approved as a move of its
//! tier; a change of an app's tier is one.

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
    /// What runs as git says, where its tier is now. What moves leaves the old place only then.
    pub settled: &'a BTreeSet<Scope>,
    /// The tiers that an approved commit moved to another cluster.
    pub moved: &'a BTreeSet<TierName>,
    /// When Dayfly took the platform over: no app's time counts from before.
    pub since: Timestamp,
    /// Whether somebody confirmed that an app is meant to be gone, whatever the budget says.
    pub is_confirmed: &'a dyn Fn(&AppName) -> bool,
    /// Whether somebody confirmed this very tip: what it lacks may go, even where its history knows nothing of it.
    pub is_swept: bool,
    /// Now.
    pub now: Timestamp,
}

/// An inventory that was found.
pub struct FoundInventory<'a> {
    /// The inventory.
    pub inventory: &'a Inventory,
    /// The id of its cluster.
    pub cluster: &'a str,
    /// The name of that cluster, where its tier is on another one now.
    pub left_on: Option<&'a str>,
}

impl FoundInventory<'_> {
    fn place(&self) -> Location {
        Location { cluster: self.cluster.to_owned(), scope: self.inventory.scope().clone() }
    }

    fn tier(&self) -> &TierName {
        self.inventory.scope().tier()
    }
}

/// The decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removals {
    /// What goes.
    pub remove: Vec<Location>,
    /// What would go and stays for now, and why: a sentence, and the next step.
    pub withheld: Vec<Withheld>,
}

/// A removal that does not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    /// Whose objects.
    pub scope: Scope,
    /// Why.
    pub why: String,
    /// The next step.
    pub help: String,
}

/// What of the instances in the clusters is to go.
pub fn removals(facts: &RemovalFacts<'_>) -> Removals {
    let mut removals = Removals::default();
    let mut surprises: BTreeMap<&TierName, Vec<&FoundInventory<'_>>> = BTreeMap::new();
    for found in &facts.inventories {
        let (scope, tier) = (found.inventory.scope(), found.tier());
        let fate = match scope {
            Scope::Instance(key) => fate(facts, found, key),
            Scope::Shared(_) => fate_of_shared(facts, found),
        };
        match fate {
            Fate::Keep => {}
            Fate::Withheld(why, help) => removals.withheld.push(Withheld { scope: scope.clone(), why, help }),
            Fate::Expected if environment(facts, tier).is_some() => removals.remove.push(found.place()),
            Fate::Expected | Fate::Surprise => surprises.entry(tier).or_default().push(found),
        }
    }
    for (tier, found) in surprises {
        match over_budget(facts, tier, found.len()) {
            None => removals.remove.extend(found.into_iter().map(FoundInventory::place)),
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

enum Fate {
    Keep,
    Withheld(String, String),
    /// Announced by an expiry, or confirmed by a person.
    Expected,
    Surprise,
}

fn fate(facts: &RemovalFacts<'_>, found: &FoundInventory<'_>, key: &InstanceKey) -> Fate {
    let is_confirmed = (facts.is_confirmed)(&key.app);
    if let Some(item) = facts.platform.apps.get(&key.app) {
        let Some(app) = item.get() else { return Fate::Keep };
        let moved = InstanceKey { app: key.app.clone(), tier: app.tier.clone() };
        let (place, here, is_approved) = match found.left_on {
            _ if moved != *key => (moved.tier.to_string(), format!("in {}", key.tier), is_confirmed),
            Some(cluster) if !facts.moved.contains(&key.tier) => return unmoved(&key.tier, cluster),
            Some(cluster) => ("another cluster".to_owned(), format!("on {cluster}"), true),
            None => return Fate::Keep,
        };
        if facts.settled.contains(&Scope::Instance(moved)) {
            return if is_approved { Fate::Expected } else { Fate::Surprise };
        }
        return Fate::Withheld(
            format!("{} moves to {place} and goes on running {here} until it runs there", key.app),
            format!("`dayfly status {}` tells what it waits for", key.app),
        );
    }
    if let Some(folder) = facts.platform.misnamed.get(&key.app) {
        return Fate::Withheld(
            format!("apps/{folder} has no legal name, and stands where {} stood, which goes on running", key.app),
            format!("name the folder apps/{} again", key.app),
        );
    }
    let Some(life) = facts.history.life(&key.app, facts.now) else {
        if facts.is_swept {
            return Fate::Expected;
        }
        return Fate::Withheld(
            format!("{} runs in {}, and the history of git does not know it", key.app, key.tier),
            "look whether this is the right repository and branch; if it may go all the same: dayfly retire --confirm"
                .into(),
        );
    };
    if is_confirmed || is_over(facts, key, &life) {
        return Fate::Expected;
    }
    if facts.platform.apps.is_empty() {
        return Fate::Withheld(
            "apps/ has no app any more, so nothing is deleted".into(),
            "if all apps are meant to go, confirm it: dayfly retire --confirm".into(),
        );
    }
    Fate::Surprise
}

/// What runs where its tier is not, without an approved commit that says so: the kubeconfig may have changed by mistake.
fn unmoved(tier: &TierName, cluster: &str) -> Fate {
    Fate::Withheld(
        format!("{tier} is on another cluster than before, and no approved commit moved it away from {cluster}"),
        "look whether the kubeconfig's context leads to the right cluster; nothing is deleted meanwhile".into(),
    )
}

/// Whether an app's time was up, as its last manifest and its tier have it.
fn is_over(facts: &RemovalFacts<'_>, key: &InstanceKey, life: &Life) -> bool {
    let known = life.facts.lifetime().zip(environment(facts, &key.tier));
    let is_of_tier = life.facts.tier.as_deref() == Some(key.tier.as_str());
    known.is_some_and(|(lifetime, environment)| {
        is_of_tier && expiry(lifetime, environment, life, Some(facts.since), facts.now).is_due(facts.now)
    })
}

/// What a tier has once goes only with a move to another cluster, after all its apps.
fn fate_of_shared(facts: &RemovalFacts<'_>, found: &FoundInventory<'_>) -> Fate {
    let (scope, tier) = (found.inventory.scope(), found.tier());
    let is_app_of_it = |other: &FoundInventory<'_>| {
        (other.cluster, other.tier()) == (found.cluster, tier) && other.inventory.scope() != scope
    };
    let Some(cluster) = found.left_on.filter(|_| !facts.inventories.iter().any(is_app_of_it)) else {
        return Fate::Keep;
    };
    if !facts.moved.contains(tier) {
        return unmoved(tier, cluster);
    }
    if facts.settled.contains(scope) {
        return Fate::Expected;
    }
    Fate::Withheld(
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
mod tests {
    use super::*;
    use dayfly_lifecycle::history::{AppChange, AppFacts, CommitFacts};
    use dayfly_model::snapshot::Snapshot;

    const NOW: &str = "2026-03-02T09:00:00Z";
    // The ttl of an app whose time is not up, and of one whose time is.
    const YOUNG: &str = "20d";
    const OLD: &str = "1d";

    /// The sandbox and the pilot of the platform that ships, the first with a budget of two, and these apps.
    fn platform(apps: &[(&str, &str)]) -> Platform {
        let shipped = dayfly_model::fixtures::shipped_files();
        let kept = shipped.into_iter().filter(|(path, _)| !path.starts_with("apps/") && !path.contains("production/"));
        let budget = |text: &str| text.replace("maxApps: 25", "maxApps: 2");
        let apps = apps.iter().map(|(folder, tier)| {
            let yaml = "apiVersion: dayfly.dev/v1\nkind: App\nmetadata: {name: NAME}\nspec:\n  template: simple-survey/v1\n  \
                        tier: TIER\n  ttl: 1d\n  costCenter: CC-1\n  owner: maya@example.com\n  team: people\n";
            (format!("apps/{folder}/app.yaml"), yaml.replace("NAME", folder).replace("TIER", tier))
        });
        Platform::load(&Snapshot::from_texts(kept.map(|(path, text)| (path, budget(&text))).chain(apps)), None)
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("app-{number}")).collect()
    }

    /// A history in which these apps were in the sandbox, with that `ttl`.
    fn history(apps: &[String], ttl: &str) -> History {
        let mut history = History::default();
        let facts = AppFacts { tier: Some("sandbox".into()), ttl: Some(ttl.into()), ..AppFacts::default() };
        commit(&mut history, 1, apps, Some(&facts));
        history
    }

    fn commit(history: &mut History, digit: u8, apps: &[String], after: Option<&AppFacts>) {
        let change = |app: &String| AppChange { app: app.parse().unwrap(), before: None, after: after.cloned() };
        let (time, changes) = ("2026-03-01T00:00:00Z".parse().unwrap(), apps.iter().map(change).collect());
        history.push(&CommitFacts::new([digit; 20].into(), time, changes), NOW.parse().unwrap());
    }

    fn inventories(apps: &[String], tier: &str) -> Vec<Inventory> {
        apps.iter().map(|app| Inventory::new(format!("{app}.{tier}").parse().unwrap())).collect()
    }

    /// What is known where nothing moved, nothing runs as git says, and nobody confirmed anything.
    fn facts<'a>(
        platform: &'a Platform,
        history: &'a History,
        inventories: &'a [Inventory],
        none: &'a (BTreeSet<Scope>, BTreeSet<TierName>),
    ) -> RemovalFacts<'a> {
        RemovalFacts {
            platform,
            history,
            inventories: inventories
                .iter()
                .map(|inventory| FoundInventory { inventory, cluster: "id", left_on: None })
                .collect(),
            settled: &none.0,
            moved: &none.1,
            since: "2026-01-01T00:00:00Z".parse().unwrap(),
            is_confirmed: &|_| false,
            is_swept: false,
            now: NOW.parse().unwrap(),
        }
    }

    fn decide(platform: &Platform, history: &History, inventories: &[Inventory]) -> Removals {
        removals(&facts(platform, history, inventories, &Default::default()))
    }

    fn scopes(names: &[&str]) -> BTreeSet<Scope> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn what_git_deleted_goes_within_the_budget_and_what_was_announced_goes_beyond_it() {
        let (platform, apps) = (platform(&[("other", "sandbox")]), names(3));
        let all = inventories(&apps, "sandbox");
        assert_eq!(decide(&platform, &history(&apps, YOUNG), &all[..2]).remove.len(), 2);
        let over = decide(&platform, &history(&apps, YOUNG), &all);
        assert_eq!((over.remove.len(), over.withheld.len()), (0, 3));
        assert_eq!(decide(&platform, &history(&apps, OLD), &all).remove.len(), 3);
    }

    #[test]
    fn an_end_that_was_put_off_is_none() {
        let (platform, apps) = (platform(&[]), names(1));
        let mut history = history(&apps, OLD);
        let renewed = AppFacts { tier: Some("sandbox".into()), ttl: Some(YOUNG.into()), ..AppFacts::default() };
        commit(&mut history, 2, &apps, Some(&renewed));
        commit(&mut history, 3, &apps, None);
        let decided = decide(&platform, &history, &inventories(&apps, "sandbox"));
        assert_eq!((decided.remove.len(), decided.withheld.len()), (0, 1));
    }

    #[test]
    fn what_was_confirmed_goes_beyond_the_budget_and_what_left_later_does_not() {
        let (platform, apps) = (platform(&[("other", "sandbox")]), names(3));
        let (mut history, inventories) = (history(&apps, YOUNG), inventories(&apps, "sandbox"));
        commit(&mut history, 2, &apps, None);
        commit(&mut history, 3, &[], None);
        let (history, none) = (&history, Default::default());
        let decide = |digit| {
            let is_confirmed = |app: &AppName| history.had_left(app, &[digit; 20].into());
            let facts = facts(&platform, history, &inventories, &none);
            removals(&RemovalFacts { is_confirmed: &is_confirmed, ..facts })
        };
        assert_eq!([1, 2, 3].map(|digit| decide(digit).remove.len()), [0, 3, 3]);
    }

    #[test]
    fn the_last_app_goes_when_its_time_is_up_and_not_by_surprise() {
        let (platform, apps) = (platform(&[]), names(1));
        let surprise = decide(&platform, &history(&apps, YOUNG), &inventories(&apps, "sandbox"));
        assert_eq!((surprise.remove.len(), surprise.withheld.len()), (0, 1));
        assert_eq!(decide(&platform, &history(&apps, OLD), &inventories(&apps, "sandbox")).remove.len(), 1);
    }

    #[test]
    fn a_change_of_tier_counts_against_the_budget_and_waits_until_the_app_runs_there() {
        let apps = names(3);
        let moved: Vec<_> = apps.iter().map(|app| (app.as_str(), "pilot")).collect();
        let there: Vec<_> = apps.iter().map(|app| format!("{app}.pilot")).collect();
        let there = scopes(&there.iter().map(String::as_str).collect::<Vec<_>>());
        let (platform, history, inventories) = (platform(&moved), history(&apps, YOUNG), inventories(&apps, "sandbox"));
        let none = Default::default();
        let decide = |inventories, settled| {
            removals(&RemovalFacts { settled, ..facts(&platform, &history, inventories, &none) })
        };
        let all = decide(&inventories, &there);
        assert_eq!((all.remove.len(), all.withheld.len()), (0, 3), "three are more than the two that may go at once");
        assert_eq!(decide(&inventories[..2], &there).remove.len(), 2);
        let waiting = decide(&inventories[..2], &none.0);
        assert_eq!((waiting.remove.len(), waiting.withheld.len()), (0, 2));
    }

    #[test]
    fn a_tier_that_moves_to_another_cluster_leaves_the_old_one_when_it_runs_there_and_what_it_has_once_goes_last() {
        let (platform, apps) = (platform(&[("app-0", "sandbox")]), names(1));
        let history = history(&apps, YOUNG);
        let mut left = inventories(&apps, "sandbox");
        left.push(Inventory::new("sandbox".parse().unwrap()));
        let (none, approved) = (Default::default(), BTreeSet::from(["sandbox".parse().unwrap()]));
        let decide = |left, moved, settled: &[&str]| {
            let facts = facts(&platform, &history, left, &none);
            let found = |found| FoundInventory { left_on: Some("old"), ..found };
            let inventories = facts.inventories.into_iter().map(found).collect();
            removals(&RemovalFacts { inventories, moved, settled: &scopes(settled), ..facts })
        };
        let waiting = decide(&left, &approved, &["sandbox"]);
        assert_eq!(waiting.remove, []);
        let [stay] = &waiting.withheld[..] else { panic!("{waiting:?}") };
        assert_eq!(stay.why, "app-0 moves to another cluster and goes on running on old until it runs there");
        let gone = |left, moved| -> Vec<String> {
            let decided = decide(left, moved, &["sandbox", "app-0.sandbox"]);
            decided.remove.iter().map(|place| place.scope.to_string()).collect()
        };
        assert_eq!(gone(&left, &approved), ["app-0.sandbox"]);
        assert_eq!(gone(&left[1..], &approved), ["sandbox"]);
        let unapproved: [String; 0] = [];
        assert_eq!(gone(&left, &none.1), unapproved, "a kubeconfig that leads elsewhere deletes nothing");
        assert_eq!(gone(&left[1..], &none.1), unapproved);
        assert_eq!(tests::decide(&platform, &history, &left), Removals::default());
    }

    #[test]
    fn a_folder_that_was_given_an_illegal_name_is_no_deletion() {
        let apps = names(1);
        let platform = platform(&[("App-0", "sandbox")]);
        let decided = decide(&platform, &history(&apps, YOUNG), &inventories(&apps, "sandbox"));
        assert_eq!(decided.remove, []);
        assert!(decided.withheld[0].why.starts_with("apps/App-0 has no legal name"), "{:?}", decided.withheld);
    }

    #[test]
    fn nothing_is_deleted_from_a_tier_that_is_no_more_and_nothing_that_history_does_not_know() {
        let (platform, apps) = (platform(&[("other", "sandbox")]), names(1));
        let lost = decide(&platform, &history(&apps, OLD), &inventories(&apps, "production"));
        assert_eq!((lost.remove.len(), lost.withheld.len()), (0, 1));
        let (unknown, none) = (History::default(), Default::default());
        let inventories = inventories(&apps, "sandbox");
        let decided = decide(&platform, &unknown, &inventories);
        assert_eq!((decided.remove.len(), decided.withheld.len()), (0, 1));
        let swept = RemovalFacts { is_swept: true, ..facts(&platform, &unknown, &inventories, &none) };
        assert_eq!(removals(&swept).remove.len(), 1, "somebody looked at the tip and confirmed what it lacks");
    }
}

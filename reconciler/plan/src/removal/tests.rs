use dayfly_lifecycle::history::{AppChange, AppFacts, CommitFacts};
use dayfly_model::snapshot::Snapshot;

use super::*;

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
            .map(|inventory| FoundInventory { inventory, cluster: "id", left_behind_on: None })
            .collect(),
        converged: &none.0,
        moved: &none.1,
        since: "2026-01-01T00:00:00Z".parse().unwrap(),
        is_confirmed: &|_| false,
        is_tip_confirmed: false,
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
fn what_git_deleted_is_removed_within_the_budget_and_beyond_it_where_its_time_was_up() {
    let (platform, apps) = (platform(&[("other", "sandbox")]), names(3));
    let all = inventories(&apps, "sandbox");
    assert_eq!(decide(&platform, &history(&apps, YOUNG), &all[..2]).remove.len(), 2);
    let over = decide(&platform, &history(&apps, YOUNG), &all);
    assert_eq!((over.remove.len(), over.withheld.len()), (0, 3));
    assert_eq!(decide(&platform, &history(&apps, OLD), &all).remove.len(), 3);
}

#[test]
fn an_app_that_was_renewed_before_it_was_deleted_is_a_surprise() {
    let (platform, apps) = (platform(&[]), names(1));
    let mut history = history(&apps, OLD);
    let renewed = AppFacts { tier: Some("sandbox".into()), ttl: Some(YOUNG.into()), ..AppFacts::default() };
    commit(&mut history, 2, &apps, Some(&renewed));
    commit(&mut history, 3, &apps, None);
    let decided = decide(&platform, &history, &inventories(&apps, "sandbox"));
    assert_eq!((decided.remove.len(), decided.withheld.len()), (0, 1));
}

#[test]
fn what_was_confirmed_is_removed_beyond_the_budget_and_what_was_deleted_later_is_not() {
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
fn the_last_app_is_removed_when_its_time_is_up_and_not_by_surprise() {
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
    let decide = |inventories, converged| {
        removals(&RemovalFacts { converged, ..facts(&platform, &history, inventories, &none) })
    };
    let all = decide(&inventories, &there);
    assert_eq!((all.remove.len(), all.withheld.len()), (0, 3), "three are more than the two that may go at once");
    assert_eq!(decide(&inventories[..2], &there).remove.len(), 2);
    let waiting = decide(&inventories[..2], &none.0);
    assert_eq!((waiting.remove.len(), waiting.withheld.len()), (0, 2));
}

#[test]
fn a_tier_that_moved_is_removed_from_the_old_cluster_once_it_runs_on_the_new_one_and_its_shared_objects_last() {
    let (platform, apps) = (platform(&[("app-0", "sandbox")]), names(1));
    let history = history(&apps, YOUNG);
    let mut left = inventories(&apps, "sandbox");
    left.push(Inventory::new("sandbox".parse().unwrap()));
    let (none, approved) = (Default::default(), BTreeSet::from(["sandbox".parse().unwrap()]));
    let decide_left_behind = |left, moved, converged: &[&str]| {
        let facts = facts(&platform, &history, left, &none);
        let found = |found| FoundInventory { left_behind_on: Some("old"), ..found };
        let inventories = facts.inventories.into_iter().map(found).collect();
        removals(&RemovalFacts { inventories, moved, converged: &scopes(converged), ..facts })
    };
    let waiting = decide_left_behind(&left, &approved, &["sandbox"]);
    assert_eq!(waiting.remove, []);
    let [stay] = &waiting.withheld[..] else { panic!("{waiting:?}") };
    assert_eq!(stay.why, "app-0 moves to another cluster and goes on running on old until it runs there");
    let gone = |left, moved| -> Vec<String> {
        let decided = decide_left_behind(left, moved, &["sandbox", "app-0.sandbox"]);
        decided.remove.iter().map(|place| place.scope.to_string()).collect()
    };
    assert_eq!(gone(&left, &approved), ["app-0.sandbox"]);
    assert_eq!(gone(&left[1..], &approved), ["sandbox"]);
    let unapproved: [String; 0] = [];
    assert_eq!(gone(&left, &none.1), unapproved, "a kubeconfig that leads elsewhere deletes nothing");
    assert_eq!(gone(&left[1..], &none.1), unapproved);
    assert_eq!(decide(&platform, &history, &left), Removals::default());
}

#[test]
fn an_app_whose_folder_was_given_an_illegal_name_is_not_removed() {
    let apps = names(1);
    let platform = platform(&[("App-0", "sandbox")]);
    let decided = decide(&platform, &history(&apps, YOUNG), &inventories(&apps, "sandbox"));
    assert_eq!(decided.remove, []);
    assert!(decided.withheld[0].why.starts_with("apps/App-0 has no legal name"), "{:?}", decided.withheld);
}

#[test]
fn nothing_is_removed_from_a_tier_that_is_no_more_and_nothing_that_the_history_does_not_know() {
    let (platform, apps) = (platform(&[("other", "sandbox")]), names(1));
    let lost = decide(&platform, &history(&apps, OLD), &inventories(&apps, "production"));
    assert_eq!((lost.remove.len(), lost.withheld.len()), (0, 1));
    let (unknown, none) = (History::default(), Default::default());
    let inventories = inventories(&apps, "sandbox");
    let decided = decide(&platform, &unknown, &inventories);
    assert_eq!((decided.remove.len(), decided.withheld.len()), (0, 1));
    let confirmed = RemovalFacts { is_tip_confirmed: true, ..facts(&platform, &unknown, &inventories, &none) };
    assert_eq!(removals(&confirmed).remove.len(), 1, "somebody looked at the tip and confirmed what it lacks");
}

//! How far each scope is: what it was last brought to, how healthy it was found, and what its plan skipped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dayfly_judge::evaluate::Evaluated;
use dayfly_model::digest::Digest;
use dayfly_model::names::{InstanceKey, TierName};
use dayfly_model::scope::{Location, Scope};
use dayfly_plan::health::Health;
use dayfly_plan::plan::Skipped;

use crate::view::View;

/// One state for each scope; all of it can be found out again.
#[derive(Default)]
pub(crate) struct Progress {
    scopes: BTreeMap<Scope, ScopeProgress>,
    /// What is past its end and suspended, so that it has no routes.
    expired: BTreeSet<InstanceKey>,
    /// What the last plan of each location left as it is.
    skipped: BTreeMap<Location, Vec<Skipped>>,
}

#[derive(Default)]
struct ScopeProgress {
    /// What it was brought to: none where it has to be planned.
    converged_to: Option<Goal>,
    /// How healthy it is. Outer none: not looked up. Inner none: it has no object.
    health: Option<Option<Health>>,
}

/// What a scope is to be brought to.
#[derive(Clone)]
pub(crate) enum Goal {
    /// The verdict about an instance. The same allocation is the same verdict.
    Verdict(Arc<Evaluated>),
    /// The folder of a tier, whose shared objects these are.
    Folder(Digest),
}

impl Goal {
    /// What the tip wants of a scope.
    pub fn of(scope: &Scope, view: &View) -> Option<Self> {
        match scope {
            Scope::Instance(key) => view.evaluation.instances.get(&key.app).cloned().map(Self::Verdict),
            Scope::Shared(tier) => view.platform.environments.get(tier).map(|item| Self::Folder(item.folder)),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Verdict(one), Self::Verdict(other)) => Arc::ptr_eq(one, other),
            (Self::Folder(one), Self::Folder(other)) => one == other,
            _ => false,
        }
    }
}

impl Progress {
    /// Whether a scope was brought to the very goal that it has now.
    pub fn is_converged(&self, scope: &Scope, view: &View) -> bool {
        Goal::of(scope, view).is_some_and(|goal| self.has_reached(scope, &goal))
    }

    /// Records that a scope was brought to its goal.
    pub fn converged(&mut self, scope: &Scope, view: &View) {
        if let Some(goal) = Goal::of(scope, view) {
            self.reached(scope, goal);
        }
    }

    fn has_reached(&self, scope: &Scope, goal: &Goal) -> bool {
        let reached = self.scopes.get(scope).and_then(|state| state.converged_to.as_ref());
        reached.is_some_and(|reached| reached.is(goal))
    }

    fn reached(&mut self, scope: &Scope, goal: Goal) {
        self.state(scope).converged_to = Some(goal);
    }

    /// Makes the next pass plan a scope and look up its health, whatever the reason. A scope that git does not want has no
    /// state, and needs none.
    pub fn invalidate(&mut self, scope: &Scope) {
        self.scopes.remove(scope);
    }

    /// The same for all scopes of tiers.
    pub fn invalidate_tiers(&mut self, tiers: &BTreeSet<TierName>) {
        self.scopes.retain(|scope, _| !tiers.contains(scope.tier()));
    }

    /// Makes every health be looked up again: what the clusters say may be incomplete.
    pub fn doubt_health(&mut self) {
        self.scopes.values_mut().for_each(|state| state.health = None);
    }

    /// Makes the health of one scope be looked up again.
    pub fn doubt_health_of(&mut self, scope: &Scope) {
        if let Some(state) = self.scopes.get_mut(scope) {
            state.health = None;
        }
    }

    /// How healthy a scope is: looked up once, until something of it may have changed.
    pub fn health(&mut self, scope: &Scope, look_up: impl FnOnce() -> Option<Health>) -> Option<Health> {
        self.state(scope).health.get_or_insert_with(look_up).clone()
    }

    /// Whether an instance is past its end and suspended.
    pub fn is_expired(&self, key: &InstanceKey) -> bool {
        self.expired.contains(key)
    }

    /// Records what is past its end and suspended. What came or went is planned anew: it loses its routes, or has them again.
    pub fn set_expired(&mut self, expired: BTreeSet<InstanceKey>) {
        let before = std::mem::replace(&mut self.expired, expired);
        let changed: Vec<_> = before.symmetric_difference(&self.expired).cloned().map(Scope::Instance).collect();
        changed.iter().for_each(|scope| self.invalidate(scope));
    }

    /// What the last plan of a location skipped.
    pub fn skipped(&self, location: &Location) -> &[Skipped] {
        self.skipped.get(location).map_or(&[], Vec::as_slice)
    }

    /// The same of all locations.
    pub fn all_skipped(&self) -> impl Iterator<Item = (&Location, &[Skipped])> {
        self.skipped.iter().map(|(location, skipped)| (location, skipped.as_slice()))
    }

    /// Records what a plan skipped.
    pub fn set_skipped(&mut self, location: Location, skipped: &[Skipped]) {
        match skipped {
            [] => drop(self.skipped.remove(&location)),
            skipped => drop(self.skipped.insert(location, skipped.to_vec())),
        }
    }

    /// Forgets the scopes that git does not want any more, and what was skipped where nothing is left.
    pub fn forget_others(&mut self, view: &View, is_there: impl Fn(&Location) -> bool) {
        let instances = &view.evaluation.instances;
        let is_wanted = |scope: &Scope| scope.app().is_none_or(|app| instances.contains_key(app));
        // No scan while there cannot be a surplus.
        if self.scopes.len() > instances.len() + view.platform.environments.len() {
            self.scopes.retain(|scope, _| is_wanted(scope));
        }
        self.skipped.retain(|location, _| is_there(location) || is_wanted(&location.scope));
    }

    fn state(&mut self, scope: &Scope) -> &mut ScopeProgress {
        self.scopes.entry(scope.clone()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dayfly_judge::evaluate::Verdict;

    fn scope(text: &str) -> Scope {
        text.parse().unwrap()
    }

    fn key(text: &str) -> InstanceKey {
        text.parse().unwrap()
    }

    fn verdict() -> Goal {
        Goal::Verdict(Arc::new(Evaluated {
            app: "poll".parse().unwrap(),
            tier: None,
            instance: None,
            verdict: Verdict::Unapproved,
            held: None,
            cost: None,
            warnings: [].into(),
        }))
    }

    #[test]
    fn a_scope_has_converged_to_one_verdict_and_to_no_other_that_looks_the_same() {
        let (mut progress, goal) = (Progress::default(), verdict());
        assert!(!progress.has_reached(&scope("poll.sandbox"), &goal));
        progress.reached(&scope("poll.sandbox"), goal.clone());
        assert!(progress.has_reached(&scope("poll.sandbox"), &goal));
        assert!(!progress.has_reached(&scope("poll.sandbox"), &verdict()));
        progress.reached(&scope("sandbox"), Goal::Folder(Digest::of(b"1")));
        assert!(progress.has_reached(&scope("sandbox"), &Goal::Folder(Digest::of(b"1"))));
        assert!(!progress.has_reached(&scope("sandbox"), &Goal::Folder(Digest::of(b"2"))));
    }

    #[test]
    fn what_is_invalid_is_planned_again_and_its_health_looked_up_again() {
        let (mut progress, goal) = (Progress::default(), verdict());
        let looked_up = |progress: &mut Progress| {
            let mut was_asked = false;
            progress.health(&scope("poll.sandbox"), || {
                was_asked = true;
                Some(Health::Ready)
            });
            was_asked
        };
        progress.reached(&scope("poll.sandbox"), goal.clone());
        assert!(looked_up(&mut progress) && !looked_up(&mut progress));
        progress.invalidate(&scope("poll.sandbox"));
        assert!(!progress.has_reached(&scope("poll.sandbox"), &goal) && looked_up(&mut progress));
        progress.reached(&scope("poll.sandbox"), goal.clone());
        progress.doubt_health();
        assert!(progress.has_reached(&scope("poll.sandbox"), &goal) && looked_up(&mut progress));
        progress.invalidate_tiers(&["sandbox".parse().unwrap()].into());
        assert!(!progress.has_reached(&scope("poll.sandbox"), &goal));
    }

    #[test]
    fn an_app_that_expires_or_is_renewed_is_planned_again_and_others_are_not() {
        let (mut progress, goal) = (Progress::default(), verdict());
        let (poll, survey) = (scope("poll.sandbox"), scope("survey.sandbox"));
        for expired in [vec![key("poll.sandbox")], vec![]] {
            [&poll, &survey].iter().for_each(|scope| progress.reached(scope, goal.clone()));
            progress.set_expired(expired.iter().cloned().collect());
            assert_eq!(progress.is_expired(&key("poll.sandbox")), !expired.is_empty());
            assert!(!progress.has_reached(&poll, &goal) && progress.has_reached(&survey, &goal));
        }
    }
}

//! Faults on purpose, chosen by rules in a fixed order so that tests repeat exactly, and counters of all requests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// When to fail, and how. Fields left out match everything.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Rule {
    /// Any of get, list, watch, create, update, patch, apply, delete, deletecollection. `patch` includes apply.
    pub verbs: Vec<String>,
    /// Only requests that would change something; dry runs do not.
    pub mutating: bool,
    /// The resource with its group: `deployments.apps`, `configmaps`.
    pub resource: Option<String>,
    /// The namespace asked for.
    pub namespace: Option<String>,
    /// The object's name.
    pub name: Option<String>,
    /// How the path begins.
    pub path_prefix: Option<String>,
    /// So many matching requests go through first: `mutating` with `skip: 4, count: 1` is the fifth mutating call.
    pub skip: u64,
    /// So many are hit, then the rule rests; without it, all.
    pub count: Option<u64>,
    /// What happens.
    pub fault: Fault,
}

/// What happens to a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Fault {
    /// Nothing: the rule only counts.
    #[default]
    None,
    /// It is answered after a while.
    Latency {
        /// How long, in milliseconds.
        millis: u64,
    },
    /// It is refused with a code and not executed.
    Status {
        /// 409, 429, 500, 503, …
        code: u16,
        /// Seconds, for the Retry-After header.
        #[serde(default)]
        retry_after: Option<u64>,
        /// Otherwise a usual one for the code.
        #[serde(default)]
        message: Option<String>,
    },
    /// The connection closes; nothing was executed.
    Disconnect,
    /// It is executed, and the connection closes without an answer.
    LoseResponse,
    /// A watch ends after so many events, as when a connection drops.
    DropWatch {
        /// Events delivered before.
        #[serde(default)]
        after: u64,
    },
    /// A watch is told `410 Expired`.
    ExpireWatch,
}

/// A rule and what it has done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleState {
    /// The rule.
    pub rule: Rule,
    /// Requests that matched.
    pub matched: u64,
    /// Requests that were hit.
    pub hit: u64,
}

/// How many requests came in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// All requests for objects, watches included.
    pub total: u64,
    /// Those that would change something.
    pub mutating: u64,
    /// By `<verb> <resource>`, such as `apply deployments.apps`.
    pub by_verb: BTreeMap<String, u64>,
}

/// What is known of a request before it is executed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub verb: &'a str,
    pub mutating: bool,
    pub resource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    pub path: &'a str,
}

/// The rules in force and the counters.
#[derive(Debug, Default)]
pub(super) struct Faults {
    rules: Mutex<Vec<RuleState>>,
    counters: Mutex<Counters>,
}

impl Faults {
    pub fn new(rules: Vec<Rule>) -> Self {
        let faults = Self::default();
        faults.set(rules);
        faults
    }

    /// Replaces all rules and their counts.
    pub fn set(&self, rules: Vec<Rule>) {
        *held(&self.rules) = rules.into_iter().map(|rule| RuleState { rule, matched: 0, hit: 0 }).collect();
    }

    pub fn states(&self) -> Vec<RuleState> {
        held(&self.rules).clone()
    }

    pub fn counters(&self) -> Counters {
        held(&self.counters).clone()
    }

    pub fn reset_counters(&self) {
        *held(&self.counters) = Counters::default();
    }

    /// Counts a request and tells which faults hit it, in the order of the rules.
    pub fn meet(&self, facts: Facts<'_>) -> Vec<Fault> {
        let mut counters = held(&self.counters);
        counters.total += 1;
        counters.mutating += u64::from(facts.mutating);
        *counters.by_verb.entry(format!("{} {}", facts.verb, facts.resource)).or_default() += 1;
        drop(counters);
        let mut rules = held(&self.rules);
        rules.iter_mut().filter_map(|state| state.meet(facts)).collect()
    }
}

impl RuleState {
    fn meet(&mut self, facts: Facts<'_>) -> Option<Fault> {
        if !self.rule.matches(facts) {
            return None;
        }
        self.matched += 1;
        if self.matched <= self.rule.skip || self.rule.count.is_some_and(|count| self.hit >= count) {
            return None;
        }
        self.hit += 1;
        Some(self.rule.fault.clone())
    }
}

impl Rule {
    fn matches(&self, facts: Facts<'_>) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|w| w == found);
        let verb = |v: &String| v == facts.verb || (v == "patch" && facts.verb == "apply");
        (self.verbs.is_empty() || self.verbs.iter().any(verb))
            && (!self.mutating || facts.mutating)
            && is(&self.resource, facts.resource)
            && is(&self.namespace, facts.namespace)
            && is(&self.name, facts.name)
            && self.path_prefix.as_deref().is_none_or(|prefix| facts.path.starts_with(prefix))
    }
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Faults that tests inject into requests by rules, in an order that is the same in every run; and request counters.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::apiserver::status::ApiError;

/// Which requests get a fault, and which fault. A field that is left out matches every request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FaultRule {
    /// Any of get, list, watch, create, update, patch, apply, delete, deletecollection. `patch` includes apply.
    pub verbs: Vec<String>,
    /// Only requests that would change something; a dry run does not.
    pub mutating: bool,
    /// The resource with its group, such as `deployments.apps` or `configmaps`.
    pub resource: Option<String>,
    pub namespace: Option<String>,
    pub name: Option<String>,
    pub path_prefix: Option<String>,
    /// How many of the requests that match are executed before the first fault. `mutating` with `skip: 4, count: 1` is
    /// the fifth mutating request.
    pub skip: u64,
    /// How many requests get the fault; none means all.
    pub count: Option<u64>,
    pub fault: InjectedFault,
}

/// What happens to a request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum InjectedFault {
    /// Nothing: the rule only counts.
    #[default]
    None,
    /// It is executed after a delay.
    Latency { millis: u64 },
    /// It is not executed and is answered with an error.
    Status {
        /// 409, 429, 500, 503, …
        code: u16,
        /// Seconds, for the Retry-After header.
        #[serde(default)]
        retry_after: Option<u64>,
        /// By default the usual one for the code.
        #[serde(default)]
        message: Option<String>,
    },
    /// It is not executed, and the connection closes without an answer.
    Disconnect,
    /// It is executed, and the connection closes without an answer.
    LoseResponse,
    /// A watch ends with a broken connection after some events.
    DropWatch {
        #[serde(default)]
        after: u64,
    },
    /// A watch is answered with `410 Expired`.
    ExpireWatch,
}

/// A rule, and to how many requests it applied.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultRuleState {
    pub rule: FaultRule,
    /// Requests that matched.
    pub matched: u64,
    /// Requests that got the fault.
    pub hit: u64,
}

/// How many requests came in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestCounters {
    /// All requests for objects, watches included.
    pub total: u64,
    /// Those that would change something.
    pub mutating: u64,
    /// By `<verb> <resource>`, such as `apply deployments.apps`.
    pub by_verb: BTreeMap<String, u64>,
}

/// What a rule knows of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestAttributes<'a> {
    pub verb: &'a str,
    pub mutating: bool,
    pub resource: &'a str,
    pub namespace: &'a str,
    pub name: &'a str,
    pub path: &'a str,
}

/// The rules in force and the counters.
#[derive(Debug, Default)]
pub struct FaultInjector {
    rules: Mutex<Vec<FaultRuleState>>,
    counters: Mutex<RequestCounters>,
}

impl FaultInjector {
    pub fn new(rules: Vec<FaultRule>) -> Self {
        let faults = Self::default();
        faults.set_rules(rules);
        faults
    }

    /// Replaces all rules; the counts of the new ones start at zero.
    pub fn set_rules(&self, rules: Vec<FaultRule>) {
        *lock(&self.rules) = rules.into_iter().map(|rule| FaultRuleState { rule, matched: 0, hit: 0 }).collect();
    }

    pub fn rules(&self) -> Vec<FaultRuleState> {
        lock(&self.rules).clone()
    }

    pub fn counters(&self) -> RequestCounters {
        lock(&self.counters).clone()
    }

    pub fn reset_counters(&self) {
        *lock(&self.counters) = RequestCounters::default();
    }

    /// Counts a request, and returns the faults that it gets, in the order of the rules.
    pub(super) fn count(&self, request: RequestAttributes<'_>) -> Vec<InjectedFault> {
        let mut counters = lock(&self.counters);
        counters.total += 1;
        counters.mutating += u64::from(request.mutating);
        *counters.by_verb.entry(format!("{} {}", request.verb, request.resource)).or_default() += 1;
        drop(counters);
        let mut rules = lock(&self.rules);
        rules.iter_mut().filter_map(|state| state.count(request)).collect()
    }
}

impl FaultRuleState {
    fn count(&mut self, request: RequestAttributes<'_>) -> Option<InjectedFault> {
        if !self.rule.matches(request) {
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

impl FaultRule {
    fn matches(&self, request: RequestAttributes<'_>) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|w| w == found);
        let verb = |v: &String| v == request.verb || (v == "patch" && request.verb == "apply");
        (self.verbs.is_empty() || self.verbs.iter().any(verb))
            && (!self.mutating || request.mutating)
            && is(&self.resource, request.resource)
            && is(&self.namespace, request.namespace)
            && is(&self.name, request.name)
            && self.path_prefix.as_deref().is_none_or(|prefix| request.path.starts_with(prefix))
    }
}

/// The error of an injected status.
pub(super) fn injected_error(code: u16, retry_after: Option<u64>, message: Option<String>) -> ApiError {
    let (reason, usual) = match code {
        409 => ("Conflict", "the object has been modified; please apply your changes to the latest version"),
        410 => ("Expired", "The resourceVersion for the provided watch is too old."),
        429 => ("TooManyRequests", "Too many requests, please try again later."),
        403 => ("Forbidden", "forbidden on purpose"),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "the request did not complete within the allotted time"),
        _ => ("InternalError", "an error on the server has prevented the request from succeeding"),
    };
    let error = ApiError::new(code, reason, message.unwrap_or_else(|| usual.to_owned()));
    match retry_after {
        Some(seconds) => error.with_retry_after(seconds),
        None => error,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

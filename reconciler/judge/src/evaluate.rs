//! From a platform to a verdict per instance: what changed is rendered and decided, what did not is reused.

mod approval;
mod budget;
mod inputs;

use std::collections::BTreeMap;
use std::sync::Arc;

use dayfly_model::diagnostic::{Diagnostic, Diagnostics};
use dayfly_model::digest::Digest;
use dayfly_model::names::{AppName, InstanceKey, TierName};
use dayfly_model::platform::environment::Changes;
use dayfly_model::platform::{Instance, Platform};
use dayfly_model::rule::Rule;
use jiff::Timestamp;
use rayon::prelude::*;

use self::approval::ToRun;
pub use self::inputs::TimeInputs;
use self::inputs::VerdictInputs;
use crate::cost::{self, MonthlyCost};
use crate::policy::{Decision, PolicySet, Sealed};
use crate::render;

/// What a pass judges.
pub struct Desired<'a> {
    /// The platform of the tip, with the environments and policies of the approved control revision.
    pub tip: &'a Platform,
    /// What is approved; without it, nothing is held back (`check`, `render`).
    pub approved: Option<Approved<'a>>,
}

/// What is approved, as platforms: all but a few instances are approved at one commit.
#[derive(Debug, Clone, Copy)]
pub struct Approved<'a> {
    /// The platform of the approved baseline.
    pub baseline: &'a Platform,
    /// The instances with an approval of their own, each in the platform of its commit; none of what lost its approval.
    pub instances: &'a BTreeMap<InstanceKey, Option<Arc<Platform>>>,
}

impl<'a> Approved<'a> {
    /// The platform in which an instance is approved.
    pub fn of(&self, key: &InstanceKey) -> Option<&'a Platform> {
        match self.instances.get(key) {
            Some(own) => own.as_deref(),
            None => Some(self.baseline),
        }
    }
}

/// One instance, judged.
#[derive(Debug, Clone)]
pub struct Evaluated {
    /// The app.
    pub app: AppName,
    /// Its tier; none where the manifest cannot be read.
    pub tier: Option<TierName>,
    /// The instance as it is to run: of the tip, or of the approved commit where the tip is held. None where it is broken.
    pub instance: Option<Instance>,
    /// The verdict.
    pub verdict: Verdict,
    /// Why the tip does not run, where an approval is outstanding.
    pub held: Option<HeldReason>,
    /// What it costs a month.
    pub cost: Option<MonthlyCost>,
    /// Warnings.
    pub warnings: Diagnostics,
}

/// The verdict about an instance.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It may run.
    Admitted(Arc<Sealed>),
    /// Policy forbids it. What runs goes on unchanged.
    Denied(Diagnostics),
    /// It cannot be read or rendered. What runs goes on unchanged.
    Broken(Diagnostics),
    /// It was never approved; nothing of it runs.
    Unapproved,
}

/// Why an instance's tip does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldReason {
    /// The app is new in this tier.
    New,
    /// It renders differently from what was approved.
    Changed,
}

impl Evaluated {
    /// What was found, errors first.
    pub fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        let errors: &[Diagnostic] = match &self.verdict {
            Verdict::Denied(errors) | Verdict::Broken(errors) => errors,
            Verdict::Admitted(_) | Verdict::Unapproved => &[],
        };
        errors.iter().chain(self.warnings.iter())
    }

    /// App and tier, where the manifest says so.
    pub fn key(&self) -> Option<InstanceKey> {
        Some(InstanceKey { app: self.app.clone(), tier: self.tier.clone()? })
    }

    /// The manifests that may run.
    pub fn admitted(&self) -> Option<&Arc<Sealed>> {
        match &self.verdict {
            Verdict::Admitted(admitted) => Some(admitted),
            _ => None,
        }
    }
}

/// All instances of a platform, judged.
#[derive(Debug, Clone, Default)]
pub struct Evaluation {
    /// The instances. An instance that did not change since the last evaluation is the same allocation.
    pub instances: BTreeMap<AppName, Arc<Evaluated>>,
    /// How many instances were rendered and decided anew.
    pub renders: usize,
    /// What is wrong with the policies themselves; then nothing is admitted. And the budgets that all apps of a cost center
    /// exceed together, which stops none of them.
    pub diagnostics: Diagnostics,
}

/// Judges platforms one after the other and remembers what it judged.
#[derive(Default)]
pub struct Evaluator {
    policies: Option<(Digest, Result<Arc<PolicySet>, Diagnostics>)>,
    known: BTreeMap<AppName, (VerdictInputs, Arc<Evaluated>)>,
}

impl Evaluator {
    /// Judges every instance of a platform, at a time (which only waivers and sunsets depend on).
    pub fn evaluate(&mut self, desired: &Desired<'_>, now: Timestamp) -> Evaluation {
        let policies = self.policies(desired.tip);
        let time = TimeInputs::of(desired.tip, now);
        let (mut fresh, mut instances) = (Vec::new(), BTreeMap::new());
        for name in desired.tip.apps.keys() {
            let inputs = VerdictInputs::of(desired, name, &time);
            match self.known.get(name) {
                Some((known, evaluated)) if *known == inputs => drop(instances.insert(name.clone(), evaluated.clone())),
                _ => fresh.push((name, inputs)),
            }
        }
        let judged: Vec<_> = fresh
            .into_par_iter()
            .map(|(name, inputs)| (name, inputs, Arc::new(evaluate(desired, name, &policies, now))))
            .collect();
        let renders = judged.len();
        self.known.retain(|name, _| desired.tip.apps.contains_key(name));
        for (name, inputs, evaluated) in judged {
            self.known.insert(name.clone(), (inputs, evaluated.clone()));
            instances.insert(name.clone(), evaluated);
        }
        let mut diagnostics = policies.err().unwrap_or_default().to_vec();
        diagnostics.extend(budget::over_budget(desired.tip, &instances));
        Evaluation { instances, renders, diagnostics: diagnostics.into() }
    }

    /// The policy set, compiled once per content.
    fn policies(&mut self, platform: &Platform) -> Result<Arc<PolicySet>, Diagnostics> {
        let digest = platform.policies.folder;
        match &self.policies {
            Some((known, policies)) if *known == digest => policies.clone(),
            _ => {
                let sources = platform.policies.loaded.clone();
                let policies = sources.and_then(|sources| PolicySet::compile(&sources)).map(Arc::new);
                self.policies = Some((digest, policies.clone()));
                policies
            }
        }
    }
}

/// Judges one app.
fn evaluate(
    desired: &Desired<'_>,
    name: &AppName,
    policies: &Result<Arc<PolicySet>, Diagnostics>,
    now: Timestamp,
) -> Evaluated {
    let tier = desired.tip.apps.get(name).and_then(|item| item.get()).map(|app| app.tier.clone());
    let judged = |instance, verdict, held, cost, warnings| Evaluated {
        app: name.clone(),
        tier,
        instance,
        verdict,
        held,
        cost,
        warnings,
    };
    let (running, held) = match to_run(desired, name, now) {
        Ok(to_run) => to_run,
        Err(errors) => return judged(None, Verdict::Broken(errors), None, None, Diagnostics::default()),
    };
    let Some((manifests, instance)) = running else {
        return judged(None, Verdict::Unapproved, held, None, Diagnostics::default());
    };
    let cost = cost::monthly(&manifests, &instance.environment.prices);
    let decision = match policies {
        Ok(policies) => policies.decide(&instance, Arc::new(manifests), &cost, desired.tip.readable_waivers(), now),
        Err(_) => {
            let message = "the policies cannot be read, so nothing is admitted";
            let error = Diagnostic::new(Rule::POLICY_UNREADABLE, "policies/", message).about(name);
            let error = error.help("mend the errors in policies/; what runs goes on unchanged");
            Decision::Denied { violations: [error].into(), warnings: Diagnostics::default() }
        }
    };
    let (verdict, noted) = match decision {
        Decision::Admitted { admitted, warnings } => (Verdict::Admitted(Arc::new(admitted.seal())), warnings),
        Decision::Denied { violations, warnings } => (Verdict::Denied(violations), warnings),
    };
    let warnings = instance.warnings.iter().chain(noted.iter()).cloned().collect();
    judged(Some(instance), verdict, held, Some(cost), warnings)
}

/// What of an app is to run, rendered.
fn to_run(desired: &Desired<'_>, name: &AppName, now: Timestamp) -> Result<ToRun, Diagnostics> {
    let tip = desired.tip.instance(name)?;
    if let Some(ended) = tip.past_sunset(now) {
        return Err([ended].into());
    }
    let manifests = render::render(&tip)?;
    match desired.approved {
        Some(approved) if tip.environment.changes == Changes::PullRequest => {
            approval::approved_or_held(approved.of(&tip.key), desired.tip, (manifests, tip))
        }
        _ => Ok((Some((manifests, tip)), None)),
    }
}

#[cfg(test)]
mod tests;

//! From a platform to a verdict per instance: what changed is rendered and decided, what did not is reused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dayfly_model::diagnostic::{Diagnostic, Diagnostics};
use dayfly_model::digest::Digest;
use dayfly_model::names::{AppName, InstanceKey, TemplateRef, TierName};
use dayfly_model::platform::environment::Changes;
use dayfly_model::platform::{App, Instance, Item, Platform};
use dayfly_model::rule::Rule;
use jiff::Timestamp;
use rayon::prelude::*;

use crate::cost::{self, MonthlyCost};
use crate::policy::{Decision, PolicySet, Sealed};
use crate::render::{self, Manifests};

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

/// Everything that a verdict depends on, as digests: equal inputs, equal verdict.
#[derive(Debug, Clone, PartialEq)]
struct Inputs {
    tip: Origin,
    environment: Option<Digest>,
    /// The same of the approved commit: none where nothing is held back, or where nothing is approved.
    approved: Option<Option<Origin>>,
    policies: Digest,
    waivers: Arc<BTreeSet<Digest>>,
    /// Whether the tip's template is past its sunset.
    ended: bool,
}

/// What an instance is made of in one commit.
#[derive(Debug, Clone, PartialEq)]
struct Origin {
    app: Option<Digest>,
    /// The template that the app names there.
    template: Option<Digest>,
    /// Whether another app has its place.
    conflict: Option<Diagnostic>,
}

/// All that a verdict depends on besides files: which waivers count now, and which templates are past their sunset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    waivers: Arc<BTreeSet<Digest>>,
    ended: BTreeSet<TemplateRef>,
}

impl Moment {
    /// The moment, as a platform sees it.
    pub fn of(platform: &Platform, now: Timestamp) -> Self {
        let ended = platform.templates.values().filter_map(Item::get).filter(|it| it.status.ended(now).is_some());
        Self {
            waivers: Arc::new(active_waivers(platform, now)),
            ended: ended.map(|template| template.reference.clone()).collect(),
        }
    }
}

/// Judges platforms one after the other and remembers what it judged.
#[derive(Default)]
pub struct Evaluator {
    policies: Option<(Digest, Result<Arc<PolicySet>, Diagnostics>)>,
    known: BTreeMap<AppName, (Inputs, Arc<Evaluated>)>,
}

impl Evaluator {
    /// Judges every instance of a platform, at a time (which only waivers and sunsets depend on).
    pub fn evaluate(&mut self, desired: &Desired<'_>, now: Timestamp) -> Evaluation {
        let policies = self.policies(desired.tip);
        let moment = Moment::of(desired.tip, now);
        let (mut fresh, mut instances) = (Vec::new(), BTreeMap::new());
        for name in desired.tip.apps.keys() {
            let inputs = Inputs::of(desired, name, &moment);
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
        diagnostics.extend(over_budget(desired.tip, &instances));
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

impl Inputs {
    fn of(desired: &Desired<'_>, name: &AppName, moment: &Moment) -> Self {
        let app = desired.tip.apps.get(name).and_then(|item| item.get());
        let tier = app.map(|app| app.tier.clone());
        let ended = app.is_some_and(|app| moment.ended.contains(&app.template));
        let environment = tier.as_ref().and_then(|tier| desired.tip.environments.get(tier)).map(|item| item.folder);
        let approved = tier.zip(desired.approved).map(|(tier, approved)| {
            let platform = approved.of(&InstanceKey { app: name.clone(), tier })?;
            Some(Origin::of(platform, name))
        });
        let policies = desired.tip.policies.folder;
        Self {
            tip: Origin::of(desired.tip, name),
            environment,
            approved,
            policies,
            waivers: moment.waivers.clone(),
            ended,
        }
    }
}

impl Origin {
    fn of(platform: &Platform, name: &AppName) -> Self {
        let item = platform.apps.get(name);
        let template = item.and_then(|item| platform.templates.get(&item.get()?.template));
        Self {
            app: item.map(|item| item.folder),
            template: template.map(|item| item.folder),
            conflict: platform.conflict(name).cloned(),
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
    let outcome = desired.tip.instance(name).and_then(|tip| {
        if let Some(ended) = tip.past_sunset(now) {
            return Err([ended].into());
        }
        let manifests = render::render(&tip)?;
        match desired.approved {
            Some(approved) if tip.environment.changes == Changes::PullRequest => {
                approved_or_held(approved.of(&tip.key), desired.tip, (manifests, tip))
            }
            _ => Ok((Some((manifests, tip)), None)),
        }
    });
    let judged = |instance, verdict, held, cost, warnings| Evaluated {
        app: name.clone(),
        tier,
        instance,
        verdict,
        held,
        cost,
        warnings,
    };
    let (running, held) = match outcome {
        Ok(outcome) => outcome,
        Err(errors) => return judged(None, Verdict::Broken(errors), None, None, Diagnostics::default()),
    };
    let Some((manifests, instance)) = running else {
        return judged(None, Verdict::Unapproved, held, None, Diagnostics::default());
    };
    let cost = cost::monthly(&manifests, &instance.environment.prices);
    let decision = match policies {
        Ok(policies) => policies.decide(&instance, Arc::new(manifests), &cost, desired.tip.readable_waivers(), now),
        Err(_) => {
            let error = Diagnostic::new(
                Rule::POLICY_UNREADABLE,
                "policies/",
                "the policies cannot be read, so nothing is admitted",
            )
            .about(name)
            .help("mend the errors in policies/; what runs goes on unchanged");
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

/// The waivers that count now, each by its folder's digest.
fn active_waivers(platform: &Platform, now: Timestamp) -> BTreeSet<Digest> {
    let active = platform.waivers.values().filter(|item| item.get().is_some_and(|waiver| now < waiver.expires));
    active.map(|item| item.folder).collect()
}

/// The cost centers whose apps may cost more, all together, than their tier allows.
fn over_budget(tip: &Platform, instances: &BTreeMap<AppName, Arc<Evaluated>>) -> Vec<Diagnostic> {
    let mut costs: BTreeMap<(&TierName, &str), (f64, usize)> = BTreeMap::new();
    for evaluated in instances.values() {
        let app = tip.apps.get(&evaluated.app).and_then(|item| item.get());
        let (Some(app), Some(cost)) = (app, &evaluated.cost) else { continue };
        let (sum, apps) = costs.entry((&app.tier, &app.cost_center)).or_default();
        (*sum, *apps) = (*sum + cost.high, *apps + 1);
    }
    let over = costs.into_iter().filter_map(|((tier, cost_center), (sum, apps))| {
        let environment = tip.environments.get(tier)?.get()?;
        let limit = environment.budget.per_cost_center.filter(|limit| sum > *limit)?;
        let (field, currency) = ("spec.budget.perCostCenter", &environment.prices.currency);
        let apps = if apps == 1 { "one app".to_owned() } else { format!("{apps} apps") };
        let message =
            format!("{cost_center} may cost {sum:.2} {currency} a month with {apps} in {tier}, more than {limit}");
        let found = environment.spans.finding(Rule::BUDGET_COST_CENTER, field, message);
        Some(found.help("Retire or suspend an app of that cost center, let one ask for less, or raise the budget."))
    });
    over.collect()
}

type Rendered = (Manifests, Instance);

/// The tip, where it renders as the approved commit does; else the approved commit, with what follows the tip: owner,
/// lifetime, suspension.
fn approved_or_held(
    approved: Option<&Platform>,
    tip: &Platform,
    (manifests, instance): Rendered,
) -> Result<(Option<Rendered>, Option<HeldReason>), Diagnostics> {
    let was_in_tier = |approved: &&Platform| {
        let item = approved.apps.get(&instance.key.app).and_then(|item| item.get());
        item.is_some_and(|app| app.tier == instance.key.tier)
    };
    let Some(approved) = approved.filter(was_in_tier) else { return Ok((None, Some(HeldReason::New))) };
    let same_folder = |(a, b): (Option<Digest>, Option<Digest>)| a.is_some() && a == b;
    let folder = |platform: &Platform| platform.apps.get(&instance.key.app).map(|item| item.folder);
    let template = |platform: &Platform| platform.templates.get(&instance.app.template).map(|item| item.folder);
    if same_folder((folder(approved), folder(tip))) && same_folder((template(approved), template(tip))) {
        return Ok((Some((manifests, instance)), None));
    }
    let before = approved.instance(&instance.key.app)?;
    let app = Arc::new(with_facts_of(&before.app, &instance.app));
    let before = Instance { app, environment: instance.environment.clone(), ..before };
    let rendered = render::render(&before)?;
    if rendered.digest == manifests.digest {
        return Ok((Some((manifests, instance)), None));
    }
    Ok((Some((rendered, before)), Some(HeldReason::Changed)))
}

/// The approved app with the facts that follow the tip without approval.
fn with_facts_of(approved: &App, tip: &App) -> App {
    App {
        lifetime: tip.lifetime,
        owner: tip.owner.clone(),
        owner_login: tip.owner_login.clone(),
        renewed: tip.renewed,
        suspend: tip.suspend,
        ..approved.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dayfly_model::snapshot::{FileEntry, Snapshot};

    const APP: &str = "apiVersion: dayfly.dev/v1
kind: App
metadata: {name: NAME}
spec:
  template: survey/v1
  tier: TIER
  ttl: 1d
  costCenter: CC-1
  owner: maya@example.com
  team: people
";
    const ENVIRONMENT: &str = "apiVersion: dayfly.dev/v1
kind: Environment
metadata: {name: TIER}
spec:
  order: 1
  cluster: {context: local}
  namespace: \"NAMESPACE\"
  changes: CHANGES
  ttl: {default: 1d, max: 2d}
  retire: {by: commit, maxApps: 25, maxPercent: 20, grace: 1d}
  prices: {currency: USD, cpuHour: 0.1, memoryGibHour: 0.1, storageGibMonth: 0.1}
";
    const TEMPLATE: &str = "apiVersion: dayfly.dev/v1
kind: Template
metadata: {name: survey}
spec:
  version: MAJOR.0.0
  title: Survey
  description: A survey
  status: stable
  tiers: [shared, high]
  runtimes: [container]
  parameters: {type: object}
";

    fn map(text: &str) -> String {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: \"{{{{ app.name }}}}\"}}\ndata: {{text: {text}}}\n")
    }

    fn app(name: &str, tier: &str) -> String {
        APP.replace("NAME", name).replace("TIER", tier)
    }

    fn environment(tier: &str, namespace: &str, changes: &str) -> String {
        ENVIRONMENT.replace("TIER", tier).replace("NAMESPACE", namespace).replace("CHANGES", changes)
    }

    /// Two tiers, one where two apps can come to one namespace, and two templates.
    fn files() -> Snapshot {
        let text = |path: &str, text: String| (path.to_owned(), text);
        Snapshot::from_texts([
            text("environments/shared/environment.yaml", environment("shared", "{{ app }}-{{ team }}", "commit")),
            text("environments/high/environment.yaml", environment("high", "{{ app }}-high", "pull-request")),
            text("policies/none.rego", "package dayfly.none\ndeny contains x if { x := 1; false }\n".into()),
            text("catalog/survey/v1/template.yaml", TEMPLATE.replace("MAJOR", "1")),
            text("catalog/survey/v1/resources/map.yaml", map("one")),
            text("catalog/survey/v2/template.yaml", TEMPLATE.replace("MAJOR", "2")),
            text("catalog/survey/v2/resources/map.yaml", map("two")),
            text("apps/a/app.yaml", app("a", "shared").replace("people", "small-people")),
            text("apps/high/app.yaml", app("high", "high")),
        ])
    }

    fn with(files: &Snapshot, changes: &[(&str, Option<String>)]) -> Snapshot {
        let entry = |text: &String| FileEntry::file(text.as_bytes().to_vec());
        files.patched(None, changes.iter().map(|(path, text)| ((*path).to_owned(), text.as_ref().map(entry))))
    }

    fn judge(evaluator: &mut Evaluator, tip: &Snapshot, approved: &Snapshot, name: &str) -> Arc<Evaluated> {
        let (tip, approved) = (Platform::load(tip, None), Platform::load(approved, None));
        judge_all(evaluator, &tip, Approved { baseline: &approved, instances: &BTreeMap::new() }, name)
    }

    fn judge_all(evaluator: &mut Evaluator, tip: &Platform, approved: Approved<'_>, name: &str) -> Arc<Evaluated> {
        let now = "2026-03-02T09:00:00Z".parse().unwrap();
        let evaluation = evaluator.evaluate(&Desired { tip, approved: Some(approved) }, now);
        evaluation.instances[&name.parse::<AppName>().unwrap()].clone()
    }

    #[test]
    fn a_neighbor_that_comes_or_goes_is_seen_by_whom_it_concerns() {
        let (files, mut evaluator) = (files(), Evaluator::default());
        let alone = judge(&mut evaluator, &files, &files, "a");
        assert!(alone.admitted().is_some(), "{alone:?}");
        let both = with(&files, &[("apps/a-small/app.yaml", Some(app("a-small", "shared")))]);
        assert!(matches!(judge(&mut evaluator, &both, &files, "a").verdict, Verdict::Broken(_)));
        assert!(judge(&mut evaluator, &files, &files, "a").admitted().is_some());
    }

    #[test]
    fn the_template_that_was_approved_is_looked_at_although_the_tip_names_another() {
        let (files, mut evaluator) = (files(), Evaluator::default());
        let text = |evaluated: &Evaluated| {
            let manifests = evaluated.admitted().unwrap().open().unwrap().manifests().clone();
            manifests.objects[0].value()["data"]["text"].as_str().unwrap().to_owned()
        };
        let template = ("catalog/survey/v1/resources/map.yaml", Some(map("better")));
        let approved = with(&files, &[template]);
        let tip =
            with(&approved, &[("apps/high/app.yaml", Some(app("high", "high").replace("v1\n  tier", "v2\n  tier")))]);
        let held = judge(&mut evaluator, &tip, &files, "high");
        assert_eq!((held.held, text(&held)), (Some(HeldReason::Changed), "one".into()));
        assert_eq!(text(&judge(&mut evaluator, &tip, &approved, "high")), "better");
    }

    #[test]
    fn an_app_s_own_approval_counts_before_the_baseline_and_ends_without_it() {
        let (files, mut evaluator) = (files(), Evaluator::default());
        let better = with(&files, &[("catalog/survey/v1/resources/map.yaml", Some(map("better")))]);
        let (tip, baseline) = (Platform::load(&better, None), Platform::load(&files, None));
        let mut held = |own: Option<Option<&Platform>>| {
            let of = |own: Option<&Platform>| ("high.high".parse().unwrap(), own.cloned().map(Arc::new));
            let instances = own.map(of).into_iter().collect();
            judge_all(&mut evaluator, &tip, Approved { baseline: &baseline, instances: &instances }, "high").held
        };
        assert_eq!(held(None), Some(HeldReason::Changed));
        assert_eq!(held(Some(Some(&tip))), None);
        assert_eq!(held(Some(None)), Some(HeldReason::New));
    }
}

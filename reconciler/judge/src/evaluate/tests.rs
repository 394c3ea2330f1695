use dayfly_model::snapshot::{FileEntry, Snapshot};

use super::*;

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
    let tip = with(&approved, &[("apps/high/app.yaml", Some(app("high", "high").replace("v1\n  tier", "v2\n  tier")))]);
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

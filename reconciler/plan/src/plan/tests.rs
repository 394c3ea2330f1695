use std::sync::{Arc, LazyLock};

use dayfly_judge::cost;
use dayfly_judge::policy::{Decision, PolicySet};
use dayfly_model::digest::Digest;
use dayfly_model::fixtures::{environment, instance, template};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::inventory::LastPass;
use crate::observed::{Live, MANAGED_BY, OptOut, PART_OF_APPLY_SET, Seen};

fn scope() -> Scope {
    "survey.sandbox".parse().unwrap()
}

fn object(api_version: &str, kind: &str, namespace: Option<&str>, name: &str, value: &str) -> Object {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": {"x": value}});
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = namespace.into();
    }
    if kind == "Deployment" {
        object["spec"]["template"] = pod();
    }
    Object::new(object).unwrap()
}

/// The pod of a Deployment, without which none is admitted.
fn pod() -> Value {
    json!({"spec": {"containers": []}})
}

fn config_map(name: &str, value: &str) -> Object {
    object("v1", "ConfigMap", Some("survey"), name, value)
}

fn whole(value: &str) -> Vec<Object> {
    vec![
        object("v1", "Namespace", None, "survey", ""),
        object("networking.k8s.io/v1", "NetworkPolicy", Some("survey"), "deny", ""),
        object("apps/v1", "Deployment", Some("survey"), "web", value),
        object("networking.k8s.io/v1", "Ingress", Some("survey"), "web", value),
    ]
}

/// What a set of policies admits that forbids nothing.
fn admitted(manifests: Manifests) -> Admitted {
    static POLICIES: LazyLock<PolicySet> = LazyLock::new(|| {
        let nothing =
            "package dayfly.nothing\nimport rego.v1\ndeny contains found if {\n    false\n    found := {}\n}\n";
        PolicySet::compile(&[("policies/nothing.rego".to_owned(), Arc::from(nothing))].into()).unwrap()
    });
    let instance = instance(template(json!({}), &[]), environment(&[]), json!({}));
    let (cost, now) =
        (cost::monthly(&manifests, &instance.environment.prices), "2026-11-23T12:00:00Z".parse().unwrap());
    match POLICIES.decide(&instance, Arc::new(manifests), &cost, [], now) {
        Decision::Admitted { admitted, .. } => admitted,
        Decision::Denied { violations, .. } => panic!("{violations:#?}"),
    }
}

/// A cluster and an inventory, changed as applying a plan changes them.
struct World {
    inventory: Inventory,
    observed: Observed,
    next: u32,
}

impl World {
    fn new() -> Self {
        Self { inventory: Inventory::new(scope()), observed: Observed::nothing(), next: 0 }
    }

    fn of(desired: &[Object]) -> Self {
        let mut world = Self::new();
        world.settle(desired);
        world
    }

    fn live(&mut self, object: &Object, uid: Option<String>, manager: &str) -> Live {
        self.next += 1;
        let mut value = (**object.value()).clone();
        let meta = &mut value["metadata"];
        meta["uid"] = uid.unwrap_or_else(|| format!("u{}", self.next)).into();
        meta["labels"] = json!({MANAGED_BY: "dayfly", PART_OF_APPLY_SET: scope().apply_set()});
        meta["managedFields"] = json!([{"manager": manager, "operation": "Apply", "fieldsV1": {"f:spec": {}}}]);
        Live::from_object(&value).unwrap()
    }

    fn plan(&self, desired: &[Object]) -> Plan {
        self.plan_with(desired, Drift::Repair)
    }

    fn plan_with(&self, desired: &[Object], drift: Drift) -> Plan {
        let digests: Vec<_> = desired.iter().map(Object::digest).collect();
        let digest = Digest::of_parts(digests.iter().map(|digest| digest.as_bytes().as_slice()));
        let admitted = admitted(Manifests { objects: desired.to_vec(), digest });
        plan(&admitted, &self.inventory, &self.observed, drift)
    }

    fn begin(&mut self, plan: &Plan) -> bool {
        let begins = plan.begins(&self.inventory).into_iter().cloned().collect::<Vec<_>>();
        self.inventory.begin(&begins)
    }

    fn apply(&mut self, plan: &Plan) {
        self.begin(plan);
        let applies: Vec<_> = plan.waves().flat_map(|(_, changes)| changes.to_vec()).collect();
        for change in applies {
            let object = change.desired().unwrap();
            let uid = change.uid().filter(|_| !change.creates()).map(str::to_owned);
            let live = self.live(object, uid, "dayfly");
            self.inventory.applied(object, &live);
            self.observed.insert(live);
        }
        for change in plan.deletions().flat_map(|(_, changes)| changes) {
            self.observed.remove(change.key(), change.uid().unwrap()).unwrap();
            self.inventory.gone(change.key());
        }
        plan.forgets().iter().for_each(|key| assert!(self.inventory.gone(key)));
    }

    fn settle(&mut self, desired: &[Object]) {
        let plan = self.plan(desired);
        self.apply(&plan);
    }

    /// Changes the live object of that name through its JSON.
    fn edit(&mut self, object: &Object, edit: impl Fn(&mut Live)) {
        let Seen::Live(live) = self.observed.get(object.key()) else { panic!("absent") };
        let mut live = live.clone();
        edit(&mut live);
        self.observed.insert(live);
    }
}

fn summary(plan: &Plan) -> Vec<String> {
    plan.changes().map(|change| format!("{} {}", change.action(), change.key())).collect()
}

#[test]
fn a_new_instance_is_created_in_waves_and_then_rests() {
    let world = World::new();
    let plan = world.plan(&whole("1"));
    assert_eq!(
        plan.waves().map(|(wave, _)| wave).collect::<Vec<_>>(),
        [Wave::Ground, Wave::Config, Wave::Workload, Wave::Route]
    );
    assert_eq!(plan.to_string(), "4 to create");
    let world = World::of(&whole("1"));
    assert!(world.plan(&whole("1")).is_empty());
    assert_eq!(world.plan(&whole("1")).to_string(), "nothing to do");
}

#[test]
fn only_what_changed_is_updated_and_only_by_uid() {
    let world = World::of(&whole("1"));
    let plan = world.plan(&whole("2"));
    assert_eq!(summary(&plan), ["update apps/Deployment/survey/web", "update networking.k8s.io/Ingress/survey/web"]);
    assert!(plan.changes().all(|change| change.uid().is_some() && change.reason() == ChangeReason::Changed));
}

#[test]
fn what_a_lost_inventory_named_is_taken_up_again_and_a_stored_one_that_lacks_it_is_told() {
    let mut world = World::of(&whole("1"));
    let stored = world.inventory.clone();
    world.inventory = Inventory::new(scope());
    let plan = world.plan(&whole("1"));
    assert_eq!(plan.to_string(), "4 to update");
    assert!(plan.changes().all(|change| change.uid().is_some() && change.reason() == ChangeReason::Unfinished));
    assert!(world.begin(&plan), "it is written before the first object is");
    world.apply(&plan);
    assert_eq!((world.inventory.len(), world.plan(&whole("1")).to_string().as_str()), (4, "nothing to do"));

    world.inventory = stored;
    world.inventory.gone(whole("1")[2].key());
    world.inventory.stored_as(Some("7".into()));
    let plan = world.plan(&whole("1"));
    let told = "apps/Deployment/survey/web: was made by Dayfly, and the inventory of survey.sandbox does not name it; left \
                untouched";
    assert_eq!((plan.is_empty(), plan.notes()[0].to_string().as_str()), (true, told));
}

#[test]
fn an_object_that_is_not_in_the_inventory_is_foreign_and_its_owner_is_named() {
    let mut world = World::new();
    let object = config_map("a", "1");
    let live = world.live(&object, None, "another-tool");
    world.observed.insert(live);
    let plan = world.plan(std::slice::from_ref(&object));
    assert!(plan.is_empty());
    assert_eq!(
        plan.notes()[0].to_string(),
        "ConfigMap/survey/a: exists and is not Dayfly's, it belongs to another-tool; left untouched"
    );
    assert!(plan.notes()[0].is_problem());
}

#[test]
fn an_object_that_took_the_place_of_ours_is_neither_changed_nor_deleted() {
    let object = config_map("a", "1");
    let mut world = World::of(std::slice::from_ref(&object));
    world.edit(&object, |live| live.uid = "another".into());
    let plan = world.plan(&[config_map("a", "2")]);
    assert!(plan.is_empty() && matches!(plan.notes()[0].reason, SkipReason::Recreated(_)));
    let removal = plan_removal(&world.inventory, &world.observed);
    assert_eq!(removal.deletions().count(), 0);
    assert_eq!(removal.forgets(), [object.key().clone()]);
}

#[test]
fn a_pending_entry_claims_only_what_has_our_manager_and_our_apply_id() {
    let object = config_map("a", "1");
    let mut world = World::new();
    let plan = world.plan(std::slice::from_ref(&object));
    assert!(world.begin(&plan));
    assert!(!world.begin(&plan), "a second begin has nothing to write");
    for (manager, claimed) in [("dayfly", true), ("another-tool", false)] {
        let live = world.live(&object, None, manager);
        world.observed.insert(live);
        let plan = world.plan(std::slice::from_ref(&object));
        assert_eq!(summary(&plan).len(), usize::from(claimed), "{manager}");
        assert!(!plan_removal(&world.inventory, &world.observed).is_empty());
        assert_eq!(plan_removal(&world.inventory, &world.observed).deletions().count(), usize::from(claimed));
    }
    world.edit(&object, |live| live.apply_set = Some("applyset-other-v1".into()));
    assert!(world.plan(&[object]).is_empty());
}

#[test]
fn a_crash_while_a_lost_object_is_made_again_is_recovered_from() {
    let object = config_map("a", "1");
    let mut world = World::of(std::slice::from_ref(&object));
    world.observed.replace(kinds::find("", "ConfigMap").unwrap(), []);
    let plan = world.plan(std::slice::from_ref(&object));
    assert_eq!(plan.changes().next().unwrap().reason(), ChangeReason::Missing);
    world.begin(&plan);
    let live = world.live(&object, None, "dayfly");
    world.observed.insert(live);
    let plan = world.plan(std::slice::from_ref(&object));
    assert_eq!(summary(&plan), ["update ConfigMap/survey/a"]);
    world.apply(&plan);
    assert!(world.plan(&[object]).is_empty());
}

#[test]
fn drift_is_repaired_or_reported_as_the_tier_says() {
    let object = config_map("a", "1");
    let mut world = World::of(std::slice::from_ref(&object));
    world.edit(&object, |live| {
        live.owned = None;
        live.managers = ["kubectl-edit".into()].into();
    });
    let plan = world.plan(std::slice::from_ref(&object));
    assert_eq!(plan.changes().next().unwrap().reason(), ChangeReason::Drifted);
    assert!(plan.force());
    let report = world.plan_with(std::slice::from_ref(&object), Drift::Report);
    assert!(report.is_empty() && !report.force() && !report.notes()[0].is_problem());
    assert_eq!(report.notes()[0].to_string(), "ConfigMap/survey/a: was changed in the cluster by kubectl-edit");
}

#[test]
fn a_kind_that_cannot_be_read_stops_its_objects_and_all_that_comes_after() {
    let mut world = World::of(&whole("1"));
    world.observed.lose(kinds::find("networking.k8s.io", "NetworkPolicy").unwrap());
    let desired: Vec<_> = whole("2").into_iter().filter(|object| object.key().kind != "Ingress").collect();
    let plan = world.plan(&desired);
    assert!(plan.is_empty(), "{plan}");
    assert_eq!((plan.blocked(), plan.notes()[0].reason.clone()), (2, SkipReason::Unknown));
    let removal = plan_removal(&world.inventory, &world.observed);
    assert!(removal.notes().iter().any(|note| note.reason == SkipReason::Unknown));
    assert_eq!(removal.deleted_namespaces().count(), 0, "what is unknown in a namespace keeps it");
}

#[test]
fn opt_outs_are_honored() {
    let object = config_map("a", "1");
    let mut world = World::of(std::slice::from_ref(&object));
    world.edit(&object, |live| live.opt_out = OptOut { prune: true, reconcile: false });
    assert_eq!(world.plan(&[]).notes()[0].reason, SkipReason::PruneDisabled);
    assert_eq!(summary(&world.plan(&[config_map("a", "2")])).len(), 1);
    world.edit(&object, |live| live.opt_out = OptOut { prune: true, reconcile: true });
    assert_eq!(world.plan(&[config_map("a", "2")]).notes()[0].reason, SkipReason::ReconcileDisabled);
    assert!(world.plan(&[]).is_empty());
    let annotated = |name: &str, word: &str| OptOut::of(&json!({"metadata": {"annotations": {name: word}}}));
    assert!(annotated("helm.sh/resource-policy", "keep").prune);
    assert!(annotated("dayfly.dev/prune", "disabled").prune);
    assert!(annotated("dayfly.dev/reconcile", "disabled").reconcile);
}

#[test]
fn what_lost_its_label_is_not_deleted() {
    let object = config_map("a", "1");
    let mut world = World::of(std::slice::from_ref(&object));
    world.edit(&object, |live| live.labeled = false);
    let plan = world.plan(&[]);
    assert!(plan.is_empty());
    assert_eq!(plan.notes()[0].reason, SkipReason::Unlabeled);
}

#[test]
fn a_removal_goes_the_other_way_round_and_policies_go_with_their_namespace() {
    let world = World::of(&whole("1"));
    let plan = plan_removal(&world.inventory, &world.observed);
    assert_eq!(
        summary(&plan),
        [
            "delete networking.k8s.io/Ingress/survey/web",
            "delete apps/Deployment/survey/web",
            "delete networking.k8s.io/NetworkPolicy/survey/deny",
            "delete Namespace/survey",
        ]
    );
    let calls: Vec<_> = plan.changes().filter(|change| change.is_own_call()).map(|change| &change.key.kind).collect();
    assert_eq!(calls, ["Ingress", "Deployment", "Namespace"]);
    let other = config_map("made-by-hand", "");
    assert_eq!(cascade(&plan, [other.key(), whole("1")[2].key()]), [other.key()]);
}

#[test]
fn a_namespace_stays_when_something_in_it_is_kept_or_somebody_else_s() {
    for edit in [(|live: &mut Live| live.opt_out.prune = true) as fn(&mut Live), |live| {
        live.apply_set = Some("applyset-other-v1".into())
    }] {
        let mut world = World::of(&whole("1"));
        let kept = config_map("kept", "");
        let mut live = world.live(&kept, None, "dayfly");
        edit(&mut live);
        world.observed.insert(live);
        let plan = plan_removal(&world.inventory, &world.observed);
        assert_eq!(plan.deleted_namespaces().count(), 0);
        assert!(plan.notes().iter().any(|note| note.reason == SkipReason::Shelters(kept.key().clone())));
    }
}

#[test]
fn an_immutable_field_is_a_replacement_only_where_the_object_agrees_and_never_for_volumes() {
    let with = |kind: &str, pointer: &str, value: &str, agrees: bool| {
        let api = if kind == "Deployment" { "apps/v1" } else { "v1" };
        let mut object = json!({"apiVersion": api, "kind": kind, "metadata": {"name": "a", "namespace": "n"},
            "spec": {pointer: value}});
        if kind == "Deployment" {
            object["spec"]["template"] = pod();
        }
        if agrees {
            object["metadata"]["annotations"] = json!({immutable::REPLACE: "enabled"});
        }
        Object::new(object).unwrap()
    };
    for (kind, pointer, agrees, replaced) in [
        ("Deployment", "selector", false, false),
        ("Deployment", "selector", true, true),
        ("PersistentVolumeClaim", "storageClassName", true, false),
    ] {
        let world = World::of(&[with(kind, pointer, "1", agrees)]);
        let plan = world.plan(&[with(kind, pointer, "2", agrees)]);
        let replacements = plan.changes().filter(|change| change.action() == ChangeAction::Replace).count();
        assert_eq!((replacements == 1, plan.is_empty()), (replaced, !replaced), "{kind} {agrees}");
        assert!(replaced || matches!(plan.notes()[0].reason, SkipReason::Immutable(_)));
        let unrelated = world.plan(&[with(kind, pointer, "1", !agrees)]);
        assert_eq!(unrelated.changes().next().unwrap().action(), ChangeAction::Update);
    }
}

#[test]
fn an_object_that_is_being_deleted_is_waited_for() {
    let object = config_map("a", "1");
    let mut world = World::of(std::slice::from_ref(&object));
    world.edit(&object, |live| live.deleting = true);
    let plan = world.plan(&[config_map("a", "2")]);
    assert!(plan.is_empty() && matches!(plan.notes()[0].reason, SkipReason::Terminating(_)));
}

#[test]
fn what_a_tier_has_once_cannot_stand_in_for_an_instance() {
    let objects = whole("1");
    let manifests = Manifests { digest: Digest::of(b""), objects };
    let shared = Inventory::new("sandbox".parse().unwrap());
    assert_eq!(summary(&plan_shared(&manifests, &shared, &Observed::nothing(), Drift::Repair)).len(), 4);
    let instance = Inventory::new(scope());
    assert!(plan_shared(&manifests, &instance, &Observed::nothing(), Drift::Repair).is_empty());
}

#[test]
fn a_removal_under_way_is_not_asked_for_again() {
    let mut world = World::of(&whole("1"));
    world.edit(&whole("1")[0], |live| live.deleting = true);
    let plan = plan_removal(&world.inventory, &world.observed);
    assert!(plan.is_empty() && plan.is_removal());
    assert!(plan.notes().iter().all(|note| matches!(note.reason, SkipReason::Terminating(_))));
    assert_eq!(plan.notes().len(), 4);
}

#[test]
fn recording_the_same_pass_twice_changes_nothing() {
    let mut world = World::of(&[]);
    let pass = LastPass { expires: Some("soon".into()), ..LastPass::default() };
    assert!(world.inventory.passed(pass.clone()));
    assert!(!world.inventory.passed(LastPass { revision: Some([1; 20].into()), ..pass }));
}

/// Sets of config maps and deployments, each with one of a few names and values.
fn desired() -> impl Strategy<Value = Vec<Object>> {
    let one = (prop::bool::ANY, 0..6u8, 0..3u8);
    prop::collection::vec(one, 0..8).prop_map(|all| {
        let objects: BTreeMap<_, _> = all
            .into_iter()
            .map(|(config, name, value)| {
                let (name, value) = (format!("o{name}"), value.to_string());
                let object = if config {
                    config_map(&name, &value)
                } else {
                    object("apps/v1", "Deployment", Some("survey"), &name, &value)
                };
                (object.key().clone(), object)
            })
            .collect();
        objects.into_values().collect()
    })
}

proptest! {
    #[test]
    fn after_an_apply_the_plan_is_empty(steps in prop::collection::vec(desired(), 1..5)) {
        let mut world = World::new();
        for desired in &steps {
            world.settle(desired);
            prop_assert!(world.plan(desired).is_empty());
            prop_assert_eq!(world.observed.len(), desired.len());
            prop_assert_eq!(world.inventory.len(), desired.len());
        }
    }

    #[test]
    fn nothing_is_deleted_that_is_not_in_the_inventory(mine in desired(), others in desired(), next in desired()) {
        let mut world = World::of(&mine);
        world.inventory.stored_as(Some("1".into()));
        let mut foreign = vec![];
        for object in &others {
            if world.inventory.get(object.key()).is_none() {
                let live = world.live(object, None, "dayfly");
                foreign.push(live.clone());
                world.observed.insert(live);
            }
        }
        for plan in [world.plan(&next), plan_removal(&world.inventory, &world.observed)] {
            for change in plan.changes().filter(|change| change.action() != ChangeAction::Create) {
                prop_assert!(foreign.iter().all(|live| Some(&*live.uid) != change.uid()));
                let entry = world.inventory.get(change.key()).unwrap();
                prop_assert_eq!(entry.uid.as_deref(), change.uid());
            }
        }
    }
}

#[test]
fn a_plan_s_debug_form_shows_no_content() {
    let world = World::new();
    let plan = world.plan(&[config_map("a", "canary-value")]);
    assert!(!format!("{plan:?}").contains("canary-value"));
}

#[test]
fn routes_go_alone_where_nothing_is_admitted() {
    let world = World::of(&whole("1"));
    let plan = plan_no_routes(&world.inventory, &world.observed);
    assert_eq!(summary(&plan), ["delete networking.k8s.io/Ingress/survey/web"]);
}

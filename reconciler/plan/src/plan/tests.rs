use std::sync::{Arc, LazyLock};

use dayfly_judge::cost;
use dayfly_judge::policy::{Decision, PolicySet};
use dayfly_model::digest::Digest;
use dayfly_model::fixtures::{environment, instance, template};
use dayfly_model::kinds::{Kind, Kinds};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::immutable;
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
struct FakeCluster {
    inventory: Inventory,
    observed: Observed,
    next: u32,
}

impl FakeCluster {
    fn new() -> Self {
        Self { inventory: Inventory::new(scope()), observed: Observed::nothing(), next: 0 }
    }

    fn of(desired: &[Object]) -> Self {
        let mut cluster = Self::new();
        cluster.converge(desired);
        cluster
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

    fn converge(&mut self, desired: &[Object]) {
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
fn a_custom_kind_is_planned_in_its_wave_where_it_joined_and_skipped_elsewhere() {
    static HTTP_ROUTE: Kind = Kind {
        group: "gateway.networking.k8s.io",
        version: "v1",
        kind: "HTTPRoute",
        plural: "httproutes",
        namespaced: true,
        wave: Wave::Route,
        in_templates: true,
    };
    let kinds = Kinds::builtin().with(&HTTP_ROUTE).unwrap();
    let mut observed = Observed::of_kinds(kinds.clone());
    kinds.iter().for_each(|kind| observed.replace(kind, []));
    let route = object("gateway.networking.k8s.io/v1", "HTTPRoute", Some("survey"), "web", "");
    let service = object("v1", "Service", Some("survey"), "web", "");
    let manifests = Manifests::new(vec![route, service], &kinds).unwrap();
    let inventory = Inventory::new("sandbox".parse().unwrap());
    let plan = plan_shared(&manifests, &inventory, &observed, Drift::Repair);
    let waves: Vec<_> = plan.waves().map(|(wave, changes)| (wave, changes[0].key().kind.as_str())).collect();
    assert_eq!(waves, [(Wave::Workload, "Service"), (Wave::Route, "HTTPRoute")]);
    let elsewhere = plan_shared(&manifests, &inventory, &Observed::nothing(), Drift::Repair);
    assert_eq!(elsewhere.skipped().iter().map(|skipped| &skipped.reason).collect::<Vec<_>>(), [&SkipReason::Unknown]);
}

#[test]
fn a_new_instance_is_created_in_waves_and_then_has_nothing_to_do() {
    let cluster = FakeCluster::new();
    let plan = cluster.plan(&whole("1"));
    assert_eq!(
        plan.waves().map(|(wave, _)| wave).collect::<Vec<_>>(),
        [Wave::Ground, Wave::Config, Wave::Workload, Wave::Route]
    );
    assert_eq!(plan.to_string(), "4 to create");
    let cluster = FakeCluster::of(&whole("1"));
    assert!(cluster.plan(&whole("1")).is_empty());
    assert_eq!(cluster.plan(&whole("1")).to_string(), "nothing to do");
}

#[test]
fn only_what_changed_is_updated_and_only_by_uid() {
    let cluster = FakeCluster::of(&whole("1"));
    let plan = cluster.plan(&whole("2"));
    assert_eq!(summary(&plan), ["update apps/Deployment/survey/web", "update networking.k8s.io/Ingress/survey/web"]);
    assert!(plan.changes().all(|change| change.uid().is_some() && change.reason() == ChangeReason::Changed));
}

#[test]
fn what_a_lost_inventory_named_is_adopted_again_and_what_a_stored_one_lacks_is_skipped() {
    let mut cluster = FakeCluster::of(&whole("1"));
    let stored = cluster.inventory.clone();
    cluster.inventory = Inventory::new(scope());
    let plan = cluster.plan(&whole("1"));
    assert_eq!(plan.to_string(), "4 to update");
    assert!(plan.changes().all(|change| change.uid().is_some() && change.reason() == ChangeReason::Unfinished));
    assert!(cluster.begin(&plan), "it is written before the first object is");
    cluster.apply(&plan);
    assert_eq!((cluster.inventory.len(), cluster.plan(&whole("1")).to_string().as_str()), (4, "nothing to do"));

    cluster.inventory = stored;
    cluster.inventory.gone(whole("1")[2].key());
    cluster.inventory.stored_as(Some("7".into()));
    let plan = cluster.plan(&whole("1"));
    let reason = "apps/Deployment/survey/web: was made by Dayfly, and the inventory of survey.sandbox does not name it; left \
                untouched";
    assert_eq!((plan.is_empty(), plan.skipped()[0].to_string().as_str()), (true, reason));
}

#[test]
fn an_object_that_is_not_in_the_inventory_is_foreign_and_its_owner_is_named() {
    let mut cluster = FakeCluster::new();
    let object = config_map("a", "1");
    let live = cluster.live(&object, None, "another-tool");
    cluster.observed.insert(live);
    let plan = cluster.plan(std::slice::from_ref(&object));
    assert!(plan.is_empty());
    assert_eq!(
        plan.skipped()[0].to_string(),
        "ConfigMap/survey/a: exists and is not Dayfly's, it belongs to another-tool; left untouched"
    );
    assert!(plan.skipped()[0].is_problem());
}

#[test]
fn an_object_that_took_the_place_of_ours_is_neither_changed_nor_deleted() {
    let object = config_map("a", "1");
    let mut cluster = FakeCluster::of(std::slice::from_ref(&object));
    cluster.edit(&object, |live| live.uid = "another".into());
    let plan = cluster.plan(&[config_map("a", "2")]);
    assert!(plan.is_empty() && matches!(plan.skipped()[0].reason, SkipReason::Recreated(_)));
    let removal = plan_removal(&cluster.inventory, &cluster.observed);
    assert_eq!(removal.deletions().count(), 0);
    assert_eq!(removal.forgets(), [object.key().clone()]);
}

#[test]
fn a_pending_entry_claims_only_what_has_our_manager_and_our_apply_id() {
    let object = config_map("a", "1");
    let mut cluster = FakeCluster::new();
    let plan = cluster.plan(std::slice::from_ref(&object));
    assert!(cluster.begin(&plan));
    assert!(!cluster.begin(&plan), "a second begin has nothing to write");
    for (manager, claimed) in [("dayfly", true), ("another-tool", false)] {
        let live = cluster.live(&object, None, manager);
        cluster.observed.insert(live);
        let plan = cluster.plan(std::slice::from_ref(&object));
        assert_eq!(summary(&plan).len(), usize::from(claimed), "{manager}");
        assert!(!plan_removal(&cluster.inventory, &cluster.observed).is_empty());
        assert_eq!(plan_removal(&cluster.inventory, &cluster.observed).deletions().count(), usize::from(claimed));
    }
    cluster.edit(&object, |live| live.apply_set = Some("applyset-other-v1".into()));
    assert!(cluster.plan(&[object]).is_empty());
}

#[test]
fn an_object_that_was_made_anew_before_a_crash_is_found_and_adopted_after_it() {
    let object = config_map("a", "1");
    let mut cluster = FakeCluster::of(std::slice::from_ref(&object));
    cluster.observed.replace(Kinds::builtin().find("", "ConfigMap").unwrap(), []);
    let plan = cluster.plan(std::slice::from_ref(&object));
    assert_eq!(plan.changes().next().unwrap().reason(), ChangeReason::Missing);
    cluster.begin(&plan);
    let live = cluster.live(&object, None, "dayfly");
    cluster.observed.insert(live);
    let plan = cluster.plan(std::slice::from_ref(&object));
    assert_eq!(summary(&plan), ["update ConfigMap/survey/a"]);
    cluster.apply(&plan);
    assert!(cluster.plan(&[object]).is_empty());
}

#[test]
fn drift_is_repaired_or_reported_as_the_tier_says() {
    let object = config_map("a", "1");
    let mut cluster = FakeCluster::of(std::slice::from_ref(&object));
    cluster.edit(&object, |live| {
        live.owned = None;
        live.managers = ["kubectl-edit".into()].into();
    });
    let plan = cluster.plan(std::slice::from_ref(&object));
    assert_eq!(plan.changes().next().unwrap().reason(), ChangeReason::Drifted);
    assert!(plan.force());
    let report = cluster.plan_with(std::slice::from_ref(&object), Drift::Report);
    assert!(report.is_empty() && !report.force() && !report.skipped()[0].is_problem());
    assert_eq!(report.skipped()[0].to_string(), "ConfigMap/survey/a: was changed in the cluster by kubectl-edit");
}

#[test]
fn objects_of_a_kind_that_cannot_be_read_are_skipped_and_block_all_later_waves() {
    let mut cluster = FakeCluster::of(&whole("1"));
    cluster.observed.lose(Kinds::builtin().find("networking.k8s.io", "NetworkPolicy").unwrap());
    let desired: Vec<_> = whole("2").into_iter().filter(|object| object.key().kind != "Ingress").collect();
    let plan = cluster.plan(&desired);
    assert!(plan.is_empty(), "{plan}");
    assert_eq!((plan.blocked(), plan.skipped()[0].reason.clone()), (2, SkipReason::Unknown));
    let removal = plan_removal(&cluster.inventory, &cluster.observed);
    assert!(removal.skipped().iter().any(|skipped| skipped.reason == SkipReason::Unknown));
    assert_eq!(removal.deleted_namespaces().count(), 0, "what is unknown in a namespace keeps it");
}

#[test]
fn annotations_that_ask_not_to_delete_or_not_to_reconcile_an_object_are_honored() {
    let object = config_map("a", "1");
    let mut cluster = FakeCluster::of(std::slice::from_ref(&object));
    cluster.edit(&object, |live| live.opt_out = OptOut { prune: true, reconcile: false });
    assert_eq!(cluster.plan(&[]).skipped()[0].reason, SkipReason::PruneDisabled);
    assert_eq!(summary(&cluster.plan(&[config_map("a", "2")])).len(), 1);
    cluster.edit(&object, |live| live.opt_out = OptOut { prune: true, reconcile: true });
    assert_eq!(cluster.plan(&[config_map("a", "2")]).skipped()[0].reason, SkipReason::ReconcileDisabled);
    assert!(cluster.plan(&[]).is_empty());
    let annotated = |name: &str, word: &str| OptOut::of(&json!({"metadata": {"annotations": {name: word}}}));
    assert!(annotated("helm.sh/resource-policy", "keep").prune);
    assert!(annotated("dayfly.dev/prune", "disabled").prune);
    assert!(annotated("dayfly.dev/reconcile", "disabled").reconcile);
}

#[test]
fn an_object_that_lost_its_label_is_not_deleted() {
    let object = config_map("a", "1");
    let mut cluster = FakeCluster::of(std::slice::from_ref(&object));
    cluster.edit(&object, |live| live.labeled = false);
    let plan = cluster.plan(&[]);
    assert!(plan.is_empty());
    assert_eq!(plan.skipped()[0].reason, SkipReason::Unlabeled);
}

#[test]
fn a_removal_deletes_in_the_reverse_order_and_policies_with_their_namespace() {
    let cluster = FakeCluster::of(&whole("1"));
    let plan = plan_removal(&cluster.inventory, &cluster.observed);
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
fn a_namespace_is_not_deleted_while_something_in_it_is_kept_or_belongs_to_another_scope() {
    for edit in [(|live: &mut Live| live.opt_out.prune = true) as fn(&mut Live), |live| {
        live.apply_set = Some("applyset-other-v1".into())
    }] {
        let mut cluster = FakeCluster::of(&whole("1"));
        let kept = config_map("kept", "");
        let mut live = cluster.live(&kept, None, "dayfly");
        edit(&mut live);
        cluster.observed.insert(live);
        let plan = plan_removal(&cluster.inventory, &cluster.observed);
        assert_eq!(plan.deleted_namespaces().count(), 0);
        assert!(plan.skipped().iter().any(|skipped| skipped.reason == SkipReason::HoldsKept(kept.key().clone())));
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
        let cluster = FakeCluster::of(&[with(kind, pointer, "1", agrees)]);
        let plan = cluster.plan(&[with(kind, pointer, "2", agrees)]);
        let replacements = plan.changes().filter(|change| change.action() == ChangeAction::Replace).count();
        assert_eq!((replacements == 1, plan.is_empty()), (replaced, !replaced), "{kind} {agrees}");
        assert!(replaced || matches!(plan.skipped()[0].reason, SkipReason::Immutable(_)));
        let unrelated = cluster.plan(&[with(kind, pointer, "1", !agrees)]);
        assert_eq!(unrelated.changes().next().unwrap().action(), ChangeAction::Update);
    }
}

#[test]
fn an_object_that_is_being_deleted_is_waited_for() {
    let object = config_map("a", "1");
    let mut cluster = FakeCluster::of(std::slice::from_ref(&object));
    cluster.edit(&object, |live| live.deleting = true);
    let plan = cluster.plan(&[config_map("a", "2")]);
    assert!(plan.is_empty() && matches!(plan.skipped()[0].reason, SkipReason::Terminating(_)));
}

#[test]
fn a_plan_for_shared_objects_does_nothing_to_the_inventory_of_an_instance() {
    let objects = whole("1");
    let manifests = Manifests { digest: Digest::of(b""), objects };
    let shared = Inventory::new("sandbox".parse().unwrap());
    assert_eq!(summary(&plan_shared(&manifests, &shared, &Observed::nothing(), Drift::Repair)).len(), 4);
    let instance = Inventory::new(scope());
    assert!(plan_shared(&manifests, &instance, &Observed::nothing(), Drift::Repair).is_empty());
}

#[test]
fn a_removal_under_way_is_not_asked_for_again() {
    let mut cluster = FakeCluster::of(&whole("1"));
    cluster.edit(&whole("1")[0], |live| live.deleting = true);
    let plan = plan_removal(&cluster.inventory, &cluster.observed);
    assert!(plan.is_empty() && plan.is_removal());
    assert!(plan.skipped().iter().all(|skipped| matches!(skipped.reason, SkipReason::Terminating(_))));
    assert_eq!(plan.skipped().len(), 4);
}

#[test]
fn recording_the_same_pass_twice_changes_nothing() {
    let mut cluster = FakeCluster::of(&[]);
    let pass = LastPass { expires: Some("soon".into()), ..LastPass::default() };
    assert!(cluster.inventory.passed(pass.clone()));
    assert!(!cluster.inventory.passed(LastPass { revision: Some([1; 20].into()), ..pass }));
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
        let mut cluster = FakeCluster::new();
        for desired in &steps {
            cluster.converge(desired);
            prop_assert!(cluster.plan(desired).is_empty());
            prop_assert_eq!(cluster.observed.len(), desired.len());
            prop_assert_eq!(cluster.inventory.len(), desired.len());
        }
    }

    #[test]
    fn nothing_is_deleted_that_is_not_in_the_inventory(mine in desired(), others in desired(), next in desired()) {
        let mut cluster = FakeCluster::of(&mine);
        cluster.inventory.stored_as(Some("1".into()));
        let mut foreign = vec![];
        for object in &others {
            if cluster.inventory.get(object.key()).is_none() {
                let live = cluster.live(object, None, "dayfly");
                foreign.push(live.clone());
                cluster.observed.insert(live);
            }
        }
        for plan in [cluster.plan(&next), plan_removal(&cluster.inventory, &cluster.observed)] {
            for change in plan.changes().filter(|change| change.action() != ChangeAction::Create) {
                prop_assert!(foreign.iter().all(|live| Some(&*live.uid) != change.uid()));
                let entry = cluster.inventory.get(change.key()).unwrap();
                prop_assert_eq!(entry.uid.as_deref(), change.uid());
            }
        }
    }
}

#[test]
fn a_plan_s_debug_form_shows_no_content() {
    let cluster = FakeCluster::new();
    let plan = cluster.plan(&[config_map("a", "canary-value")]);
    assert!(!format!("{plan:?}").contains("canary-value"));
}

#[test]
fn the_plan_without_routes_deletes_the_routes_and_nothing_else() {
    let cluster = FakeCluster::of(&whole("1"));
    let plan = plan_no_routes(&cluster.inventory, &cluster.observed);
    assert_eq!(summary(&plan), ["delete networking.k8s.io/Ingress/survey/web"]);
}

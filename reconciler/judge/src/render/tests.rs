use dayfly_model::fixtures::{environment, instance, shipped, template};
use serde_json::{Value, json};

use super::*;

/// Renders one template file `a.yaml` with these parameters, of which each is declared.
fn one(text: &str, parameters: Value) -> Result<Manifests, Vec<String>> {
    many(&[("a.yaml", text)], parameters)
}

fn many(files: &[(&str, &str)], parameters: Value) -> Result<Manifests, Vec<String>> {
    let properties: Value = parameters.as_object().unwrap().keys().map(|key| (key.clone(), json!({}))).collect();
    let instance = instance(template(properties, files), environment(&[]), parameters);
    render(&instance).map_err(|found| found.iter().map(|found| format!("{} {found}", found.rule)).collect())
}

/// A ConfigMap with this under data.
fn config(data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n  {data}\n")
}

fn data(text: &str, parameters: Value) -> Value {
    one(&config(text), parameters).unwrap().objects[0].value()["data"].clone()
}

#[test]
fn a_value_never_changes_the_structure() {
    for evil in [
        "x\nkind: ClusterRoleBinding",
        "{{ app.owner }}",
        "\"",
        "'",
        "}, b: {",
        "a: b",
        "- a",
        "&a *a",
        "#",
        "\u{0}",
        "\u{e000}0\u{e001}",
    ] {
        for text in ["p: {{ params.v }}", "p: \"{{ params.v }}\"", "p: '{{ params.v }}'", "p: |-\n    {{ params.v }}"] {
            assert_eq!(data(text, json!({"v": evil})), json!({"p": evil}), "{text}");
        }
        assert_eq!(data("{p: \"a {{ params.v }} b\"}", json!({"v": evil})), json!({"p": format!("a {evil} b")}));
        assert_eq!(data("p: b # {{ params.v }}", json!({"v": evil})), json!({"p": "b"}));
        assert_eq!(data("{{ params.v }}: b", json!({"v": evil})), json!({evil: "b"}));
    }
}

#[test]
fn a_value_keeps_its_type_and_quotes_make_it_text() {
    let parameters = json!({"n": 3, "b": true, "s": "3", "no": "no"});
    let text = "{i: {{ params.n }}, q: \"{{ params.n }}\", b: {{ params.b }}, s: {{ params.s }}, t: {{ params.no }}}";
    assert_eq!(data(text, parameters), json!({"i": 3, "q": "3", "b": true, "s": "3", "t": "no"}));
}

#[test]
fn a_list_or_a_map_is_no_value() {
    let error = one(&config("p: {{ params.v }}"), json!({"v": {"kind": "Pod"}})).unwrap_err();
    let message = "params.v is a map, and only one value can stand here";
    assert_eq!(error, [format!("render/shape catalog/survey/v1/resources/a.yaml:5:9: {message}")]);
    assert_eq!(
        data("p: '{{ params.v | json }}'", json!({"v": {"b": 1, "a": [2]}})),
        json!({"p": r#"{"b":1,"a":[2]}"#})
    );
}

#[test]
fn an_undefined_name_is_an_error_in_conditions_too() {
    for text in
        ["p: {{ params.typo }}", "p: {% if params.typo %}a{% endif %}", "p: {% if not params.typo %}a{% endif %}"]
    {
        let errors = one(&config(text), json!({"v": 1})).unwrap_err();
        assert!(errors[0].starts_with("render/undefined catalog/survey/v1/resources/a.yaml:5:"), "{errors:?}");
        assert!(errors[0].ends_with("params.typo is not defined"), "{errors:?}");
    }
    assert!(one(&config("p: {{ nothing }}"), json!({})).unwrap_err()[0].ends_with(":5:9: nothing is not defined"));
    assert!(one(&config("p: {{ params.v.w }}"), json!({"v": {}})).unwrap_err()[0].contains("render/undefined"));
    assert_eq!(data("p: {{ params.v.w | default(value=1) }}", json!({"v": {}})), json!({"p": 1}));
}

#[test]
fn an_endless_loop_stops() {
    let nested = "{% for a in range(end=1000) %}".repeat(20) + &"{% endfor %}".repeat(20);
    let twice =
        format!("{}x{}", "{% for a in range(end=1000) %}{% for b in range(end=1000) %}", "{% endfor %}".repeat(2));
    for text in [nested, twice, "{{ range(end=1000000) | length }}".into()] {
        let errors = one(&config(&format!("p: {text}")), json!({})).unwrap_err();
        assert!(errors[0].starts_with("render/limit"), "{errors:?}");
    }
}

#[test]
fn doubling_a_text_stops() {
    let set = |value: &str| {
        "{% set s = 'xxxxxxxxxxxxxxxx' %}".to_owned() + &format!("{{% set s = {value} %}}").repeat(60) + "{{ s }}"
    };
    for text in [
        set("s ~ s"),
        set("s | replace(from='x', to=s)"),
        set("[s, s] | join(sep=s)"),
        set("[s, s]"),
        "{% set s = 'x' %}{% for a in range(end=60) %}{% set_global s = s ~ s %}{% endfor %}".into(),
        format!("{{% for a in range(end=1000) %}}{}{{% endfor %}}", "x".repeat(10_000)),
        "{% for a in range(end=1000) %}{{ params.v }}{% endfor %}".into(),
    ] {
        let errors = one(&config(&format!("p: {text}")), json!({"v": "v".repeat(10_000)})).unwrap_err();
        assert!(errors[0].starts_with("render/limit"), "{errors:?}");
    }
}

#[test]
fn includes_share_text_and_never_circle() {
    let shared = "{name: {{ name }}, labels: {a: b}}";
    let user = "{% set name = 'x' ~ app.name %}apiVersion: v1\nkind: ConfigMap\nmetadata: {% include \"_meta.yaml\" %}";
    let manifests = many(&[("a.yaml", user), ("_meta.yaml", shared)], json!({})).unwrap();
    assert_eq!(manifests.objects[0].key().to_string(), "ConfigMap/feedback-sandbox/xfeedback");
    let errors = many(&[("a.yaml", "{% include \"_b.yaml\" %}"), ("_b.yaml", "{% include \"a.yaml\" %}")], json!({}));
    assert!(errors.unwrap_err()[0].contains("includes itself"));
    let fan = |next: &str| format!("{{% include \"{next}\" %}}").repeat(40);
    let files: Vec<_> = (0..8).map(|level| (format!("_{level}.yaml"), fan(&format!("_{}.yaml", level + 1)))).collect();
    let mut files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    files.extend([("_8.yaml", "x"), ("a.yaml", "{% include \"_0.yaml\" %}")]);
    assert!(many(&files, json!({})).unwrap_err()[0].starts_with("render/limit"));
}

#[test]
fn only_kinds_of_apps_in_the_own_namespace_are_rendered() {
    let object = |kind: &str, version: &str, metadata: &str| {
        format!("apiVersion: {version}\nkind: {kind}\nmetadata: {{name: a{metadata}}}\n")
    };
    let rule = |text: String| one(&text, json!({})).unwrap_err()[0].clone();
    let path = "catalog/survey/v1/resources/a.yaml";
    assert_eq!(
        rule(object("ClusterRoleBinding", "rbac.authorization.k8s.io/v1", "")),
        format!("render/kind {path}:2:1: ClusterRoleBinding is no kind for a template")
    );
    assert!(rule(object("Secret", "v1", "")).starts_with("render/kind"));
    assert!(rule(object("Pod", "v1", "")).starts_with("render/kind"));
    assert!(rule(object("List", "v1", "")).starts_with("render/kind"));
    assert!(rule(object("NetworkPolicy", "networking.k8s.io/v1", "")).starts_with("render/kind"));
    assert!(rule(object("Deployment", "apps/v1beta1", "")).contains("is written in apps/v1beta1"));
    assert!(rule(object("ConfigMap", "v1", ", namespace: kube-system")).starts_with("render/namespace"));
    assert!(rule(object("ConfigMap", "v1", ", namespace: 7")).starts_with("render/namespace"));
    assert!(rule("kind: ConfigMap\nmetadata: {name: a}".into()).starts_with("render/object"));
    assert!(rule("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ''}".into()).starts_with("render/object"));
    assert!(rule("apiVersion: v1\nkind: ConfigMap\nmetadata: x".into()).starts_with("render/object"));
    assert!(rule("[1, 2]".into()).starts_with("render/object"));
    assert!(rule("a: [".into()).starts_with("yaml/"));
    assert!(rule("# nothing".into()).starts_with("render/empty"));
}

#[test]
fn an_object_is_rendered_once() {
    let a = config("a: b");
    let errors = many(&[("a.yaml", &a), ("b.yaml", &a)], json!({})).unwrap_err();
    let message = "ConfigMap/feedback-sandbox/a is rendered by catalog/survey/v1/resources/a.yaml too";
    assert_eq!(errors, [format!("render/duplicate catalog/survey/v1/resources/b.yaml: {message}")]);
}

const DEPLOYMENT: &str = "apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ app.name }}
  labels: {app.kubernetes.io/component: web, app.kubernetes.io/managed-by: me}
spec:
  replicas: 2
  selector: {matchLabels: {app: {{ app.name }}}}
  template:
    metadata: {labels: {app: {{ app.name }}}}
    spec: {containers: []}
";

#[test]
fn every_object_and_every_pod_says_whose_it_is() {
    let manifests = one(DEPLOYMENT, json!({})).unwrap();
    let object = manifests.objects[0].value();
    let labels = &object["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/component"], "web");
    assert_eq!(labels["app.kubernetes.io/managed-by"], "dayfly");
    assert_eq!(labels["app.kubernetes.io/instance"], "feedback.sandbox");
    assert_eq!(labels["dayfly.dev/template"], "survey.v1");
    assert_eq!(object["metadata"]["annotations"]["dayfly.dev/owner"], "maya@example.com");
    assert_eq!(object["metadata"]["namespace"], "feedback-sandbox");
    let pod = &object["spec"]["template"]["metadata"]["labels"];
    assert_eq!((&pod["app"], &pod["dayfly.dev/cost-center"]), (&json!("feedback"), &json!("CC-1042")));
    assert_eq!(pod.get("app.kubernetes.io/version"), None);
    assert_eq!(object["spec"]["selector"], json!({"matchLabels": {"app": "feedback"}}));
}

#[test]
fn what_is_no_label_value_is_an_annotation() {
    let mut instance = instance(template(json!({}), &[("a.yaml", &config("a: b"))]), environment(&[]), json!({}));
    Arc::make_mut(&mut instance.app).team = "People & Ops".into();
    let manifests = render(&instance).unwrap();
    let metadata = &manifests.objects[0].value()["metadata"];
    assert_eq!(metadata["labels"].get("dayfly.dev/team"), None);
    assert_eq!(metadata["annotations"]["dayfly.dev/team"], "People & Ops");
}

#[test]
fn a_suspended_app_runs_nothing_and_loses_nothing() {
    let cron = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: a}\nspec: {schedule: '* * * * *'}\n";
    let files = [("a.yaml", DEPLOYMENT), ("b.yaml", cron), ("c.yaml", &config("a: b"))];
    let mut instance = instance(template(json!({}), &files), environment(&[]), json!({}));
    Arc::make_mut(&mut instance.app).suspend = true;
    let manifests = render(&instance).unwrap();
    let find = |kind: &str| manifests.objects.iter().find(|object| object.key().kind == kind).unwrap().value();
    assert_eq!(manifests.objects.len(), 3);
    assert_eq!(find("Deployment")["spec"]["replicas"], 0);
    assert_eq!(find("CronJob")["spec"]["suspend"], true);
}

#[test]
fn a_finding_names_the_app_and_the_place() {
    let template = template(json!({}), &[("a.yaml", "a: 1\nb: {{ app.name | nope }}\n")]);
    let found = render(&instance(template, environment(&[]), json!({}))).unwrap_err();
    assert_eq!(found[0].to_string(), "catalog/survey/v1/resources/a.yaml:2:18: there is no filter `nope`");
    assert_eq!(found[0].app.as_ref().unwrap().as_str(), "feedback");
}

#[test]
fn rendering_is_a_function_of_its_inputs() {
    let again = || one(DEPLOYMENT, json!({"a": 1})).unwrap();
    assert_eq!(again().digest, again().digest);
    assert_ne!(again().digest, one(&DEPLOYMENT.replace("replicas: 2", "replicas: 3"), json!({"a": 1})).unwrap().digest);
}

#[test]
fn an_environment_adds_the_namespace_and_nothing_beyond_it() {
    let render = |text: &str| {
        let template = template(json!({}), &[("a.yaml", &config("a: b"))]);
        render(&instance(template, environment(&[("n.yaml", text)]), json!({})))
            .map(|manifests| manifests.objects[0].key().to_string())
            .map_err(|found| found[0].to_string())
    };
    let namespace = |name: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {name}}}\n");
    assert_eq!(render(&namespace("{{ namespace }}")), Ok("Namespace/feedback-sandbox".into()));
    let path = "environments/sandbox/resources/n.yaml";
    let message = "the Namespace is \"other\", and the app lives in feedback-sandbox";
    assert_eq!(render(&namespace("other")), Err(format!("{path}: {message}")));
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: a}\n";
    assert_eq!(render(role), Err(format!("{path}:2:1: ClusterRole belongs to no single app")));
    assert!(render("# {{ params.v }}").unwrap_err().contains("params is not defined"));
}

#[test]
fn what_a_tier_shares_sees_the_tier_alone() {
    let shared = |text: &str| {
        let mut environment = environment(&[]);
        environment.shared = [("environments/sandbox/shared/a.yaml".to_owned(), Arc::from(text))].into();
        environment.digest = Digest::of(text.as_bytes());
        render_shared(&environment).map_err(|found| found[0].to_string())
    };
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: '{{ tier }}-a'}\n";
    let manifests = shared(role).unwrap();
    assert_eq!(manifests.objects[0].key().to_string(), "rbac.authorization.k8s.io/ClusterRole/sandbox-a");
    assert_eq!(manifests.objects[0].value()["metadata"]["labels"]["dayfly.dev/tier"], "sandbox");
    assert!(shared(&config("a: b")).unwrap_err().contains("ConfigMap a has no namespace"));
    assert!(shared("# {{ app.name }}").unwrap_err().contains("app is not defined"));
}

#[test]
fn a_template_reads_the_app_s_files() {
    let text = config("{% for path, text in files %}{{ path }}: {{ text }}{% endfor %}");
    let mut instance = instance(template(json!({}), &[("a.yaml", &text)]), environment(&[]), json!({}));
    let files: [(&str, &[u8]); 2] = [("prompts/system.md", b"Be kind: {{ x }}\n- always"), ("logo.png", &[0xff])];
    Arc::make_mut(&mut instance.app).files = files.map(|(path, bytes)| (path.to_owned(), Arc::from(bytes))).into();
    let data = render(&instance).unwrap().objects[0].value()["data"].clone();
    assert_eq!(data, json!({"prompts/system.md": "Be kind: {{ x }}\n- always"}));
}

#[test]
fn the_platform_that_ships_renders() {
    let platform = shipped();
    assert_eq!(platform.findings().map(ToString::to_string).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(platform.apps.len(), 6);
    for app in platform.apps.keys() {
        let instance = platform.instance(app).unwrap();
        let manifests = render(&instance).unwrap_or_else(|found| panic!("{found:#?}"));
        let kinds: Vec<_> = manifests.objects.iter().map(|object| object.key().kind.as_str()).collect();
        assert_eq!(kinds[0], "Namespace", "{app}");
        assert!(
            ["Deployment", "Service", "Ingress", "ResourceQuota", "NetworkPolicy"]
                .iter()
                .all(|kind| kinds.contains(kind))
        );
        let rests = manifests.objects.iter().any(|object| object.value()["spec"]["replicas"] == 0);
        assert_eq!(rests, app.as_str() == "event-signup");
    }
    for environment in platform.environments.values() {
        render_shared(environment.get().unwrap()).unwrap();
    }
}

mod loading;

use serde_json::json;

use super::*;
use crate::snapshot::{FileContent, FileEntry, Snapshot};

const APP: &str = "\
apiVersion: dayfly.dev/v1
kind: App
metadata:
  name: survey
spec:
  template: simple-survey/v1
  tier: sandbox
  ttl: 14d
  costCenter: CC-1042
  owner: maya@example.com
  team: people-ops
";

const TEMPLATE: &str = "\
apiVersion: dayfly.dev/v1
kind: Template
metadata: {name: simple-survey}
spec:
  version: 1.2.0
  title: Simple survey
  tiers: [sandbox, pilot]
  runtimes: [container, gvisor]
  connectors: [slack]
  parameters:
    type: object
    properties:
      title: {type: string, maxLength: 20, default: Team feedback}
      retentionDays: {type: integer, minimum: 1, maximum: 365, default: 14}
      style: {type: string, enum: [plain, bright]}
";

const SANDBOX: &str = "\
apiVersion: dayfly.dev/v1
kind: Environment
metadata: {name: sandbox}
spec:
  order: 1
  cluster: {context: sandbox}
  namespace: \"{{ app }}\"
  host: \"{{ app }}.sandbox.example.com\"
  changes: commit
  ttl: {default: 14d, max: 30d, maxLifetime: 90d}
";

fn files() -> Vec<(String, String)> {
    let pilot = SANDBOX.replace("name: sandbox", "name: pilot").replace("order: 1", "order: 2");
    [
        ("apps/survey/app.yaml", APP),
        ("catalog/simple-survey/v1/template.yaml", TEMPLATE),
        ("catalog/simple-survey/v1/resources/all.yaml", "kind: ConfigMap"),
        ("environments/sandbox/environment.yaml", SANDBOX),
        ("environments/pilot/environment.yaml", &pilot.replace("{{ app }}\"", "{{ app }}-pilot\"")),
    ]
    .map(|(path, text)| (path.to_owned(), text.to_owned()))
    .into()
}

/// The platform with some files set.
fn with(changes: &[(&str, &str)]) -> Platform {
    let changes = changes.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
    Platform::load(&Snapshot::from_texts(files().into_iter().chain(changes)), None)
}

fn name(text: &str) -> AppName {
    text.parse().unwrap()
}

/// All that is wrong with an app, a line each.
fn wrong(platform: &Platform, app: &str) -> Vec<String> {
    match platform.instance(&name(app)) {
        Ok(instance) => instance.warnings.iter().map(|warning| format!("warning {warning}")).collect(),
        Err(errors) => {
            assert!(errors.iter().all(|error| error.app == Some(name(app))), "{errors:?}");
            errors.iter().map(ToString::to_string).collect()
        }
    }
}

/// The one thing that is wrong with the app when a line of its manifest is replaced.
fn replaced(from: &str, to: &str) -> String {
    assert!(APP.contains(from), "{from}");
    let wrong = wrong(&with(&[("apps/survey/app.yaml", &APP.replace(from, to))]), "survey");
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    wrong[0].replace("apps/survey/app.yaml:", "")
}

/// The one thing that is wrong with the app when its manifest says more.
fn added(line: &str) -> String {
    replaced("  team:", &format!("  {line}\n  team:"))
}

#[test]
fn a_sound_platform_has_no_findings() {
    let platform = with(&[]);
    assert_eq!(platform.findings().collect::<Vec<_>>(), Vec::<&Diagnostic>::new());
    let instance = platform.instance(&name("survey")).unwrap();
    assert_eq!(Value::Object(instance.parameters), json!({"title": "Team feedback", "retentionDays": 14}));
    assert_eq!((&*instance.namespace, instance.host.as_deref()), ("survey", Some("survey.sandbox.example.com")));
    assert_eq!((&*instance.runtime, instance.key.to_string()), ("container", "survey.sandbox".into()));
}

#[test]
fn what_yaml_hides_is_refused_in_its_place() {
    assert_eq!(replaced("  team:", "  tier: pilot\n  team:"), "11:3: spec.tier: stands here again, first in line 7");
    assert_eq!(replaced("maya@example.com", "no").split(" without").next(), Some("10:10: spec.owner: no"));
    assert_eq!(
        replaced("CC-1042", "0777").split(" by some").next(),
        Some("9:15: spec.costCenter: 0777 without quotes is read as 511")
    );
    assert_eq!(replaced("CC-1042", "1042"), "9:15: spec.costCenter: 1042 is not one line of text");
    assert_eq!(
        replaced("people-ops\n", "people-ops\n---\na: 1\n"),
        "12:1: a second document starts here, and a manifest is one document"
    );
}

#[test]
fn an_unknown_field_gets_a_suggestion() {
    let platform = with(&[("apps/survey/app.yaml", &APP.replace("  owner:", "  ownr:"))]);
    let errors = platform.instance(&name("survey")).unwrap_err();
    let lines: Vec<_> = errors.iter().map(|error| format!("{error} | {}", error.help.as_deref().unwrap())).collect();
    assert_eq!(
        lines,
        [
            "apps/survey/app.yaml:5:1: spec.owner: is required, and absent | Add the line `owner: …`: A person who can be reminded, such as maya@example.com.",
            "apps/survey/app.yaml:10:3: spec.ownr: is an unknown field | Did you mean `owner`?",
        ]
    );
}

#[test]
fn a_time_to_live_has_a_form_and_a_limit() {
    assert_eq!(replaced("14d", "400d"), "8:8: spec.ttl: 400d is longer than sandbox allows (max 30d)");
    assert_eq!(replaced("14d", "-1"), "8:8: spec.ttl: -1 is not a duration such as 30m, 24h, 7d or 2w");
    assert_eq!(replaced("14d", "0"), "8:8: spec.ttl: 0 is not a duration such as 30m, 24h, 7d or 2w");
    assert_eq!(replaced("14d", "0d"), "8:8: spec.ttl: 0d is no time at all");
    assert_eq!(replaced("14d", "1e18"), "8:8: spec.ttl: 1e+18 is not a duration such as 30m, 24h, 7d or 2w");
    assert_eq!(replaced("  ttl: 14d\n", ""), "5:1: spec.ttl: is required, and absent");
    assert_eq!(
        replaced("ttl: 14d", "expires: soon").split(", or").next(),
        Some("8:12: spec.expires: \"soon\" is not a date such as 2026-12-24")
    );
    assert_eq!(
        added("expires: 2026-12-24"),
        "11:12: spec.expires: stands beside spec.ttl, and only one of the two is possible"
    );
    assert_eq!(added("renewed: 2026-02-29"), "11:12: spec.renewed: \"2026-02-29\" is not a date such as 2026-12-24");
    assert!(
        wrong(&with(&[("apps/survey/app.yaml", &APP.replace("ttl: 14d", "expires: 2026-12-24"))]), "survey").is_empty()
    );
}

#[test]
fn a_name_is_the_folder_s_and_has_nothing_hidden() {
    assert_eq!(replaced("name: survey", "name: poll"), "4:9: metadata.name: \"poll\" is not the folder's name");
    assert_eq!(
        replaced("name: survey", "name: \"survey\\n\""),
        r#"4:9: metadata.name: "survey\n" has more than one line"#
    );
    assert_eq!(
        replaced("maya@", "maya\u{202e}@"),
        r#"10:10: spec.owner: "maya\u{202e}@example.com" has an invisible character"#
    );
    assert_eq!(
        replaced("simple-survey/v1", "../x"),
        "6:13: spec.template: \"../x\" must be written like simple-survey/v1"
    );
    let long = "a".repeat(64);
    let platform = with(&[
        (&format!("apps/{long}/app.yaml"), APP),
        ("apps/Ünï\u{202e}/app.yaml", APP),
        ("apps/Survey/app.yaml", APP),
    ]);
    let lines: Vec<_> = platform.diagnostics.iter().map(|d| d.to_string()).collect();
    assert_eq!(
        lines,
        [
            "apps/Survey: is the same name as apps/survey on some computers".to_owned(),
            "apps/Survey: the folder's name \"Survey\" has the character 'S', only lower case letters, digits and '-' are possible".to_owned(),
            format!("apps/{long}: the folder's name \"{}…\" has 64 characters, at most 40 are possible", &long[..60]),
            "apps/Ünï\\u{202e}: the folder's name \"Ünï\\u{202e}\" has the character 'Ü', only lower case letters, digits and '-' are possible".into(),
        ]
    );
    assert!(wrong(&platform, "survey").is_empty());
}

#[test]
fn two_apps_that_claim_one_name_are_both_named() {
    let platform = with(&[("apps/poll/app.yaml", APP)]);
    assert_eq!(
        platform.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["apps/poll/app.yaml:4:9: metadata.name: survey is claimed by apps/survey as well"]
    );
    assert!(wrong(&platform, "survey").is_empty());
    assert_eq!(
        wrong(&platform, "poll"),
        ["apps/poll/app.yaml:4:9: metadata.name: \"survey\" is not the folder's name"]
    );
}

#[test]
fn parameters_are_judged_by_the_template_in_plain_words() {
    let parameter = |text: &str| added(&format!("parameters: {{{text}}}"));
    assert_eq!(parameter("title: 5"), "11:23: spec.parameters.title: 5 is a number, and must be text");
    assert_eq!(
        parameter("retentionDays: ten"),
        "11:31: spec.parameters.retentionDays: \"ten\" is text, and must be a whole number"
    );
    assert_eq!(parameter("retentionDays: 400"), "11:31: spec.parameters.retentionDays: 400 is too much (max 365)");
    assert_eq!(
        parameter("title: A very long title it is"),
        "11:23: spec.parameters.title: has 23 characters, at most 20 are possible"
    );
    assert_eq!(parameter("titel: x"), "11:16: spec.parameters.titel: is an unknown field");
    assert_eq!(parameter("style: brigth"), "11:23: spec.parameters.style: \"brigth\" is not one of plain and bright");
    assert_eq!(parameter("title: null"), "11:23: spec.parameters.title: has no value, and must be text");
    assert_eq!(added("purpose:"), "11:3: spec.purpose: has no value, and must be one line of text");
    for literal in ["{{ app }}", "x\\nkind: Role"] {
        let text = APP.to_owned() + &format!("  parameters: {{title: \"{literal}\"}}\n");
        let instance = with(&[("apps/survey/app.yaml", &text)]).instance(&name("survey")).unwrap();
        assert_eq!(instance.parameters["title"], literal.replace("\\n", "\n"));
    }
}

#[test]
fn an_app_takes_only_what_template_and_tier_offer() {
    assert_eq!(
        replaced("simple-survey/v1", "simple-survye/v1"),
        "6:13: spec.template: simple-survye/v1 does not exist"
    );
    assert_eq!(replaced("tier: sandbox", "tier: production"), "7:9: spec.tier: production does not exist");
    assert_eq!(added("connectors: [mail]"), "11:16: spec.connectors[0]: simple-survey/v1 does not offer \"mail\"");
    assert_eq!(added("runtime: wasm"), "11:12: spec.runtime: simple-survey/v1 does not offer wasm");
    assert_eq!(
        added("egress: ['api.example.com:443']"),
        "11:12: spec.egress[0]: api.example.com is a host name, and sandbox filters only address ranges"
    );
    assert!(
        wrong(
            &with(&[(
                "apps/survey/app.yaml",
                &(APP.to_owned() + "  runtime: gvisor\n  egress: [203.0.113.0/24:443]\n")
            )]),
            "survey"
        )
        .is_empty()
    );
    let template = |status: &str| {
        let text = TEMPLATE.replace("  title: Simple", &format!("  status: {status}\n  title: Simple"));
        wrong(&with(&[("catalog/simple-survey/v1/template.yaml", &text)]), "survey")
    };
    assert_eq!(
        template("retired"),
        ["apps/survey/app.yaml:6:13: spec.template: simple-survey/v1 is retired, and nothing may use it any more"]
    );
    assert_eq!(
        template("deprecated\n  sunset: 2027-01-01"),
        ["warning apps/survey/app.yaml:6:13: spec.template: simple-survey/v1 is deprecated and ends on 2027-01-01"]
    );
    let only_pilot = TEMPLATE.replace("[sandbox, pilot]", "[pilot]");
    assert_eq!(
        wrong(&with(&[("catalog/simple-survey/v1/template.yaml", &only_pilot)]), "survey"),
        ["apps/survey/app.yaml:7:9: spec.tier: simple-survey/v1 does not run in sandbox"]
    );
}

#[test]
fn all_errors_of_a_manifest_are_told_at_once() {
    let text =
        APP.replace("14d", "0d").replace("maya@example.com", "5").replace("people-ops", "\"\"") + "  egress: [x]\n";
    assert_eq!(wrong(&with(&[("apps/survey/app.yaml", &text)]), "survey").len(), 4);
}

#[test]
fn one_namespace_holds_one_app() {
    let in_pilot = APP.replace("name: survey", "name: poll").replace("tier: sandbox", "tier: pilot");
    let same = APP.replace("name: survey", "name: poll-pilot");
    let one_cluster = SANDBOX
        .replace("name: sandbox", "name: pilot")
        .replace("order: 1", "order: 2")
        .replace("{{ app }}\"", "{{ app }}-pilot\"");
    let platform = with(&[
        ("apps/poll/app.yaml", &in_pilot),
        ("apps/poll-pilot/app.yaml", &same),
        ("environments/pilot/environment.yaml", &one_cluster),
    ]);
    assert!(wrong(&platform, "poll").is_empty());
    assert_eq!(
        wrong(&platform, "poll-pilot"),
        ["apps/poll-pilot/app.yaml:4:9: metadata.name: the namespace poll-pilot is that of poll as well"]
    );
    let reserved = with(&[("apps/kube-x/app.yaml", &APP.replace("name: survey", "name: kube-x"))]);
    assert_eq!(
        wrong(&reserved, "kube-x"),
        [
            "apps/kube-x/app.yaml:4:9: metadata.name: the namespace kube-x is reserved (default, kube-* and dayfly-* are)"
        ]
    );
}

#[test]
fn an_environment_is_checked_by_itself() {
    for (from, to, expected) in [
        ("\"{{ app }}\"", "shared", "7:14: spec.namespace: is the same for every app (shared)"),
        ("\"{{ app }}\"", "\"{{ ap }}\"", "7:14: spec.namespace: has {{ ap }}, and only {{ app }}, "),
        ("\"{{ app }}\"", "\"{{ app }}_\"", "7:14: spec.namespace: the namespace \"a_\" is not possible (lower case"),
        ("max: 30d", "max: 100d", "10:28: spec.ttl.max: 100d is longer than spec.ttl.maxLifetime (90d)"),
        ("{context: sandbox}", "{}", "6:12: spec.cluster: needs either `context: NAME` or `inCluster: true`"),
        ("order: 1", "order: -1", "5:10: spec.order: -1 is too little (min 0)"),
        ("changes: commit", "changes: comit", "9:12: spec.changes: \"comit\" is not one of commit and pull-request"),
    ] {
        let platform = with(&[("environments/sandbox/environment.yaml", &SANDBOX.replace(from, to))]);
        let errors = platform.environments[&"sandbox".parse().unwrap()].loaded.clone().unwrap_err();
        let error = errors[0].to_string().replace("environments/sandbox/environment.yaml:", "");
        assert!(errors.len() == 1 && error.starts_with(expected), "{errors:?}");
        assert_eq!(wrong(&platform, "survey"), ["apps/survey/app.yaml:7:9: spec.tier: sandbox cannot be read"]);
    }
}

#[test]
fn a_template_is_checked_by_itself() {
    for (from, to, expected) in [
        ("type: object", "type: array", "11:5: spec.parameters: must be a JSON Schema of `type: object`"),
        (
            "maxLength: 20",
            "$ref: 'https://example.com/x'",
            "13:35: spec.parameters.properties.title.$ref: points outside the file, and nothing is fetched",
        ),
        (
            "maxLength: 20",
            "maxLength: 3",
            "13:52: spec.parameters.properties.title.default: has 13 characters, at most 3 are possible",
        ),
        ("type: integer", "type: int", "14:29: spec.parameters.properties.retentionDays.type: is no JSON Schema: "),
        ("version: 1.2.0", "version: 2.0.0", "5:12: spec.version: 2.0.0 does not fit the folder v1"),
        ("version: 1.2.0", "version: 1.2", "5:12: spec.version: 1.2 is not a version such as 1.2.0"),
        ("[slack]", "[slack, slack]", "9:15: spec.connectors: an item stands in the list twice"),
    ] {
        assert!(TEMPLATE.contains(from));
        let platform = with(&[("catalog/simple-survey/v1/template.yaml", &TEMPLATE.replace(from, to))]);
        let errors = platform.templates[&"simple-survey/v1".parse().unwrap()].loaded.clone().unwrap_err();
        let error = errors[0].to_string().replace("catalog/simple-survey/v1/template.yaml:", "");
        assert!(errors.len() == 1 && error.starts_with(expected), "{errors:?}");
    }
}

#[test]
fn a_waiver_covers_its_apps_until_it_ends() {
    let text = "apiVersion: dayfly.dev/v1\nkind: Waiver\nmetadata: {name: tag}\nspec:\n  rule: policy/image-tag\n  apps: [survey]\n  \
                reason: Pinned next week\n  owner: maya@example.com\n  approver: security\n  expires: 2026-12-01\n";
    let platform = with(&[("policies/waivers/tag.yaml", text), ("policies/a.rego", "package a")]);
    let waiver = platform.readable_waivers().next().unwrap();
    let instance = "survey.sandbox".parse().unwrap();
    assert!(waiver.covers(&"policy/image-tag".parse().unwrap(), &instance, "2026-12-01T23:59:59Z".parse().unwrap()));
    assert!(!waiver.covers(&"policy/image-tag".parse().unwrap(), &instance, "2026-12-02T00:00:00Z".parse().unwrap()));
    assert!(!waiver.covers(&"policy/other".parse().unwrap(), &instance, "2026-11-01T00:00:00Z".parse().unwrap()));
    assert_eq!(platform.policies.get().unwrap().keys().collect::<Vec<_>>(), ["policies/a.rego"]);
    let broken = with(&[("policies/waivers/tag.yaml", &text.replace("2026-12-01", "never"))]);
    assert!(broken.findings().any(|found| found.path == "policies/waivers/tag.yaml" && found.position.line == 10));
}

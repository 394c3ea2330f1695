//! Platforms for unit tests: a small one in memory, and the one that ships.
#![allow(clippy::unwrap_used, reason = "only tests use these")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use crate::digest::Digest;
use crate::kinds::Kinds;
use crate::names::InstanceKey;
use crate::platform::app::{App, DataClassification, Lifetime};
use crate::platform::check::Checker;
use crate::platform::environment::{
    Budget, Changes, ClusterRef, Drift, EgressHostnames, Enforcement, Environment, Prices, RetirePolicy, TtlLimits,
};
use crate::platform::naming::Names;
use crate::platform::template::{Template, TemplateStatus};
use crate::platform::{Instance, Platform, Spans};
use crate::snapshot::Snapshot;

/// An environment `sandbox` with these files in `resources/` (names are made paths).
pub fn environment(resources: &[(&str, &str)]) -> Environment {
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    let resources = texts("environments/sandbox/resources/", resources);
    Environment {
        tier: "sandbox".parse().unwrap(),
        order: 1,
        cluster: ClusterRef::Context("sandbox".into()),
        namespace: "{{ app }}-sandbox".into(),
        host: Some("{{ app }}.sandbox.example.com".into()),
        changes: Changes::Commit,
        approvals: vec![],
        ttl: TtlLimits { default: days(14), max: days(30), max_lifetime: None, remind: vec![] },
        retire: RetirePolicy { by: Changes::Commit, max_apps: 25, max_percent: 20, grace: days(1) },
        egress_hostnames: EgressHostnames::None,
        drift: Drift::Repair,
        enforcement: Enforcement::Deny,
        budget: Budget::default(),
        prices: prices(),
        kinds: Kinds::builtin(),
        names: Arc::new(Names::new("{{ app }}-sandbox", None).unwrap()),
        digest: digest(&resources),
        resources,
        shared: BTreeMap::new(),
        spans: Spans::default(),
    }
}

/// Round prices in USD.
pub fn prices() -> Prices {
    Prices {
        currency: "USD".into(),
        cpu_hour: 0.1,
        memory_gib_hour: 0.01,
        storage_gib_month: 0.5,
        tokens_per_million: BTreeMap::new(),
    }
}

/// A template `survey/v1` with this schema's properties and these files in `resources/`.
pub fn template(properties: Value, resources: &[(&str, &str)]) -> Template {
    let resources = texts("catalog/survey/v1/resources/", resources);
    let parameters = json!({"type": "object", "properties": properties});
    Template {
        reference: "survey/v1".parse().unwrap(),
        version: semver::Version::new(1, 2, 3),
        title: "Survey".into(),
        description: String::new(),
        status: TemplateStatus::Stable,
        tiers: vec!["sandbox".parse().unwrap()],
        runtimes: vec!["container".into()],
        digest: Digest::of_parts([digest(&resources).as_bytes().as_slice(), parameters.to_string().as_bytes()]),
        checker: Arc::new(Checker::new(parameters.clone()).unwrap()),
        parameters,
        connectors: vec![],
        secrets: vec![],
        approvals: vec![],
        resources,
        spans: Spans::default(),
    }
}

/// The app `feedback` of this template in the tier of this environment, with these parameters.
pub fn instance(template: Template, environment: Environment, parameters: Value) -> Instance {
    let parameters: Map<_, _> = parameters.as_object().cloned().unwrap_or_default();
    let app = App {
        name: "feedback".parse().unwrap(),
        template: template.reference.clone(),
        tier: environment.tier.clone(),
        lifetime: Lifetime::Ttl(SignedDuration::from_hours(24)),
        cost_center: "CC-1042".into(),
        owner: "maya@example.com".into(),
        owner_login: None,
        team: "people-ops".into(),
        purpose: Some("Ask the team".into()),
        data_classification: DataClassification::Internal,
        parameters: parameters.clone(),
        connectors: vec![],
        egress: vec![],
        renewed: None,
        suspend: false,
        runtime: None,
        files: BTreeMap::new(),
        spans: Spans::default(),
    };
    Instance {
        key: InstanceKey { app: app.name.clone(), tier: environment.tier.clone() },
        namespace: format!("{}-{}", app.name, environment.tier),
        host: Some("feedback.sandbox.example.com".into()),
        app: Arc::new(app),
        template: Arc::new(template),
        environment: Arc::new(environment),
        parameters,
        runtime: "container".into(),
        warnings: [].into(),
    }
}

/// The platform that ships with the program.
pub fn shipped() -> Platform {
    Platform::load(&Snapshot::from_texts(shipped_files()), None)
}

/// The files of that platform.
pub fn shipped_files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in ["apps", "catalog", "environments", "policies"] {
        collect(&root, &root.join(folder), &mut files);
    }
    files
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.push((name, std::fs::read_to_string(path).unwrap()));
        }
    }
}

fn texts(folder: &str, files: &[(&str, &str)]) -> BTreeMap<String, Arc<str>> {
    files.iter().map(|(name, text)| (format!("{folder}{name}"), Arc::from(*text))).collect()
}

fn digest(files: &BTreeMap<String, Arc<str>>) -> Digest {
    Digest::of_parts(files.iter().flat_map(|(path, text)| [path.as_bytes(), text.as_bytes()]))
}

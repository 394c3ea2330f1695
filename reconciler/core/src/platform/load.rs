//! A snapshot becomes a platform: each folder read by itself, so that what is broken breaks nothing else.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use super::app::Lifetime;
use super::environment::{Approval, Budget, Changes, Cluster, Prices, Retire, TtlLimits};
use super::format::{self, duration, duration_text, quoted};
use super::manifest::{
    AppSpec, EnvironmentSpec, PricesSpec, RetireSpec, Runtime, Status, TemplateSpec, TtlSpec, WaiverSpec,
};
use super::naming::{self, Names};
use super::read::{Source, folded, shared};
use super::template::{Engine, TemplateStatus};
use super::{App, Environment, Item, Platform, Spans, Template, Waiver, parameters};
use crate::diagnostic::Diagnostic;
use crate::digest::Digest;
use crate::names::{AppName, NameError, TemplateRef, TierName};
use crate::schema::ManifestKind;
use crate::snapshot::{Content, Snapshot};

impl Platform {
    /// Reads everything that a snapshot declares. What has not changed since `previous` is taken from it, the same `Arc`.
    /// Never fails: what cannot be read is an item with its errors, or one of `diagnostics`.
    pub fn load(snapshot: &Snapshot, previous: Option<&Self>) -> Self {
        let mut loader = Loader { snapshot, found: Vec::new() };
        let empty = Self::default();
        let old = previous.unwrap_or(&empty);
        let mut platform = Self {
            revision: snapshot.revision(),
            apps: loader.folders("apps/", snapshot.names("apps/").map(str::to_owned), &old.apps, app),
            templates: loader.folders("catalog/", template_folders(snapshot), &old.templates, template),
            environments: loader.folders(
                "environments/",
                snapshot.names("environments/").map(str::to_owned),
                &old.environments,
                environment,
            ),
            policies: policies(snapshot, &old.policies),
            waivers: waivers(snapshot, &old.waivers),
            ..Self::default()
        };
        loader.absent_parts(&platform);
        loader.claimed_twice(&platform);
        platform.place(&old.placements);
        platform.diagnostics = shared(loader.found);
        platform
    }
}

/// A load under way: the snapshot, and what was found outside any item.
struct Loader<'a> {
    snapshot: &'a Snapshot,
    found: Vec<Diagnostic>,
}

impl Loader<'_> {
    /// Reads the folders of a root. A folder without a legal name is noted; a file beside the folders is ignored.
    fn folders<K: FromStr<Err = NameError> + Ord, T: Clone>(
        &mut self,
        root: &str,
        names: impl Iterator<Item = String>,
        old: &BTreeMap<K, Item<T>>,
        read: impl Fn(&K, Source<'_>) -> Item<T>,
    ) -> BTreeMap<K, Item<T>> {
        let mut items = BTreeMap::new();
        for name in names {
            let path = format!("{root}{name}");
            if matches!(self.snapshot.get(&path), Some(entry) if matches!(entry.content, Content::Bytes(_) | Content::TooLarge(_)))
            {
                continue;
            }
            let key: K = match name.parse() {
                Ok(key) => key,
                Err(error) => {
                    let message = format!("the folder's name {} {error}", quoted(&name));
                    self.found
                        .push(Diagnostic::error("name/folder", printable(&path), message).help("Rename the folder."));
                    continue;
                }
            };
            // A link or submodule in a folder's place is a folder that holds only it, under its own name.
            let link = self.snapshot.get(&path);
            let folder = if link.is_some() { root.to_owned() } else { format!("{path}/") };
            let digest = match link {
                Some(entry) => Digest::of_parts([b"link".as_slice(), entry.id.as_bytes()]),
                None => self.snapshot.folder_digest(&folder),
            };
            let item = match old.get(&key).filter(|item| item.folder == digest) {
                Some(same) => same.clone(),
                None => match link {
                    Some(entry) => Source::file(root, &name, entry, digest)
                        .item(None, name.parse().ok().as_ref().filter(|_| root == "apps/")),
                    None => read(&key, Source::new(self.snapshot, &folder, digest)),
                },
            };
            items.insert(key, item);
        }
        items
    }

    fn absent_parts(&mut self, platform: &Platform) {
        let mut absent = |rule: &str, path: &str, message: &str, help: &str| {
            self.found.push(Diagnostic::error(rule, path, message).help(help));
        };
        if platform.environments.is_empty() {
            absent(
                "platform/no-environments",
                "environments",
                "has no tier",
                "Add environments/<tier>/environment.yaml.",
            );
        }
        if platform.templates.is_empty() {
            absent("platform/no-templates", "catalog", "has no template", "Add catalog/<name>/v1/template.yaml.");
        }
        if platform.apps.is_empty() {
            let none = Diagnostic::warning("platform/no-apps", "apps", "has no app");
            self.found.push(none.help("Add one with `dayfly new`."));
        }
    }

    /// Notes folders that differ from another only in upper and lower case, and names that several apps claim.
    fn claimed_twice(&mut self, platform: &Platform) {
        let mut folds: BTreeMap<String, &str> = BTreeMap::new();
        for name in self.snapshot.names("apps/") {
            if let Some(first) = folds.insert(folded(name), name) {
                let message = format!("is the same name as apps/{first} on some computers");
                let path = printable(&format!("apps/{name}"));
                self.found.push(Diagnostic::error("file/collision", path, message).help("Rename one of the two."));
            }
        }
        for (folder, item) in &platform.apps {
            for error in item.findings().filter(|error| error.rule == CLAIM) {
                let Some(claimed) = error.message.split('"').nth(1) else { continue };
                let claims_too = |other: &&AppName| {
                    *other != folder
                        && (other.as_str() == claimed
                            || platform.apps[*other].findings().any(|e| e.rule == CLAIM && e.message == error.message))
                };
                let others: Vec<_> =
                    platform.apps.keys().filter(claims_too).map(|other| format!("apps/{other}")).collect();
                if !others.is_empty() {
                    let message = format!("metadata.name: {claimed} is claimed by {} as well", others.join(", "));
                    let twice =
                        Diagnostic::error("name/claimed-twice", &error.path, message).at(error.position).about(folder);
                    self.found.push(twice.help(format!("Write `name: {folder}`, the folder's name.")));
                }
            }
        }
    }
}

/// The rule of a name that is not the folder's.
const CLAIM: &str = "name/not-the-folder";

fn printable(path: &str) -> String {
    path.chars()
        .flat_map(|c| if format::hidden(c) { c.escape_unicode().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}

fn template_folders(snapshot: &Snapshot) -> impl Iterator<Item = String> {
    let majors = |name: &str| {
        let folder = format!("catalog/{name}/");
        let found: Vec<_> = snapshot.names(&folder).map(|major| format!("{name}/{major}")).collect();
        found
    };
    snapshot.names("catalog/").flat_map(majors)
}

/// Notes a name that is not the folder's.
fn folder_name(source: &mut Source<'_>, spans: &Spans, name: &str, folder: &str) {
    if name != folder {
        let message = format!("{} is not the folder's name", quoted(name));
        source.error(CLAIM, spans, "metadata.name", message).help = Some(format!("Write `name: {folder}`."));
    }
}

fn app(name: &AppName, mut source: Source<'_>) -> Item<App> {
    let read = read_app(name, &mut source);
    source.item(read, Some(name))
}

fn read_app(name: &AppName, source: &mut Source<'_>) -> Option<App> {
    let (manifest, spans) = source.manifest::<AppSpec>("app.yaml", ManifestKind::App)?;
    let spec = manifest.spec;
    folder_name(source, &spans, &manifest.metadata.name, name.as_str());
    let lifetime = match (&spec.ttl, &spec.expires) {
        (Some(ttl), None) => source.field(&spans, "spec.ttl", duration(ttl, "mhdw")).map(Lifetime::Ttl),
        (None, Some(expires)) => source.field(&spans, "spec.expires", format::moment(expires)).map(Lifetime::Until),
        (Some(_), Some(_)) => {
            let message = "stands beside spec.ttl, and only one of the two is possible";
            source.error("manifest/value", &spans, "spec.expires", message).help = Some("Keep one of the two.".into());
            None
        }
        (None, None) => {
            let help = "Add how long the app lives, such as `ttl: 14d`, or its end, such as `expires: 2026-12-24`.";
            let absent = source.error("manifest/required", &spans, "spec.ttl", "is required, and absent");
            *absent = absent.clone().at(spans.key("spec")).help(help);
            None
        }
    };
    let egress = spec
        .egress
        .iter()
        .enumerate()
        .filter_map(|(index, text)| source.field(&spans, &format!("spec.egress[{index}]"), format::egress(text)));
    let egress = egress.collect();
    let renewed = spec.renewed.as_deref().and_then(|text| source.field(&spans, "spec.renewed", format::date(text)));
    let files = source.files.iter().filter(|(path, _)| **path != "app.yaml");
    Some(App {
        name: name.clone(),
        template: source_name(&spec.template)?,
        tier: source_name(&spec.tier)?,
        lifetime: lifetime?,
        cost_center: spec.cost_center,
        owner: spec.owner,
        owner_login: spec.owner_login,
        team: spec.team,
        purpose: spec.purpose,
        data_classification: spec.data_classification.unwrap_or_default(),
        parameters: spec.parameters,
        connectors: spec.connectors,
        egress,
        renewed,
        suspend: spec.suspend,
        runtime: spec.runtime.map(Runtime::name),
        files: files.filter_map(|(path, entry)| Some(((*path).to_owned(), Arc::from(entry.bytes()?)))).collect(),
        spans,
    })
}

/// A name that the schema has judged.
fn source_name<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn names<T: FromStr>(texts: &[String]) -> Vec<T> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

fn template(reference: &TemplateRef, mut source: Source<'_>) -> Item<Template> {
    let read = read_template(reference, &mut source);
    source.item(read, None)
}

fn read_template(reference: &TemplateRef, source: &mut Source<'_>) -> Option<Template> {
    let (manifest, spans) = source.manifest::<TemplateSpec>("template.yaml", ManifestKind::Template)?;
    let spec = manifest.spec;
    folder_name(source, &spans, &manifest.metadata.name, reference.name());
    let version = source.field(&spans, "spec.version", format::version(&spec.version))?;
    if version.major != u64::from(reference.major()) {
        let message = format!("{version} does not fit the folder v{}", reference.major());
        source.error("template/version", &spans, "spec.version", message).help =
            Some("A new major version is a new folder, so that apps choose when they move.".into());
    }
    let sunset = spec.sunset.as_deref().and_then(|text| source.field(&spans, "spec.sunset", format::date(text)));
    if sunset.is_some() && spec.status != Status::Deprecated {
        let help = Some("Write `status: deprecated`, or remove the sunset.".into());
        source.error("manifest/value", &spans, "spec.sunset", "is only for a deprecated template").help = help;
    }
    let resources = source.texts("resources/");
    engine_parts(source, &spans, &spec, resources.is_empty());
    let checker = match parameters::compile(&spec.parameters, &spans) {
        Ok(checker) => Some(Arc::new(checker)),
        Err(found) => {
            source.notes(found);
            None
        }
    }?;
    let runtimes = if spec.runtimes.is_empty() { vec![Runtime::Container] } else { spec.runtimes };
    Some(Template {
        reference: reference.clone(),
        version,
        title: spec.title,
        description: spec.description.unwrap_or_default(),
        status: match spec.status {
            Status::Stable => TemplateStatus::Stable,
            Status::Deprecated => TemplateStatus::Deprecated { sunset },
            Status::Retired => TemplateStatus::Retired,
        },
        tiers: names(&spec.tiers),
        runtimes: runtimes.into_iter().map(Runtime::name).collect(),
        parameters: checker.schema().clone(),
        connectors: spec.connectors,
        secrets: spec.secrets,
        approvals: spec.approvals,
        resources,
        engine: spec.engine,
        chart: spec.chart,
        checker,
        digest: source.digest,
        spans,
    })
}

/// A Tera template has resources, a Helm template names a chart.
fn engine_parts(source: &mut Source<'_>, spans: &Spans, spec: &TemplateSpec, no_resources: bool) {
    let inside =
        |chart: &str| chart.starts_with("charts/") && !chart.split('/').any(|part| matches!(part, "" | "." | ".."));
    let (field, message, help) = match (spec.engine, &spec.chart) {
        (Engine::Tera, None) if no_resources => {
            ("spec.engine", "renders the files of resources/, and there are none", "Add resources/*.yaml.")
        }
        (Engine::Tera, Some(_)) => {
            ("spec.chart", "is only for `engine: helm`", "Write `engine: helm`, or remove the chart.")
        }
        (Engine::Helm, None) => {
            ("spec.chart", "is required with `engine: helm`, and absent", "Write `chart: charts/<name>`.")
        }
        (Engine::Helm, Some(chart)) if !inside(chart) => {
            ("spec.chart", "is no folder under charts/", "Write `chart: charts/<name>`.")
        }
        _ => return,
    };
    source.error("template/engine", spans, field, message).help = Some(help.into());
}

fn environment(tier: &TierName, mut source: Source<'_>) -> Item<Environment> {
    let read = read_environment(tier, &mut source);
    source.item(read, None)
}

fn read_environment(tier: &TierName, source: &mut Source<'_>) -> Option<Environment> {
    let (manifest, spans) = source.manifest::<EnvironmentSpec>("environment.yaml", ManifestKind::Environment)?;
    let spec = manifest.spec;
    folder_name(source, &spans, &manifest.metadata.name, tier.as_str());
    let cluster = match (&spec.cluster.context, spec.cluster.in_cluster) {
        (Some(context), false) => Some(Cluster::Context(context.clone())),
        (None, true) => Some(Cluster::InCluster),
        _ => {
            let message = "needs either `context: NAME` or `inCluster: true`";
            source.error("manifest/value", &spans, "spec.cluster", message);
            None
        }
    };
    let ttl = ttl_limits(source, &spans, &spec.ttl);
    let names = names_of(source, &spans, tier, &spec);
    let approvals = spec.approvals.into_iter().map(|approval| Approval {
        role: approval.role,
        team: approval.team,
        count: approval.count,
        when_monthly_cost_above: approval.when.map(|when| when.monthly_cost_above),
    });
    Some(Environment {
        tier: tier.clone(),
        order: spec.order,
        cluster: cluster?,
        namespace: spec.namespace,
        host: spec.host,
        changes: spec.changes,
        approvals: approvals.collect(),
        ttl: ttl?,
        retire: retire(&spec.retire, spec.changes),
        egress_hostnames: spec.egress.hostnames,
        drift: spec.drift,
        enforcement: spec.enforcement,
        budget: Budget { per_app: spec.budget.per_app, per_cost_center: spec.budget.per_cost_center },
        prices: prices(spec.prices),
        names: Arc::new(names?),
        resources: source.texts("resources/"),
        shared: source.texts("shared/"),
        digest: source.digest,
        spans,
    })
}

fn ttl_limits(source: &mut Source<'_>, spans: &Spans, spec: &TtlSpec) -> Option<TtlLimits> {
    let mut read = |field: &str, text: &str| source.field(spans, &format!("spec.ttl.{field}"), duration(text, "mhdwy"));
    let limits = TtlLimits {
        default: read("default", &spec.default)?,
        max: read("max", &spec.max)?,
        max_lifetime: spec.max_lifetime.as_deref().and_then(|text| read("maxLifetime", text)),
        remind: match &spec.remind {
            Some(texts) => texts.iter().filter_map(|text| read("remind", text)).collect(),
            None => ["7d", "1d"].into_iter().filter_map(|text| read("remind", text)).collect(),
        },
    };
    let lifetime = limits.max_lifetime.unwrap_or(limits.max);
    for (field, less, more) in [("default", limits.default, limits.max), ("max", limits.max, lifetime)] {
        if less > more {
            let other = if field == "default" { "max" } else { "maxLifetime" };
            let [less, more] = [less, more].map(duration_text);
            let message = format!("{less} is longer than spec.ttl.{other} ({more})");
            source.error("manifest/value", spans, &format!("spec.ttl.{field}"), message);
        }
    }
    Some(limits)
}

fn retire(spec: &RetireSpec, changes: Changes) -> Retire {
    let day = jiff::SignedDuration::from_hours(24);
    Retire {
        by: spec.by.unwrap_or(changes),
        max_apps: spec.max_apps.unwrap_or(25),
        max_percent: spec.max_percent.unwrap_or(20),
        grace: spec.grace.as_deref().and_then(|text| duration(text, "mhdwy").ok()).unwrap_or(day),
    }
}

fn prices(spec: Option<PricesSpec>) -> Prices {
    let Some(spec) = spec else {
        let none = BTreeMap::new();
        return Prices {
            currency: "USD".into(),
            cpu_hour: 0.0,
            memory_gib_hour: 0.0,
            storage_gib_month: 0.0,
            tokens_per_million: none,
        };
    };
    Prices {
        currency: spec.currency,
        cpu_hour: spec.cpu_hour,
        memory_gib_hour: spec.memory_gib_hour,
        storage_gib_month: spec.storage_gib_month,
        tokens_per_million: spec.tokens_per_million,
    }
}

/// Compiles namespace and host, and tries them on two apps, whose namespaces must differ.
fn names_of(source: &mut Source<'_>, spans: &Spans, tier: &TierName, spec: &EnvironmentSpec) -> Option<Names> {
    let names = match Names::new(&spec.namespace, spec.host.as_deref()) {
        Ok(names) => names,
        Err((field, message)) => {
            source.error("environment/naming", spans, field, message);
            return None;
        }
    };
    let mut tried = Vec::new();
    for app in ["a", "b"] {
        let context = naming::context(&app.parse().ok()?, tier, "team", "cc-1");
        for (field, rendered) in
            [("spec.namespace", names.namespace(&context).map(Some)), ("spec.host", names.host(&context))]
        {
            match rendered {
                Ok(name) => tried.push((field, name)),
                Err(message) => {
                    source.error("environment/naming", spans, field, message).help =
                        Some("Possible are `{{ app }}`, `{{ tier }}`, `{{ team }}` and `{{ cost_center }}`.".into());
                    return None;
                }
            }
        }
    }
    for pair in [[0, 2], [1, 3]].map(|pair| pair.map(|at| &tried[at])) {
        if let [(field, Some(one)), (_, Some(other))] = pair
            && one == other
        {
            let message = format!("is the same for every app ({one})");
            source.error("environment/naming", spans, field, message).help = Some("Put `{{ app }}` in it.".into());
        }
    }
    Some(names)
}

fn policies(snapshot: &Snapshot, old: &Item<BTreeMap<String, Arc<str>>>) -> Item<BTreeMap<String, Arc<str>>> {
    let digest = snapshot.folder_digest("policies/");
    if old.folder == digest {
        return old.clone();
    }
    let mut source = Source::new(snapshot, "policies/", digest);
    source.files.retain(|path, _| path.ends_with(".rego"));
    let texts = source.texts("");
    source.item(Some(texts), None)
}

fn waivers(snapshot: &Snapshot, old: &BTreeMap<String, Item<Waiver>>) -> BTreeMap<String, Item<Waiver>> {
    const FOLDER: &str = "policies/waivers/";
    let mut items = BTreeMap::new();
    for (path, entry) in snapshot.folder(FOLDER) {
        let file = &path[FOLDER.len()..];
        let Some(name) = file.strip_suffix(".yaml").or(file.strip_suffix(".yml")) else { continue };
        let digest = Digest::of_parts([path.as_bytes(), entry.id.as_bytes()]);
        let item = match old.get(name).filter(|item| item.folder == digest) {
            Some(same) => same.clone(),
            None => {
                let mut source = Source::file(FOLDER, file, entry, digest);
                let read = read_waiver(name, file, &mut source);
                source.item(read, None)
            }
        };
        items.insert(name.to_owned(), item);
    }
    items
}

fn read_waiver(name: &str, file: &str, source: &mut Source<'_>) -> Option<Waiver> {
    let (manifest, spans) = source.manifest::<WaiverSpec>(file, ManifestKind::Waiver)?;
    if manifest.metadata.name != name {
        let message = format!("{} is not the file's name", quoted(&manifest.metadata.name));
        source.error("name/not-the-file", &spans, "metadata.name", message).help =
            Some(format!("Write `name: {name}`."));
    }
    let spec = manifest.spec;
    Some(Waiver {
        name: name.to_owned(),
        rule: spec.rule,
        apps: names(&spec.apps),
        tier: spec.tier.as_deref().and_then(source_name),
        reason: spec.reason,
        owner: spec.owner,
        approver: spec.approver,
        expires: source.field(&spans, "spec.expires", format::moment(&spec.expires))?,
        spans,
    })
}

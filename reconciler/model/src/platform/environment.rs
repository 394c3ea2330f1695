//! An environment: a tier's folder under `environments/`, typed and validated.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;

use super::Spans;
use super::format::{duration, duration_text};
use super::manifest::{EnvironmentSpec, PricesSpec, RetireSpec, TtlSpec};
use super::naming::{NameValues, Names};
use super::read::{Folder, FolderReader};
use crate::digest::Digest;
use crate::kinds::Kinds;
use crate::names::TierName;
use crate::rule::Rule;
use crate::schema::ManifestKind;

/// A tier, as its `environments/<tier>/environment.yaml` describes it.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The folder's name.
    pub tier: TierName,
    /// `spec.order`: promotion goes one step up.
    pub order: u32,
    /// `spec.cluster`.
    pub cluster: ClusterRef,
    /// `spec.namespace`: a Tera text over `app`, `tier`, `team`, `cost_center`.
    pub namespace: String,
    /// `spec.host`: likewise; where people find the app.
    pub host: Option<String>,
    /// `spec.changes`.
    pub changes: Changes,
    /// `spec.approvals`.
    pub approvals: Vec<RequiredApproval>,
    /// `spec.ttl`.
    pub ttl: TtlLimits,
    /// `spec.retire`.
    pub retire: RetirePolicy,
    /// `spec.egress.hostnames`.
    pub egress_hostnames: EgressHostnames,
    /// `spec.drift`.
    pub drift: Drift,
    /// `spec.enforcement`.
    pub enforcement: Enforcement,
    /// `spec.budget`, in the currency of `prices`.
    pub budget: Budget,
    /// `spec.prices`.
    pub prices: Prices,
    /// The kinds that may be rendered for it.
    pub kinds: Kinds,
    /// `spec.namespace` and `spec.host`, ready to render.
    pub(crate) names: Arc<Names>,
    /// The files of `resources/`, by path from the repository's root: Tera sources rendered for every app of the tier.
    pub resources: BTreeMap<String, Arc<str>>,
    /// The files of `shared/`, likewise; rendered once.
    pub shared: BTreeMap<String, Arc<str>>,
    /// The digest of the whole folder.
    pub digest: Digest,
    /// Where each field stands in `environment.yaml`.
    pub spans: Spans,
}

/// Which cluster a tier lives on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClusterRef {
    /// A kubeconfig context.
    Context(String),
    /// The cluster that Dayfly itself runs in.
    InCluster,
}

/// How a change reaches the tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Changes {
    /// A commit to the default branch deploys.
    Commit,
    /// Approval is needed.
    PullRequest,
}

/// One role that must approve a change.
#[derive(Debug, Clone, PartialEq)]
pub struct RequiredApproval {
    /// The role's name, such as `security`.
    pub role: String,
    /// The forge's team that holds the role.
    pub team: String,
    /// How many of them.
    pub count: u32,
    /// Only for apps that cost more than this a month.
    pub when_monthly_cost_above: Option<f64>,
}

/// How long apps of the tier live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TtlLimits {
    /// For `new`, where the person says nothing.
    pub default: SignedDuration,
    /// The longest `ttl` an app may ask for.
    pub max: SignedDuration,
    /// From birth to the end, however often renewed.
    pub max_lifetime: Option<SignedDuration>,
    /// How long before the end the owner is reminded.
    pub remind: Vec<SignedDuration>,
}

/// How apps of the tier retire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetirePolicy {
    /// By a commit, or by a pull request.
    pub by: Changes,
    /// At most this many unannounced deletions in one pass.
    pub max_apps: u32,
    /// At most this share of the tier's apps, in percent; applies from 10 apps.
    pub max_percent: u32,
    /// How long an expiry is announced before it counts no longer as a surprise.
    pub grace: SignedDuration,
}

/// What can filter egress by host name. Only the first is available yet: the reading of an environment refuses the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EgressHostnames {
    /// Nothing: host names are refused.
    #[default]
    None,
    /// Cilium's policies.
    Cilium,
    /// GKE's FQDN policies.
    Gke,
    /// An egress proxy.
    Proxy,
}

impl EgressHostnames {
    /// The name of the filter, where one is asked for.
    fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Cilium => Some("cilium"),
            Self::Gke => Some("gke"),
            Self::Proxy => Some("proxy"),
        }
    }
}

/// What to do when a live object no longer is what Dayfly applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Drift {
    /// Apply it again.
    #[default]
    Repair,
    /// Say so.
    Report,
}

/// What a warn-level rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Enforcement {
    /// It denies.
    #[default]
    Deny,
    /// It warns.
    Warn,
}

/// What apps may cost a month.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Budget {
    /// One app.
    pub per_app: Option<f64>,
    /// All apps of a cost center.
    pub per_cost_center: Option<f64>,
}

/// What resources cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Prices {
    /// ISO 4217.
    pub currency: String,
    /// One CPU for one hour.
    pub cpu_hour: f64,
    /// One GiB of memory for one hour.
    pub memory_gib_hour: f64,
    /// One GiB of storage for one month.
    pub storage_gib_month: f64,
    /// One million language-model tokens, by model; `default` for the others.
    pub tokens_per_million: BTreeMap<String, f64>,
}

impl Folder for Environment {
    type Name = TierName;
    const ROOT: &'static str = "environments/";

    fn read(tier: &TierName, source: &mut FolderReader<'_>) -> Option<Self> {
        let (manifest, spans) = source.manifest::<EnvironmentSpec>("environment.yaml", ManifestKind::Environment)?;
        let spec = manifest.spec;
        source.folder_name(&spans, &manifest.metadata.name, tier.as_str());
        let cluster = match (&spec.cluster.context, spec.cluster.in_cluster) {
            (Some(context), false) => Some(ClusterRef::Context(context.clone())),
            (None, true) => Some(ClusterRef::InCluster),
            _ => {
                let message = "needs either `context: NAME` or `inCluster: true`";
                source.error(Rule::MANIFEST_VALUE, &spans, "spec.cluster", message);
                None
            }
        };
        if let Some(filter) = spec.egress.hostnames.name() {
            let message = format!("{filter} is not available yet");
            source.error(Rule::ENVIRONMENT_EGRESS, &spans, "spec.egress.hostnames", message).help =
                Some("Write `hostnames: none`; apps then name address ranges.".into());
        }
        let ttl = ttl_limits(source, &spans, &spec.ttl);
        let names = names_of(source, &spans, tier, &spec);
        let approvals = spec.approvals.into_iter().map(|approval| RequiredApproval {
            role: approval.role,
            team: approval.team,
            count: approval.count,
            when_monthly_cost_above: approval.when.map(|when| when.monthly_cost_above),
        });
        Some(Self {
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
            kinds: Kinds::builtin(),
            names: Arc::new(names?),
            resources: source.texts("resources/"),
            shared: source.texts("shared/"),
            digest: source.digest,
            spans,
        })
    }
}

fn ttl_limits(source: &mut FolderReader<'_>, spans: &Spans, spec: &TtlSpec) -> Option<TtlLimits> {
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
            source.error(Rule::MANIFEST_VALUE, spans, &format!("spec.ttl.{field}"), message);
        }
    }
    Some(limits)
}

fn retire(spec: &RetireSpec, changes: Changes) -> RetirePolicy {
    let day = SignedDuration::from_hours(24);
    RetirePolicy {
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
fn names_of(source: &mut FolderReader<'_>, spans: &Spans, tier: &TierName, spec: &EnvironmentSpec) -> Option<Names> {
    let names = match Names::new(&spec.namespace, spec.host.as_deref()) {
        Ok(names) => names,
        Err((field, message)) => {
            source.error(Rule::ENVIRONMENT_NAMING, spans, field, message);
            return None;
        }
    };
    let mut tried = Vec::new();
    for app in ["a", "b"] {
        let app = app.parse().ok()?;
        let values = NameValues { app: &app, tier, team: "team", cost_center: "cc-1" };
        for (field, rendered) in
            [("spec.namespace", names.namespace(&values).map(Some)), ("spec.host", names.host(&values))]
        {
            match rendered {
                Ok(name) => tried.push((field, name)),
                Err(message) => {
                    source.error(Rule::ENVIRONMENT_NAMING, spans, field, message).help =
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
            source.error(Rule::ENVIRONMENT_NAMING, spans, field, message).help = Some("Put `{{ app }}` in it.".into());
        }
    }
    Some(names)
}

//! An environment: a tier's folder under `environments/`, typed and validated.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;

use super::Spans;
use super::naming::Names;
use crate::digest::Digest;
use crate::names::TierName;

/// A tier, as its `environments/<tier>/environment.yaml` describes it.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The folder's name.
    pub tier: TierName,
    /// `spec.order`: promotion goes one step up.
    pub order: u32,
    /// `spec.cluster`.
    pub cluster: Cluster,
    /// `spec.namespace`: a Tera text over `app`, `tier`, `team`, `cost_center`.
    pub namespace: String,
    /// `spec.host`: likewise; where people find the app.
    pub host: Option<String>,
    /// `spec.changes`.
    pub changes: Changes,
    /// `spec.approvals`.
    pub approvals: Vec<Approval>,
    /// `spec.ttl`.
    pub ttl: TtlLimits,
    /// `spec.retire`.
    pub retire: Retire,
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
pub enum Cluster {
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
pub struct Approval {
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
pub struct Retire {
    /// By a commit, or by a pull request.
    pub by: Changes,
    /// At most this many unannounced deletions in one pass.
    pub max_apps: u32,
    /// At most this share of the tier's apps, in percent; applies from 10 apps.
    pub max_percent: u32,
    /// How long an expiry is announced before it counts no longer as a surprise.
    pub grace: SignedDuration,
}

/// What can filter egress by host name.
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

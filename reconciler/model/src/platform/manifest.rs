//! What users write, as types: the one source of each manifest's schema, validation and reading.
//!
//! The JSON Schema that editors use is derived from these types, the same schema validates, and the same types read what
//! is valid; so the three cannot drift apart. The text of a doc comment is what an editor shows.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::app::DataClassification;
use super::environment::{Changes, Drift, EgressHostnames, Enforcement};

/// A manifest: kind, name and content.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Manifest<Spec> {
    /// The format's version.
    #[allow(dead_code)]
    api_version: ApiVersion,
    /// What the file declares.
    #[allow(dead_code)]
    kind: String,
    /// Its name.
    pub metadata: Metadata,
    /// What it says.
    pub spec: Spec,
}

#[derive(Deserialize, JsonSchema)]
enum ApiVersion {
    #[serde(rename = "dayfly.dev/v1")]
    V1,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metadata {
    /// The name: the same as the folder's.
    #[schemars(extend("format" = "dayfly-line"))]
    pub name: String,
}

/// The forms of the texts in lists.
macro_rules! forms {
    ($($type:ident $format:literal),*) => {
        $(#[derive(JsonSchema)]
        #[schemars(extend("format" = $format))]
        struct $type(#[allow(dead_code)] String);)*
    };
}
forms!(
    LineText "dayfly-line",
    NameText "dayfly-app",
    TierText "dayfly-tier",
    DurationText "dayfly-duration",
    DestinationText "dayfly-egress"
);

/// A micro-app.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct AppSpec {
    /// The template and its major version, such as simple-survey/v1.
    #[schemars(extend("format" = "dayfly-template"))]
    pub template: String,
    /// The tier it runs in: the name of a folder under environments/.
    #[schemars(extend("format" = "dayfly-tier"))]
    pub tier: String,
    /// How long it lives from its start or last renewal, such as 14d.
    #[schemars(extend("format" = "dayfly-ttl"))]
    pub ttl: Option<String>,
    /// When it ends, instead of ttl: a date (the end of that day, UTC) or a time.
    #[schemars(extend("format" = "dayfly-moment"))]
    pub expires: Option<String>,
    /// Who pays, such as CC-1042.
    #[schemars(extend("format" = "dayfly-line"))]
    pub cost_center: String,
    /// A person who can be reminded, such as maya@example.com.
    #[schemars(extend("format" = "dayfly-line"))]
    pub owner: String,
    /// The owner's name on the forge, for assignments and rights.
    #[schemars(extend("format" = "dayfly-line"))]
    pub owner_login: Option<String>,
    /// The team it belongs to.
    #[schemars(extend("format" = "dayfly-line"))]
    pub team: String,
    /// What it is for, in one line.
    #[schemars(extend("format" = "dayfly-line"))]
    pub purpose: Option<String>,
    /// How sensitive its data is.
    pub data_classification: Option<DataClassification>,
    /// What the template asks for.
    #[serde(default)]
    pub parameters: Map<String, Value>,
    /// Outside services it uses; the template must offer them.
    #[serde(default)]
    #[schemars(with = "Vec<LineText>", extend("uniqueItems" = true))]
    pub connectors: Vec<String>,
    /// Where it may connect to, such as 203.0.113.0/24:443; nowhere else.
    #[serde(default)]
    #[schemars(with = "Vec<DestinationText>", extend("uniqueItems" = true))]
    pub egress: Vec<String>,
    /// The day of the last renewal; `dayfly renew` writes it.
    #[schemars(extend("format" = "dayfly-date"))]
    pub renewed: Option<String>,
    /// Whether it is scaled to zero; nothing is deleted.
    #[serde(default)]
    pub suspend: bool,
    /// How it is isolated; the template must offer it.
    pub runtime: Option<Runtime>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Runtime {
    Container,
    Gvisor,
    Wasm,
    Microvm,
}

impl Runtime {
    pub(crate) fn name(self) -> String {
        match self {
            Self::Container => "container",
            Self::Gvisor => "gvisor",
            Self::Wasm => "wasm",
            Self::Microvm => "microvm",
        }
        .into()
    }
}

/// A template that apps are made from.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TemplateSpec {
    /// The semantic version; its first number is the folder's.
    #[schemars(extend("format" = "dayfly-version"))]
    pub version: String,
    /// What people call it.
    #[schemars(extend("format" = "dayfly-line"))]
    pub title: String,
    /// What it is good for, in one line.
    #[schemars(extend("format" = "dayfly-line"))]
    pub description: Option<String>,
    /// Whether to use it.
    #[serde(default)]
    pub status: StatusSpec,
    /// The last day of a deprecated template.
    #[schemars(extend("format" = "dayfly-date"))]
    pub sunset: Option<String>,
    /// The tiers it may run in.
    #[schemars(with = "Vec<TierText>", length(min = 1), extend("uniqueItems" = true))]
    pub tiers: Vec<String>,
    /// How it can be isolated; the first is the default.
    #[serde(default)]
    #[schemars(extend("uniqueItems" = true))]
    pub runtimes: Vec<Runtime>,
    /// A JSON Schema (type: object) of what an app sets.
    #[serde(default)]
    pub parameters: Map<String, Value>,
    /// Outside services that an app may ask for.
    #[serde(default)]
    #[schemars(with = "Vec<LineText>", extend("uniqueItems" = true))]
    pub connectors: Vec<String>,
    /// The names of the secrets that it reads; never their values.
    #[serde(default)]
    #[schemars(with = "Vec<LineText>", extend("uniqueItems" = true))]
    pub secrets: Vec<String>,
    /// Roles that approve a promotion besides the tier's.
    #[serde(default)]
    #[schemars(with = "Vec<LineText>", extend("uniqueItems" = true))]
    pub approvals: Vec<String>,
    /// What renders it.
    #[serde(default)]
    pub engine: EngineSpec,
    /// The folder of the Helm chart, under charts/.
    #[schemars(extend("format" = "dayfly-line"))]
    pub chart: Option<String>,
}

/// What turns a template into objects.
// Serializable, because only then the schema names the default.
#[derive(Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EngineSpec {
    /// Tera, on the files of `resources/`.
    #[default]
    Tera,
    /// Helm, on a chart.
    Helm,
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StatusSpec {
    #[default]
    Stable,
    Deprecated,
    Retired,
}

/// A tier that apps run in.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct EnvironmentSpec {
    /// Promotion goes one step up.
    pub order: u32,
    /// Where it runs.
    pub cluster: ClusterSpec,
    /// The namespace of an app, such as "{{ app }}-pilot".
    #[schemars(extend("format" = "dayfly-line"))]
    pub namespace: String,
    /// Where people find an app, such as "{{ app }}.pilot.example.com".
    #[schemars(extend("format" = "dayfly-line"))]
    pub host: Option<String>,
    /// Whether a commit deploys, or a pull request with approval is needed.
    pub changes: Changes,
    /// Who approves a change.
    #[serde(default)]
    pub approvals: Vec<ApprovalSpec>,
    /// How long apps live.
    pub ttl: TtlSpec,
    /// How apps retire.
    #[serde(default)]
    pub retire: RetireSpec,
    /// What apps may connect to.
    #[serde(default)]
    pub egress: EgressSpec,
    /// What to do when somebody changed a live object.
    #[serde(default)]
    pub drift: Drift,
    /// What a warn-level rule does here.
    #[serde(default)]
    pub enforcement: Enforcement,
    /// What apps may cost a month.
    #[serde(default)]
    pub budget: BudgetSpec,
    /// What resources cost.
    pub prices: Option<PricesSpec>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ClusterSpec {
    /// A kubeconfig context.
    #[schemars(extend("format" = "dayfly-line"))]
    pub context: Option<String>,
    /// Whether it is the cluster that Dayfly runs in.
    #[serde(default)]
    pub in_cluster: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ApprovalSpec {
    /// The role, such as security.
    #[schemars(extend("format" = "dayfly-line"))]
    pub role: String,
    /// The forge's team that holds it, such as acme/security.
    #[schemars(extend("format" = "dayfly-line"))]
    pub team: String,
    /// How many of them.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 20))]
    pub count: u32,
    /// Only in this case.
    pub when: Option<WhenSpec>,
}

fn one() -> u32 {
    1
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct WhenSpec {
    /// Only for apps that cost more than this a month.
    #[schemars(range(min = 0))]
    pub monthly_cost_above: f64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TtlSpec {
    /// Where a new app says nothing.
    #[schemars(extend("format" = "dayfly-duration"))]
    pub default: String,
    /// The longest ttl.
    #[schemars(extend("format" = "dayfly-duration"))]
    pub max: String,
    /// From birth to the end, however often renewed.
    #[schemars(extend("format" = "dayfly-duration"))]
    pub max_lifetime: Option<String>,
    /// How long before the end the owner is reminded.
    #[schemars(with = "Option<Vec<DurationText>>")]
    pub remind: Option<Vec<String>>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RetireSpec {
    /// By a commit or by a pull request; as `changes` says, where absent.
    pub by: Option<Changes>,
    /// At most this many unannounced deletions at a time.
    #[schemars(range(min = 1))]
    pub max_apps: Option<u32>,
    /// At most this share of the tier's apps, in percent; applies from 10 apps.
    #[schemars(range(min = 1, max = 100))]
    pub max_percent: Option<u32>,
    /// How long an expiry is announced before it is no surprise.
    #[schemars(extend("format" = "dayfly-duration"))]
    pub grace: Option<String>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct EgressSpec {
    /// What filters by host name.
    #[serde(default)]
    pub hostnames: EgressHostnames,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct BudgetSpec {
    /// One app.
    #[schemars(range(min = 0))]
    pub per_app: Option<f64>,
    /// All apps of a cost center.
    #[schemars(range(min = 0))]
    pub per_cost_center: Option<f64>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PricesSpec {
    /// ISO 4217, such as USD.
    #[schemars(length(min = 3, max = 3))]
    pub currency: String,
    /// One CPU for one hour.
    #[schemars(range(min = 0))]
    pub cpu_hour: f64,
    /// One GiB of memory for one hour.
    #[schemars(range(min = 0))]
    pub memory_gib_hour: f64,
    /// One GiB of storage for one month.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub storage_gib_month: f64,
    /// One million language-model tokens, by model; `default` for the others.
    #[serde(default)]
    #[schemars(inner(range(min = 0)))]
    pub tokens_per_million: BTreeMap<String, f64>,
}

/// An exception from a policy rule.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct WaiverSpec {
    /// The rule's name, such as policy/image-tag.
    #[schemars(extend("format" = "dayfly-line"))]
    pub rule: String,
    /// The apps it is for.
    #[schemars(with = "Vec<NameText>", length(min = 1), extend("uniqueItems" = true))]
    pub apps: Vec<String>,
    /// The tier it is for; all, where absent.
    #[schemars(extend("format" = "dayfly-tier"))]
    pub tier: Option<String>,
    /// Why it is acceptable, in one line.
    #[schemars(extend("format" = "dayfly-line"))]
    pub reason: String,
    /// The person who answers for it.
    #[schemars(extend("format" = "dayfly-line"))]
    pub owner: String,
    /// The role that grants it, such as security.
    #[schemars(extend("format" = "dayfly-line"))]
    pub approver: String,
    /// When it ends: a date (the end of that day, UTC) or a time.
    #[schemars(extend("format" = "dayfly-moment"))]
    pub expires: String,
}

//! What one commit says about apps, read from manifests that may be of any age and broken in any way.

use dayfly_model::digest::Revision;
use dayfly_model::names::AppName;
use dayfly_model::platform::app::Lifetime;
use dayfly_model::yaml;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What one commit of the first-parent history says about apps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitFacts {
    /// The commit.
    pub revision: Revision,
    /// The committer's date.
    pub time: Timestamp,
    /// By when the default branch had it, where the ledger says so.
    pub seen: Option<Timestamp>,
    /// The author, as `Name <email>`.
    pub author: String,
    /// The whole message.
    pub message: String,
    /// What it did to apps, against its first parent.
    pub changes: Vec<AppChange>,
    /// What the commits did that a merge brings in by its other parents, each at its own date.
    pub brought: Vec<(Timestamp, AppChange)>,
}

impl CommitFacts {
    /// A commit of nobody with these changes.
    pub fn new(revision: Revision, time: Timestamp, changes: Vec<AppChange>) -> Self {
        Self { revision, time, seen: None, author: String::new(), message: String::new(), changes, brought: Vec::new() }
    }
}

/// What one commit did to one app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppChange {
    /// The app.
    pub app: AppName,
    /// Its manifest before; none if it was not there.
    pub before: Option<AppFacts>,
    /// Its manifest after; none if it is gone.
    pub after: Option<AppFacts>,
}

/// What history needs of a manifest, each field as it is written there. Any of them may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AppFacts {
    /// `spec.template`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// `spec.tier`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// `spec.ttl`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// `spec.expires`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// `spec.renewed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewed: Option<String>,
    /// `spec.owner`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// `spec.team`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// `spec.costCenter`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_center: Option<String>,
    /// `spec.suspend`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub suspend: bool,
}

impl AppFacts {
    /// Reads whatever can be read of a manifest, however broken.
    pub fn read(bytes: &[u8]) -> Self {
        let spec = match yaml::document(bytes, yaml::MANIFEST) {
            Ok((mut value, _)) => value.get_mut("spec").map(Value::take).unwrap_or_default(),
            Err(_) => by_line(&String::from_utf8_lossy(&bytes[..bytes.len().min(yaml::MANIFEST.bytes)])),
        };
        let field = |name: &str| match spec.get(name)? {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        Self {
            template: field("template"),
            tier: field("tier"),
            ttl: field("ttl"),
            expires: field("expires"),
            renewed: field("renewed"),
            owner: field("owner"),
            team: field("team"),
            cost_center: field("costCenter"),
            suspend: field("suspend").as_deref() == Some("true"),
        }
    }

    /// How long the app asks to live, where that can be read.
    pub fn lifetime(&self) -> Option<Lifetime> {
        Lifetime::read(self.ttl.as_deref(), self.expires.as_deref())
    }

    /// Whether two manifests are one app under two names: everything that says what it is and whose is the same.
    pub(super) fn is_same_app(&self, other: &Self) -> bool {
        let identity =
            |facts: &Self| (facts.template.clone(), facts.owner.clone(), facts.team.clone(), facts.cost_center.clone());
        self.template.is_some() && identity(self) == identity(other)
    }
}

/// The fields of `spec` in a text that is no YAML: its lines indented by two, the first of a name.
fn by_line(text: &str) -> Value {
    let mut spec = Map::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("  ")) {
        if let Some((name, value)) = line.split_once(':') {
            let value = value.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']);
            let value = if value.is_empty() { Value::Null } else { value.into() };
            spec.entry(name).or_insert(value);
        }
    }
    Value::Object(spec)
}

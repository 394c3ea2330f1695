//! A template: a folder under `catalog/` with its manifest and its resources, typed and validated.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use serde_json::Value;

use super::Spans;
use super::check::Checker;
use crate::digest::Digest;
use crate::names::{TemplateRef, TierName};

/// A template, as its `catalog/<name>/v<major>/` describes it.
#[derive(Debug, Clone)]
pub struct Template {
    /// Its name and major version: the folder.
    pub reference: TemplateRef,
    /// `spec.version`: full semantic version; its major is the folder's.
    pub version: semver::Version,
    /// `spec.title`.
    pub title: String,
    /// `spec.description`.
    pub description: String,
    /// `spec.status`.
    pub status: TemplateStatus,
    /// `spec.tiers`: where it may run.
    pub tiers: Vec<TierName>,
    /// `spec.runtimes`: the first is the default.
    pub runtimes: Vec<String>,
    /// `spec.parameters`: a JSON Schema of type object.
    pub parameters: Value,
    /// `spec.connectors` that an app may ask for.
    pub connectors: Vec<String>,
    /// `spec.secrets`: names only.
    pub secrets: Vec<String>,
    /// `spec.approvals`: extra roles on promotion.
    pub approvals: Vec<String>,
    /// The files of `resources/`, by path from the repository's root: Tera sources.
    pub resources: BTreeMap<String, Arc<str>>,
    /// `spec.engine`: what renders it.
    pub engine: Engine,
    /// `spec.chart`: the Helm chart's folder from the repository's root, where the engine is Helm.
    pub chart: Option<String>,
    /// The judge of an app's parameters, compiled once.
    pub(crate) checker: Arc<Checker>,
    /// The digest of the whole folder.
    pub digest: Digest,
    /// Where each field stands in `template.yaml`.
    pub spans: Spans,
}

/// What turns a template into objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Tera, on the files of `resources/`.
    #[default]
    Tera,
    /// Helm, on a chart.
    Helm,
}

/// How alive a template is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateStatus {
    /// To be used.
    Stable,
    /// Still works; a new app gets a warning, and an error after the sunset.
    Deprecated {
        /// `spec.sunset`: the last day.
        sunset: Option<Date>,
    },
    /// Nothing may use it.
    Retired,
}

//! An app: a folder under `apps/` with its manifest, typed and validated.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::Spans;
use crate::names::{AppName, TemplateRef, TierName};

/// A micro-app, as its `apps/<name>/app.yaml` describes it.
#[derive(Debug, Clone)]
pub struct App {
    /// The folder's name.
    pub name: AppName,
    /// `spec.template`.
    pub template: TemplateRef,
    /// `spec.tier`.
    pub tier: TierName,
    /// `spec.ttl` or `spec.expires`.
    pub lifetime: Lifetime,
    /// `spec.costCenter`.
    pub cost_center: String,
    /// `spec.owner`: a person who can be reminded, usually an email address.
    pub owner: String,
    /// `spec.ownerLogin`: the owner's name on the forge.
    pub owner_login: Option<String>,
    /// `spec.team`.
    pub team: String,
    /// `spec.purpose`.
    pub purpose: Option<String>,
    /// `spec.dataClassification`; `internal` where the manifest says nothing.
    pub data_classification: DataClassification,
    /// `spec.parameters` as written, without the template's defaults.
    pub parameters: Map<String, Value>,
    /// `spec.connectors`.
    pub connectors: Vec<String>,
    /// `spec.egress`.
    pub egress: Vec<Egress>,
    /// `spec.renewed`.
    pub renewed: Option<Date>,
    /// `spec.suspend`.
    pub suspend: bool,
    /// `spec.runtime`.
    pub runtime: Option<String>,
    /// The folder's other files, by path inside the folder, for the template to read.
    pub files: BTreeMap<String, Arc<[u8]>>,
    /// Where each field stands in the manifest.
    pub spans: Spans,
}

/// How long an app may live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// `ttl`: this long from the start.
    Ttl(SignedDuration),
    /// `expires`: until this moment. A date means the end of that day, UTC.
    Until(Timestamp),
}

/// How sensitive an app's data is.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Default,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum DataClassification {
    /// For everybody.
    Public,
    /// For the organization.
    #[default]
    Internal,
    /// For those who need it.
    Confidential,
    /// For named people.
    Restricted,
}

/// One destination outside the cluster that the app may reach.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase", untagged)]
pub enum Egress {
    /// An address range and a TCP port; becomes a NetworkPolicy.
    Cidr {
        /// The range in its canonical form, such as `203.0.113.0/24`.
        cidr: String,
        /// The TCP port.
        port: u16,
    },
    /// A host name and a TCP port; needs an environment that can filter names.
    Hostname {
        /// The host name.
        hostname: String,
        /// The TCP port.
        port: u16,
    },
}

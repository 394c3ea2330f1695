//! An app: a folder under `apps/` with its manifest, typed and validated.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::Spans;
use super::format::{self, duration};
use super::manifest::{AppSpec, Runtime};
use super::read::{Folder, FolderReader, parsed};
use crate::names::{AppName, TemplateRef, TierName};
use crate::rule::Rule;
use crate::schema::ManifestKind;

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

impl Lifetime {
    /// What one of the two fields says; none where both or neither stand, or where it cannot be read.
    pub fn read(ttl: Option<&str>, expires: Option<&str>) -> Option<Self> {
        match (ttl, expires) {
            (Some(ttl), None) => duration(ttl, "mhdw").ok().map(Self::Ttl),
            (None, Some(expires)) => format::moment(expires).ok().map(Self::Until),
            _ => None,
        }
    }
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

impl Folder for App {
    type Name = AppName;
    const ROOT: &'static str = "apps/";

    fn app(name: &AppName) -> Option<&AppName> {
        Some(name)
    }

    fn read(name: &AppName, source: &mut FolderReader<'_>) -> Option<Self> {
        let (manifest, spans) = source.manifest::<AppSpec>("app.yaml", ManifestKind::App)?;
        let spec = manifest.spec;
        source.folder_name(&spans, &manifest.metadata.name, name.as_str());
        let lifetime = match (&spec.ttl, &spec.expires) {
            (Some(ttl), None) => source.field(&spans, "spec.ttl", duration(ttl, "mhdw")).map(Lifetime::Ttl),
            (None, Some(expires)) => source.field(&spans, "spec.expires", format::moment(expires)).map(Lifetime::Until),
            (Some(_), Some(_)) => {
                let message = "stands beside spec.ttl, and only one of the two is possible";
                source.error(Rule::MANIFEST_VALUE, &spans, "spec.expires", message).help =
                    Some("Keep one of the two.".into());
                None
            }
            (None, None) => {
                let help = "Add how long the app lives, such as `ttl: 14d`, or its end, such as `expires: 2026-12-24`.";
                let absent = source.error(Rule::MANIFEST_REQUIRED, &spans, "spec.ttl", "is required, and absent");
                *absent = absent.clone().at(spans.key("spec")).help(help);
                None
            }
        };
        let egress =
            spec.egress.iter().enumerate().filter_map(|(index, text)| {
                source.field(&spans, &format!("spec.egress[{index}]"), format::egress(text))
            });
        let egress = egress.collect();
        let renewed = spec.renewed.as_deref().and_then(|text| source.field(&spans, "spec.renewed", format::date(text)));
        let files = source.files.iter().filter(|(path, _)| **path != "app.yaml");
        Some(Self {
            name: name.clone(),
            template: parsed(&spec.template)?,
            tier: parsed(&spec.tier)?,
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
}

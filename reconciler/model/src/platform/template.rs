//! A template: a folder under `catalog/` with its manifest and its resources, typed and validated.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;

use super::check::Checker;
use super::manifest::{EngineSpec, Runtime, StatusSpec, TemplateSpec};
use super::read::{Folder, FolderReader, all_parsed};
use super::{Platform, Spans};
use super::{format, parameters};
use crate::diagnostic::Diagnostic;
use crate::digest::Digest;
use crate::names::{TemplateRef, TierName};
use crate::rule::Rule;
use crate::schema::ManifestKind;

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
    /// The judge of an app's parameters, compiled once.
    pub(crate) checker: Arc<Checker>,
    /// The digest of the whole folder.
    pub digest: Digest,
    /// Where each field stands in `template.yaml`.
    pub spans: Spans,
}

/// How alive a template is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateStatus {
    /// To be used.
    Stable,
    /// Still works, with a warning; until the sunset, where there is one.
    Deprecated {
        /// `spec.sunset`: the last day.
        sunset: Option<Date>,
    },
    /// Nothing may use it.
    Retired,
}

impl TemplateStatus {
    /// The sunset, once it is over.
    pub fn ended(self, now: Timestamp) -> Option<Date> {
        match self {
            Self::Deprecated { sunset } => {
                sunset.filter(|last| format::end_of_day(*last).is_some_and(|end| end <= now))
            }
            Self::Stable | Self::Retired => None,
        }
    }
}

impl Folder for Template {
    type Name = TemplateRef;
    const ROOT: &'static str = "catalog/";

    fn read(reference: &TemplateRef, source: &mut FolderReader<'_>) -> Option<Self> {
        let (manifest, spans) = source.manifest::<TemplateSpec>("template.yaml", ManifestKind::Template)?;
        let spec = manifest.spec;
        source.folder_name(&spans, &manifest.metadata.name, reference.name());
        let version = source.field(&spans, "spec.version", format::version(&spec.version))?;
        if version.major != u64::from(reference.major()) {
            let message = format!("{version} does not fit the folder v{}", reference.major());
            source.error(Rule::TEMPLATE_VERSION, &spans, "spec.version", message).help =
                Some("A new major version is a new folder, so that apps choose when they move.".into());
        }
        let sunset = spec.sunset.as_deref().and_then(|text| source.field(&spans, "spec.sunset", format::date(text)));
        if sunset.is_some() && spec.status != StatusSpec::Deprecated {
            let help = Some("Write `status: deprecated`, or remove the sunset.".into());
            source.error(Rule::MANIFEST_VALUE, &spans, "spec.sunset", "is only for a deprecated template").help = help;
        }
        let resources = source.texts("resources/");
        check_engine(source, &spans, &spec, resources.is_empty());
        let checker = match parameters::compile(&spec.parameters, &spans) {
            Ok(checker) => Some(Arc::new(checker)),
            Err(found) => {
                source.notes(found);
                None
            }
        }?;
        let runtimes = if spec.runtimes.is_empty() { vec![Runtime::Container] } else { spec.runtimes };
        Some(Self {
            reference: reference.clone(),
            version,
            title: spec.title,
            description: spec.description.unwrap_or_default(),
            status: match spec.status {
                StatusSpec::Stable => TemplateStatus::Stable,
                StatusSpec::Deprecated => TemplateStatus::Deprecated { sunset },
                StatusSpec::Retired => TemplateStatus::Retired,
            },
            tiers: all_parsed(&spec.tiers),
            runtimes: runtimes.into_iter().map(Runtime::name).collect(),
            parameters: checker.schema().clone(),
            connectors: spec.connectors,
            secrets: spec.secrets,
            approvals: spec.approvals,
            resources,
            checker,
            digest: source.digest,
            spans,
        })
    }
}

/// Refuses an engine that is not there yet, and one that lacks what it renders.
fn check_engine(source: &mut FolderReader<'_>, spans: &Spans, spec: &TemplateSpec, no_resources: bool) {
    let (field, message, help) = match (spec.engine, &spec.chart) {
        (EngineSpec::Helm, _) => {
            let help = "Write `engine: tera`, and the objects as files of resources/.";
            ("spec.engine", "helm is not available yet", help)
        }
        (EngineSpec::Tera, Some(_)) => ("spec.chart", "is only for `engine: helm`", "Remove the chart."),
        (EngineSpec::Tera, None) if no_resources => {
            ("spec.engine", "renders the files of resources/, and there are none", "Add resources/*.yaml.")
        }
        (EngineSpec::Tera, None) => return,
    };
    source.error(Rule::TEMPLATE_ENGINE, spans, field, message).help = Some(help.into());
}

impl Platform {
    /// Templates that differ from those of `before` and have no higher version. `changed` are the paths that differ; what
    /// only people read (README.md, examples/) needs no version.
    pub fn changed_without_version(&self, before: &Self, changed: &[&str]) -> Vec<Diagnostic> {
        let both = self.templates.iter().filter_map(|(name, item)| {
            Some((name, item.get()?, before.templates.get(name).and_then(|item| item.get())?))
        });
        let unversioned = both.filter(|(_, now, then)| now.version <= then.version).filter_map(|(name, now, then)| {
            let folder = format!("catalog/{name}/");
            let renders = |inside: &str| inside != "README.md" && !inside.starts_with("examples/");
            let path = changed.iter().find(|path| path.strip_prefix(&*folder).is_some_and(renders))?;
            let message = format!("{path} changes, and the version stays {}", then.version);
            let found = now.spans.finding(Rule::TEMPLATE_UNVERSIONED, "spec.version", message);
            Some(found.help("Write a higher version, so that apps can tell."))
        });
        unversioned.collect()
    }
}

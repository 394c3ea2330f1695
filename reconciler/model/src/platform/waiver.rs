//! A waiver: an exception from one policy rule, for some apps, until a date.

use jiff::Timestamp;

use super::Spans;
use super::format::{self, quoted};
use super::manifest::WaiverSpec;
use super::read::{FolderReader, all_parsed, parsed};
use crate::names::{AppName, InstanceKey, TierName};
use crate::rule::Rule;
use crate::schema::ManifestKind;

/// An exception, as a file of `policies/waivers/` describes it.
#[derive(Debug, Clone)]
pub struct Waiver {
    /// The file's name without `.yaml`.
    pub name: String,
    /// `spec.rule`: the rule that is waived, such as `policy/image-tag`; none where it is no rule, so that nothing is waived.
    pub rule: Option<Rule>,
    /// `spec.apps` that it is for.
    pub apps: Vec<AppName>,
    /// `spec.tier` that it is for; all, where absent.
    pub tier: Option<TierName>,
    /// `spec.reason`.
    pub reason: String,
    /// `spec.owner`: the person who answers for it.
    pub owner: String,
    /// `spec.approver`: the role that grants it.
    pub approver: String,
    /// `spec.expires`: the first moment at which it counts no longer.
    pub expires: Timestamp,
    /// Where each field stands.
    pub spans: Spans,
}

impl Waiver {
    /// Whether it lifts a rule for an instance now.
    pub fn covers(&self, rule: &Rule, instance: &InstanceKey, now: Timestamp) -> bool {
        self.concerns(rule, instance) && now < self.expires
    }

    /// Whether it is about a rule and an instance, expired or not.
    pub fn concerns(&self, rule: &Rule, instance: &InstanceKey) -> bool {
        self.rule.as_ref() == Some(rule)
            && self.apps.contains(&instance.app)
            && self.tier.as_ref().is_none_or(|tier| *tier == instance.tier)
    }

    /// Reads the file `file`, whose name without `.yaml` is `name`.
    pub(super) fn read(name: &str, file: &str, source: &mut FolderReader<'_>) -> Option<Self> {
        let (manifest, spans) = source.manifest::<WaiverSpec>(file, ManifestKind::Waiver)?;
        if manifest.metadata.name != name {
            let message = format!("{} is not the file's name", quoted(&manifest.metadata.name));
            source.error(Rule::NAME_NOT_THE_FILE, &spans, "metadata.name", message).help =
                Some(format!("Write `name: {name}`."));
        }
        let spec = manifest.spec;
        Some(Self {
            name: name.to_owned(),
            rule: parsed(&spec.rule),
            apps: all_parsed(&spec.apps),
            tier: spec.tier.as_deref().and_then(parsed),
            reason: spec.reason,
            owner: spec.owner,
            approver: spec.approver,
            expires: source.field(&spans, "spec.expires", format::moment(&spec.expires))?,
            spans,
        })
    }
}

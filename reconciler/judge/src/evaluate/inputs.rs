//! What a verdict depends on, so that an app is judged anew only where some of it changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::digest::Digest;
use dayfly_model::names::{AppName, InstanceKey, TemplateRef};
use dayfly_model::platform::{Item, Platform};
use jiff::Timestamp;

use super::Desired;

/// Everything that a verdict depends on, as digests: equal inputs, equal verdict.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct VerdictInputs {
    tip: CommitInputs,
    environment: Option<Digest>,
    /// The same of the approved commit: none where nothing is held back, or where nothing is approved.
    approved: Option<Option<CommitInputs>>,
    policies: Digest,
    waivers: Arc<BTreeSet<Digest>>,
    /// Whether the tip's template is past its sunset.
    ended: bool,
}

/// What an instance is made of in one commit.
#[derive(Debug, Clone, PartialEq)]
struct CommitInputs {
    app: Option<Digest>,
    /// The template that the app names there.
    template: Option<Digest>,
    /// Why it may not live where it would, if another app does.
    conflict: Option<Diagnostic>,
}

/// What verdicts depend on besides files: which waivers count now, and which templates are past their sunset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeInputs {
    waivers: Arc<BTreeSet<Digest>>,
    ended: BTreeSet<TemplateRef>,
}

impl TimeInputs {
    /// Those of a platform at a moment.
    pub fn of(platform: &Platform, now: Timestamp) -> Self {
        let ended = platform.templates.values().filter_map(Item::get).filter(|it| it.status.ended(now).is_some());
        Self {
            waivers: Arc::new(active_waivers(platform, now)),
            ended: ended.map(|template| template.reference.clone()).collect(),
        }
    }
}

impl VerdictInputs {
    pub fn of(desired: &Desired<'_>, name: &AppName, time: &TimeInputs) -> Self {
        let app = desired.tip.apps.get(name).and_then(|item| item.get());
        let tier = app.map(|app| app.tier.clone());
        let ended = app.is_some_and(|app| time.ended.contains(&app.template));
        let environment = tier.as_ref().and_then(|tier| desired.tip.environments.get(tier)).map(|item| item.folder);
        let approved = tier.zip(desired.approved).map(|(tier, approved)| {
            let platform = approved.of(&InstanceKey { app: name.clone(), tier })?;
            Some(CommitInputs::of(platform, name))
        });
        let policies = desired.tip.policies.folder;
        Self {
            tip: CommitInputs::of(desired.tip, name),
            environment,
            approved,
            policies,
            waivers: time.waivers.clone(),
            ended,
        }
    }
}

impl CommitInputs {
    fn of(platform: &Platform, name: &AppName) -> Self {
        let item = platform.apps.get(name);
        let template = item.and_then(|item| platform.templates.get(&item.get()?.template));
        Self {
            app: item.map(|item| item.folder),
            template: template.map(|item| item.folder),
            conflict: platform.conflict(name).cloned(),
        }
    }
}

/// The waivers that count now, each by its folder's digest.
fn active_waivers(platform: &Platform, now: Timestamp) -> BTreeSet<Digest> {
    let active = platform.waivers.values().filter(|item| item.get().is_some_and(|waiver| now < waiver.expires));
    active.map(|item| item.folder).collect()
}

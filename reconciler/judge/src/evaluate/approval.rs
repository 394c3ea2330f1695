//! Which of two renderings runs where a change needs approval: the tip's, or the approved one.

use std::sync::Arc;

use dayfly_model::diagnostic::Diagnostics;
use dayfly_model::digest::Digest;
use dayfly_model::platform::{App, Instance, Platform};

use super::HeldReason;
use crate::render::{self, Manifests};

/// An instance and what it renders to.
pub(super) type Rendered = (Manifests, Instance);

/// What of an app is to run: none where nothing is approved; and why it is not the tip, where that is so.
pub(super) type ToRun = (Option<Rendered>, Option<HeldReason>);

/// The tip, where it renders as the approved commit does; else the approved commit, with what follows the tip: owner,
/// lifetime, suspension.
pub(super) fn approved_or_held(
    approved: Option<&Platform>,
    tip: &Platform,
    (manifests, instance): Rendered,
) -> Result<ToRun, Diagnostics> {
    let was_in_tier = |approved: &&Platform| {
        let item = approved.apps.get(&instance.key.app).and_then(|item| item.get());
        item.is_some_and(|app| app.tier == instance.key.tier)
    };
    let Some(approved) = approved.filter(was_in_tier) else { return Ok((None, Some(HeldReason::New))) };
    let same_folder = |(a, b): (Option<Digest>, Option<Digest>)| a.is_some() && a == b;
    let folder = |platform: &Platform| platform.apps.get(&instance.key.app).map(|item| item.folder);
    let template = |platform: &Platform| platform.templates.get(&instance.app.template).map(|item| item.folder);
    if same_folder((folder(approved), folder(tip))) && same_folder((template(approved), template(tip))) {
        return Ok((Some((manifests, instance)), None));
    }
    let before = approved.instance(&instance.key.app)?;
    let app = Arc::new(with_facts_of(&before.app, &instance.app));
    let before = Instance { app, environment: instance.environment.clone(), ..before };
    let rendered = render::render(&before)?;
    if rendered.digest == manifests.digest {
        return Ok((Some((manifests, instance)), None));
    }
    Ok((Some((rendered, before)), Some(HeldReason::Changed)))
}

/// The approved app with the facts that follow the tip without approval.
fn with_facts_of(approved: &App, tip: &App) -> App {
    App {
        lifetime: tip.lifetime,
        owner: tip.owner.clone(),
        owner_login: tip.owner_login.clone(),
        renewed: tip.renewed,
        suspend: tip.suspend,
        ..approved.clone()
    }
}

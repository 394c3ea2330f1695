//! What the lifecycle's questions depend on besides the platform, and the apps that they are about.

use std::sync::Arc;

use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::names::AppName;
use dayfly_model::platform::{App, Environment, Platform};
use dayfly_model::rule::Rule;
use jiff::Timestamp;

use crate::expiry::{Expiry, expiry};
use crate::history::{History, Life};

/// An app whose end is known.
pub struct ExpiringApp<'p> {
    /// Its name.
    pub name: &'p AppName,
    /// Its manifest, where that can be read.
    pub app: Option<&'p App>,
    /// The environment of its tier.
    pub environment: &'p Environment,
    /// Whose it is, in words where nobody knows.
    pub owner: String,
    /// When its time is up.
    pub expiry: Expiry,
}

/// What the lifecycle's questions depend on besides the platform.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The history of the default branch, up to the platform's commit.
    pub history: &'a History,
    /// What time it is.
    pub now: Timestamp,
    /// When Dayfly adopted the platform; apps that are older count as born then. None where it has not yet.
    pub baseline: Option<Timestamp>,
}

impl Situation<'_> {
    /// An app's life; one that begins now if it is not committed yet.
    pub fn life(&self, app: &AppName) -> Life {
        self.history.life(app, self.now).unwrap_or_else(|| Life::beginning(self.now))
    }

    /// When an app ends: as its manifest says, or where that cannot be read, as the last one said that could. None where no
    /// manifest of it could ever be read, or where its tier cannot.
    pub fn expiring_app<'p>(&self, platform: &'p Platform, name: &AppName) -> Option<ExpiringApp<'p>> {
        let (name, item) = platform.apps.get_key_value(name)?;
        let app = item.get().map(|app| &**app);
        let life = self.life(name);
        let lifetime = app.map_or_else(|| life.facts.lifetime(), |app| Some(app.lifetime))?;
        let tier = app.map(|app| app.tier.as_str()).or(life.facts.tier.as_deref());
        // Where its manifest names a tier that there is not, it goes on running in the tier before.
        let environment = |tier: &str| platform.environments.get(&tier.parse().ok()?)?.get();
        let environment = tier.into_iter().chain(life.tier_before.as_deref()).find_map(environment)?;
        let expiry = expiry(lifetime, environment, &life, self.baseline, self.now);
        let owner = app
            .map(|app| app.owner.clone())
            .or_else(|| life.facts.owner.clone())
            .unwrap_or_else(|| "an unknown owner".into());
        Some(ExpiringApp { name, app, environment, owner, expiry })
    }

    /// When an app's time is up.
    pub fn expiry(&self, app: &App, environment: &Environment) -> Expiry {
        expiry(app.lifetime, environment, &self.life(&app.name), self.baseline, self.now)
    }
}

/// An app that can be read, with its tier's environment; or why it cannot be changed.
pub(crate) fn subject<'p>(
    platform: &'p Platform,
    name: &AppName,
) -> Result<(&'p Arc<App>, &'p Arc<Environment>), Diagnostic> {
    let path = format!("apps/{name}");
    let unreadable = |path: &str, what: &str| {
        let diagnostic = Diagnostic::new(Rule::APP_UNREADABLE, path, format!("{what} cannot be read")).about(name);
        diagnostic.help("`dayfly check` says why.")
    };
    let item = platform.apps.get(name);
    let item = item.ok_or_else(|| Diagnostic::new(Rule::APP_UNKNOWN, &path, "is absent").about(name))?;
    let app = item.get().ok_or_else(|| unreadable(&path, "the app"))?;
    let environment = platform.environments.get(&app.tier).and_then(|item| item.get());
    let folder = format!("environments/{}", app.tier);
    Ok((app, environment.ok_or_else(|| unreadable(&folder, "the tier"))?))
}

//! The lifecycle: from platform, history and now to proposals, each a change of the repository that git or the forge
//! carries out. Nothing here acts.

pub mod clock;
pub mod expiry;
pub mod promote;
pub mod renew;
pub mod retire;
pub mod suspend;

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::diagnostic::Diagnostic;
use crate::history::{History, Life};
use crate::names::{AppName, TierName};
use crate::platform::environment::Changes;
use crate::platform::{App, Environment, Platform};
use crate::snapshot::Snapshot;

pub use clock::Clock;
pub use expiry::{Expiry, expiry};

/// What a proposal does; the value of the trailer `Dayfly-Action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A new app.
    Create,
    /// An app moves one tier up.
    Promote,
    /// An app's time counts anew.
    Renew,
    /// An app's folder goes.
    Retire,
    /// A retired app comes back.
    Restore,
    /// An app goes back to an earlier commit's state.
    Rollback,
    /// An app is scaled to zero, or back.
    Suspend,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Create => "create",
            Self::Promote => "promote",
            Self::Renew => "renew",
            Self::Retire => "retire",
            Self::Restore => "restore",
            Self::Rollback => "rollback",
            Self::Suspend => "suspend",
        })
    }
}

/// A file's new content, or none to remove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEdit {
    /// The file, from the repository's root.
    pub path: String,
    /// What it shall hold.
    pub content: Option<Arc<[u8]>>,
}

/// A change of the repository, ready to be committed or opened as a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// What it does.
    pub action: Action,
    /// The apps that it is about.
    pub apps: Vec<AppName>,
    /// Their tier; of a promotion, the one it leads to.
    pub tier: TierName,
    /// How the tier wants it carried out.
    pub by: Changes,
    /// The branch of a pull request: the same for the same proposal, so that a retry finds its own.
    pub branch: String,
    /// What changes.
    pub edits: Vec<FileEdit>,
    /// The commit's and the pull request's title.
    pub title: String,
    /// What follows the title, in Markdown.
    pub body: String,
    /// The pull request's labels.
    pub labels: Vec<String>,
    /// Why, in one line, for the trailer `Dayfly-Reason`.
    pub reason: String,
}

impl Proposal {
    /// The trailers, one line each; no value holds a newline.
    pub fn trailers(&self) -> Vec<(&'static str, String)> {
        let mut trailers = vec![("Dayfly-Action", self.action.to_string())];
        trailers.extend(self.apps.iter().map(|app| ("Dayfly-App", app.to_string())));
        trailers.push(("Dayfly-Tier", self.tier.to_string()));
        trailers.push(("Dayfly-Reason", one_line(&self.reason)));
        trailers
    }

    /// The whole commit message: title, body, trailers.
    pub fn message(&self) -> String {
        let trailers: Vec<_> = self.trailers().into_iter().map(|(key, value)| format!("{key}: {value}")).collect();
        format!("{}\n\n{}\n\n{}\n", one_line(&self.title), self.body.trim(), trailers.join("\n"))
    }
}

/// The values of a trailer in a commit's message, which anyone may have written.
pub fn trailers<'a>(message: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    let last = message.trim_end().rsplit("\n\n").next().unwrap_or_default();
    last.lines().filter_map(move |line| line.strip_prefix(key)?.strip_prefix(": "))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An app whose time runs.
pub struct Candidate<'p> {
    /// Its name.
    pub name: &'p AppName,
    /// Its manifest, where that can be read.
    pub app: Option<&'p App>,
    /// Its tier.
    pub environment: &'p Environment,
    /// Whose it is.
    pub owner: String,
    /// When its time is up.
    pub expiry: Expiry,
}

/// What the lifecycle's questions depend on besides the platform.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// The history up to the platform's commit.
    pub history: &'a History,
    /// The time.
    pub now: Timestamp,
    /// When Dayfly arrived; apps that are older count as born then.
    pub baseline: Option<Timestamp>,
}

impl Situation<'_> {
    /// An app's life; one that begins now if it is not committed yet.
    pub fn life(&self, app: &AppName) -> Life {
        self.history.life(app, self.now).unwrap_or_else(|| Life::beginning(self.now))
    }

    /// An app whose time runs: as its manifest says, or where that cannot be read, as the last one did that could. None
    /// where nobody knows, or where its tier cannot be read.
    pub fn candidate<'p>(&self, platform: &'p Platform, name: &AppName) -> Option<Candidate<'p>> {
        let (name, item) = platform.apps.get_key_value(name)?;
        let app = item.get().map(|app| &**app);
        let life = self.life(name);
        let lifetime = app.map_or_else(|| life.facts.lifetime(), |app| Some(app.lifetime))?;
        let tier = app.map(|app| app.tier.as_str()).or(life.facts.tier.as_deref());
        // In a tier that is none it goes on running where it was before.
        let environment = |tier: &str| platform.environments.get(&tier.parse().ok()?)?.get();
        let environment = tier.into_iter().chain(life.tier_before.as_deref()).find_map(environment)?;
        let expiry = expiry(lifetime, environment, &life, self.baseline, self.now);
        let owner = app
            .map(|app| app.owner.clone())
            .or_else(|| life.facts.owner.clone())
            .unwrap_or_else(|| "an unknown owner".into());
        Some(Candidate { name, app, environment, owner, expiry })
    }

    /// When an app's time is up.
    pub fn expiry(&self, app: &App, environment: &Environment) -> Expiry {
        expiry(app.lifetime, environment, &self.life(&app.name), self.baseline, self.now)
    }
}

/// An app that can be read, with its tier's environment; or why it cannot be changed.
fn subject<'p>(platform: &'p Platform, name: &AppName) -> Result<(&'p Arc<App>, &'p Arc<Environment>), Diagnostic> {
    let path = format!("apps/{name}");
    let unreadable = |path: &str, what: &str| {
        let diagnostic = Diagnostic::error("app/unreadable", path, format!("{what} cannot be read")).about(name);
        diagnostic.help("`dayfly check` says why.")
    };
    let item = platform.apps.get(name);
    let item = item.ok_or_else(|| Diagnostic::error("app/unknown", &path, "is absent").about(name))?;
    let app = item.get().ok_or_else(|| unreadable(&path, "the app"))?;
    let environment = platform.environments.get(&app.tier).and_then(|item| item.get());
    let folder = format!("environments/{}", app.tier);
    Ok((app, environment.ok_or_else(|| unreadable(&folder, "the tier"))?))
}

/// The edit that sets fields of an app's manifest; new ones stand `beside` others.
fn set_fields(
    snapshot: &Snapshot,
    app: &AppName,
    fields: &[(&str, serde_json::Value)],
    beside: &[&str],
) -> Result<FileEdit, Diagnostic> {
    let path = format!("apps/{app}/app.yaml");
    let mut bytes = snapshot.get(&path).and_then(|entry| entry.bytes()).unwrap_or_default().to_vec();
    for (field, value) in fields {
        bytes = crate::edit::set(&bytes, field, value, beside).map_err(|error| {
            let by_hand =
                format!("Write `{}: {}` by hand.", field.trim_start_matches("spec."), crate::edit::scalar(value));
            Diagnostic::error("edit/place", &path, error.to_string()).about(app).help(by_hand)
        })?;
    }
    Ok(FileEdit { path, content: Some(bytes.into()) })
}

/// The branch of a proposal about one app.
fn branch(action: Action, app: &AppName, tier: &TierName) -> String {
    format!("dayfly/{action}/{app}/{tier}")
}

#[cfg(test)]
mod tests;

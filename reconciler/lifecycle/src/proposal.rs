//! A change of the repository, as it is proposed: what it edits, and the words that explain it.

use std::fmt;
use std::sync::Arc;

use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::names::{AppName, TierName};
use dayfly_model::platform::environment::Changes;
use dayfly_model::rule::Rule;
use dayfly_model::snapshot::Snapshot;

/// What a proposal does; the value of the trailer `Dayfly-Action`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProposalAction {
    /// A new app.
    Create,
    /// An app moves one tier up.
    Promote,
    /// An app's time is counted anew.
    Renew,
    /// An app's folder is deleted.
    Retire,
    /// An app is scaled to zero, or back.
    Suspend,
}

impl fmt::Display for ProposalAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Create => "create",
            Self::Promote => "promote",
            Self::Renew => "renew",
            Self::Retire => "retire",
            Self::Suspend => "suspend",
        })
    }
}

/// A file's new content, or none to remove it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEdit {
    /// The file, from the repository's root.
    pub path: String,
    /// Its new bytes.
    pub content: Option<Arc<[u8]>>,
}

/// A change of the repository, ready to be committed or opened as a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// What it does.
    pub action: ProposalAction,
    /// The apps that it is about.
    pub apps: Vec<AppName>,
    /// Their tier; for a promotion, the one that it leads to.
    pub tier: TierName,
    /// How its tier wants it to reach the default branch.
    pub by: Changes,
    /// The branch of a pull request, without `refs/heads/`. The same proposal has the same one, so that a retry finds what
    /// stands.
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

pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The edit that sets fields of an app's manifest. A field that is new there is put next to the first of `beside` that is
/// there.
pub(crate) fn set_fields(
    snapshot: &Snapshot,
    app: &AppName,
    fields: &[(&str, serde_json::Value)],
    beside: &[&str],
) -> Result<FileEdit, Diagnostic> {
    let path = format!("apps/{app}/app.yaml");
    let mut bytes = snapshot.get(&path).and_then(|entry| entry.bytes()).unwrap_or_default().to_vec();
    for (field, value) in fields {
        bytes = dayfly_model::edit::set(&bytes, field, value, beside).map_err(|error| {
            let by_hand = format!(
                "Write `{}: {}` by hand.",
                field.trim_start_matches("spec."),
                dayfly_model::edit::scalar(value)
            );
            Diagnostic::new(Rule::EDIT_PLACE, &path, error.to_string()).about(app).help(by_hand)
        })?;
    }
    Ok(FileEdit { path, content: Some(bytes.into()) })
}

/// The branch of a proposal about one app.
pub(crate) fn branch(action: ProposalAction, app: &AppName, tier: &TierName) -> String {
    format!("dayfly/{action}/{app}/{tier}")
}

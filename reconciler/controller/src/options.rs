//! What a person asked a reconciler for.

use std::collections::BTreeSet;

use dayfly_model::names::AppName;
use dayfly_model::scope::Scope;

/// What a person asked for on the command line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    /// The apps that passes are about; all where none is named.
    pub apps: BTreeSet<AppName>,
    /// Whether a person states the time, so that nobody doubts it and nothing of it is remembered.
    pub is_time_stated: bool,
}

impl Options {
    /// Whether passes are about everything.
    pub fn includes_all(&self) -> bool {
        self.apps.is_empty()
    }

    pub fn includes(&self, app: &AppName) -> bool {
        self.includes_all() || self.apps.contains(app)
    }

    /// The same of a scope; a tier's shared objects are no app's, so that naming apps leaves them out.
    pub fn includes_scope(&self, scope: &Scope) -> bool {
        self.includes_all() || scope.app().is_some_and(|app| self.apps.contains(app))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn naming_apps_leaves_out_the_others_and_what_tiers_share() {
        let options = Options { apps: ["poll".parse().unwrap()].into(), is_time_stated: false };
        assert!(options.includes(&"poll".parse().unwrap()) && !options.includes(&"survey".parse().unwrap()));
        let included =
            ["poll.sandbox", "survey.sandbox", "sandbox"].map(|it| options.includes_scope(&it.parse().unwrap()));
        assert_eq!(included, [true, false, false]);
        assert!(Options::default().includes_scope(&"sandbox".parse().unwrap()));
    }
}

//! How an app is, in one line: what `status`, the pass's report and the portal show.

use dayfly_judge::cost::MonthlyCost;
use dayfly_model::digest::Revision;
use dayfly_model::names::{AppName, TemplateRef, TierName};
use jiff::Timestamp;
use serde::Serialize;

/// Where an app stands on its way to what git says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Phase {
    /// It is as git says, and healthy.
    Ready,
    /// It is on its way.
    Reconciling,
    /// It is not on its way: something has to be done first.
    Stalled,
    /// What was approved runs; the tip waits for approval.
    Held,
}

impl Phase {
    /// The phase in a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Held => "Held",
        }
    }
}

/// What an app's objects say together. Serialized and shown, it is one of these words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "&'static str")]
pub enum AppHealth {
    /// All of them do what they were asked to.
    Healthy,
    /// The same, in a cluster that runs no containers.
    HealthySimulated,
    /// One is on its way, or on its way out.
    Progressing,
    /// One says itself that it will not get there.
    Degraded,
    /// All of them do what they were asked to, which is not to run.
    Suspended,
    /// There is none.
    Missing,
}

impl AppHealth {
    /// The health in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::HealthySimulated => "Healthy (simulated)",
            Self::Progressing => "Progressing",
            Self::Degraded => "Degraded",
            Self::Suspended => "Suspended",
            Self::Missing => "Missing",
        }
    }
}

impl From<AppHealth> for &'static str {
    fn from(health: AppHealth) -> Self {
        health.as_str()
    }
}

/// One app's line. Serialized, it is the item of `StatusList` and of `Pass`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// The app.
    pub app: AppName,
    /// Its tier; none where the manifest cannot be read.
    pub tier: Option<TierName>,
    /// Its template; likewise.
    pub template: Option<TemplateRef>,
    /// Where it stands.
    pub phase: Phase,
    /// What its objects say.
    pub health: AppHealth,
    /// When its time is up.
    pub expires: Option<Timestamp>,
    /// Where people find it.
    pub url: Option<String>,
    /// What it costs a month.
    pub monthly_cost: Option<MonthlyCost>,
    /// How many objects it has in the cluster.
    pub objects: usize,
    /// The commit that it runs.
    pub revision: Option<Revision>,
    /// What a person should know, in a sentence; empty where all is well.
    pub message: String,
}

impl Status {
    /// Whether somebody should look.
    pub fn is_unhealthy(&self) -> bool {
        self.phase == Phase::Stalled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_serialized_as_the_words_that_people_read() {
        for (health, words) in [
            (AppHealth::Healthy, "Healthy"),
            (AppHealth::HealthySimulated, "Healthy (simulated)"),
            (AppHealth::Progressing, "Progressing"),
            (AppHealth::Degraded, "Degraded"),
            (AppHealth::Suspended, "Suspended"),
            (AppHealth::Missing, "Missing"),
        ] {
            assert_eq!((health.as_str(), serde_json::to_value(health).unwrap()), (words, words.into()));
        }
    }
}

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
    /// What its objects say: `Healthy`, `Progressing`, `Degraded`, `Suspended` or `Missing`, with a note such as
    /// `Healthy (simulated)` where nothing runs containers.
    pub health: String,
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

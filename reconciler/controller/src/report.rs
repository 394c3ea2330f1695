//! What the last pass left, for whoever asks meanwhile: it is read at once, whatever the pass that runs is waiting for.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::error::Error;
use crate::pass::Pass;

/// The last complete pass, and whether one failed since.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The last pass that came to its end; none before the first.
    pub pass: Option<Arc<Pass>>,
    /// Why the last pass ended early; none where it did not.
    pub failure: Option<PassFailure>,
}

/// A pass that ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassFailure {
    /// When it began.
    pub time: Timestamp,
    /// The fact.
    pub message: String,
    /// The next step.
    pub help: Option<String>,
}

/// Where reports are read: the newest one at any time, or the next one when it comes.
pub type Reports = watch::Receiver<Arc<Report>>;

/// Publishes reports. Nobody has to read them.
pub(crate) struct Publisher(watch::Sender<Arc<Report>>);

impl Publisher {
    pub fn new() -> Self {
        Self(watch::Sender::new(Arc::default()))
    }

    pub fn subscribe(&self) -> Reports {
        self.0.subscribe()
    }

    /// Publishes how a pass that began at `time` ended.
    pub fn publish(&self, outcome: &Result<Arc<Pass>, Error>, time: Timestamp) {
        self.0.send_modify(|report| {
            *report = Arc::new(match outcome {
                Ok(pass) => Report { pass: Some(pass.clone()), failure: None },
                Err(error) => Report {
                    pass: report.pass.clone(),
                    failure: Some(PassFailure { time, message: error.to_string(), help: error.help() }),
                },
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_that_fails_leaves_the_last_report_and_says_why_no_newer_one_is_there() {
        let (publisher, time) = (Publisher::new(), "2026-03-01T00:00:00Z".parse().unwrap());
        let reports = publisher.subscribe();
        assert!(reports.borrow().pass.is_none());
        let pass = Arc::new(Pass::nothing("0".repeat(40).parse().unwrap(), time));
        publisher.publish(&Ok(pass.clone()), time);
        publisher.publish(&Err(Error::refused("the history was rewritten", "push it back")), time);
        let report = reports.borrow().clone();
        assert!(report.pass.as_ref().is_some_and(|last| Arc::ptr_eq(last, &pass)));
        let failure = report.failure.clone().unwrap();
        assert_eq!(
            (failure.message.as_str(), failure.help.as_deref()),
            ("the history was rewritten", Some("push it back"))
        );
        publisher.publish(&Ok(pass), time);
        assert_eq!(reports.borrow().failure, None);
    }
}

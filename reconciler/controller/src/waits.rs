//! How long a pass waits for clusters.

use std::time::Duration;

use dayfly_cluster::WaitLimits;

/// How long a pass waits.
#[derive(Clone, Copy)]
pub(crate) struct Waits {
    /// For what it changed to become healthy, or gone.
    pub limits: WaitLimits,
    /// For the first answer of a cluster.
    pub first_probe: Duration,
    /// For the answer to a probe that an earlier pass began.
    pub later_probe: Duration,
}

/// A pass that a person waits for.
pub(crate) const PATIENT: Waits = Waits {
    limits: WaitLimits { health: Duration::from_secs(120), deletion: Duration::from_secs(60) },
    first_probe: Duration::from_secs(60),
    later_probe: Duration::from_secs(60),
};

/// A controller's pass: the watches tell it when to go on, and one slow app or cluster slows nobody.
pub(crate) const IMPATIENT: Waits = Waits {
    limits: WaitLimits { health: Duration::from_secs(2), deletion: Duration::from_secs(2) },
    first_probe: Duration::from_secs(10),
    later_probe: Duration::ZERO,
};

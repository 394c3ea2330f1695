//! How many deletions one pass may bring before a person is asked.

use crate::platform::environment::Retire;

/// A limit to surprises: how many instances of a tier may go in one pass without having been announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeletionBudget {
    max_instances: u32,
    max_percent: u32,
}

/// More would be deleted than the tier allows in one pass. Nothing was deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{removals} of {total} apps would be deleted in one pass, more than the {allowed} that this tier allows")]
pub struct OverBudget {
    /// How many instances would go.
    pub removals: usize,
    /// How many instances the tier has.
    pub total: usize,
    /// How many may go.
    pub allowed: usize,
}

impl OverBudget {
    /// The next step.
    pub fn help(&self) -> &'static str {
        "check that the commit deletes what it should; then confirm with `dayfly retire --confirm`"
    }
}

/// From how many instances on the share counts: of a few, one is a large share.
const SHARE_FROM: usize = 10;

impl DeletionBudget {
    /// The budget of an environment.
    pub fn of(retire: &Retire) -> Self {
        Self { max_instances: retire.max_apps, max_percent: retire.max_percent }
    }

    /// How many of `total` instances may go.
    pub fn allowed(&self, total: usize) -> usize {
        let count = self.max_instances as usize;
        if total < SHARE_FROM { count } else { count.min(total * self.max_percent as usize / 100) }
    }

    /// Checks the unannounced removals of a pass.
    pub fn check(&self, removals: usize, total: usize) -> Result<(), OverBudget> {
        let allowed = self.allowed(total);
        if removals <= allowed { Ok(()) } else { Err(OverBudget { removals, total, allowed }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_counts_from_ten_instances_on() {
        let budget = DeletionBudget { max_instances: 25, max_percent: 20 };
        assert!(budget.check(9, 9).is_ok());
        assert!(budget.check(2, 10).is_ok());
        assert_eq!(budget.check(3, 10), Err(OverBudget { removals: 3, total: 10, allowed: 2 }));
        assert!(budget.check(26, 1000).is_err());
    }
}

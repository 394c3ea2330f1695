//! How many deletions one pass may bring before a person is asked.

use dayfly_model::platform::environment::RetirePolicy;

/// The share of a tier counts only where the tier has this many apps: of a few, one is a large share already.
const SHARE_FROM: usize = 10;

/// More apps would be deleted in one pass than their tier allows. Its text is the end of a sentence: `at most 3 may go at
/// once (retire.maxApps)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OverBudget {
    /// More than this many.
    #[error("at most {0} may go at once (retire.maxApps)")]
    Number(u32),
    /// More than a share of the tier.
    #[error("at most {percent}% of {total} may go at once (retire.maxPercent)")]
    Share {
        /// The share, in percent.
        percent: u32,
        /// How many apps the tier has.
        total: usize,
    },
}

/// Checks that this many unannounced removals, of the `total` apps of a tier, are within its budget.
///
/// # Errors
/// The limit that they exceed.
pub fn check(retire: &RetirePolicy, removals: usize, total: usize) -> Result<(), OverBudget> {
    if removals > retire.max_apps as usize {
        return Err(OverBudget::Number(retire.max_apps));
    }
    if total >= SHARE_FROM && removals * 100 > retire.max_percent as usize * total {
        return Err(OverBudget::Share { percent: retire.max_percent, total });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use dayfly_model::platform::environment::Changes;
    use jiff::SignedDuration;

    #[test]
    fn the_share_counts_from_ten_apps_on() {
        let retire = RetirePolicy { by: Changes::Commit, max_apps: 25, max_percent: 20, grace: SignedDuration::ZERO };
        assert_eq!(check(&retire, 9, 9), Ok(()));
        assert_eq!(check(&retire, 2, 10), Ok(()));
        assert_eq!(check(&retire, 3, 10), Err(OverBudget::Share { percent: 20, total: 10 }));
        assert_eq!(check(&retire, 26, 1000), Err(OverBudget::Number(25)));
    }
}

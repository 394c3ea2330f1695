//! When an app's time is up.

use std::fmt;

use dayfly_model::platform::app::Lifetime;
use dayfly_model::platform::{Environment, duration_text};
use jiff::{SignedDuration, Timestamp};

use crate::history::Life;

/// The end of an app's time, and what set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// The first moment at which its time is up.
    pub at: Timestamp,
    /// What set it.
    pub reason: ExpiryReason,
}

/// What ends an app's time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpiryReason {
    /// Its `ttl`, from its start.
    Ttl {
        /// How long.
        ttl: SignedDuration,
        /// From when.
        start: Timestamp,
    },
    /// The date in its `expires`.
    Date,
    /// The longest `ttl` of its tier, from its start: the app asks for more.
    LongestTtl {
        /// How long.
        max: SignedDuration,
        /// From when.
        start: Timestamp,
    },
    /// The longest life that its tier allows, from its birth: no renewal helps.
    MaxLifetime {
        /// How long.
        max: SignedDuration,
        /// From when.
        born: Timestamp,
    },
}

impl fmt::Display for ExpiryReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ttl { ttl, start } => write!(f, "its ttl of {} from {}", duration_text(*ttl), day(*start)),
            Self::Date => f.write_str("its expires date"),
            Self::LongestTtl { max, start } => {
                write!(f, "the tier's longest ttl of {} from {}", duration_text(*max), day(*start))
            }
            Self::MaxLifetime { max, born } => {
                write!(f, "the tier's longest life of {} from its birth on {}", duration_text(*max), day(*born))
            }
        }
    }
}

/// The UTC day of a moment.
pub(super) fn day(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}

/// The end of an app's time: the earliest of what it asks for, the tier's longest `ttl` from its start, and the tier's
/// longest life from its birth. `baseline` is when Dayfly adopted the platform: what is older counts as of then, unless that lies
/// ahead, and what is later than `now` counts as of now. An app that asks for more than its tier allows gains nothing here; elsewhere that is an error.
pub fn expiry(
    lifetime: Lifetime,
    environment: &Environment,
    life: &Life,
    baseline: Option<Timestamp>,
    now: Timestamp,
) -> Expiry {
    let adopted = baseline.filter(|baseline| *baseline <= now);
    let counted = |time: Timestamp| time.max(adopted.unwrap_or(time)).min(now);
    let [born, start] = [life.born, life.start].map(counted);
    let after = |from: Timestamp, long: SignedDuration| from.checked_add(long).unwrap_or(Timestamp::MAX);
    let asked = match lifetime {
        Lifetime::Ttl(ttl) => Expiry { at: after(start, ttl), reason: ExpiryReason::Ttl { ttl, start } },
        Lifetime::Until(at) => Expiry { at, reason: ExpiryReason::Date },
    };
    let max = environment.ttl.max;
    let longest = Expiry { at: after(start, max), reason: ExpiryReason::LongestTtl { max, start } };
    let end = environment
        .ttl
        .max_lifetime
        .map(|max| Expiry { at: after(born, max), reason: ExpiryReason::MaxLifetime { max, born } });
    [Some(asked), Some(longest.clone()), end].into_iter().flatten().min_by_key(|end| end.at).unwrap_or(longest)
}

impl Expiry {
    /// Whether the time is up.
    pub fn is_due(&self, now: Timestamp) -> bool {
        now >= self.at
    }

    /// The reminder that is due, of those that a tier asks for before an end: the shortest that has come; none after the end.
    pub fn reminder(&self, remind: &[SignedDuration], now: Timestamp) -> Option<SignedDuration> {
        let left = self.at.duration_since(now);
        remind.iter().copied().filter(|before| left > SignedDuration::ZERO && left <= *before).min()
    }
}

//! Doubt about the clock: after a jump nothing is retired until the clock has run steadily for a while.
//!
//! Whoever runs passes calls [`Clock::tick`] at each of them and keeps the result, over restarts too. The clock has jumped if
//! it went back by more than five minutes, or ahead by an hour more than really passed, as measured by a clock that never
//! jumps. Over a restart nobody knows how long the program was off, so no step ahead counts as a jump then. After a jump the
//! clock is in doubt for six hours, which is time enough for a time server, or for a person who reads the message, to put it
//! right. A clock that was always slow only delays. A time that a person states (`--now`) is not doubted: pass no clock.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

const BACKWARD: SignedDuration = SignedDuration::from_mins(5);
const FORWARD: SignedDuration = SignedDuration::from_hours(1);
const STEADY: SignedDuration = SignedDuration::from_hours(6);

/// What is known of the clock since the last pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Clock {
    last: Timestamp,
    /// The last jump: the time that it led to, and by how many seconds, which are negative for a jump back.
    #[serde(skip_serializing_if = "Option::is_none")]
    jump: Option<(Timestamp, i64)>,
}

impl Clock {
    /// The clock as it is at one more pass; the first one knows of no jump. `elapsed` is what really passed since the pass
    /// before; none over a restart.
    pub fn tick(before: Option<Self>, now: Timestamp, elapsed: Option<SignedDuration>) -> Self {
        let Some(before) = before else { return Self { last: now, jump: None } };
        let step = now.duration_since(before.last);
        let steady = before.jump.filter(|(since, _)| now.duration_since(*since) < STEADY);
        let off = elapsed.map_or(step.min(SignedDuration::ZERO), |elapsed| step - elapsed);
        let jump = if off > FORWARD || off < -BACKWARD { Some((now, off.as_secs())) } else { steady };
        Self { last: now, jump }
    }

    /// Why the clock is in doubt, if it is.
    pub fn doubt(&self) -> Option<String> {
        let (since, seconds) = self.jump?;
        let direction = if seconds < 0 { "back" } else { "ahead" };
        let minutes = seconds.abs() / 60;
        let size = if minutes < 120 { format!("{minutes} minutes") } else { format!("{} hours", minutes / 60) };
        let until = since.checked_add(STEADY).unwrap_or(since);
        Some(format!("the clock jumped {size} {direction}, to {since}: nothing is retired before {until}"))
    }
}

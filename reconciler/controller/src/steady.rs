//! A clock that never jumps and goes on while the machine sleeps, for doubt about the one that people set.

use std::fs;
use std::time::Instant;

use jiff::SignedDuration;

/// A moment on that clock.
#[derive(Debug, Clone, Copy)]
pub struct Steady {
    /// Where the system tells it: since it was started, sleep included.
    uptime: Option<SignedDuration>,
    /// Stands still during sleep.
    instant: Instant,
}

impl Steady {
    /// The moment it is.
    pub fn now() -> Self {
        let text = fs::read_to_string("/proc/uptime").ok();
        let seconds = text.and_then(|text| text.split_whitespace().next()?.parse().ok());
        Self {
            uptime: seconds.and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok()),
            instant: Instant::now(),
        }
    }

    /// How long ago it was.
    pub fn elapsed(self) -> SignedDuration {
        match (self.uptime, Self::now().uptime) {
            (Some(then), Some(now)) => now - then,
            _ => SignedDuration::try_from(self.instant.elapsed()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on() {
        let before = Steady::now();
        std::thread::sleep(std::time::Duration::from_millis(50));
        let elapsed = before.elapsed();
        assert!(elapsed > SignedDuration::from_millis(20) && elapsed < SignedDuration::from_secs(60), "{elapsed}");
    }
}

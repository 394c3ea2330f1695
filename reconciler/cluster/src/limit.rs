//! How many calls run at once: few to begin with, fewer when the API server slows down or says so.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

const START: usize = 8;
const MOST: usize = 16;
/// Latencies below this are never taken for overload.
const CALM: f64 = 0.1;
/// How much slower than its best an API server may get before there are fewer calls.
const SLOWDOWN: f64 = 4.0;

/// A limiter of concurrent calls that follows latency.
#[derive(Debug)]
pub(super) struct Limiter {
    permits: Semaphore,
    state: Mutex<LimiterState>,
}

#[derive(Debug)]
struct LimiterState {
    /// The limit to move to; whole permits follow.
    limit: f64,
    granted: usize,
    /// The best latency of late, in seconds; forgets slowly.
    best: f64,
    /// The usual latency of late, in seconds.
    usual: f64,
    /// Calls to let pass before the limit is lowered again.
    rest: usize,
}

/// How a call went, as far as the limiter cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pressure {
    /// It was answered after this time.
    Answered(Duration),
    /// The server asked for less.
    Overload,
    /// Says nothing: a large list, a connection that failed.
    None,
}

impl Limiter {
    pub(super) fn new() -> Self {
        let state = LimiterState { limit: START as f64, granted: START, best: f64::INFINITY, usual: 0.0, rest: START };
        Self { permits: Semaphore::new(START), state: Mutex::new(state) }
    }

    /// Waits for a place. The semaphore is never closed, so there always is one.
    pub(super) async fn enter(&self) -> Option<SemaphorePermit<'_>> {
        self.permits.acquire().await.ok()
    }

    /// Gives the place back and learns from how the call went.
    pub(super) fn leave(&self, permit: Option<SemaphorePermit<'_>>, pressure: Pressure) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.learn(pressure);
        let wanted = state.limit as usize;
        if wanted < state.granted {
            if let Some(permit) = permit {
                permit.forget();
                state.granted -= 1;
            }
        } else if wanted > state.granted {
            self.permits.add_permits(1);
            state.granted += 1;
        }
    }

    /// How many calls may run at once now.
    pub(super) fn limit(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).limit as usize
    }
}

impl LimiterState {
    fn learn(&mut self, pressure: Pressure) {
        self.rest = self.rest.saturating_sub(1);
        match pressure {
            Pressure::None => {}
            Pressure::Overload => self.lower(0.5),
            Pressure::Answered(time) => {
                let time = time.as_secs_f64();
                self.best = (self.best * 1.001).min(time);
                self.usual = if self.usual == 0.0 { time } else { self.usual * 0.9 + time * 0.1 };
                if self.usual > CALM && self.usual > self.best * SLOWDOWN {
                    self.lower(0.8);
                } else {
                    self.limit = (self.limit + 0.2 / self.limit).min(MOST as f64);
                }
            }
        }
    }

    /// Lowers the limit, at most once for each round of calls that were already under way.
    fn lower(&mut self, factor: f64) {
        if self.rest == 0 {
            self.limit = (self.limit * factor).max(1.0);
            self.rest = self.granted;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn calls(limiter: &Limiter, count: usize, pressure: Pressure) {
        for _ in 0..count {
            let permit = limiter.enter().await;
            limiter.leave(permit, pressure);
        }
    }

    #[tokio::test]
    async fn the_limit_falls_on_429_and_recovers_but_never_reaches_zero() {
        let limiter = Limiter::new();
        calls(&limiter, 9, Pressure::Overload).await;
        assert_eq!(limiter.limit(), 4);
        calls(&limiter, 200, Pressure::Overload).await;
        assert_eq!(limiter.limit(), 1);
        assert_eq!(limiter.permits.available_permits(), 1);
        calls(&limiter, 2000, Pressure::Answered(Duration::from_millis(5))).await;
        assert_eq!(limiter.limit(), MOST);
        assert_eq!(limiter.permits.available_permits(), MOST);
    }

    #[tokio::test]
    async fn the_limit_falls_when_answers_get_slow() {
        let limiter = Limiter::new();
        calls(&limiter, 50, Pressure::Answered(Duration::from_millis(20))).await;
        let before = limiter.limit();
        calls(&limiter, 100, Pressure::Answered(Duration::from_millis(900))).await;
        assert!(limiter.limit() < before / 2, "{}", limiter.limit());
    }
}

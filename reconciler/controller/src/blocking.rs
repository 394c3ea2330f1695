//! A value whose work blocks: it is used on threads that may, by one caller after the other, and never on the executor's.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::spawn_blocking;

/// Reading git, rendering and judging take from microseconds to minutes. An executor thread that did them would answer
/// nobody meanwhile.
pub(crate) struct Blocking<T>(Arc<Mutex<T>>);

impl<T: Send + 'static> Blocking<T> {
    pub fn new(value: T) -> Self {
        Self(Arc::new(Mutex::new(value)))
    }

    /// Works on the value on a thread that may block, and waits for it.
    pub async fn with<R: Send + 'static>(&self, work: impl FnOnce(&mut T) -> R + Send + 'static) -> R {
        let value = self.0.clone();
        let locked = move || work(&mut value.lock().unwrap_or_else(PoisonError::into_inner));
        match spawn_blocking(locked).await {
            Ok(done) => done,
            Err(failed) if failed.is_panic() => resume_unwind(failed.into_panic()),
            // Only where the runtime ends, and with it this future.
            Err(_) => std::future::pending().await,
        }
    }

    /// Changes the value while nobody else has it yet.
    pub fn configure(&mut self, change: impl FnOnce(&mut T)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn the_executor_answers_others_while_a_value_is_worked_on() {
        let value = Blocking::new(0);
        let began = Instant::now();
        let slow = value.with(|value| {
            std::thread::sleep(Duration::from_millis(300));
            *value += 1;
            *value
        });
        let other = async {
            tokio::task::yield_now().await;
            began.elapsed()
        };
        let (worked, answered) = tokio::join!(slow, other);
        assert_eq!(worked, 1);
        assert!(answered < Duration::from_millis(200), "{answered:?}");
    }
}

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
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// The work waits for a word from a task of the same executor, which has but one thread.
    #[tokio::test(flavor = "current_thread")]
    async fn the_executor_goes_on_while_a_value_is_worked_on() {
        let (word, words) = mpsc::channel();
        let value = Blocking::new(1);
        let work = value.with(move |value| {
            words.recv_timeout(Duration::from_secs(30)).unwrap();
            *value += 1;
            *value
        });
        let other = async { word.send(()).unwrap() };
        assert_eq!(tokio::join!(work, other).0, 2);
    }

    #[tokio::test]
    #[should_panic = "a defect"]
    async fn a_panic_of_the_work_is_a_panic_of_the_caller() {
        Blocking::new(()).with(|()| panic!("a defect")).await;
    }
}

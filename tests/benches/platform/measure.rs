//! Figures by name, their medians, and what the process takes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use std::{fs, thread};

use serde::{Deserialize, Serialize};

/// Figures by name; times are in milliseconds, memory is in MiB.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Figures(BTreeMap<String, f64>);

impl Figures {
    /// Sets a figure.
    pub fn set(&mut self, name: &str, value: f64) {
        self.0.insert(name.to_owned(), value);
    }

    /// Sets a time.
    pub fn time(&mut self, name: &str, time: Duration) {
        self.set(name, time.as_secs_f64() * 1e3);
    }

    /// A figure; 0 where it was not measured.
    pub fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    /// These and others.
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// The median of each figure.
    pub fn median(runs: impl IntoIterator<Item = Self>) -> Self {
        let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (name, value) in runs.into_iter().flat_map(|run| run.0) {
            values.entry(name).or_default().push(value);
        }
        let middle = |mut values: Vec<f64>| {
            values.sort_unstable_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Self(values.into_iter().map(|(name, values)| (name, middle(values))).collect())
    }
}

/// What it returns, and how long it took. On a single thread of a pool it is the time on the processor, which other
/// processes do not change.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let alone = rayon::current_thread_index().is_some() && rayon::current_num_threads() == 1;
    if let Some(began) = on_processor().filter(|_| alone) {
        let value = work();
        return (value, on_processor().unwrap_or_default() - began);
    }
    let began = Instant::now();
    let value = work();
    (value, began.elapsed())
}

/// How long this thread ran so far; the kernel counts when it yields.
fn on_processor() -> Option<Duration> {
    thread::yield_now();
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// The most memory that this process held so far, in MiB.
pub fn peak_memory() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1024.0
}

//! What the lifecycle remembers between passes, over restarts too. Without it, ends are announced anew: nothing goes sooner.

use std::fs;
use std::path::{Path, PathBuf};

use dayfly_lifecycle::Clock;
use dayfly_lifecycle::retire::Announcements;
use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::rule::Rule;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::basis::Basis;
use crate::steady::Steady;

/// What is remembered, in a file where one is named.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    path: Option<PathBuf>,
    remembered: Remembered,
    /// What the file holds.
    kept: Option<Remembered>,
    /// When the last pass of this process was, on a clock that never jumps.
    ticked: Option<Steady>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Remembered {
    announcements: Announcements,
    clock: Option<Clock>,
    /// What the last pass went by.
    basis: Option<Basis>,
}

impl Memory {
    /// Remembers in a file.
    pub fn at(path: PathBuf) -> Self {
        let kept: Option<Remembered> = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { path: Some(path), remembered: kept.clone().unwrap_or_default(), kept, ticked: None }
    }

    /// What the last pass went by.
    pub fn basis(&self) -> Option<Basis> {
        self.remembered.basis
    }

    /// Records what this pass goes by.
    pub fn went_by(&mut self, basis: Basis) {
        self.remembered.basis = Some(basis);
    }

    pub fn announcements(&self) -> &Announcements {
        &self.remembered.announcements
    }

    pub fn announce(&mut self, announcements: Announcements) {
        self.remembered.announcements = announcements;
    }

    /// Whether the clock was in doubt at the last pass.
    pub fn doubts_clock(&self) -> bool {
        self.remembered.clock.is_some_and(|clock| clock.doubt().is_some())
    }

    /// The clock of this pass, compared with that of the one before.
    pub fn tick(&mut self, now: Timestamp) -> Clock {
        let elapsed = self.ticked.map(|before| before.elapsed());
        let clock = Clock::tick(self.remembered.clock, now, elapsed);
        self.remembered.clock = Some(clock);
        self.ticked = Some(Steady::now());
        clock
    }

    /// Writes what is new. Where it cannot be written, ends are announced anew after a restart: that is reported, and stops
    /// nothing.
    pub fn keep(&mut self) -> Option<Diagnostic> {
        let path = self.path.clone().filter(|_| self.kept.as_ref() != Some(&self.remembered))?;
        let new = path.with_extension("new");
        let bytes = serde_json::to_vec_pretty(&self.remembered).unwrap_or_default();
        let folder = path.parent().unwrap_or(Path::new("."));
        let written =
            fs::create_dir_all(folder).and_then(|()| fs::write(&new, bytes)).and_then(|()| fs::rename(&new, &path));
        match written {
            Ok(()) => {
                self.kept = Some(self.remembered.clone());
                None
            }
            Err(error) => {
                let message = format!("cannot be written: {error}; what was announced is forgotten by a restart");
                let found = Diagnostic::new(Rule::RETIRE_MEMORY, path.display().to_string(), message);
                Some(found.help("make room on the disk, or let Dayfly write there; nothing goes sooner for it"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_announced_is_known_after_a_restart_and_a_folder_that_cannot_be_written_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/lifecycle.json");
        let mut memory = Memory::at(path.clone());
        let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        memory.tick(now);
        assert_eq!(memory.keep(), None);
        assert_eq!(Memory::at(path).remembered, memory.remembered);
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let mut unwritable = Memory::at(file.join("lifecycle.json"));
        unwritable.tick(now);
        assert!(unwritable.keep().is_some_and(|found| found.message.starts_with("cannot be written")));
    }
}

//! Commits to a branch that others write to as well, so that nobody's update is lost.

use dayfly_model::digest::Revision;

use crate::{Base, Commit, Error, Repository, Writer};

/// How often a commit is made before its writer gives up, where somebody else's came first each time.
const TRIES: usize = 3;

/// Commits to a branch on top of whatever it stands at: reads the tip, makes the commit that `make` wants on it, and moves
/// the branch if it still stands there. Where somebody else was first, `make` is asked again, with the new tip; the tip is
/// none where the branch does not exist yet. Returns the branch's new commit.
///
/// # Errors
/// What `make` fails with; [`Error::Moved`] where somebody else was first each time.
pub fn update_branch(
    repository: &Repository,
    branch: &str,
    mut make: impl FnMut(Option<Revision>) -> Result<Commit, Error>,
) -> Result<Revision, Error> {
    let writer = Writer::open(repository.path())?;
    let mut tries = 1;
    loop {
        let tip = repository.branch_tip(branch)?;
        match writer.commit(branch, tip.map_or(Base::Orphan, Base::Tip), &make(tip)?) {
            Err(Error::Moved { .. }) if tries < TRIES => tries += 1,
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use std::path::Path;
    use std::sync::Barrier;

    const BRANCH: &str = "refs/heads/notes";

    fn line(text: &str) -> Commit {
        let (path, bytes) = (format!("{text}.txt"), text.as_bytes().to_vec());
        Commit { edits: vec![(path, Some(bytes))], message: format!("{text}\n"), time: Timestamp::UNIX_EPOCH }
    }

    fn bare() -> (tempfile::TempDir, Repository) {
        let folder = tempfile::tempdir().unwrap();
        git2::Repository::init_bare(folder.path()).unwrap();
        let repository = Repository::open(folder.path()).unwrap();
        (folder, repository)
    }

    /// The files of the branch, and how many commits made them.
    fn written(repository: &Repository) -> (Vec<String>, usize) {
        let tip = repository.branch_tip(BRANCH).unwrap().unwrap();
        let files = repository.root_files(tip).unwrap().into_iter().map(|(path, _)| path).collect();
        (files, repository.first_parents(tip, |_| false).unwrap().len())
    }

    #[test]
    fn an_update_is_made_anew_on_the_commit_of_somebody_who_was_first() {
        let (_folder, repository) = bare();
        let mut seen = Vec::new();
        let update = update_branch(&repository, BRANCH, |tip| {
            seen.push(tip);
            if seen.len() == 1 {
                update_branch(&repository, BRANCH, |_| Ok(line("first")))?;
            }
            Ok(line("second"))
        });
        assert_eq!(repository.branch_tip(BRANCH).unwrap(), Some(update.unwrap()));
        assert_eq!(written(&repository), (vec!["first.txt".into(), "second.txt".into()], 2));
        assert!(matches!(seen[..], [None, Some(_)]), "{seen:?}");
    }

    #[test]
    fn a_writer_who_is_always_too_late_gives_up() {
        let (_folder, repository) = bare();
        let mut tries = 0;
        let update = update_branch(&repository, BRANCH, |_| {
            tries += 1;
            update_branch(&repository, BRANCH, |_| Ok(line(&format!("other-{tries}"))))?;
            Ok(line("late"))
        });
        assert!(matches!(update, Err(Error::Moved { .. })), "{update:?}");
        assert_eq!((tries, written(&repository).1), (TRIES, TRIES));
    }

    /// Appends so many lines to one file, each by an update of its own; one that gave up is begun again.
    fn append(path: &Path, writer: &str, lines: usize) {
        let repository = Repository::open(path).unwrap();
        for number in 0..lines {
            let update = || {
                update_branch(&repository, BRANCH, |tip| {
                    let files = tip.map_or(Ok(Vec::new()), |tip| repository.root_files(tip))?;
                    let mut text = files.into_iter().next().map(|(_, bytes)| bytes).unwrap_or_default();
                    text.extend(format!("{writer} {number}\n").into_bytes());
                    Ok(Commit { edits: vec![("log.txt".into(), Some(text))], ..line("log") })
                })
            };
            while let Err(error) = update() {
                assert!(matches!(error, Error::Moved { .. }), "{error}");
            }
        }
    }

    #[test]
    fn of_two_writers_who_race_neither_loses_an_update() {
        const LINES: usize = 8;
        for _ in 0..3 {
            let (folder, repository) = bare();
            std::thread::scope(|scope| {
                scope.spawn(|| append(folder.path(), "one", LINES));
                scope.spawn(|| append(folder.path(), "other", LINES));
            });
            let tip = repository.branch_tip(BRANCH).unwrap().unwrap();
            let text = String::from_utf8(repository.root_files(tip).unwrap().remove(0).1).unwrap();
            for writer in ["one", "other"] {
                let numbers = text.lines().filter_map(|line| line.strip_prefix(writer)?.trim().parse().ok());
                assert_eq!(numbers.collect::<Vec<usize>>(), (0..LINES).collect::<Vec<_>>(), "{writer} in\n{text}");
            }
            assert_eq!(written(&repository).1, 2 * LINES);
        }
    }

    #[test]
    fn a_branch_whose_name_is_in_the_way_is_named() {
        let (folder, repository) = bare();
        let first = update_branch(&repository, BRANCH, |_| Ok(line("first"))).unwrap();
        let writer = Writer::open(folder.path()).unwrap();
        for branch in ["refs/heads/notes/below", "refs/heads/notes/far/below"] {
            let error = writer.commit(branch, Base::Fork(first), &line("second")).unwrap_err();
            assert!(matches!(error, Error::ForeignBranch(_)), "{branch}: {error}");
        }
        writer.commit("refs/heads/other/below", Base::Fork(first), &line("second")).unwrap();
        let error = writer.commit("refs/heads/other", Base::Fork(first), &line("third")).unwrap_err();
        assert!(matches!(error, Error::ForeignBranch(_)), "{error}");
    }

    #[test]
    fn of_many_writers_who_begin_a_branch_at_once_one_succeeds() {
        for _ in 0..20 {
            let (folder, repository) = bare();
            let all_ready = Barrier::new(4);
            let begin = |number: usize| {
                let writer = Writer::open(folder.path()).unwrap();
                all_ready.wait();
                writer.commit(BRANCH, Base::Orphan, &line(&format!("writer-{number}"))).is_ok()
            };
            let begun = std::thread::scope(|scope| {
                let begin = &begin;
                let threads: Vec<_> = (0..4).map(|number| scope.spawn(move || begin(number))).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).filter(|is_begun| *is_begun).count()
            });
            assert_eq!((begun, written(&repository).1), (1, 1));
        }
    }
}

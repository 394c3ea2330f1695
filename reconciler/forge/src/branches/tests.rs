use std::fs;

use dayfly_git::{Commit, MAIN, update_branch};
use dayfly_lifecycle::{FileEdit, ProposalAction};
use dayfly_model::platform::environment::Changes;
use tempfile::TempDir;

use super::*;
use crate::{Carried, carry};

const BRANCH: &str = "refs/heads/dayfly/retire/survey/pilot";
const SURVEY: &str = "apps/survey/app.yaml";

/// A bare repository with a platform of two apps.
struct TestRepository {
    folder: TempDir,
    repository: Repository,
    calls: Calls,
}

impl TestRepository {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("source");
        for app in ["survey", "signup"] {
            fs::create_dir_all(source.join("apps").join(app)).unwrap();
            fs::write(source.join(format!("apps/{app}/app.yaml")), app).unwrap();
        }
        let bare = folder.path().join("test.git");
        dayfly_git::seed(&source, &bare, Timestamp::UNIX_EPOCH).unwrap();
        let repository = Repository::open(&bare).unwrap();
        Self { folder, repository, calls: Calls::default() }
    }

    fn tip(&self) -> Tip {
        self.repository.tip().unwrap()
    }

    fn forge(&self) -> Branches<'_> {
        Branches::new(&self.repository, &self.calls)
    }

    fn propose(&self, proposal: &Proposal) -> ChangeRequest {
        self.forge().propose(proposal, &self.tip(), Timestamp::UNIX_EPOCH).unwrap()
    }

    fn state(&self, proposal: &Proposal) -> ProposalState {
        self.forge().state(proposal, &self.tip()).unwrap()
    }

    fn head(&self) -> Revision {
        self.repository.branch_tip(BRANCH).unwrap().unwrap()
    }

    /// Writes a file by a commit on the default branch.
    fn change(&self, path: &str, text: &str) {
        let edits = vec![(path.to_owned(), Some(text.as_bytes().to_vec()))];
        let commit = Commit { edits, message: "a change\n".into(), time: Timestamp::UNIX_EPOCH };
        update_branch(&self.repository, MAIN, |_| Ok(commit.clone())).unwrap();
    }

    fn git(&self) -> git2::Repository {
        git2::Repository::open(self.folder.path().join("test.git")).unwrap()
    }
}

/// The proposal to change a file of the survey, or to remove it.
fn proposal(by: Changes, path: &str, content: Option<&str>) -> Proposal {
    Proposal {
        action: ProposalAction::Retire,
        apps: vec!["survey".parse().unwrap()],
        tier: "pilot".parse().unwrap(),
        by,
        branch: BRANCH.trim_start_matches("refs/heads/").into(),
        edits: vec![FileEdit { path: path.into(), content: content.map(|text| text.as_bytes().into()) }],
        title: "survey: retire from pilot".into(),
        body: String::new(),
        labels: vec![],
        reason: "nobody needs it".into(),
    }
}

fn removal() -> Proposal {
    proposal(Changes::PullRequest, SURVEY, None)
}

#[test]
fn a_proposal_is_put_on_its_branch_once_and_found_again() {
    let test = TestRepository::new();
    assert_eq!(test.state(&removal()), ProposalState::Absent);
    let request = test.propose(&removal());
    assert_eq!((request.branch.as_str(), request.is_new), ("dayfly/retire/survey/pilot", true));
    let (head, writes) = (test.head(), test.calls.writes());
    assert_eq!(test.repository.file_id(head, SURVEY).unwrap(), None);

    let standing = ChangeRequest { is_new: false, ..request };
    assert_eq!(test.state(&removal()), ProposalState::Open(standing.clone()));
    assert_eq!(test.propose(&removal()), standing);
    assert_eq!((test.head(), test.calls.writes()), (head, writes), "the second time writes nothing");
}

#[test]
fn a_proposal_stands_while_the_default_branch_changes_other_files() {
    let test = TestRepository::new();
    test.propose(&removal());
    test.change("apps/signup/app.yaml", "another");
    assert!(!test.propose(&removal()).is_new);
}

#[test]
fn a_proposal_whose_file_changed_since_is_made_anew_on_the_tip() {
    let test = TestRepository::new();
    test.propose(&removal());
    test.change(SURVEY, "another");
    assert_eq!(test.state(&removal()), ProposalState::Outdated);
    assert!(test.propose(&removal()).is_new);
    assert_eq!(test.repository.first_parent(test.head()).unwrap(), Some(test.tip().revision));
}

#[test]
fn a_proposal_with_other_edits_replaces_the_one_before() {
    let test = TestRepository::new();
    test.propose(&proposal(Changes::PullRequest, SURVEY, Some("suspended")));
    assert_eq!(test.state(&removal()), ProposalState::Outdated);
    assert!(test.propose(&removal()).is_new);
    assert_eq!(test.repository.file_id(test.head(), SURVEY).unwrap(), None);
}

#[test]
fn the_removal_of_a_folder_stands_like_that_of_its_files() {
    let test = TestRepository::new();
    let folder = proposal(Changes::PullRequest, "apps/survey/", None);
    assert!(test.propose(&folder).is_new);
    assert!(!test.propose(&folder).is_new);
    let other = proposal(Changes::PullRequest, "apps/signup/", None);
    assert_eq!(test.state(&other), ProposalState::Outdated);
}

#[test]
fn a_merged_proposal_is_made_anew_where_it_is_wanted_again() {
    let test = TestRepository::new();
    test.propose(&removal());
    let merged = git2::Oid::from_bytes(test.head().as_bytes()).unwrap();
    test.git().reference(MAIN, merged, true, "merge").unwrap();
    test.change(SURVEY, "back again");
    assert_eq!(test.state(&removal()), ProposalState::Merged);
    assert!(test.propose(&removal()).is_new);
}

#[test]
fn what_a_person_made_of_a_proposal_is_left_as_it_is() {
    let test = TestRepository::new();
    test.propose(&removal());
    let git = test.git();
    let person = git2::Signature::now("Maya", "maya@example.com").unwrap();
    let proposed = git.find_commit(git2::Oid::from_bytes(test.head().as_bytes()).unwrap()).unwrap();
    let tree = proposed.tree().unwrap();
    git.commit(Some(BRANCH), &person, &person, "not yet", &tree, &[&proposed]).unwrap();
    let head = test.head();
    test.change(SURVEY, "another");
    assert!(matches!(test.state(&removal()), ProposalState::Open(_)));
    assert!(!test.propose(&removal()).is_new);
    assert_eq!(test.head(), head);
}

/// A commit on the proposal's branch by somebody who is called so.
fn commit_on_branch(test: &TestRepository, author: &str, message: &str, edit: (&str, Option<&str>)) -> Revision {
    let git = test.git();
    let (name, email) = author.trim_end_matches('>').split_once(" <").unwrap();
    let by = git2::Signature::new(name, email, &git2::Time::new(0, 0)).unwrap();
    let parent = test.repository.branch_tip(BRANCH).unwrap().unwrap_or(test.tip().revision);
    let parent = git.find_commit(git2::Oid::from_bytes(parent.as_bytes()).unwrap()).unwrap();
    let mut update = git2::build::TreeUpdateBuilder::new();
    match edit {
        (path, Some(text)) => drop(update.upsert(path, git.blob(text.as_bytes()).unwrap(), git2::FileMode::Blob)),
        (path, None) => drop(update.remove(path)),
    }
    let tree = update.create_updated(&git, &parent.tree().unwrap()).unwrap();
    git.commit(Some(BRANCH), &by, &by, message, &git.find_tree(tree).unwrap(), &[&parent]).unwrap();
    test.head()
}

const PERSON: &str = "Maya <maya@example.com>";

/// The branch is not shown as the proposal, and stays as it is.
fn is_foreign(test: &TestRepository) {
    let head = test.head();
    assert_eq!(test.state(&removal()), ProposalState::Foreign);
    let error = test.forge().propose(&removal(), &test.tip(), Timestamp::UNIX_EPOCH).unwrap_err();
    assert_eq!(error.to_string(), "dayfly/retire/survey/pilot: the branch is there, and is not what Dayfly proposed");
    assert_eq!((test.head(), test.calls.writes()), (head, 0));
}

#[test]
fn a_branch_that_somebody_made_first_is_never_shown_as_the_proposal() {
    for (author, message, edit) in [
        (PERSON, "survey: retire from pilot", (SURVEY, Some("tier: production"))),
        (PERSON, "survey: retire from pilot", (SURVEY, None)),
        (PERSON, &*removal().message(), ("apps/signup/app.yaml", None)),
    ] {
        let test = TestRepository::new();
        commit_on_branch(&test, author, message, edit);
        is_foreign(&test);
    }
}

#[test]
fn a_branch_that_only_begins_in_the_name_of_dayfly_is_not_shown_as_the_proposal() {
    let test = TestRepository::new();
    commit_on_branch(&test, AUTHOR, &removal().message(), (SURVEY, Some("tier: production")));
    commit_on_branch(&test, PERSON, "as agreed", ("apps/signup/app.yaml", None));
    is_foreign(&test);
}

#[test]
fn a_branch_with_a_proposal_below_other_commits_is_not_shown_as_the_proposal() {
    let test = TestRepository::new();
    commit_on_branch(&test, PERSON, "something else", ("apps/signup/app.yaml", None));
    commit_on_branch(&test, AUTHOR, &removal().message(), (SURVEY, None));
    is_foreign(&test);
}

/// Puts a commit in the place of the branch's, with the same message on the same parents and more beside.
fn amend(test: &TestRepository, path: Option<&str>, more_parents: &[Revision]) {
    let git = test.git();
    let find = |revision: &Revision| git.find_commit(git2::Oid::from_bytes(revision.as_bytes()).unwrap()).unwrap();
    let proposed = find(&test.head());
    let mut update = git2::build::TreeUpdateBuilder::new();
    if let Some(path) = path {
        update.upsert(path, git.blob(b"more").unwrap(), git2::FileMode::Blob);
    }
    let tree = git.find_tree(update.create_updated(&git, &proposed.tree().unwrap()).unwrap()).unwrap();
    let mut parents: Vec<_> = proposed.parents().collect();
    parents.extend(more_parents.iter().map(find));
    let person = git2::Signature::new("Maya", "maya@example.com", &git2::Time::new(0, 0)).unwrap();
    let message = proposed.message().unwrap().to_owned();
    git.find_reference(BRANCH).unwrap().delete().unwrap();
    git.commit(Some(BRANCH), &person, &person, &message, &tree, &parents.iter().collect::<Vec<_>>()).unwrap();
}

#[test]
fn a_branch_that_does_more_than_the_proposal_is_not_shown_as_it() {
    for path in ["Makefile", "apps/survey.txt~", "policies/mine.rego", ".github/workflows/gate.yaml"] {
        let test = TestRepository::new();
        test.forge().propose(&removal(), &test.tip(), Timestamp::UNIX_EPOCH).unwrap();
        amend(&test, Some(path), &[]);
        assert_eq!(test.state(&removal()), ProposalState::Foreign, "{path}");
    }
    let test = TestRepository::new();
    test.forge().propose(&removal(), &test.tip(), Timestamp::UNIX_EPOCH).unwrap();
    amend(&test, None, &[test.tip().revision]);
    assert_eq!(test.state(&removal()), ProposalState::Foreign, "a merge");
}

#[test]
fn a_single_commit_in_the_name_of_dayfly_that_it_would_not_make_gives_way() {
    let test = TestRepository::new();
    let other = commit_on_branch(&test, AUTHOR, &removal().message(), (SURVEY, Some("tier: production")));
    assert!(test.propose(&removal()).is_new);
    assert_ne!(test.head(), other);
    assert_eq!(test.repository.file_id(test.head(), SURVEY).unwrap(), None);
}

#[test]
fn a_branch_that_begins_with_what_dayfly_proposes_is_the_proposal_whoever_made_it() {
    let test = TestRepository::new();
    commit_on_branch(&test, PERSON, &removal().message(), (SURVEY, None));
    assert!(matches!(test.state(&removal()), ProposalState::Open(_)));
}

#[test]
fn a_branch_of_more_commits_than_people_add_to_a_proposal_is_not_shown_as_one() {
    let test = TestRepository::new();
    test.propose(&removal());
    let writes = test.calls.writes();
    for number in 0..MOST_COMMITS {
        commit_on_branch(&test, PERSON, "more", ("more.txt", Some(&number.to_string())));
    }
    assert_eq!(test.state(&removal()), ProposalState::Foreign);
    assert_eq!(test.calls.writes(), writes);
}

#[test]
fn the_tier_says_whether_a_proposal_is_committed_or_waits_on_a_branch() {
    let test = TestRepository::new();
    let carry =
        |tip: &Tip, by| carry(&test.repository, tip, &proposal(by, SURVEY, None), Timestamp::UNIX_EPOCH, &test.calls);
    let before = test.tip();
    let waiting = carry(&before, Changes::PullRequest).unwrap();
    assert!(matches!(waiting, Carried::Proposed(request) if request.is_new));
    assert_eq!(test.tip(), before);
    let committed = carry(&before, Changes::Commit).unwrap();
    assert_eq!(committed, Carried::Committed(test.tip().revision));
    let late = carry(&before, Changes::Commit);
    assert!(matches!(late, Err(Error::Moved { .. })), "the branch moved since: {late:?}");
}

//! `dayfly up` as people run it: a process, its folder, and other commands beside it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use dayfly_tests::DEADLINE;
use dayfly_tests::environment::{CommandOutput, TestEnvironment};
use git2::Repository;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use serde_json::Value;

const SURVEY: &str = "apps/quarterly-feedback/app.yaml";
const ONCE: [&str; 4] = ["up", "--once", "--port", "0"];

fn empty() -> TestEnvironment {
    TestEnvironment::empty(env!("CARGO_BIN_EXE_dayfly-under-test"))
}

fn sample() -> TestEnvironment {
    TestEnvironment::sample(env!("CARGO_BIN_EXE_dayfly-under-test"))
}

fn json(output: &CommandOutput) -> Value {
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The platform's own repository.
fn bare(environment: &TestEnvironment) -> PathBuf {
    environment.platform().join(".dayfly/platform.git")
}

fn commits(repository: &Path) -> usize {
    let git = Repository::open(repository).unwrap();
    let mut walk = git.revwalk().unwrap();
    walk.push_ref("refs/heads/main").unwrap();
    walk.count()
}

/// Commits the folder as it stands and pushes it.
fn push(environment: &TestEnvironment) {
    environment.commit("2026-03-01T11:00:00Z", "a change");
    let git = environment.repository();
    let mut remote = git.remote_anonymous(&bare(environment).to_string_lossy()).unwrap();
    remote.push(&["HEAD:refs/heads/main"], None).unwrap();
}

/// A `dayfly up` that runs; killed when it is dropped.
struct UpProcess {
    child: Child,
    log: PathBuf,
}

impl UpProcess {
    fn start(environment: &TestEnvironment, more: &[&str]) -> Self {
        let log = environment.platform().join(".dayfly-up.log");
        let file = File::create(&log).unwrap();
        let mut command = environment.command(&[["up", "--port", "0"].as_slice(), more].concat());
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Self { child: command.spawn().unwrap(), log }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until the log is as wished.
    fn until(&mut self, what: &str, is_wished: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !is_wished(&self.log()) {
            assert!(Instant::now() < deadline, "never: {what}\n{}", self.log());
            assert!(self.child.try_wait().unwrap().is_none(), "it ended before {what}\n{}", self.log());
            sleep(Duration::from_millis(50));
        }
    }

    /// Waits for something that happens beside the log.
    fn wait_for(&self, what: &str, has_happened: impl Fn() -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !has_happened() {
            assert!(Instant::now() < deadline, "never: {what}\n{}", self.log());
            sleep(Duration::from_millis(100));
        }
    }

    /// Started, and through its first pass.
    fn ready(environment: &TestEnvironment, more: &[&str]) -> Self {
        let mut up = Self::start(environment, more);
        up.until("the first pass", |log| log.contains("Dayfly is up."));
        up
    }

    /// SIGTERM; the exit code.
    fn stop(mut self) -> Option<i32> {
        let signaled = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(signaled.success());
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not stop\n{}", self.log());
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for UpProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a title is live, as the API says.
fn is_live(environment: &TestEnvironment, title: &str) -> bool {
    let kubeconfig = environment.read(".dayfly/kubeconfig");
    let (_, url) = kubeconfig.split_once("server: ").unwrap();
    let url = url.lines().next().unwrap().trim_matches(['"', ' ', '}']);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::try_from(kube::Config::new(url.parse().unwrap())).unwrap();
        let maps: Api<ConfigMap> = Api::namespaced(client, "quarterly-feedback-sandbox");
        let map = maps.get_opt("quarterly-feedback").await.ok().flatten();
        map.and_then(|map| map.data).is_some_and(|data| data.values().any(|text| text.contains(title)))
    })
}

fn goes_live(environment: &TestEnvironment, up: &UpProcess, title: &str) {
    up.wait_for(&format!("{title:?} goes live"), || is_live(environment, title));
}

#[test]
fn a_new_platform_comes_up_and_a_second_run_has_nothing_to_do() {
    let environment = empty();
    let init = environment.dayfly(&["init", "--samples", "."]);
    assert_eq!(init.code, Some(0), "{}", init.stderr);
    let once = [ONCE.as_slice(), &["-o", "json"]].concat();
    let first = environment.dayfly(&once);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let first = json(&first);
    assert!(first["writes"].as_u64().unwrap() > 0);
    let phases: Vec<_> = first["items"].as_array().unwrap().iter().map(|item| &item["phase"]).collect();
    assert!(phases.len() >= 5 && phases.iter().all(|phase| *phase == "Ready"), "{first:#}");
    let second = json(&environment.dayfly(&once));
    assert_eq!((&second["writes"], &second["changes"]), (&0.into(), &Value::Array(vec![])));
    assert_eq!(second["items"], first["items"]);
    let third = environment.dayfly(&ONCE);
    assert!(third.stdout.contains("Nothing to do"), "{}", third.stdout);
}

#[test]
fn a_push_goes_live_and_other_commands_work_beside_up() {
    let environment = empty();
    environment.dayfly(&["init", "--samples", "."]);
    // `up` would retire the expired app by a commit that the folder does not have, and the push below would be refused.
    fs::remove_dir_all(environment.platform().join("apps/lunch-poll")).unwrap();
    environment.commit("2026-03-01T10:00:00Z", "lunch is over");
    let up = UpProcess::ready(&environment, &[]);

    let refused = environment.dayfly(&ONCE);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("another `dayfly up` runs in this folder"), "{}", refused.stderr);

    environment.replace(SURVEY, "How was your quarter?", "And the next one?");
    let plan = environment.dayfly(&["plan"]);
    assert_eq!(plan.code, Some(1), "{}", plan.stderr);
    assert!(plan.stdout.contains("And the next one?"), "{}", plan.stdout);
    assert!(!is_live(&environment, "And the next one?"), "a plan changes nothing");
    push(&environment);
    goes_live(&environment, &up, "And the next one?");

    let status = environment.dayfly(&["status"]);
    assert_eq!(status.code, Some(0), "{}{}", status.stdout, status.stderr);
    let plan = environment.dayfly(&["plan"]);
    assert_eq!(plan.code, Some(0), "{}{}", plan.stdout, plan.stderr);
    let confirm = environment.dayfly(&["retire", "--confirm"]);
    assert!(confirm.stderr.contains("nothing waits for a confirmation"), "{}", confirm.stderr);
    let apply = environment.dayfly(&["apply", "-o", "json"]);
    assert_eq!((apply.code, json(&apply)["writes"].as_u64()), (Some(0), Some(0)), "{}", apply.stderr);
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_saved_file_goes_live_under_watch() {
    let environment = sample();
    let mut up = UpProcess::ready(&environment, &["--watch"]);
    environment.replace(SURVEY, "How was your quarter?", "Saved, not pushed");
    goes_live(&environment, &up, "Saved, not pushed");
    // A commit that changes no object gets its line in the log as well.
    environment.write("apps/go-links/app.yaml", environment.read("apps/go-links/app.yaml") + "# a remark\n");
    up.until("the line of a remark", |log| log.contains(": No object changed"));
    let owner = environment.read("apps/go-links/app.yaml").replace("costCenter: CC", "costCenter: CC9");
    environment.write("apps/go-links/app.yaml", owner);
    up.until("the line of a held change", |log| log.contains(": No object changed; 1 app held"));
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_first_app_goes_live_and_is_retired_while_up_runs() {
    let environment = empty();
    environment.dayfly(&["init", "."]);
    let up = UpProcess::ready(&environment, &["--watch"]);
    let settings = ["owner=maya@example.com", "team=people-ops", "costCenter=CC-1042", "title=Our first"];
    let mut new = vec!["new", "--template", "simple-survey/v1", "--name", "quarterly-feedback"];
    new.extend(settings.iter().flat_map(|setting| ["--set", *setting]));
    let new = environment.dayfly(&new);
    assert_eq!(new.code, Some(0), "{}", new.stderr);
    goes_live(&environment, &up, "Our first");
    let retire = environment.dayfly(&["retire", "quarterly-feedback"]);
    assert_eq!(retire.code, Some(0), "{}", retire.stderr);
    up.wait_for("the retired app is gone", || !is_live(&environment, "Our first"));
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_first_pass_that_was_killed_is_completed_by_the_next_run() {
    let environment = sample();
    for _ in 0..2 {
        let mut up = UpProcess::start(&environment, &[]);
        up.until("the API", |_| environment.platform().join(".dayfly/kubeconfig").exists());
        sleep(Duration::from_millis(400)); // anywhere in the first pass; any moment must do
        drop(up);
    }
    let first = environment.dayfly(&ONCE);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let second = json(&environment.dayfly(&[ONCE.as_slice(), &["-o", "json"]].concat()));
    assert_eq!((&second["writes"], &second["diagnostics"]), (&0.into(), &Value::Array(vec![])));
    assert!(second["items"].as_array().unwrap().iter().all(|item| item["phase"] == "Ready"), "{second:#}");
}

#[test]
fn the_platforms_repository_is_seeded_only_once() {
    let environment = empty();
    environment.dayfly(&["init", "--samples", "."]);
    environment.dayfly(&ONCE);
    let seeded = commits(&bare(&environment));
    environment.replace(SURVEY, "How was your quarter?", "Not pushed");
    environment.commit("2026-03-01T11:00:00Z", "a change that stays here");
    let again = environment.dayfly(&ONCE);
    assert!(again.stderr.contains("is not in the platform's repository yet: git push"), "{}", again.stderr);
    assert!(again.stdout.contains("Nothing to do"), "{}", again.stdout);
    assert_eq!(commits(&bare(&environment)), seeded);
}

#[test]
fn files_without_a_history_are_seeded_as_one_commit() {
    let environment = sample();
    fs::remove_dir_all(environment.platform().join("apps/lunch-poll")).unwrap();
    let once = environment.dayfly(&ONCE);
    assert_eq!(once.code, Some(0), "{}", once.stderr);
    assert_eq!(commits(&bare(&environment)), 1);
}

#[test]
fn a_shallow_clone_is_seeded_as_one_commit() {
    let environment = sample();
    fs::remove_dir_all(environment.platform().join("apps/lunch-poll")).unwrap();
    let first = environment.commit("2026-02-28T10:00:00Z", "start");
    let second = environment.commit("2026-02-28T11:00:00Z", "more");
    // As `git clone --depth 1` leaves it: the parent is named and is not there.
    fs::write(environment.platform().join(".git/shallow"), format!("{second}\n")).unwrap();
    let name = first.to_string();
    fs::remove_file(environment.platform().join(".git/objects").join(&name[..2]).join(&name[2..])).unwrap();
    let once = environment.dayfly(&ONCE);
    assert_eq!(once.code, Some(0), "{}", once.stderr);
    assert_eq!(commits(&bare(&environment)), 1);
}

#[test]
fn a_damaged_repository_is_reported_and_not_replaced() {
    let environment = sample();
    assert_eq!(environment.dayfly(&ONCE).code, Some(0));
    let (git, key) = (bare(&environment), fs::read(environment.platform().join(".dayfly/ledger.key")).unwrap());
    let tip = Repository::open(&git).unwrap().revparse_single("main").unwrap().id().to_string();
    let object = git.join("objects").join(&tip[..2]).join(&tip[2..]);
    fs::remove_file(&object).unwrap();
    fs::write(&object, "0123456789").unwrap();
    for command in [&["status"][..], &["plan"], &["adopt"], &["renew", "quarterly-feedback"], &ONCE] {
        let answer = environment.dayfly(command);
        assert_eq!(answer.code, Some(2), "{command:?} {}", answer.stderr);
        assert!(answer.stderr.contains("the commit that refs/heads/main names is damaged"), "{}", answer.stderr);
        assert!(answer.stderr.contains("brings back what a clone has whole"), "{}", answer.stderr);
    }
    assert_eq!(fs::read(&object).unwrap(), b"0123456789");
    assert_eq!(fs::read(environment.platform().join(".dayfly/ledger.key")).unwrap(), key);
}

#[test]
fn a_command_that_needs_a_running_up_says_how_to_start_it() {
    let environment = sample();
    assert_eq!(environment.dayfly(&ONCE).code, Some(0));
    for (command, code) in [("status", 1), ("plan", 2)] {
        let answer = environment.dayfly(&[command]);
        assert_eq!(answer.code, Some(code), "{command} {}", answer.stderr);
        assert!(answer.stderr.contains("error: local: "), "{}", answer.stderr);
        assert!(answer.stderr.contains("help: start it: `dayfly up`, in another terminal"), "{}", answer.stderr);
    }
}

#[test]
fn a_damaged_object_store_is_filled_again_from_git_once_it_is_removed() {
    let environment = sample();
    assert_eq!(environment.dayfly(&ONCE).code, Some(0));
    environment.write(".dayfly/kubernetes/objects.redb", "rubbish");
    let refused = environment.dayfly(&ONCE);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("help: remove only ./.dayfly/kubernetes: "), "{}", refused.stderr);
    fs::remove_dir_all(environment.platform().join(".dayfly/kubernetes")).unwrap();
    let again = environment.dayfly(&ONCE);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert!(again.stdout.contains("objects created"), "{}", again.stdout);
}

#[test]
fn a_file_that_cannot_be_read_is_not_committed_as_deleted() {
    let environment = sample();
    let mut up = UpProcess::ready(&environment, &["--watch"]);
    let before = commits(&bare(&environment));
    for litter in ["app.yaml~", ".app.yaml.swp", ".DS_Store", "4913", "#app.yaml#"] {
        environment.write(&format!("apps/quarterly-feedback/{litter}"), "litter");
    }
    environment.write("apps/quarterly-feedback/.git", "gitdir: elsewhere\n");
    up.until("the refusal", |log| log.contains("apps/quarterly-feedback: is a git repository of its own"));
    environment.write("apps/quarterly-feedback/more.txt", "more");
    sleep(Duration::from_millis(300));
    assert_eq!(commits(&bare(&environment)), before, "{}", up.log());
    fs::remove_file(environment.platform().join("apps/quarterly-feedback/more.txt")).unwrap();
    fs::remove_file(environment.platform().join("apps/quarterly-feedback/.git")).unwrap();
    assert_eq!(up.log().matches("is a git repository of its own").count(), 1, "{}", up.log());
    environment.replace(SURVEY, "How was your quarter?", "Saved beside litter");
    goes_live(&environment, &up, "Saved beside litter");
    let git = Repository::open(bare(&environment)).unwrap();
    let folder = git.revparse_single("main:apps/quarterly-feedback").unwrap().peel_to_tree().unwrap();
    assert_eq!(folder.iter().map(|file| file.name().unwrap().to_owned()).collect::<Vec<_>>(), ["app.yaml"]);
    assert_eq!(up.stop(), Some(0));
}

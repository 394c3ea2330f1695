//! The embedded API server answers as a real one does: the conversations in `differential/*.yaml`.
//!
//! `differential/*.json` records what a real server answered. Both are compared with it: the embedded server always,
//! the real one where `KUBEBUILDER_ASSETS` names it; then random conversations are compared, too. `RECORD=1` records
//! anew; `PROPTEST_CASES` and `PROPTEST_RNG_SEED` steer the random ones. `laxities.yaml` names the conversations
//! in which the embedded server is known to answer differently, and why; it names no others.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test fails loudly")]

mod generate;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dayfly_local::apiserver::{ApiServer, Config};
use dayfly_tests::conversation::{Conversation, ConversationRequest, ConversationResponse};
use dayfly_tests::oracle::Oracle;
use kube::Client;
use libtest_mimic::{Arguments, Failed, Trial};
use proptest::test_runner::{self, TestCaseError, TestRunner};
use serde_json::json;
use similar::TextDiff;
use tokio::runtime::{Handle, Runtime};

/// The file of the conversations in which the embedded server is known to answer differently.
const LAXITIES: &str = "laxities.yaml";

/// The errors whose words programs and people rely on.
const WORDED: [&str; 3] = ["AlreadyExists", "Conflict", "NotFound"];

#[derive(Clone)]
struct Case {
    topic: String,
    name: String,
    requests: Vec<ConversationRequest>,
}

/// What was answered, by topic and by name of the conversation.
type Recording = BTreeMap<String, BTreeMap<String, Vec<ConversationResponse>>>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let runtime = Runtime::new().unwrap();
    let _inside = runtime.enter();
    let cases = cases();
    let state = tempfile::tempdir().unwrap();
    let config = Config { controllers: false, ..Config::new(state.path()) };
    let embedded = runtime.block_on(ApiServer::start(config)).unwrap();
    let ours = Client::try_from(kube::Config::new(embedded.url().parse().unwrap())).unwrap();
    let oracle = runtime.block_on(Oracle::start_without_controllers());
    let real = oracle.as_ref().map(|oracle| runtime.block_on(oracle.client()));
    if let (Some(real), Ok(_)) = (&real, std::env::var("RECORD")) {
        record(&runtime.block_on(answers(real, &cases)));
    }
    let trials = trials(&cases, &ours, real.as_ref());
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop((embedded, oracle));
    conclusion.exit_code()
}

fn trials(cases: &[Case], ours: &Client, real: Option<&Client>) -> Vec<Trial> {
    let recording = Arc::new(recording(cases));
    let laxities = laxities(cases);
    let servers = [("embedded", Some(ours)), ("real", real)];
    let mut trials = Vec::new();
    for (server, client) in servers {
        for case in cases {
            let (case, client, recording, here) = (case.clone(), client.cloned(), recording.clone(), Handle::current());
            let name = format!("{server}: {}: {}", case.topic, case.name);
            let lax = server == "embedded" && laxities.contains_key(&format!("{}: {}", case.topic, case.name));
            let run = move || {
                let found = here.block_on(talk(&client.expect("a server"), &case.requests));
                let expected = recording.get(&case.topic).and_then(|topic| topic.get(&case.name));
                let expected = expected.ok_or("nothing is recorded: run with RECORD=1")?;
                match difference(&case.requests, &found, expected) {
                    None if lax => Err("agrees by now: take it out of laxities.yaml".into()),
                    Some(difference) if !lax => Err(difference.into()),
                    _ => Ok(()),
                }
            };
            trials.push(Trial::test(name, run).with_ignored_flag(server == "real" && real.is_none()));
        }
    }
    let (ours, theirs, here) = (ours.clone(), real.cloned(), Handle::current());
    let random = move || compare_random_conversations(&here, &ours, &theirs.expect("a server"));
    let random = Trial::test("both: random conversations", random);
    trials.push(random.with_ignored_flag(real.is_none()));
    trials
}

/// Why the embedded server answers differently, by topic and name.
fn laxities(cases: &[Case]) -> BTreeMap<String, String> {
    let text = fs::read_to_string(folder().join(LAXITIES)).unwrap();
    let laxities: BTreeMap<String, String> = serde_yaml::from_str(&text).unwrap();
    for name in laxities.keys() {
        let known = cases.iter().any(|case| *name == format!("{}: {}", case.topic, case.name));
        assert!(known, "{LAXITIES}: there is no conversation {name:?}");
    }
    laxities
}

/// Has one conversation in a namespace of its own.
async fn talk(client: &Client, requests: &[ConversationRequest]) -> Vec<ConversationResponse> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let namespace = format!("conversation-{:06}", COUNT.fetch_add(1, Ordering::Relaxed));
    let mut conversation = Conversation::begin(client.clone(), &namespace).await;
    let mut answers = Vec::new();
    for request in requests {
        answers.push(conversation.exchange(request).await);
    }
    answers
}

fn compare_random_conversations(here: &Handle, ours: &Client, real: &Client) -> Result<(), Failed> {
    let cases = std::env::var("PROPTEST_CASES").map_or(50, |cases| cases.parse().unwrap());
    let config = test_runner::Config { cases, failure_persistence: None, ..test_runner::Config::default() };
    let outcome = TestRunner::new(config).run(&generate::conversation(), |requests| {
        let (found, expected) = here.block_on(async { (talk(ours, &requests).await, talk(real, &requests).await) });
        difference(&requests, &found, &expected).map_or(Ok(()), |difference| Err(TestCaseError::fail(difference)))
    });
    outcome.map_err(|error| match error {
        test_runner::TestError::Fail(difference, requests) => {
            let requests: Vec<String> = requests.iter().map(ConversationRequest::to_string).collect();
            format!("{}\n{difference}", requests.join("\n")).into()
        }
        abort => abort.to_string().into(),
    })
}

/// Where the responses differ, request by request.
fn difference(
    requests: &[ConversationRequest],
    found: &[ConversationResponse],
    expected: &[ConversationResponse],
) -> Option<String> {
    let mut differences = String::new();
    for (request, (found, expected)) in requests.iter().zip(found.iter().zip(expected)) {
        let [found, expected] = [found, expected].map(essence);
        if found != expected {
            let diff = TextDiff::from_lines(&expected, &found).unified_diff().context_radius(4).to_string();
            differences += &format!("{request}\n{diff}");
        }
    }
    (!differences.is_empty()).then_some(differences)
}

/// A response without the words of refusals, which are for people.
fn essence(answer: &ConversationResponse) -> String {
    let mut answer = answer.clone();
    let status = &mut answer.body;
    if status["kind"] == "Status" && !WORDED.iter().any(|reason| status["reason"] == *reason) {
        status["message"].take();
        let causes = status.pointer_mut("/details/causes").and_then(|causes| causes.as_array_mut());
        causes.into_iter().flatten().for_each(|cause| drop(cause["message"].take()));
    }
    answer.to_string()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("differential")
}

fn cases() -> Vec<Case> {
    let mut files: Vec<_> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "yaml") && !file.ends_with(LAXITIES));
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let topic = file.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).unwrap();
        let table: BTreeMap<String, Vec<ConversationRequest>> =
            serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        cases.extend(table.into_iter().map(|(name, requests)| Case { topic: topic.clone(), name, requests }));
    }
    cases
}

fn recording(cases: &[Case]) -> Recording {
    let mut recording = Recording::new();
    for case in cases {
        recording.entry(case.topic.clone()).or_insert_with(|| {
            let text = fs::read_to_string(folder().join(&case.topic).with_extension("json")).unwrap_or("{}".into());
            serde_json::from_str(&text).unwrap()
        });
    }
    recording
}

async fn answers(client: &Client, cases: &[Case]) -> Recording {
    let mut recording = Recording::new();
    for case in cases {
        let answers = talk(client, &case.requests).await;
        recording.entry(case.topic.clone()).or_default().insert(case.name.clone(), answers);
    }
    recording
}

/// One answer a line, so that a new version of Kubernetes reads well as a diff.
fn record(recording: &Recording) {
    for (topic, conversations) in recording {
        let conversations: Vec<String> = conversations
            .iter()
            .map(|(name, answers)| {
                let answers: Vec<String> = answers.iter().map(|answer| json!(answer).to_string()).collect();
                format!("{}: [\n{}\n]", json!(name), answers.join(",\n"))
            })
            .collect();
        let text = format!("{{\n{}\n}}\n", conversations.join(",\n"));
        fs::write(folder().join(topic).with_extension("json"), text).unwrap();
    }
}

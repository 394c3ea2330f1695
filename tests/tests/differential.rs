//! The embedded API server answers as a real one does: the conversations in `differential/*.yaml`.
//!
//! `differential/*.json` records what a real server answered. It is held against one where `KUBEBUILDER_ASSETS` names
//! it; `RECORD=1` records anew.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use dayfly_tests::conversation::{Answer, Conversation, Step};
use dayfly_tests::oracle::Oracle;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::json;
use similar::TextDiff;
use tokio::runtime::Runtime;

#[derive(Clone)]
struct Case {
    topic: String,
    name: String,
    namespace: String,
    steps: Vec<Step>,
}

/// What was answered, by topic and by name of the conversation.
type Recording = BTreeMap<String, BTreeMap<String, Vec<Answer>>>;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let runtime = Runtime::new().unwrap();
    let cases = cases();
    let oracle = runtime.block_on(Oracle::start_without_controllers());
    if let (Some(oracle), Ok(_)) = (&oracle, std::env::var("RECORD")) {
        record(&runtime.block_on(answers(oracle, &cases)));
    }
    let recording = Arc::new(recording(&cases));
    let mut trials = Vec::new();
    for case in cases {
        let case = Arc::new(case);
        if let Some(oracle) = &oracle {
            let client = runtime.block_on(oracle.client());
            let (case, recording, runtime) = (case.clone(), recording.clone(), runtime.handle().clone());
            let name = format!("a real server: {}: {}", case.topic, case.name);
            trials.push(Trial::test(name, move || {
                let found = runtime.block_on(talk(client, &case));
                same(&case, &found, &recording[&case.topic][&case.name], Clone::clone)
            }));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    drop(oracle);
    conclusion.exit_code()
}

/// Has one conversation.
async fn talk(client: kube::Client, case: &Case) -> Vec<Answer> {
    let mut conversation = Conversation::begin(client, &case.namespace).await;
    let mut answers = Vec::new();
    for step in &case.steps {
        answers.push(conversation.say(step).await);
    }
    answers
}

fn same(case: &Case, found: &[Answer], expected: &[Answer], view: fn(&Answer) -> Answer) -> Result<(), Failed> {
    let mut differences = String::new();
    for (step, (found, expected)) in case.steps.iter().zip(found.iter().map(view).zip(expected.iter().map(view))) {
        if found != expected {
            let [expected, found] = [expected, found].map(|answer| answer.to_string());
            let diff = TextDiff::from_lines(&expected, &found);
            differences += &format!("{step}\n{}", diff.unified_diff().context_radius(4));
        }
    }
    if differences.is_empty() { Ok(()) } else { Err(differences.into()) }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("differential")
}

fn cases() -> Vec<Case> {
    let mut files: Vec<_> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let mut cases = Vec::new();
    for file in files {
        let topic = file.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).unwrap();
        let table: BTreeMap<String, Vec<Step>> =
            serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for (name, steps) in table {
            let namespace = format!("conversation-{:03}", cases.len());
            cases.push(Case { topic: topic.clone(), name, namespace, steps });
        }
    }
    cases
}

async fn answers(oracle: &Oracle, cases: &[Case]) -> Recording {
    let mut recording = Recording::new();
    for case in cases {
        let case = Case { namespace: format!("recorded-{}", case.namespace), ..case.clone() };
        let answers = talk(oracle.client().await, &case).await;
        recording.entry(case.topic.clone()).or_default().insert(case.name.clone(), answers);
    }
    recording
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

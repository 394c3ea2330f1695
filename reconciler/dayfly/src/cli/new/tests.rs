//! The dialog of `dayfly new`, over the platform that ships.

use clap::Parser;

use serde_json::json;

use super::super::{Cli, Command};
use super::*;
use crate::ui::output::Printer;

const PLATFORM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// What comes of a command line and of these answers, a line each.
fn answered(arguments: &[&str], answers: &str) -> Result<Value, Error> {
    let line = [&["dayfly", "-C", PLATFORM, "--now", "2026-03-01T12:00:00Z", "new"], arguments].concat();
    let cli = Cli::try_parse_from(line).unwrap();
    let Command::New(new) = cli.command else { panic!("another command") };
    let context = CommandContext { global: cli.global, printer: Printer::new(Default::default(), Default::default()) };
    let snapshot = working_tree(&context.global.directory).unwrap();
    let platform = Platform::load(&snapshot, None);
    let mut dialog = Dialog::answered(&context.printer, answers);
    Ok(new.answers(&context, &snapshot, &platform, &mut dialog)?.1)
}

#[test]
fn each_question_is_asked_until_its_answer_fits() {
    let answers = "9\nsurvey\n3\nTea Poll\nlunch-poll\ntea-poll\nnowhere\n\n400d\n\n7\nCC-1042\nkim@example.com\n\noffice\n\n\
                   secret\n\nWhich tea?\nGreen, Black\nmany\n7\nmaybe\nno\n";
    let manifest = answered(&[], answers).unwrap();
    let spec = json!({
        "template": "simple-survey/v1", "tier": "sandbox", "ttl": "14d", "costCenter": "CC-1042",
        "owner": "kim@example.com", "team": "office", "dataClassification": "internal",
        "parameters": {"title": "Which tea?", "questions": ["Green", "Black"], "retentionDays": 7, "anonymous": false},
    });
    assert_eq!((&manifest["metadata"]["name"], &manifest["spec"]), (&json!("tea-poll"), &spec));
}

#[test]
fn an_app_that_is_refused_as_a_whole_is_answered_again_from_what_was_said() {
    // A list that is required has no stand-in, so the cost center can only be judged with everything else.
    let given =
        ["--template", "approval-form/v1", "--name", "leave", "--set", "costCenter=7", "--set", "owner=k@example.com"];
    let first = "\n\noffice\n\n\n\nhr, it\n\n\n";
    let second = "\n\nCC-1042\n\n\n\n\n\n\n\n\n";
    let manifest = answered(&given, &format!("{first}{second}")).unwrap();
    let spec = &manifest["spec"];
    assert_eq!((&spec["costCenter"], &spec["team"]), (&json!("CC-1042"), &json!("office")), "{manifest:#}");
    assert_eq!(spec["parameters"]["approvers"], json!(["hr", "it"]));
}

#[test]
fn answers_that_end_too_early_name_what_is_absent() {
    let error = answered(&["--template", "simple-survey/v1"], "tea-poll\n\n\n").unwrap_err();
    assert_eq!(error.to_string(), "--set costCenter=… is needed");
}

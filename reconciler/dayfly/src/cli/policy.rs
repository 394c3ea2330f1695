//! `dayfly policy`: the platform's own tests of its policies.

use dayfly_judge::policy::{PolicySet, TestResult};
use dayfly_model::platform::Platform;
use serde_json::json;

use super::context::CommandContext;
use super::{CommandResult, check};
use crate::ui::report;
use crate::ui::style::{Palette, Style};

/// Work with the platform's policies
#[derive(clap::Args)]
pub struct PolicyArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(clap::Subcommand)]
enum PolicyCommand {
    /// Run every test_ rule of policies/*_test.rego
    Test,
}

impl PolicyArgs {
    /// Runs the tests and tells which failed.
    pub fn run(self, context: &CommandContext) -> CommandResult {
        let PolicyCommand::Test = self.command;
        let printer = &context.printer;
        let platform = Platform::load(&check::snapshot(context, None)?, None);
        let results = platform.policies.loaded.and_then(|sources| PolicySet::compile(&sources)?.test())?;
        let failed = results.iter().filter(|result| result.failure.is_some()).count();
        if printer.is_data() {
            printer.data("PolicyTest", &json!({ "items": results }))?;
            return Ok(u8::from(failed > 0));
        }
        for result in &results {
            printer.line(line(printer.palette(), result));
        }
        if results.is_empty() {
            printer.line("no tests: write policies/NAME_test.rego with rules that begin with test_");
        } else {
            printer.line(format!("{}, {failed} failed", report::count(results.len(), "test")));
        }
        Ok(u8::from(failed > 0))
    }
}

fn line(palette: Palette, result: &TestResult) -> String {
    let (word, why) = match &result.failure {
        None => (palette.paint(Style::Green, "pass"), String::new()),
        Some(why) => (palette.paint(Style::Red, "FAIL"), format!(": {why}")),
    };
    format!("{word}  {}:{}  {}{why}", result.path, result.position.line, result.name)
}

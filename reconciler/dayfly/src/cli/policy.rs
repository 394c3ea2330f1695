//! `dayfly policy`: the platform's own tests of its policies.

use dayfly_judge::policy::PolicySet;
use dayfly_model::platform::Platform;

use super::{Context, Exit, check};
use crate::ui::output::Style;
use crate::ui::report;

/// Work with the platform's policies
#[derive(clap::Args)]
pub struct Policy {
    #[command(subcommand)]
    verb: PolicyVerb,
}

#[derive(clap::Subcommand)]
enum PolicyVerb {
    /// Run every test_ rule of policies/*_test.rego
    Test,
}

impl Policy {
    /// Runs the tests and tells which failed.
    pub fn run(self, context: &Context) -> Exit {
        let PolicyVerb::Test = self.verb;
        let platform = Platform::load(&check::snapshot(context, None)?, None);
        let results = platform.policies.loaded.and_then(|sources| PolicySet::compile(&sources)?.test());
        let results = match results {
            Ok(results) => results,
            Err(errors) => {
                context.output.diagnostics(errors.iter());
                return Ok(1);
            }
        };
        let failed = results.iter().filter(|result| result.failure.is_some()).count();
        if context.output.is_data() {
            context.output.data("PolicyTest", &serde_json::json!({ "items": results }))?;
            return Ok(u8::from(failed > 0));
        }
        for result in &results {
            let word = if result.failure.is_none() {
                context.output.paint(Style::Green, "pass")
            } else {
                context.output.paint(Style::Red, "FAIL")
            };
            let why = result.failure.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
            context.output.line(format!("{word}  {}:{}  {}{why}", result.path, result.position.line, result.name));
        }
        if results.is_empty() {
            context.output.line("no tests: write policies/NAME_test.rego with rules that begin with test_");
        } else {
            context.output.line(format!("{}, {failed} failed", report::count(results.len(), "test")));
        }
        Ok(u8::from(failed > 0))
    }
}

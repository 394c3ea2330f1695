//! Compiles policies, and runs them within limits of steps and of time.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use dayfly_model::diagnostic::{Diagnostic, Position};
use dayfly_model::rule::Rule;
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::VmError;
use regorus::rvm::{Program, RegoVM};
use regorus::utils::limits::ExecutionTimerConfig;
use regorus::{CompiledPolicy, Engine, Value};

use super::strict::{self, Builtins};
use super::{EntryPoint, Finding, PolicySet, TestResult, calls, guard, reads};

/// Steps of one policy for one instance; the shipped ones take a few thousand.
const MAX_STEPS: usize = 5_000_000;

/// The time of one policy for one instance, and of one test.
const MAX_TIME: Duration = Duration::from_secs(2);

const TIMER: ExecutionTimerConfig =
    ExecutionTimerConfig { limit: MAX_TIME, check_interval: NonZeroU32::new(1000).unwrap() };

pub fn compile(sources: &BTreeMap<String, Arc<str>>) -> Result<PolicySet, Vec<Diagnostic>> {
    let sources: Vec<_> = sources.iter().map(|(path, text)| (path.clone(), text.clone())).collect();
    let policies: Vec<_> = sources.iter().filter(|(path, _)| !path.ends_with("_test.rego")).cloned().collect();
    let (mut engine, packages) = load(&policies)?;
    let mut found = Vec::new();
    for (path, package) in &packages {
        let name = package.strip_prefix("data.dayfly.").unwrap_or_default();
        if name.is_empty() || (name.contains('.') && !name.starts_with("lib.")) {
            let found_here = Diagnostic::new(Rule::POLICY_PACKAGE, path, format!("the package is {package}"));
            found.push(found_here.help("Name it dayfly.<name>, or dayfly.lib.<name> for what others share."));
        }
    }
    let compiled = rules(&mut engine, &packages)?;
    found.extend(compiled.get_modules().iter().flat_map(|module| &module.policy).flat_map(|rule| reads::check(rule)));
    let mut entry_points = Vec::new();
    for (path, package) in packages.iter().filter(|(_, package)| !package.starts_with("data.dayfly.lib.")) {
        let own: Vec<_> = ["deny", "warn"]
            .into_iter()
            .map(|name| EntryPoint { path: format!("{package}.{name}"), warns: name == "warn" })
            .filter(|entry_point| compiled.get_rules().contains_key(&entry_point.path))
            .collect();
        if own.is_empty() {
            let found_here =
                Diagnostic::new(Rule::POLICY_NO_RULE, path, format!("{package} defines neither deny nor warn"));
            found.push(found_here.help("Write `deny contains {\"rule\": …, \"msg\": …} if { … }`."));
        }
        entry_points.extend(own);
    }
    entry_points.sort_by(|a, b| a.path.cmp(&b.path));
    entry_points.dedup_by(|a, b| a.path == b.path);
    if !found.is_empty() {
        return Err(found);
    }
    let (program, builtins) = program(&compiled, &entry_points)?;
    calls::check(&program).map_err(|refused| vec![of_rule(&packages, refused)])?;
    Ok(PolicySet { program, builtins, entry_points, sources })
}

/// Each file with its package.
type Packages = Vec<(String, String)>;

/// An engine with these files, and the package of each.
fn load(files: &[(String, Arc<str>)]) -> Result<(Engine, Packages), Vec<Diagnostic>> {
    let mut engine = Engine::new();
    engine.set_strict_builtin_errors(true);
    let (mut found, mut packages) = (Vec::new(), Vec::new());
    for (path, text) in files {
        let added = guard::check(path, text).and_then(|()| {
            engine.add_policy(path.clone(), text.to_string()).map_err(|error| fault(path, &error.to_string()))
        });
        match added {
            Ok(package) => packages.push((path.clone(), package)),
            Err(error) => found.push(error),
        }
    }
    if found.is_empty() { Ok((engine, packages)) } else { Err(found) }
}

/// Everything that the files define.
fn rules(engine: &mut Engine, packages: &Packages) -> Result<CompiledPolicy, Vec<Diagnostic>> {
    let Some((path, package)) = packages.first() else {
        let found = Diagnostic::new(Rule::POLICY_ABSENT, "policies/", "there is no policy, so nothing is admitted");
        return Err(vec![found.help("Add a policy; the sample platform has some to begin with.")]);
    };
    // Compiling needs an entry point; any rule that exists will do.
    let mut compile = |name: String| engine.compile_with_entrypoint(&name.into());
    let names = packages.iter().flat_map(|(_, package)| ["deny", "warn"].map(|name| format!("{package}.{name}")));
    match names.map(&mut compile).find_map(Result::ok) {
        Some(compiled) => Ok(compiled),
        None => compile(format!("{package}.deny")).map_err(|error| vec![fault(path, &error.to_string())]),
    }
}

/// The program of all entry points, once its builtins are known to be pure, and watched.
fn program(
    compiled: &CompiledPolicy,
    entry_points: &[EntryPoint],
) -> Result<(Arc<Program>, Builtins), Vec<Diagnostic>> {
    let paths: Vec<_> = entry_points.iter().map(|entry_point| entry_point.path.as_str()).collect();
    let mut program = Compiler::compile_from_policy(compiled, &paths)
        .map_err(|error| vec![fault("policies/", &error.to_string())])?;
    let mut names = program.builtin_info_table.iter().map(|builtin| builtin.name.as_str());
    let refused = |message: String| vec![Diagnostic::new(Rule::POLICY_BUILTIN, "policies/", message)];
    if let Some(name) = names.find(|name| guard::REFUSED.contains(name)) {
        let help = "A verdict depends on input alone, which has the app, its environment, its objects and their cost.";
        return Err(refused(format!("{name} cannot be used")).into_iter().map(|found| found.help(help)).collect());
    }
    let builtins = strict::watch(Arc::make_mut(&mut program))
        .ok_or_else(|| refused(format!("the policies use more than {} builtins", strict::MAX)))?;
    Ok((program, builtins))
}

/// A rule that is refused, at the file of its package.
fn of_rule(packages: &Packages, refused: calls::RefusedRule) -> Diagnostic {
    let own =
        packages.iter().find(|(_, package)| refused.rule.strip_prefix(package).is_some_and(|r| r.starts_with('.')));
    let path = own.map_or("policies/", |(path, _)| path);
    let message = format!("the rule {} {}", refused.rule.trim_start_matches("data."), refused.message);
    Diagnostic::new(Rule::POLICY_RULE, path, message).help(refused.help)
}

/// An error of the engine: its text names file, line and column.
fn fault(path: &str, text: &str) -> Diagnostic {
    let place = text.split_once("--> ").and_then(|(_, rest)| rest.lines().next()).unwrap_or_default();
    let mut parts = place.rsplitn(3, ':');
    let number = |part: Option<&str>| part.and_then(|part| part.parse().ok());
    let (column, line) = (number(parts.next()), number(parts.next()));
    let (path, position) = match (line, column, parts.next()) {
        (Some(line), Some(column), Some(file)) => (file, Position { line, column }),
        _ => (path, Position::default()),
    };
    Diagnostic::new(Rule::POLICY_SYNTAX, path, last(text))
        .at(position)
        .help("Correct the policy; until then the set as a whole is refused.")
}

/// What an error of the engine says, without the source around it.
fn last(text: &str) -> &str {
    let message = text.rsplit_once("error: ").map_or(text, |(_, message)| message);
    message.trim().lines().next().unwrap_or_default()
}

thread_local! {
    /// The machine that ran last on this thread, with its program.
    static MACHINE: RefCell<Option<(Arc<Program>, RegoVM)>> = const { RefCell::new(None) };
}

/// What all policies find in an input.
pub fn execute(policies: &PolicySet, input: Value) -> Vec<Finding> {
    let PolicySet { program, builtins, entry_points, .. } = policies;
    MACHINE.with_borrow_mut(|kept| {
        let known = kept.take().filter(|(loaded, _)| Arc::ptr_eq(loaded, program));
        let (_, mut machine) = known.unwrap_or_else(|| (program.clone(), machine(program)));
        machine.set_input(input);
        let (mut found, mut whole) = (Vec::new(), true);
        for entry_point in entry_points {
            match strict::watched(builtins, || machine.execute_entry_point_by_name(&entry_point.path)) {
                (Ok(value), None) => found.extend(findings(entry_point, &value)),
                (Ok(_), Some(failure)) => found.push(broken(entry_point, &format!("failed: {}", last(&failure)))),
                (Err(error), _) => {
                    whole = false;
                    found.push(broken(entry_point, &why(&error)));
                }
            }
        }
        machine.set_input(Value::Null);
        if whole {
            *kept = Some((program.clone(), machine));
        }
        found
    })
}

fn machine(program: &Arc<Program>) -> RegoVM {
    let mut machine = RegoVM::new();
    machine.load_program(program.clone());
    machine.set_max_instructions(MAX_STEPS);
    machine.set_execution_timer_config(Some(TIMER));
    machine
}

fn why(error: &VmError) -> String {
    match error {
        VmError::InstructionLimitExceeded { .. } | VmError::TimeLimitExceeded { .. } => "took too long".into(),
        error => format!("failed: {error}"),
    }
}

fn broken(entry_point: &EntryPoint, what: &str) -> Finding {
    let name = entry_point.path.trim_start_matches("data.");
    let help = "The owners of policies/ have to correct it: an app without a verdict is not admitted.";
    Finding { help: Some(help.into()), ..Finding::new(Rule::POLICY_NO_VERDICT, format!("the policy {name} {what}")) }
}

/// The elements of a `deny` or a `warn`.
fn findings(entry_point: &EntryPoint, value: &Value) -> Vec<Finding> {
    match value {
        Value::Set(elements) => elements.iter().map(|element| finding(entry_point, element)).collect(),
        Value::Undefined => vec![broken(entry_point, "is undefined")],
        _ => vec![broken(entry_point, "is no set")],
    }
}

fn finding(entry_point: &EntryPoint, element: &Value) -> Finding {
    let text = |field: &str| match &element[field] {
        Value::String(text) => Some(text.to_string()),
        _ => None,
    };
    match (text("rule").map(|name| Rule::policy(&name)), text("msg")) {
        (Some(Ok(rule)), Some(message)) => Finding {
            warns: entry_point.warns,
            rule,
            object: text("object"),
            field: text("field"),
            message,
            help: text("help"),
        },
        (Some(Err(_)), Some(_)) => broken(entry_point, "has an element whose rule is not one line of text"),
        _ => broken(entry_point, "has an element without rule and msg"),
    }
}

/// Runs the tests of the test files.
pub fn test(sources: &[(String, Arc<str>)]) -> Result<Vec<TestResult>, Vec<Diagnostic>> {
    let (mut engine, packages) = load(sources)?;
    let compiled = rules(&mut engine, &packages)?;
    engine.set_execution_timer_config(TIMER);
    let mut results = Vec::new();
    for (rule, definitions) in compiled.get_rules() {
        let name = rule.trim_start_matches("data.");
        let Some(definition) =
            definitions.first().filter(|_| name.rsplit('.').next().is_some_and(|name| name.starts_with("test_")))
        else {
            continue;
        };
        let span = definition.span();
        let failure = match engine.eval_rule(rule.clone()) {
            Ok(Value::Bool(true)) => None,
            Ok(Value::Undefined) => Some("is undefined: one of its conditions does not hold".to_owned()),
            Ok(value) => Some(format!("is {value}, and true is expected")),
            Err(error) => Some(fault("", &error.to_string()).message),
        };
        let position = Position { line: span.line, column: span.col };
        results.push(TestResult { name: name.to_owned(), path: span.source.get_path().clone(), position, failure });
    }
    results.retain(|result| result.path.ends_with("_test.rego"));
    results.sort_by(|a, b| (&a.path, a.position).cmp(&(&b.path, b.position)));
    Ok(results)
}

//! What a compiled set of policies must not do, because the machine has no answer to it: rules that need themselves, and
//! rules that could have two values at once.

use std::collections::BTreeMap;

use regorus::rvm::program::RuleType;
use regorus::rvm::{Instruction, Program};

/// Rules that need one another in a row, at most; what people write has five.
const MAX_CHAIN: usize = 50;

/// A rule that is refused: its name, why, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct RefusedRule {
    /// `data.dayfly.images.pinned`
    pub rule: String,
    /// Reads on after the rule's name.
    pub message: String,
    /// The next step.
    pub help: &'static str,
}

/// Checks the rules of a program.
///
/// # Errors
/// The first rule that is refused.
pub fn check(program: &Program) -> Result<(), RefusedRule> {
    two_values(program)?;
    let calls = calls(program);
    let mut chains = vec![None; calls.len()];
    (0..calls.len()).try_for_each(|rule| chain(program, &calls, &mut chains, &mut Vec::new(), rule).map(drop))
}

/// The machine takes a rule with two values for undefined, and what a rule that is undefined forbids would be admitted.
fn two_values(program: &Program) -> Result<(), RefusedRule> {
    let undecided = program.rule_infos.iter().find(|rule| {
        let single = rule.function_info.is_some() || matches!(rule.rule_type, RuleType::Complete);
        single && rule.definitions.len() > 1 && !rule.early_exit_on_first_success
    });
    undecided.map_or(Ok(()), |rule| {
        let message = "is defined several times with different values, and two of them may hold at once".into();
        Err(RefusedRule { rule: rule.name.clone(), message, help: "Join the definitions with `else`." })
    })
}

/// The rules that each rule needs, by their numbers.
fn calls(program: &Program) -> Vec<Vec<usize>> {
    let mut starts = BTreeMap::new();
    for (number, rule) in program.rule_infos.iter().enumerate() {
        let bodies = rule.definitions.iter().flatten().chain(rule.destructuring_blocks.iter().flatten());
        starts.extend(bodies.map(|start| (*start as usize, number)));
    }
    let mut calls = vec![Vec::new(); program.rule_infos.len()];
    for (at, instruction) in program.instructions.iter().enumerate() {
        let Some((_, caller)) = starts.range(..=at).next_back() else { continue };
        let called = match instruction {
            Instruction::CallRule { rule_index, .. } => Some(*rule_index),
            Instruction::FunctionCall { params_index } => {
                program.instruction_data.get_function_call_params(*params_index).map(|call| call.func_rule_index)
            }
            _ => None,
        };
        calls[*caller].extend(called.map(usize::from));
    }
    calls
}

/// How many rules a rule needs in a row. `above` are those that lead to it.
fn chain(
    program: &Program,
    calls: &[Vec<usize>],
    known: &mut [Option<usize>],
    above: &mut Vec<usize>,
    rule: usize,
) -> Result<usize, RefusedRule> {
    let name = |rule: usize| program.rule_infos[rule].name.trim_start_matches("data.");
    let refused =
        |message: String, help| Err(RefusedRule { rule: program.rule_infos[rule].name.clone(), message, help });
    if let Some(length) = known[rule] {
        return Ok(length);
    }
    if let Some(first) = above.iter().position(|other| *other == rule) {
        let circle: Vec<_> = above[first..].iter().chain([&rule]).map(|rule| name(*rule)).collect();
        return refused(format!("needs itself: {}", circle.join(" -> ")), "Write it without the circle.");
    }
    if above.len() == MAX_CHAIN {
        return refused(
            format!("is needed through {MAX_CHAIN} others"),
            "Write fewer rules that build on one another.",
        );
    }
    above.push(rule);
    let mut longest = 0;
    for called in &calls[rule] {
        longest = longest.max(1 + chain(program, calls, known, above, *called)?);
    }
    above.pop();
    if above.len() + longest > MAX_CHAIN {
        return refused(format!("needs {longest} others in a row"), "Write fewer rules that build on one another.");
    }
    known[rule] = Some(longest);
    Ok(longest)
}

//! What is refused in a policy before its parser sees it: the parser's work doubles with each level of nesting.

use dayfly_model::diagnostic::{Diagnostic, Position};
use dayfly_model::rule::Rule;

/// Brackets inside one another, at most: what people write has five.
const MAX_DEPTH: usize = 10;

/// What all nesting of a file may cost: a bracket costs twice as much as the one around it. What people write costs less than
/// one for each byte.
const fn allowance(bytes: usize) -> usize {
    10_000 + 2 * bytes
}

/// The largest file.
const MAX_BYTES: usize = 256 << 10;

/// The builtins that read more than their arguments, or whose one call may take for ever.
pub const REFUSED: &[&str] = &[
    "bits.lsh",
    "http.send",
    "net.cidr_expand",
    "net.lookup_ip_addr",
    "numbers.range",
    "numbers.range_step",
    "opa.runtime",
    "rand.intn",
    "test.sleep",
    "time.now_ns",
    "trace",
    "uuid.rfc4122",
];

/// Checks one file's size and nesting.
pub fn check(path: &str, text: &str) -> Result<(), Diagnostic> {
    if text.len() > MAX_BYTES {
        let found = Diagnostic::new(Rule::POLICY_SIZE, path, "the file has more than 256 KiB");
        return Err(found.help("Split it."));
    }
    let (mut depth, mut cost, mut position) = (0usize, 0, Position { line: 1, column: 0 });
    let mut inside = None;
    let mut escaped = false;
    for c in text.chars() {
        position.column += 1;
        match (inside, c) {
            (Some('"'), _) if escaped => escaped = false,
            (Some('"'), '\\') => escaped = true,
            (Some('#' | '"'), '\n') => inside = None,
            (Some(quote), c) if c == quote && quote != '#' => inside = None,
            (None, '"' | '`' | '#') => inside = Some(c),
            (None, '(' | '[' | '{') => {
                depth += 1;
                cost += 1 << depth.min(MAX_DEPTH);
            }
            (None, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH || cost > allowance(text.len()) {
            let message = match depth > MAX_DEPTH {
                true => format!("more than {MAX_DEPTH} brackets are open here"),
                false => "too many brackets of this file are inside others".into(),
            };
            let help = "Give the inner part a name: a rule or a variable of its own.";
            return Err(Diagnostic::new(Rule::POLICY_NESTING, path, message).at(position).help(help));
        }
        if c == '\n' {
            position = Position { line: position.line + 1, column: 0 };
        }
    }
    Ok(())
}

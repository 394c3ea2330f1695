//! Reads a Tera source before Tera does: refuses what rendering must not know, and wraps every expression so that work,
//! text and structure are limited.
//!
//! Tera itself limits no work, and what it renders is plain text that a YAML parser reads. The rewritings below mend both,
//! because every construct that a template may use passes through one of them:
//!
//! | the source says | Tera reads | so that |
//! |---|---|---|
//! | `{{ E }}` | `{{ (E) \| __hole }}` | a value leaves a hole in the YAML, and is put in after parsing |
//! | `{% set x = E %}` | `{% set x = (E) \| __keep %}` | what is kept never grows beyond a limit |
//! | `{% for x in E %}` | `{% for x in (E) \| __each(work=N) %}` | a loop pays for all its turns before the first |
//! | `{% if E %}` | `{% if (E) \| __truth %}` | an undefined name is an error here too |
//!
//! A file pays for itself once at its start. Components, blocks, captures and comprehensions are refused: they would be a
//! fifth way to loop or to grow. Positions are mapped back, so that messages speak of the file as it was written.

use std::collections::BTreeSet;
use std::ops::Range;

use dayfly_model::diagnostic::{Diagnostic, Position};
use dayfly_model::rule::Rule;

/// The filters that a template may use. The others of Tera make HTML, or more text than can be limited.
pub const FILTERS: &[&str] = &[
    "abs",
    "capitalize",
    "default",
    "digest",
    "first",
    "float",
    "get",
    "int",
    "join",
    "json",
    "keys",
    "last",
    "length",
    "lower",
    "nth",
    "pairs",
    "replace",
    "reverse",
    "round",
    "sort",
    "split",
    "str",
    "title",
    "trim",
    "trim_end",
    "trim_start",
    "truncate",
    "upper",
    "values",
];

/// The functions that a template may call.
pub const FUNCTIONS: &[&str] = &["range", "throw"];

/// `~` in one tag: the longest text that one expression makes is this many times the limit of one text.
const MAX_JOINS: usize = 8;

/// A hole's first and last character in rendered text: private use, so no source may hold them.
pub const HOLE: [char; 2] = ['\u{e000}', '\u{e001}'];

/// A source that was read and rewritten.
#[derive(Debug)]
pub struct TeraSource {
    /// What Tera compiles.
    pub rewritten: String,
    /// What the expressions name: a root (`app`), with the field that follows (`name`), and where.
    pub names: Vec<Named>,
    /// The names that `set` and `for` make.
    pub declared: BTreeSet<String>,
    edits: Vec<Edit>,
    expressions: Vec<Range<usize>>,
}

/// A name in an expression.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    /// The first part.
    pub root: String,
    /// The part after the dot.
    pub field: Option<String>,
    /// Where it stands.
    pub position: Position,
}

/// An insertion: where in the rewritten text, and where in the original.
#[derive(Debug)]
struct Edit {
    rewritten: usize,
    original: usize,
}

impl TeraSource {
    /// Reads a source. The errors name the place in it.
    pub fn read(path: &str, text: &str) -> Result<Self, Diagnostic> {
        let mut reader = SourceReader::new(path, text);
        reader.read()?;
        Ok(reader.finish())
    }

    /// Where a byte of the rewritten text comes from, in the text as it was written.
    pub fn original(&self, text: &str, rewritten: usize) -> Position {
        Position::of(text, self.offset(text, rewritten))
    }

    /// The expression that a byte of the rewritten text belongs to, as it was written, and its place.
    pub fn expression<'t>(&self, text: &'t str, rewritten: usize) -> Option<(&'t str, Position)> {
        let at = self.offset(text, rewritten);
        let range = self.expressions.iter().find(|range| range.start <= at && at <= range.end)?;
        Some((text.get(range.clone())?, Position::of(text, range.start)))
    }

    fn offset(&self, text: &str, rewritten: usize) -> usize {
        let at = match self.edits.iter().rev().find(|edit| edit.rewritten <= rewritten) {
            Some(edit) => edit.original + (rewritten - edit.rewritten),
            None => rewritten,
        };
        // What was inserted belongs to what follows or precedes it, whichever the text still has.
        let next = self.edits.iter().find(|edit| edit.rewritten > rewritten).map_or(text.len(), |edit| edit.original);
        at.min(next)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Word,
    Text,
    Number,
    Sign,
}

/// A tag that is open: its expression's cost is added to `work` of every loop around it.
struct Loop {
    /// Where in the insertions its work is to be written.
    insertion: usize,
    body: usize,
    tokens: u64,
}

struct SourceReader<'a> {
    path: &'a str,
    text: &'a str,
    at: usize,
    insertions: Vec<(usize, String)>,
    expressions: Vec<Range<usize>>,
    names: Vec<Named>,
    declared: BTreeSet<String>,
    loops: Vec<Loop>,
    tokens: u64,
}

impl<'a> SourceReader<'a> {
    fn new(path: &'a str, text: &'a str) -> Self {
        let insertions = vec![(0, String::new())];
        let declared = BTreeSet::new();
        Self { path, text, at: 0, insertions, expressions: vec![], names: vec![], declared, loops: vec![], tokens: 0 }
    }

    fn error(&self, rule: Rule, at: usize, message: impl Into<String>, help: &str) -> Diagnostic {
        Diagnostic::new(rule, self.path, message).at(Position::of(self.text, at)).help(help)
    }

    fn read(&mut self) -> Result<(), Diagnostic> {
        if let Some(at) = self.text.find(HOLE) {
            let message = "a character of Unicode's private use area stands here";
            return Err(self.error(Rule::RENDER_CHARACTER, at, message, "Remove it; it is invisible in most editors."));
        }
        while let Some(start) = self.text[self.at..].find('{').map(|offset| self.at + offset) {
            match self.text.as_bytes().get(start + 1) {
                Some(b'{') => self.output(start)?,
                Some(b'%') => self.tag(start)?,
                Some(b'#') => self.skip(start, "#}", "comment")?,
                _ => self.at = start + 1,
            }
        }
        Ok(())
    }

    /// After the end of a comment or a raw block.
    fn skip(&mut self, start: usize, end: &str, what: &str) -> Result<(), Diagnostic> {
        let Some(offset) = self.text[start + 2..].find(end) else {
            let message = format!("the {what} that starts here does not end");
            return Err(self.error(Rule::RENDER_SYNTAX, start, message, &format!("Close it with `{end}`.")));
        };
        self.at = start + 2 + offset + end.len();
        Ok(())
    }

    fn output(&mut self, start: usize) -> Result<(), Diagnostic> {
        let tokens = self.tokens(start, "}}")?;
        self.expression(&tokens)?;
        self.wrap(&tokens, "__hole".into());
        Ok(())
    }

    fn tag(&mut self, start: usize) -> Result<(), Diagnostic> {
        let tokens = self.tokens(start, "%}")?;
        let end = self.at;
        let word = |index: usize| tokens.get(index).map_or("", |(_, range)| &self.text[range.clone()]);
        match word(0) {
            "if" | "elif" => {
                self.expression(&tokens[1..])?;
                self.wrap(&tokens[1..], "__truth".into());
            }
            "set" | "set_global" if word(2) == "=" => {
                self.declared.insert(word(1).to_owned());
                self.expression(&tokens[3..])?;
                self.wrap(&tokens[3..], "__keep".into());
            }
            "for" => {
                let Some(start) = (0..tokens.len()).find(|index| word(*index) == "in").map(|index| index + 1) else {
                    return Ok(()); // Tera says what is wrong.
                };
                let names = [word(1), if word(2) == "," { word(3) } else { "" }];
                self.declared.extend(names.into_iter().filter(|name| !name.is_empty()).map(str::to_owned));
                self.expression(&tokens[start..])?;
                self.wrap(&tokens[start..], String::new());
                self.loops.push(Loop { insertion: self.insertions.len() - 1, body: end, tokens: self.tokens });
            }
            "endfor" => {
                if let Some(inner) = self.loops.pop() {
                    let work = self.tokens - inner.tokens + size(start.saturating_sub(inner.body));
                    self.insertions[inner.insertion].1 = format!(") | __each(work={work})");
                }
            }
            "else" | "endif" | "break" | "continue" | "include" => {}
            "raw" => {
                let Some(offset) = self.text[end..].find("endraw") else {
                    let message = "the raw block that starts here does not end";
                    return Err(self.error(Rule::RENDER_SYNTAX, start, message, "Close it with `{% endraw %}`."));
                };
                self.at = end + offset;
                self.skip(self.at - 2, "%}", "tag")?;
            }
            other => {
                let message = format!("a template cannot use `{other}` here");
                let help =
                    "Use if, for, set NAME = VALUE, include and raw; a file whose name starts with _ is for include.";
                return Err(self.error(Rule::RENDER_SYNTAX, start, message, help));
            }
        }
        Ok(())
    }

    /// `(E) | filter`, around the expression that these tokens are.
    fn wrap(&mut self, tokens: &[(Token, Range<usize>)], filter: String) {
        if let (Some((_, first)), Some((_, last))) = (tokens.first(), tokens.last()) {
            self.expressions.push(first.start..last.end);
            self.insertions.push((first.start, "(".into()));
            self.insertions.push((last.end, format!(") | {filter}")));
        }
    }

    /// The tokens of a tag, as Tera's own lexer sees them. Moves to the end of the tag.
    fn tokens(&mut self, start: usize, end: &str) -> Result<Vec<(Token, Range<usize>)>, Diagnostic> {
        let bytes = self.text.as_bytes();
        let mut at = start + 2 + usize::from(bytes.get(start + 2) == Some(&b'-'));
        let mut tokens = Vec::new();
        loop {
            let rest = &self.text[at..];
            let Some(first) = rest.bytes().next() else {
                let message = "the tag that starts here does not end";
                return Err(self.error(Rule::RENDER_SYNTAX, start, message, &format!("Close it with `{end}`.")));
            };
            if rest.starts_with(end) || rest.strip_prefix('-').is_some_and(|rest| rest.starts_with(end)) {
                self.at = at + rest.find(end).unwrap_or_default() + end.len();
                self.tokens += tokens.len() as u64;
                return Ok(tokens);
            }
            let (token, length) = match first {
                b if b.is_ascii_whitespace() => {
                    at += 1;
                    continue;
                }
                quote @ (b'"' | b'\'' | b'`') => (Token::Text, self.quoted(at, quote)?),
                b if b.is_ascii_digit() => (Token::Number, rest.bytes().take_while(u8::is_ascii_digit).count()),
                b if b.is_ascii_alphabetic() || b == b'_' => {
                    (Token::Word, rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count())
                }
                _ if ["==", "!=", "<=", ">=", "?.", "?["].iter().any(|sign| rest.starts_with(sign)) => (Token::Sign, 2),
                _ => (Token::Sign, rest.chars().next().map_or(1, char::len_utf8)),
            };
            tokens.push((token, at..at + length));
            at += length;
        }
    }

    /// The length of a text with its quotes.
    fn quoted(&self, start: usize, quote: u8) -> Result<usize, Diagnostic> {
        let mut escaped = false;
        for (offset, byte) in self.text.bytes().enumerate().skip(start + 1) {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b if b == quote => return Ok(offset + 1 - start),
                _ => {}
            }
        }
        Err(self.error(Rule::RENDER_SYNTAX, start, "the text that starts here does not end", "Close it with a quote."))
    }

    /// Checks an expression and collects its names.
    fn expression(&mut self, tokens: &[(Token, Range<usize>)]) -> Result<(), Diagnostic> {
        let text = self.text;
        let word = |index: usize| tokens.get(index).map_or("", |(_, range)| &text[range.clone()]);
        let before = |index: usize, back: usize| index.checked_sub(back).map_or("", word);
        let joins = (0..tokens.len()).filter(|index| word(*index) == "~").count();
        if joins > MAX_JOINS {
            let message = format!("one expression joins {joins} texts with ~, at most {MAX_JOINS} are possible");
            return Err(self.error(Rule::RENDER_LIMIT, tokens[0].1.start, message, "Write several expressions."));
        }
        self.brackets(tokens)?;
        for (index, (token, range)) in tokens.iter().enumerate() {
            let name = &text[range.clone()];
            let previous = before(index, 1);
            if *token == Token::Sign
                && name == "<"
                && tokens.get(index + 1).is_some_and(|next| next.1.start == range.end)
            {
                let help = "To compare, put a space behind <. Use include for what several files share.";
                return Err(self.error(Rule::RENDER_SYNTAX, range.start, "components are not available", help));
            }
            if *token != Token::Word {
                continue;
            }
            if name == "for" {
                let help = "Use {% for %} … {% endfor %}.";
                return Err(self.error(Rule::RENDER_SYNTAX, range.start, "a list cannot be made with for", help));
            }
            let test = previous == "is" || (previous == "not" && before(index, 2) == "is");
            if previous == "|" {
                self.filter(name, range.start)?;
            } else if word(index + 1) == "(" && !test && !KEYWORDS.contains(&name) {
                self.function(name, range.start)?;
            } else if !test && ![".", "?."].contains(&previous) && word(index + 1) != "=" && !KEYWORDS.contains(&name) {
                let field = (word(index + 1) == "." && tokens.get(index + 2).is_some_and(|next| next.0 == Token::Word))
                    .then(|| word(index + 2).to_owned());
                self.names.push(Named { root: name.to_owned(), field, position: Position::of(text, range.start) });
            }
        }
        Ok(())
    }

    /// Each bracket closes within its expression, so that what is put around it is around all of it.
    fn brackets(&self, tokens: &[(Token, Range<usize>)]) -> Result<(), Diagnostic> {
        let mut open = Vec::new();
        for (_, range) in tokens.iter().filter(|(token, _)| *token == Token::Sign) {
            let (sign, at) = (&self.text[range.clone()], range.start);
            let closes = match sign {
                "(" => Some(")"),
                "[" | "?[" => Some("]"),
                "{" => Some("}"),
                _ => None,
            };
            open.extend(closes.map(|closes| (closes, at)));
            if [")", "]", "}"].contains(&sign) && open.pop().is_none_or(|(closes, _)| closes != sign) {
                let message = format!("nothing is open that `{sign}` closes");
                return Err(self.error(Rule::RENDER_SYNTAX, at, message, "Remove it, or open it before."));
            }
        }
        match open.last() {
            Some((closes, at)) => {
                let message = "the bracket that opens here does not close";
                Err(self.error(Rule::RENDER_SYNTAX, *at, message, &format!("Close it with `{closes}`.")))
            }
            None => Ok(()),
        }
    }

    fn filter(&self, name: &str, at: usize) -> Result<(), Diagnostic> {
        if FILTERS.contains(&name) {
            return Ok(());
        }
        let help = match name {
            "safe" | "escape" | "escape_html" | "escape_xml" => "Leave it out: every value is put in as it is, safely.",
            _ => &format!("The filters are {}.", FILTERS.join(", ")),
        };
        Err(self.error(Rule::RENDER_FILTER, at, format!("there is no filter `{name}`"), help))
    }

    fn function(&self, name: &str, at: usize) -> Result<(), Diagnostic> {
        if FUNCTIONS.contains(&name) {
            return Ok(());
        }
        let help = "Rendering depends on files of one commit alone: no clock, environment variable, network or chance. \
                    Make it a parameter.";
        Err(self.error(Rule::RENDER_FUNCTION, at, format!("there is no function `{name}`"), help))
    }

    fn finish(mut self) -> TeraSource {
        let work = self.tokens + size(self.text.len());
        self.insertions[0].1 = format!("{{{{ {work} | __start }}}}");
        self.insertions.sort_by_key(|(at, _)| *at);
        let (mut rewritten, mut edits, mut copied) = (String::with_capacity(self.text.len() * 2), vec![], 0);
        for (at, insertion) in self.insertions {
            rewritten.push_str(&self.text[copied..at]);
            rewritten.push_str(&insertion);
            edits.push(Edit { rewritten: rewritten.len(), original: at });
            copied = at;
        }
        rewritten.push_str(&self.text[copied..]);
        TeraSource { rewritten, names: self.names, declared: self.declared, edits, expressions: self.expressions }
    }
}

const KEYWORDS: &[&str] = &[
    "and", "or", "not", "in", "is", "if", "else", "true", "false", "True", "False", "none", "None", "null", "loop",
    "self",
];

/// The work that so much source is.
fn size(bytes: usize) -> u64 {
    bytes as u64 / 64 + 1
}

#[cfg(test)]
mod tests;

//! Strict YAML: one pass from text to JSON values that every reader of YAML 1.1 and 1.2 agrees on, with the place of each
//! field.
//!
//! What YAML readers take differently is refused, with the advice to quote it: Kubernetes reads YAML 1.1, where `no` is
//! false, `0777` is 511 and `1_000` is 1000, and others read text. Anchors, tags and directives are refused too: nothing
//! in a manifest needs them, and an alias bomb needs all of them. Dates stay text, as with Kubernetes.

mod scalar;

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Value};
use serde_saphyr::granit_parser::{
    ErrorKind, Event, Marker, Options, Parser, ScalarStyle, ScanError, Span, StrInput, options,
};

use self::scalar::AmbiguousScalar;
use crate::diagnostic::{Diagnostic, Position};
use crate::rule::Rule;

/// What a text may be.
#[derive(Debug, Clone, Copy)]
pub struct YamlLimits {
    /// Bytes.
    pub bytes: usize,
    /// Mappings and lists inside one another.
    pub depth: usize,
}

/// For manifests that people write: 256 KiB, 32 levels.
pub const MANIFEST: YamlLimits = YamlLimits { bytes: 256 << 10, depth: 32 };

/// For rendered objects: 4 MiB, 64 levels.
pub const OBJECTS: YamlLimits = YamlLimits { bytes: 4 << 20, depth: 64 };

/// Why a text is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct YamlError {
    /// What is wrong, such as `yaml/duplicate-key`.
    pub rule: Rule,
    /// Where.
    pub position: Position,
    /// The fact.
    pub message: String,
    /// The next step.
    pub help: Option<String>,
}

impl YamlError {
    /// The same as a finding about a file.
    pub fn diagnostic(self, path: &str) -> Diagnostic {
        let found = Diagnostic::new(self.rule, path, self.message).at(self.position);
        Diagnostic { help: self.help, ..found }
    }

    fn new(rule: Rule, position: Position, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { rule, position, message: message.into(), help: Some(help.into()) }
    }
}

/// Positions are kept for paths up to this many bytes, so that deep long keys around a long list do not fill the memory.
const MAX_PATH: usize = 512;

/// Where a field stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPosition {
    /// Its key; for an item of a list, the item.
    pub key: Position,
    /// Its value.
    pub value: Position,
    /// The bytes of its value, quotes included.
    pub bytes: Range<usize>,
}

/// The places of all fields, by path: `spec.parameters.title`, `spec.egress[0]`.
pub type FieldPositions = BTreeMap<String, FieldPosition>;

/// Reads one document: exactly one, within the limits.
///
/// # Errors
/// The first thing that is refused, with its place.
pub fn document(bytes: &[u8], limits: YamlLimits) -> Result<(Value, FieldPositions), YamlError> {
    let text = checked(bytes, limits)?;
    let mut places = FieldPositions::new();
    let mut reader = YamlReader::new(text, limits, Some(&mut places));
    let value = reader.document()?.unwrap_or_default();
    if value.is_null() {
        return Err(YamlError::new(Rule::YAML_EMPTY, Position::default(), "the file is empty", "Write the manifest."));
    }
    match reader.start()? {
        None => Ok((value, places)),
        Some(position) => Err(YamlError::new(
            Rule::YAML_DOCUMENTS,
            position,
            "a second document starts here, and a manifest is one document",
            "Remove the line `---` and what follows, or move it to a file of its own.",
        )),
    }
}

/// A value as YAML that readers of YAML 1.1 and 1.2 take for the same.
pub fn emit(value: &Value) -> String {
    let mut text = serde_saphyr::to_string(value).unwrap_or_else(|error| format!("# no YAML form: {error}\n"));
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// Reads all documents of a text, such as a rendered one, without places. Empty documents are skipped.
///
/// # Errors
/// The first thing that is refused, with its place in the text.
pub fn objects(text: &str, limits: YamlLimits) -> Result<Vec<Value>, YamlError> {
    let mut reader = YamlReader::new(checked(text.as_bytes(), limits)?, limits, None);
    let mut objects = Vec::new();
    while let Some(value) = reader.document()? {
        if !value.is_null() {
            objects.push(value);
        }
    }
    Ok(objects)
}

/// The text of the bytes, after everything that can be refused without parsing.
fn checked(bytes: &[u8], limits: YamlLimits) -> Result<&str, YamlError> {
    let whole = Position::default();
    if bytes.len() > limits.bytes {
        let message = format!("the file has {}, at most {} are possible", size(bytes.len()), size(limits.bytes));
        return Err(YamlError::new(Rule::YAML_SIZE, whole, message, "Move large data to a file of its own."));
    }
    if bytes.starts_with(b"\xef\xbb\xbf") || bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        let help = "Save the file as \"UTF-8\", not as \"UTF-8 with BOM\" or \"UTF-16\".";
        let first = Position { line: 1, column: 1 };
        return Err(YamlError::new(Rule::YAML_BYTE_ORDER_MARK, first, "the file starts with a byte order mark", help));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let position = position_of(bytes, error.valid_up_to());
        YamlError::new(Rule::YAML_UTF_8, position, "the text is no UTF-8 here", "Save the file as UTF-8.")
    })?;
    let control = |byte: &u8| (*byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')) || *byte == 0x7f;
    match bytes.iter().position(control) {
        Some(at) => Err(YamlError::new(
            Rule::YAML_CONTROL_CHARACTER,
            position_of(bytes, at),
            format!("the control character U+{:04X} stands here", bytes[at]),
            "Remove it; it is invisible in most editors.",
        )),
        None => Ok(text),
    }
}

/// Bytes in words: `12 bytes`, `256 KiB`, `50 MiB`.
pub(crate) fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{} MiB", bytes.div_ceil(1 << 20)),
    }
}

fn position_of(bytes: &[u8], at: usize) -> Position {
    let before = String::from_utf8_lossy(&bytes[..at]);
    let line = before.matches('\n').count() as u32 + 1;
    Position { line, column: before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) as u32 + 1 }
}

fn position(mark: &Marker) -> Position {
    Position { line: mark.line() as u32, column: mark.col() as u32 + 1 }
}

/// Composes values from parser events. Recursion is bounded by `limits.depth`, which the parser keeps as well.
struct YamlReader<'t, 'p> {
    text: &'t str,
    events: Parser<'t, StrInput<'t>>,
    limits: YamlLimits,
    depth: usize,
    /// The path of the field being read; kept only where places are wanted.
    path: String,
    places: Option<&'p mut FieldPositions>,
}

impl<'t, 'p> YamlReader<'t, 'p> {
    fn new(text: &'t str, limits: YamlLimits, places: Option<&'p mut FieldPositions>) -> Self {
        let options: Options = options! {
            emit_comments: false,
            disallow_directives: true,
            flow_nesting_limit: limits.depth,
            block_nesting_limit: limits.depth,
        };
        let events = Parser::new_from_str_with_options(text, options);
        Self { text, events, limits, depth: 0, path: String::new(), places }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), YamlError> {
        match self.events.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(syntax(&error, self.text, self.limits)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// Moves to the next document and says where it starts.
    fn start(&mut self) -> Result<Option<Position>, YamlError> {
        loop {
            match self.next()? {
                (Event::DocumentStart(..), span) => return Ok(Some(position(&span.start))),
                (Event::StreamEnd, _) => return Ok(None),
                _ => {}
            }
        }
    }

    fn document(&mut self) -> Result<Option<Value>, YamlError> {
        if self.start()?.is_none() {
            return Ok(None);
        }
        let (event, span) = self.next()?;
        self.value(event, &span).map(Some)
    }

    fn value(&mut self, event: Event<'t>, span: &Span) -> Result<Value, YamlError> {
        let here = position(&span.start);
        let (anchor, tagged) = match &event {
            Event::Scalar(_, _, anchor, tag) => (*anchor, tag.is_some()),
            Event::SequenceStart(_, anchor, tag) | Event::MappingStart(_, anchor, tag) => (*anchor, tag.is_some()),
            Event::Alias(_) => (1, false),
            _ => (0, false),
        };
        if anchor != 0 {
            return Err(alias(here));
        }
        if tagged {
            let message = self.subject("has a tag (`!…`), and tags are not read");
            return Err(YamlError::new(Rule::YAML_TAG, here, message, "Remove the word that starts with `!`."));
        }
        match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) => scalar::plain(text).map_err(|read| self.retyped(here, read)),
            Event::Scalar(text, ..) => Ok(Value::String(text.into_owned())),
            Event::SequenceStart(..) => self.nested(here, Self::list),
            Event::MappingStart(..) => self.nested(here, Self::mapping),
            _ => Err(YamlError { help: None, ..YamlError::new(Rule::YAML_SYNTAX, here, "a value is absent here", "") }),
        }
    }

    fn nested(
        &mut self,
        here: Position,
        read: impl FnOnce(&mut Self) -> Result<Value, YamlError>,
    ) -> Result<Value, YamlError> {
        if self.depth == self.limits.depth {
            return Err(too_deep(here, self.limits));
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn list(&mut self) -> Result<Value, YamlError> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(Value::Array(items));
            }
            let outer = self.path.len();
            if self.places.is_some() {
                self.path.push_str(&format!("[{}]", items.len()));
            }
            items.push(self.placed(None, event, &span)?);
            self.path.truncate(outer);
        }
    }

    fn mapping(&mut self) -> Result<Value, YamlError> {
        let mut map = Map::new();
        let mut lines = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Value::Object(map));
            }
            let here = position(&span.start);
            let key = self.key(event, &span)?;
            if map.contains_key(&key) {
                let first = map.keys().position(|known| *known == key).unwrap_or_default();
                let message = self.subject_of(&key, &format!("stands here again, first in line {}", lines[first]));
                return Err(YamlError::new(Rule::YAML_DUPLICATE_KEY, here, message, "Keep one of the two."));
            }
            let outer = self.path.len();
            if self.places.is_some() {
                if outer > 0 {
                    self.path.push('.');
                }
                self.path.push_str(&key);
            }
            let (event, span) = self.next()?;
            let value = self.placed(Some(here), event, &span)?;
            self.path.truncate(outer);
            lines.push(here.line);
            map.insert(key, value);
        }
    }

    fn key(&mut self, event: Event<'t>, span: &Span) -> Result<String, YamlError> {
        let here = position(&span.start);
        if matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<") {
            let message = self.subject("merges another mapping (`<<`), and merging is not read");
            return Err(YamlError::new(Rule::YAML_MERGE_KEY, here, message, "Write the fields out."));
        }
        match self.value(event, span)? {
            Value::String(key) => Ok(key),
            other => {
                let message = self.subject(&format!("the key {other} is not text"));
                Err(YamlError::new(Rule::YAML_KEY, here, message, "Put the key in quotes."))
            }
        }
    }

    fn placed(&mut self, key: Option<Position>, event: Event<'t>, span: &Span) -> Result<Value, YamlError> {
        if let Some(places) = self.places.as_mut().filter(|_| self.path.len() <= MAX_PATH) {
            let bytes = span.start.byte_offset().unwrap_or(0)..span.end.byte_offset().unwrap_or(0);
            let here = position(&span.start);
            let key = key.unwrap_or(here);
            // A value that is absent stands where its key does.
            let nothing = bytes.is_empty() && matches!(event, Event::Scalar(..));
            let value = if nothing { key } else { here };
            places.insert(self.path.clone(), FieldPosition { key, value, bytes });
        }
        self.value(event, span)
    }

    fn retyped(&self, here: Position, AmbiguousScalar { text, read }: AmbiguousScalar) -> YamlError {
        let message =
            self.subject(&format!("{text} without quotes is read as {read} by some programs, as text by others"));
        let help = format!("If it is text, put it in quotes: \"{text}\". If not, write {read}.");
        YamlError::new(Rule::YAML_RETYPED, here, message, help)
    }

    /// The message, with the path of a field inside before it.
    fn subject_of(&self, key: &str, message: &str) -> String {
        if self.path.is_empty() { format!("{key}: {message}") } else { format!("{}.{key}: {message}", self.path) }
    }

    /// The message, with the field's path before it where that is known.
    fn subject(&self, message: &str) -> String {
        if self.path.is_empty() { message.to_owned() } else { format!("{}: {message}", self.path) }
    }
}

fn alias(here: Position) -> YamlError {
    let message = "an anchor or alias (`&…`, `*…`) stands here, and they are not read";
    YamlError::new(Rule::YAML_ANCHOR, here, message, "Write the value out. Text that starts with & or * needs quotes.")
}

fn too_deep(here: Position, limits: YamlLimits) -> YamlError {
    let message = format!("more than {} mappings and lists stand inside one another", limits.depth);
    YamlError::new(Rule::YAML_DEPTH, here, message, "Make the structure flatter.")
}

/// The parser's refusal in plain words.
fn syntax(error: &ScanError, text: &str, limits: YamlLimits) -> YamlError {
    let here = position(error.marker());
    let indent = "Indent with two spaces for each level, and write `name: value` with a space after the colon.";
    match error.kind() {
        ErrorKind::RecursionLimitExceeded => too_deep(here, limits),
        ErrorKind::UnknownAnchor => alias(here),
        ErrorKind::DirectiveDisallowed => {
            YamlError::new(Rule::YAML_DIRECTIVE, here, "a directive (`%…`) stands here", "Remove the line.")
        }
        ErrorKind::BomInsideDocument => {
            YamlError::new(Rule::YAML_BYTE_ORDER_MARK, here, "a byte order mark stands here", "Remove it.")
        }
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar
        | ErrorKind::TabAtBlockScalarStart => {
            let from_here = text.lines().zip(1..).skip(here.line.saturating_sub(1) as usize);
            let tab = |(line, number): (&str, u32)| {
                let column = line.chars().position(|c| c == '\t')? as u32 + 1;
                Some(Position { line: number, column })
            };
            let here = from_here.filter_map(tab).next().unwrap_or(here);
            YamlError::new(
                Rule::YAML_TAB,
                here,
                "a tab stands here, and YAML indents with spaces",
                "Replace it by spaces.",
            )
        }
        ErrorKind::UnclosedQuotedScalar => {
            YamlError::new(Rule::YAML_SYNTAX, here, "a quote is opened and never closed", "Add the closing quote.")
        }
        ErrorKind::UnclosedFlowCollection { open, .. } => YamlError::new(
            Rule::YAML_SYNTAX,
            here,
            format!("`{open}` is opened and never closed"),
            "Add the closing bracket.",
        ),
        other => {
            let said = other.to_string();
            let (message, help) = if said.contains("trailing content after") {
                (
                    "the text goes on behind its closing quote".into(),
                    "Put the whole text in double quotes: \"It's here\".",
                )
            } else if said.contains("mapping values are not allowed") {
                let message =
                    "a second `:` stands in this field, or its line is indented differently from those around it";
                (message.into(), "Put a text that has a colon in quotes, or indent the line as the others are.")
            } else {
                (format!("the YAML cannot be read: {said}"), indent)
            };
            YamlError::new(Rule::YAML_SYNTAX, here, message, help)
        }
    }
}

#[cfg(test)]
mod tests;

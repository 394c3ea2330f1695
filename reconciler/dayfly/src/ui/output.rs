//! Writes results to stdout and everything else to stderr. The only module that prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use dayfly_controller::error::Error;
use dayfly_model::diagnostic::Diagnostic;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::ui::report;
use crate::ui::style::{ColorChoice, Palette, Style};

/// The form of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum OutputFormat {
    /// For people.
    #[default]
    Text,
    /// For scripts; stable.
    Json,
    /// The same as YAML.
    Yaml,
}

/// Prints what a command has to say.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    /// The form of results.
    pub format: OutputFormat,
    color: ColorChoice,
}

impl Printer {
    /// Prints results in `format`.
    pub fn new(format: OutputFormat, color: ColorChoice) -> Self {
        Self { format, color }
    }

    /// Whether results are for scripts.
    pub fn is_data(&self) -> bool {
        self.format != OutputFormat::Text
    }

    /// The colors of results.
    pub fn palette(&self) -> Palette {
        self.color.palette(std::io::stdout().is_terminal())
    }

    /// The colors of what stands beside results.
    pub fn note_palette(&self) -> Palette {
        self.color.palette(std::io::stderr().is_terminal())
    }

    /// A line of the result.
    pub fn line(&self, text: impl AsRef<str>) {
        self.text(&format!("{}\n", text.as_ref()));
    }

    /// Text of the result, as it is. A reader that closed the stream ends the writing, not the program.
    pub fn text(&self, text: &str) {
        let _ = std::io::stdout().lock().write_all(text.as_bytes());
    }

    /// The result as data, with `apiVersion` and `kind` in front.
    pub fn data(&self, kind: &str, value: &impl Serialize) -> Result<(), Error> {
        let mut object = Map::from_iter([
            ("apiVersion".to_owned(), Value::from("dayfly.dev/v1")),
            ("kind".to_owned(), Value::from(kind)),
        ]);
        let failed = |e: serde_json::Error| Error::usage(format!("{kind}: {e}"), "report this: it is a bug");
        if let Value::Object(fields) = serde_json::to_value(value).map_err(failed)? {
            object.extend(fields);
        }
        self.value(&Value::Object(object));
        Ok(())
    }

    /// A document as data: YAML where that was asked for, else JSON.
    pub fn value(&self, value: &Value) {
        match self.format {
            OutputFormat::Yaml => self.text(&dayfly_model::yaml::emit(value)),
            OutputFormat::Json | OutputFormat::Text => self.line(format!("{value:#}")),
        }
    }

    /// A question on the terminal, without an end of line.
    pub fn prompt(&self, text: &str) {
        let mut terminal = std::io::stderr().lock();
        let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
    }

    /// A line beside the result.
    pub fn note(&self, text: impl AsRef<str>) {
        let _ = writeln!(std::io::stderr().lock(), "{}", text.as_ref());
    }

    /// Findings, each with its help, beside the result.
    pub fn diagnostics<'a>(&self, diagnostics: impl IntoIterator<Item = &'a Diagnostic>) {
        let text = report::diagnostics(self.note_palette(), diagnostics);
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }

    /// An error that ends a command.
    pub fn error(&self, error: &Error) {
        let palette = self.note_palette();
        let word = palette.paint(Style::Red, "error");
        self.note(format!("{word}: {error}{}", report::help(palette, error.help().as_deref())));
    }
}

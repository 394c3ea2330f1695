//! What people and scripts read: results to stdout, everything else to stderr. The only module that prints.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use dayfly_controller::error::Error;
use dayfly_model::diagnostic::{Diagnostic, Severity};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::ui::report::{self, grouped};

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

/// When to color.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Where a command's words go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    /// The form of results.
    pub format: OutputFormat,
    color: Color,
}

/// A way to stand out, in ANSI terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As it is.
    Plain,
    /// What matters.
    Bold,
    /// What matters less.
    Dim,
    /// Good, or added.
    Green,
    /// Worth a look.
    Yellow,
    /// Bad, or removed.
    Red,
    /// A place.
    Cyan,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
            Self::Cyan => "36",
        }
    }
}

impl Output {
    /// Results in `format`.
    pub fn new(format: OutputFormat, color: Color) -> Self {
        Self { format, color }
    }

    /// Whether results are for scripts.
    pub fn is_data(&self) -> bool {
        self.format != OutputFormat::Text
    }

    /// The text in a style, where results are colored.
    pub fn paint(&self, style: Style, text: &str) -> String {
        self.painted(std::io::stdout().is_terminal(), style, text)
    }

    fn paint_note(&self, style: Style, text: &str) -> String {
        self.painted(std::io::stderr().is_terminal(), style, text)
    }

    /// Whether results are colored.
    pub fn is_colored(&self) -> bool {
        self.colors(std::io::stdout().is_terminal())
    }

    /// Whether what stands beside results is colored.
    pub fn is_note_colored(&self) -> bool {
        self.colors(std::io::stderr().is_terminal())
    }

    fn colors(&self, terminal: bool) -> bool {
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    fn painted(&self, terminal: bool, style: Style, text: &str) -> String {
        if self.colors(terminal) && style != Style::Plain {
            format!("\x1b[{}m{text}\x1b[0m", style.code())
        } else {
            text.to_owned()
        }
    }

    /// A line of the result.
    pub fn line(&self, text: impl AsRef<str>) {
        self.text(&format!("{}\n", text.as_ref()));
    }

    /// Text of the result, as it is. A reader that went away ends the writing, not the program.
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
        match self.format {
            OutputFormat::Yaml => self.text(&dayfly_model::yaml::emit(&Value::Object(object))),
            _ => self.line(serde_json::to_string_pretty(&object).map_err(failed)?),
        }
        Ok(())
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

    /// Findings, each with its help.
    pub fn diagnostics<'a>(&self, diagnostics: impl IntoIterator<Item = &'a Diagnostic>) {
        for (diagnostic, apps) in grouped(diagnostics) {
            let (style, word) = match diagnostic.severity {
                Severity::Error => (Style::Red, "error"),
                Severity::Warning => (Style::Yellow, "warning"),
            };
            let word = self.paint_note(style, word);
            if apps.len() > 1 && report::is_app(diagnostic) {
                self.note(format!("{word}: {}: {}", report::count(apps.len(), "app"), diagnostic.message));
            } else {
                self.note(format!("{word}: {diagnostic}"));
            }
            self.help(diagnostic.help.as_deref());
            if apps.len() > 1 {
                self.note(format!("  {} {}", self.paint_note(Style::Cyan, "apps:"), report::names(&apps)));
            }
        }
    }

    /// An error that ends a command.
    pub fn error(&self, error: &Error) {
        self.note(format!("{}: {error}", self.paint_note(Style::Red, "error")));
        self.help(error.help().as_deref());
    }

    fn help(&self, help: Option<&str>) {
        if let Some(help) = help {
            self.note(format!("  {} {help}", self.paint_note(Style::Cyan, "help:")));
        }
    }
}

//! Questions to a person on a terminal, each asked again until its answer fits; elsewhere what is absent is an error.

use std::io::{BufRead, IsTerminal};

use dayfly_controller::error::Error;

use crate::ui::output::Printer;

/// Where answers come from.
pub struct Dialog<'a> {
    printer: &'a Printer,
    /// None where there is nobody to ask.
    lines: Option<Box<dyn BufRead + 'a>>,
}

pub struct Question<'a> {
    /// What to give on the command line instead: `--name`.
    pub flag: &'a str,
    pub text: &'a str,
    /// What the command line gives.
    pub given: Option<String>,
    /// What an empty answer means.
    pub default: Option<String>,
    /// Whether an empty answer means nothing at all where there is no default.
    pub optional: bool,
}

impl<'a> Question<'a> {
    /// One that has to be answered.
    pub fn needed(flag: &'a str, text: &'a str, given: Option<String>) -> Self {
        Self { flag, text, given, default: None, optional: false }
    }
}

impl<'a> Dialog<'a> {
    /// With the person at the terminal, if there is one.
    pub fn new(printer: &'a Printer) -> Self {
        let is_terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        Self { printer, lines: is_terminal.then(|| Box::new(std::io::stdin().lock()) as _) }
    }

    /// With answers that are known.
    #[cfg(test)]
    pub fn answered(printer: &'a Printer, answers: &'a str) -> Self {
        Self { printer, lines: Some(Box::new(answers.as_bytes())) }
    }

    /// Whether there is somebody to ask.
    pub fn is_open(&self) -> bool {
        self.lines.is_some()
    }

    /// A line for the person, where there is one.
    pub fn say(&self, text: &str) {
        if self.is_open() {
            self.printer.note(text);
        }
    }

    /// The answer: what was given, else what the person says, else the default. A person is asked again until `read` takes
    /// it, and hears each time why not. None where an optional answer is empty.
    pub fn ask<T>(
        &mut self,
        question: Question<'_>,
        mut read: impl FnMut(&str) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let mut next = question.given.clone();
        loop {
            let answer = match next.take() {
                Some(given) => given,
                None => match self.line(&question)? {
                    Some(line) => line,
                    None => return Ok(None),
                },
            };
            match read(&answer) {
                Ok(value) => return Ok(Some(value)),
                Err(error) if self.is_open() => self.printer.error(&error),
                Err(error) => return Err(error),
            }
        }
    }

    /// One answer as it was typed; none where it is empty and may be.
    fn line(&mut self, question: &Question<'_>) -> Result<Option<String>, Error> {
        let needed = || Error::usage(format!("{} is needed", question.flag), format!("it answers: {}", question.text));
        let Some(lines) = &mut self.lines else {
            return match &question.default {
                Some(default) => Ok(Some(default.clone())),
                None if question.optional => Ok(None),
                None => Err(needed()),
            };
        };
        let hint = match &question.default {
            Some(default) => format!(" [{default}]"),
            None if question.optional => " [none]".into(),
            None => String::new(),
        };
        loop {
            self.printer.prompt(&format!("{}{hint}: ", question.text));
            let mut line = String::new();
            let read = lines.read_line(&mut line).map_err(Error::file("standard input"))?;
            match (line.trim(), &question.default) {
                ("", _) if read == 0 => return Err(needed()),
                ("", Some(default)) => return Ok(Some(default.clone())),
                ("", None) if question.optional => return Ok(None),
                ("", None) => {}
                (answer, _) => return Ok(Some(answer.to_owned())),
            }
        }
    }
}

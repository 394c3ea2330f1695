//! How text stands out on a terminal.

use clap::ValueEnum;

/// When to color.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
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
    /// Worth attention.
    Yellow,
    /// Bad, or removed.
    Red,
    /// A place.
    Cyan,
}

/// Colors text, or leaves it plain where the reader takes no colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    is_colored: bool,
}

impl ColorChoice {
    /// The colors for a stream.
    pub fn palette(self, is_terminal: bool) -> Palette {
        let is_colored = match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => is_terminal && std::env::var_os("NO_COLOR").is_none(),
        };
        Palette { is_colored }
    }
}

impl Palette {
    /// Whether the reader takes colors.
    pub fn is_colored(self) -> bool {
        self.is_colored
    }

    /// The text in a style.
    pub fn paint(self, style: Style, text: &str) -> String {
        if self.is_colored && style != Style::Plain {
            format!("\x1b[{}m{text}\x1b[0m", style.code())
        } else {
            text.to_owned()
        }
    }
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

//! What a pass would change, as text for people: a diff for each object.

use dayfly_controller::PreviewedChange;
use dayfly_plan::plan::ChangeAction;

use crate::ui::style::{Palette, Style};

/// One change: the object and the reason, then its diff, then what a deletion takes along.
pub fn change(palette: Palette, change: &PreviewedChange) -> String {
    let style = match change.change.action {
        ChangeAction::Create => Style::Green,
        ChangeAction::Delete | ChangeAction::Replace => Style::Red,
        _ => Style::Yellow,
    };
    let title = format!("{} {}  # {}", change.change.action, change.change.object, change.reason);
    let mut text = palette.paint(style, &title) + "\n";
    for line in change.diff.lines() {
        text.push_str(&palette.paint(diff_style(line), line));
        text.push('\n');
    }
    for object in &change.along {
        text.push_str(&palette.paint(Style::Red, &format!("  takes along {object}")));
        text.push('\n');
    }
    text
}

/// The style of a unified diff's line.
fn diff_style(line: &str) -> Style {
    match line.as_bytes().first() {
        Some(b'+') => Style::Green,
        Some(b'-') => Style::Red,
        Some(b'@') => Style::Cyan,
        _ => Style::Plain,
    }
}

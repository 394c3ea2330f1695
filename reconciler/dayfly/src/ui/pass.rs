//! A pass as text for people.

use dayfly_controller::{Pass, Retired};
use dayfly_model::diagnostic::Diagnostic;
use dayfly_plan::plan::ChangeAction;
use dayfly_plan::status::Phase;

use crate::ui::report;
use crate::ui::style::{Palette, Style};

/// A pass in a few lines, as `run` tells of it.
pub fn brief(palette: Palette, pass: &Pass) -> String {
    let mut apps: Vec<_> = pass.changes.iter().map(|change| format!("{}.{}", change.app, change.tier)).collect();
    apps.dedup();
    let shown = if apps.len() > 4 { report::count(apps.len(), "app") } else { apps.join(", ") };
    let time = palette.paint(Style::Dim, &pass.time.strftime("%H:%M:%S").to_string());
    let what = if shown.is_empty() { String::new() } else { format!(" ({shown})") };
    let took = pass.took.as_secs_f64();
    let revision = pass.revision.short();
    let line = format!("{time} {revision} in {took:.2} s: {}{what}{}\n", changes(pass), blocked(pass));
    line + &retired(pass)
}

/// The apps that a pass retired, a line each.
pub fn retired(pass: &Pass) -> String {
    let line = |Retired { app, tier, commit }: &Retired| {
        format!("retired {app} from {tier}: its time was up (commit {})\n", commit.short())
    };
    pass.retired.iter().map(line).collect()
}

/// What came of a pass, in a line.
pub fn outcome(palette: Palette, pass: &Pass) -> String {
    let amiss = pass.items.iter().filter(|item| item.phase != Phase::Ready).count();
    let is_well = !pass.has_failed() && !pass.diagnostics.iter().any(Diagnostic::is_error);
    match (pass.writes, amiss) {
        (0, 0) if is_well => palette.paint(Style::Green, "Nothing to do: everything is as git says."),
        (0, 0) => palette.paint(Style::Red, "Nothing was changed; what is wrong stands above."),
        (0, 1) => palette.paint(Style::Yellow, "Nothing was changed; 1 app is not as git says."),
        (0, _) => palette.paint(Style::Yellow, &format!("Nothing was changed; {amiss} apps are not as git says.")),
        _ => {
            let (writes, calls) = (report::count(pass.writes, "write"), report::count(pass.calls, "call"));
            format!("{} in {:.2} s ({writes}, {calls})", changes(pass), pass.took.as_secs_f64())
        }
    }
}

/// `; 1 app held, 2 apps stalled`.
fn blocked(pass: &Pass) -> String {
    let number = |phase: Phase| pass.items.iter().filter(|item| item.phase == phase).count();
    let words = [(Phase::Held, "held"), (Phase::Stalled, "stalled")].map(|(phase, word)| match number(phase) {
        0 => None,
        number => Some(format!("{} {word}", report::count(number, "app"))),
    });
    let words: Vec<_> = words.into_iter().flatten().collect();
    if words.is_empty() { String::new() } else { format!("; {}", words.join(", ")) }
}

/// `41 objects created, 3 updated`.
fn changes(pass: &Pass) -> String {
    let mut words = Vec::new();
    for (action, word) in [
        (ChangeAction::Create, "created"),
        (ChangeAction::Update, "updated"),
        (ChangeAction::Replace, "replaced"),
        (ChangeAction::Delete, "deleted"),
    ] {
        let number = pass.changes.iter().filter(|change| change.action == action).count();
        match (number, words.is_empty()) {
            (0, _) => {}
            (_, true) => words.push(format!("{} {word}", report::count(number, "object"))),
            (_, false) => words.push(format!("{number} {word}")),
        }
    }
    if words.is_empty() { "No object changed".into() } else { words.join(", ") }
}

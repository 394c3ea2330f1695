//! Apps and findings as text for people.

use std::collections::HashMap;

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table};
use dayfly_judge::cost::MonthlyCost;
use dayfly_model::diagnostic::{Diagnostic, Severity};
use dayfly_model::names::AppName;
use dayfly_plan::status::{AppHealth, Phase, Status};
use jiff::{SignedDuration, Timestamp};

use crate::ui::style::{Palette, Style};

struct StatusColumn {
    title: &'static str,
    right: bool,
    /// Where the terminal is too narrow for all, the columns with the highest numbers go first.
    spare: u8,
    text: fn(&Status, Timestamp) -> Option<String>,
}

const fn column(title: &'static str, spare: u8, text: fn(&Status, Timestamp) -> Option<String>) -> StatusColumn {
    StatusColumn { title, right: false, spare, text }
}

const fn number(title: &'static str, spare: u8, text: fn(&Status, Timestamp) -> Option<String>) -> StatusColumn {
    StatusColumn { title, right: true, spare, text }
}

const COLUMNS: [StatusColumn; 9] = [
    column("APP", 0, |item, _| Some(item.app.to_string())),
    column("TIER", 1, |item, _| item.tier.as_ref().map(ToString::to_string)),
    column("TEMPLATE", 4, |item, _| item.template.as_ref().map(ToString::to_string)),
    column(PHASE, 0, |item, _| Some(phase(item))),
    column("URL", 3, |item, _| item.url.clone()),
    number("EXPIRES IN", 2, |item, now| item.expires.map(|at| until(at, now))),
    number("MONTHLY", 5, |item, _| item.monthly_cost.as_ref().map(cost)),
    number("OBJECTS", 6, |item, _| Some(item.objects.to_string())),
    column("REVISION", 7, |item, _| item.revision.map(|revision| revision.short())),
];
const PHASE: &str = "PHASE";
/// Blanks between columns.
const GAP: usize = 2;

/// The table of apps, a line each, and what a person should know about some of them.
pub fn table(palette: Palette, items: &[Status], now: Timestamp) -> String {
    if items.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    let columns = fitting(items, now, table.width().map(usize::from));
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if palette.is_colored() {
        table.enforce_styling()
    } else {
        table.force_no_tty()
    };
    table.set_header(columns.iter().map(|column| Cell::new(column.title).add_attribute(Attribute::Dim)));
    for item in items {
        table.add_row(columns.iter().map(|column| {
            let cell = Cell::new((column.text)(item, now).unwrap_or_else(|| "-".into()));
            let cell = if column.right { cell.set_alignment(CellAlignment::Right) } else { cell };
            if column.title == PHASE { cell.fg(color(item)) } else { cell }
        }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP as u16));
    }
    let mut text: String = table.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    for (i, (item, apps)) in messages(items).iter().enumerate() {
        let gap = if i == 0 { "\n" } else { "" };
        let apps = palette.paint(style(item), &format!("{}:", names(apps)));
        text.push_str(&format!("{gap}{apps} {}\n", item.message));
    }
    text
}

/// What a person should know about apps; what is the same for many of them comes once.
fn messages(items: &[Status]) -> Vec<(&Status, Vec<&AppName>)> {
    let mut groups: Vec<(&Status, Vec<&AppName>)> = Vec::new();
    for item in items.iter().filter(|item| !item.message.is_empty()) {
        match groups.iter_mut().find(|(first, _)| first.phase == item.phase && first.message == item.message) {
            Some((_, apps)) => apps.push(&item.app),
            None => groups.push((item, vec![&item.app])),
        }
    }
    groups
}

/// All that is known of one app, a line each.
pub fn details(palette: Palette, item: &Status, now: Timestamp) -> String {
    let expires = item.expires.map(|at| match remaining(at, now) {
        Some(time) => format!("{at}, in {time}"),
        None => format!("{at}, its time is up"),
    });
    let lines = [
        ("app", Some(item.app.to_string())),
        ("tier", item.tier.as_ref().map(ToString::to_string)),
        ("template", item.template.as_ref().map(ToString::to_string)),
        ("phase", Some(palette.paint(style(item), item.phase.as_str()))),
        ("health", Some(item.health.as_str().into())),
        ("url", item.url.clone()),
        ("expires", expires),
        ("monthly", item.monthly_cost.as_ref().map(cost)),
        ("objects", Some(item.objects.to_string())),
        ("revision", item.revision.map(|revision| revision.short())),
        ("message", Some(item.message.clone()).filter(|message| !message.is_empty())),
    ];
    let line = |(name, value): (&str, Option<String>)| {
        let name = palette.paint(Style::Dim, &format!("{:<10}", format!("{name}:")));
        value.map(|value| format!("{name}{value}\n"))
    };
    lines.into_iter().filter_map(line).collect()
}

/// The columns that fit, in their order; all where the width is unknown.
fn fitting(items: &[Status], now: Timestamp, width: Option<usize>) -> Vec<&'static StatusColumn> {
    let needs = |column: &&StatusColumn| {
        let longest = items.iter().filter_map(|item| (column.text)(item, now)).map(|text| text.chars().count()).max();
        longest.unwrap_or(0).max(column.title.len()) + GAP
    };
    let mut columns: Vec<&StatusColumn> = COLUMNS.iter().collect();
    while let Some(width) = width {
        let spare = columns.iter().map(|column| column.spare).max().unwrap_or(0);
        if spare == 0 || columns.iter().map(needs).sum::<usize>() <= width + GAP {
            break;
        }
        columns.retain(|column| column.spare < spare);
    }
    columns
}

fn color(item: &Status) -> Color {
    match style(item) {
        Style::Green => Color::Green,
        Style::Red => Color::Red,
        _ => Color::Yellow,
    }
}

fn phase(item: &Status) -> String {
    match item.phase {
        Phase::Ready if item.health == AppHealth::HealthySimulated => "Ready (simulated)".into(),
        Phase::Ready if item.health == AppHealth::Suspended => "Ready (suspended)".into(),
        phase => phase.as_str().into(),
    }
}

fn style(item: &Status) -> Style {
    match item.phase {
        Phase::Ready => Style::Green,
        Phase::Reconciling | Phase::Held => Style::Yellow,
        Phase::Stalled => Style::Red,
    }
}

/// The time that remains, in the two largest units a person thinks in: `13d 4h`, `25m`; none where it is up.
fn remaining(at: Timestamp, now: Timestamp) -> Option<String> {
    let time = at.duration_since(now);
    if time <= SignedDuration::ZERO {
        return None;
    }
    let minutes = time.as_secs() / 60;
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    Some(match (days, hours) {
        (0, 0) => format!("{minutes}m"),
        (0, _) => format!("{hours}h {minutes}m"),
        (1..14, 1..) => format!("{days}d {hours}h"),
        _ => format!("{days}d"),
    })
}

/// The same, `expired` where it is up.
fn until(at: Timestamp, now: Timestamp) -> String {
    remaining(at, now).unwrap_or_else(|| "expired".into())
}

/// `4.12 USD`, or `4.12-9.00 USD` where limits allow more than requests.
fn cost(cost: &MonthlyCost) -> String {
    let (low, high) = (format!("{:.2}", cost.low), format!("{:.2}", cost.high));
    if low == high { format!("{low} {}", cost.currency) } else { format!("{low}-{high} {}", cost.currency) }
}

/// Findings, each with its help.
pub fn diagnostics<'a>(palette: Palette, found: impl IntoIterator<Item = &'a Diagnostic>) -> String {
    let mut text = String::new();
    for (diagnostic, apps) in grouped(found) {
        let word = match diagnostic.severity {
            Severity::Error => palette.paint(Style::Red, "error"),
            Severity::Warning => palette.paint(Style::Yellow, "warning"),
        };
        let is_about_many = apps.len() > 1;
        text.push_str(&if is_about_many && is_app(diagnostic) {
            format!("{word}: {}: {}", count(apps.len(), "app"), diagnostic.message)
        } else {
            format!("{word}: {diagnostic}")
        });
        text.push_str(&help(palette, diagnostic.help.as_deref()));
        if is_about_many {
            text.push_str(&format!("\n  {} {}", palette.paint(Style::Cyan, "apps:"), names(&apps)));
        }
        text.push('\n');
    }
    text
}

/// The line that names the next step, below the line of an error.
pub fn help(palette: Palette, help: Option<&str>) -> String {
    help.map(|help| format!("\n  {} {help}", palette.paint(Style::Cyan, "help:"))).unwrap_or_default()
}

/// Findings that say the same about several apps, as one with these apps. Findings in different files stay apart; the
/// place of an app's own finding (`survey.sandbox`) is its name.
pub fn grouped<'a>(found: impl IntoIterator<Item = &'a Diagnostic>) -> Vec<(&'a Diagnostic, Vec<&'a AppName>)> {
    let mut groups: Vec<(&Diagnostic, Vec<&AppName>)> = Vec::new();
    let mut known = HashMap::new();
    for one in found {
        let place = if is_app(one) { None } else { Some((&one.path, one.position)) };
        let said = (one.severity, place, &one.message, &one.help);
        let at = *known.entry(said).or_insert(groups.len());
        if at == groups.len() {
            groups.push((one, Vec::new()));
        }
        groups[at].1.extend(&one.app);
    }
    groups
}

/// Whether a finding's place is just its app.
fn is_app(found: &Diagnostic) -> bool {
    found.app.is_some() && !found.path.contains('/')
}

/// `a, b`, and how many more after the fifth.
fn names(apps: &[&AppName]) -> String {
    let names: Vec<_> = apps.iter().take(5).map(|app| app.as_str()).collect();
    let more = if apps.len() > 5 { format!(" and {} more", apps.len() - 5) } else { String::new() };
    format!("{}{more}", names.join(", "))
}

/// `1 app`, `2 apps`.
pub fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dayfly_model::rule::Rule;

    #[test]
    fn the_remaining_time_is_written_in_its_two_largest_units() {
        let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let said = |hours: i64, minutes: i64| until(now + SignedDuration::from_mins(hours * 60 + minutes), now);
        assert_eq!(said(0, 25), "25m");
        assert_eq!(said(5, 3), "5h 3m");
        assert_eq!(said(13 * 24 + 4, 0), "13d 4h");
        assert_eq!(said(60 * 24 + 4, 0), "60d");
        assert_eq!(said(-1, 0), "expired");
    }

    #[test]
    fn a_finding_about_several_apps_is_written_once() {
        let app = |name: &str| name.parse::<AppName>().unwrap();
        let stays = |name: &str, why: &str| {
            Diagnostic::new(Rule::REMOVE_STAYS, format!("{name}.sandbox"), why).about(&app(name))
        };
        let broken = |name: &str| Diagnostic::new(Rule::MANIFEST_VALUE, format!("apps/{name}/app.yaml"), "is wrong");
        let found = [stays("a", "too many"), stays("b", "too many"), stays("c", "held"), broken("a"), broken("b")];
        let groups: Vec<_> = grouped(&found).into_iter().map(|(first, apps)| (&*first.path, names(&apps))).collect();
        let expected = [("a.sandbox", "a, b"), ("c.sandbox", "c"), ("apps/a/app.yaml", ""), ("apps/b/app.yaml", "")];
        assert_eq!(groups, expected.map(|(path, apps)| (path, apps.to_owned())));
    }
}

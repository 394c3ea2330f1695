//! Tables and summaries for people.

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};
use dayfly_core::cost::MonthlyCost;
use dayfly_core::status::{Phase, Status};
use jiff::{SignedDuration, Timestamp};

use crate::output::{Output, Style};

/// The table of apps, a line each.
pub fn table(output: &Output, items: &[Status], now: Timestamp) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let titles = ["APP", "TIER", "TEMPLATE", "PHASE", "URL", "EXPIRES IN", "MONTHLY", "OBJECTS", "REVISION"];
    table.set_header(titles.map(|title| Cell::new(output.paint(Style::Dim, title))));
    for item in items {
        let text = |value: Option<String>| Cell::new(value.unwrap_or_else(|| "-".into()));
        table.add_row([
            Cell::new(output.paint(Style::Bold, item.app.as_str())),
            text(item.tier.as_ref().map(ToString::to_string)),
            text(item.template.as_ref().map(ToString::to_string)),
            Cell::new(output.paint(style(item), &phase(item))),
            text(item.url.clone()),
            text(item.expires.map(|at| until(at, now))).set_alignment(CellAlignment::Right),
            text(item.monthly_cost.as_ref().map(cost)).set_alignment(CellAlignment::Right),
            Cell::new(item.objects).set_alignment(CellAlignment::Right),
            text(item.revision.map(|revision| revision.short())),
        ]);
    }
    if let Some(column) = table.column_mut(0) {
        column.set_padding((0, 1));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    let mut text = lines.join("\n") + "\n";
    for item in items.iter().filter(|item| !item.message.is_empty()) {
        text.push_str(&format!("\n{} {}", output.paint(style(item), &format!("{}:", item.app)), item.message));
    }
    if text.ends_with('\n') { text } else { text + "\n" }
}

fn phase(item: &Status) -> String {
    match item.phase {
        Phase::Ready if item.health.contains("simulated") => "Ready (simulated)".into(),
        Phase::Ready if item.health == "Suspended" => "Ready (suspended)".into(),
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

/// The time that is left, in the two largest units a person thinks in: `13d 4h`, `25m`, `expired`.
pub fn until(at: Timestamp, now: Timestamp) -> String {
    let left = at.duration_since(now);
    if left <= SignedDuration::ZERO {
        return "expired".into();
    }
    let minutes = left.as_secs() / 60;
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}m"),
        (0, _) => format!("{hours}h {minutes}m"),
        (1..14, 1..) => format!("{days}d {hours}h"),
        _ => format!("{days}d"),
    }
}

/// `4.12 USD`, or `4.12-9.00 USD` where limits allow more than requests.
pub fn cost(cost: &MonthlyCost) -> String {
    let (low, high) = (format!("{:.2}", cost.low), format!("{:.2}", cost.high));
    if low == high { format!("{low} {}", cost.currency) } else { format!("{low}-{high} {}", cost.currency) }
}

/// `1 app`, `2 apps`.
pub fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_said_as_a_person_would() {
        let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let said = |hours: i64, minutes: i64| until(now + SignedDuration::from_mins(hours * 60 + minutes), now);
        assert_eq!(said(0, 25), "25m");
        assert_eq!(said(5, 3), "5h 3m");
        assert_eq!(said(13 * 24 + 4, 0), "13d 4h");
        assert_eq!(said(60 * 24 + 4, 0), "60d");
        assert_eq!(said(-1, 0), "expired");
    }
}

//! The schedule of a CronJob, read like a real server reads it: five fields, or a word for them.

use serde_json::json;

use super::{ValidationReport, below, text};
use crate::apiserver::object::JsonObject;

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const WORDS: [&str; 7] = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"];

/// The least and the greatest number of a field, and names for its numbers, of which the first is for the least.
type CronField = (u32, u32, &'static [&'static str]);

/// Minute, hour, day of the month, month, day of the week.
const FIELDS: [CronField; 5] = [(0, 59, &[]), (0, 23, &[]), (1, 31, &[]), (1, 12, &MONTHS), (0, 6, &DAYS)];

pub(super) fn cron_job(fields: &JsonObject, path: &str, report: &mut ValidationReport) {
    let schedule = text(fields, "schedule");
    if schedule.is_empty() {
        report.required(below(path, "schedule"), "");
    } else if let Err(why) = read(schedule) {
        report.invalid(below(path, "schedule"), &json!(schedule), &why);
    }
    let Some(zone) = fields.get("timeZone").and_then(|zone| zone.as_str()) else { return };
    let known = |c: char| c.is_ascii_alphanumeric() || "_+-/".contains(c);
    let wrong = match zone {
        "" => "timeZone must be nil or non-empty string".to_owned(),
        _ if zone.eq_ignore_ascii_case("local") => {
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones".to_owned()
        }
        _ if !zone.chars().all(known) => format!("unknown time zone {zone}"),
        _ => return,
    };
    report.invalid(below(path, "timeZone"), &json!(zone), &wrong);
}

fn read(schedule: &str) -> Result<(), String> {
    if schedule.contains("TZ") {
        return Err("cannot use TZ or CRON_TZ in schedule, use timeZone field instead".to_owned());
    }
    if let Some(duration) = schedule.strip_prefix("@every ") {
        return match is_duration(duration) {
            true => Ok(()),
            false => Err(format!("failed to parse duration {schedule}: time: invalid duration {duration:?}")),
        };
    }
    if schedule.starts_with('@') {
        return match WORDS.contains(&schedule) {
            true => Ok(()),
            false => Err(format!("unrecognized descriptor: {schedule}")),
        };
    }
    let parts: Vec<&str> = schedule.split_whitespace().collect();
    if parts.len() != FIELDS.len() {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", parts.len(), parts.join(" ")));
    }
    let mut ranges = parts.iter().zip(FIELDS).flat_map(|(part, field)| part.split(',').map(move |r| (r, field)));
    ranges.try_for_each(|(range, field)| check_range(range, field))
}

fn check_range(range: &str, (least, most, names): CronField) -> Result<(), String> {
    if range.is_empty() {
        return Ok(());
    }
    let mut parts = range.split('/');
    let bounds: Vec<&str> = parts.next().unwrap_or_default().split('-').collect();
    let step = parts.next();
    if parts.next().is_some() {
        return Err(format!("too many slashes: {range}"));
    }
    let number = |text: &str| match names.iter().position(|name| text.eq_ignore_ascii_case(name)) {
        Some(index) => Ok(least + u32::try_from(index).unwrap_or(0)),
        None => text.parse::<u32>().map_err(|_| format!("failed to parse int from {text}: invalid syntax")),
    };
    let (start, end) = match bounds.as_slice() {
        ["*" | "?", ..] => (least, most),
        [one] => (number(one)?, if step.is_some() { most } else { number(one)? }),
        [start, end] => (number(start)?, number(end)?),
        _ => return Err(format!("too many hyphens: {range}")),
    };
    if start < least {
        return Err(format!("beginning of range ({start}) below minimum ({least}): {range}"));
    }
    if end > most {
        return Err(format!("end of range ({end}) above maximum ({most}): {range}"));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {range}"));
    }
    match step.map(number) {
        Some(Ok(0)) => Err(format!("step of range should be a positive number: {range}")),
        Some(Err(why)) => Err(why),
        _ => Ok(()),
    }
}

/// Numbers with units, such as `1h30m`.
fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    while !rest.is_empty() {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let unit = ["ns", "us", "µs", "ms", "s", "m", "h"].iter().find_map(|unit| after.strip_prefix(unit));
        match unit.filter(|_| after.len() < rest.len()) {
            Some(next) => rest = next,
            None => return false,
        }
    }
    !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_is_read_like_a_real_server_reads_it() {
        for fine in [
            "* * * * *",
            "*/5 0-23/2 1,15 jan-MAR mon-fri",
            "? * * * *",
            "1/5 * * * *",
            "0 0 31 2 *",
            " * * * * * ",
            "*/100 * * * *",
            "@daily",
            "@midnight",
            "@every 1h30m",
        ] {
            assert_eq!(read(fine), Ok(()), "{fine}");
        }
        for wrong in [
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * 32 * *",
            "* * * 13 *",
            "* * * * 7",
            "*/0 * * * *",
            "5-1 * * * *",
            "1-70 * * * *",
            "a * * * *",
            "1,2,x * * * *",
            "1-2-3 * * * *",
            "*/5/5 * * * *",
            "* * * *",
            "@every x",
            "@reboot",
            "@DAILY",
            "TZ=UTC * * * * *",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}

//! The texts with a form of their own that manifests hold: durations, dates, destinations, names, single lines.

use std::net::IpAddr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::app::Egress;
use crate::names::{AppName, TemplateRef, TierName};

/// One form: how schemas name it, and what it takes.
pub(crate) struct TextFormat {
    /// The name in a schema's `format`.
    pub name: &'static str,
    /// What a text of this form is, with an article and examples.
    pub what: &'static str,
    /// A pattern for editors, a little wider than the check.
    pub pattern: &'static str,
    /// The check; the error reads on after the field's name.
    pub check: fn(&str) -> Result<(), String>,
}

/// Every form.
pub(crate) const FORMATS: &[TextFormat] = &[
    TextFormat { name: "dayfly-line", what: "one line of text", pattern: r"^\S([^\x00-\x1f]*\S)?$", check: line },
    TextFormat {
        name: "dayfly-app",
        what: "an app's name: lower case letters, digits and '-'",
        pattern: "^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$",
        check: |text| parsed::<AppName>(text),
    },
    TextFormat {
        name: "dayfly-tier",
        what: "a tier: the name of a folder under environments/",
        pattern: "^[a-z0-9]([-a-z0-9]{0,18}[a-z0-9])?$",
        check: |text| parsed::<TierName>(text),
    },
    TextFormat {
        name: "dayfly-template",
        what: "a template such as simple-survey/v1",
        pattern: "^[a-z0-9]([-a-z0-9]*[a-z0-9])?/v[1-9][0-9]*$",
        check: |text| parsed::<TemplateRef>(text),
    },
    TextFormat {
        name: "dayfly-ttl",
        what: "a duration such as 30m, 24h, 7d or 2w",
        pattern: "^[1-9][0-9]*[mhdw]$",
        check: |text| duration(text, "mhdw").map(drop),
    },
    TextFormat {
        name: "dayfly-duration",
        what: "a duration such as 30m, 24h, 7d, 2w or 1y",
        pattern: "^[1-9][0-9]*[mhdwy]$",
        check: |text| duration(text, "mhdwy").map(drop),
    },
    TextFormat {
        name: "dayfly-date",
        what: "a date such as 2026-12-24",
        pattern: "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
        check: |text| date(text).map(drop),
    },
    TextFormat {
        name: "dayfly-moment",
        what: "a date such as 2026-12-24, or a time such as 2026-12-24T18:00:00Z",
        pattern: "^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].*)?$",
        check: |text| moment(text).map(drop),
    },
    TextFormat {
        name: "dayfly-egress",
        what: "a destination such as 203.0.113.0/24:443 or api.example.com:443",
        pattern: "^.+:[0-9]+$",
        check: |text| egress(text).map(drop),
    },
    TextFormat {
        name: "dayfly-version",
        what: "a version such as 1.2.0",
        pattern: r"^[0-9]+\.[0-9]+\.[0-9]+",
        check: |text| version(text).map(drop),
    },
];

/// The form of that name.
pub(crate) fn find(name: &str) -> Option<&'static TextFormat> {
    FORMATS.iter().find(|format| format.name == name)
}

/// A text in quotes, what is invisible escaped, what is long cut.
pub(crate) fn quoted(text: &str) -> String {
    let mut cut: String = text.chars().take(60).collect();
    if cut.len() < text.len() {
        cut.push('…');
    }
    let shown: String = cut
        .chars()
        .flat_map(|c| {
            let unseen = hidden(c) && !c.is_control();
            if unseen { c.escape_unicode().collect::<Vec<_>>() } else { c.escape_debug().collect() }
        })
        .collect();
    format!("\"{shown}\"")
}

/// Whether a character is invisible or changes the direction of those around it: control and format characters, line
/// separators, byte order marks.
pub(crate) fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The longest text of one line: an owner, a purpose, a reason.
const MAX_LINE: usize = 200;

/// Checks a text of one line.
pub(crate) fn line(text: &str) -> Result<(), String> {
    let count = text.chars().count();
    if text.trim().is_empty() {
        Err("is empty".into())
    } else if count > MAX_LINE {
        Err(format!("has {count} characters, at most {MAX_LINE} are possible"))
    } else if text.contains(['\n', '\r']) {
        Err(format!("{} has more than one line", quoted(text)))
    } else if text.chars().any(hidden) {
        Err(format!("{} has an invisible character", quoted(text)))
    } else if text.trim() != text {
        Err(format!("{} starts or ends with a space", quoted(text)))
    } else {
        Ok(())
    }
}

fn parsed<T: std::str::FromStr<Err = crate::names::NameError>>(text: &str) -> Result<(), String> {
    text.parse::<T>().map(drop).map_err(|error| format!("{} {error}", quoted(text)))
}

const DAY: i64 = 24 * 3600;

/// The longest duration: a hundred years.
const MAX_DAYS: i64 = 36_500;

/// A duration: a whole number from 1 and one of the units `m`, `h`, `d`, `w`, `y` (365 days) that are allowed.
pub(crate) fn duration(text: &str, units: &str) -> Result<SignedDuration, String> {
    let wrong = || {
        let what = if units.contains('y') { "30m, 24h, 7d, 2w or 1y" } else { "30m, 24h, 7d or 2w" };
        format!("{} is not a duration such as {what}", quoted(text))
    };
    let unit = text.chars().last().filter(|unit| units.contains(*unit)).ok_or_else(wrong)?;
    let number = &text[..text.len() - 1];
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong());
    }
    let seconds = match unit {
        'm' => 60,
        'h' => 3600,
        'd' => DAY,
        'w' => 7 * DAY,
        _ => 365 * DAY,
    };
    match number.parse::<i64>().ok().and_then(|number| number.checked_mul(seconds)) {
        Some(0) => Err(format!("{text} is no time at all")),
        Some(seconds) if seconds <= MAX_DAYS * DAY => Ok(SignedDuration::from_secs(seconds)),
        _ => Err(format!("{} is longer than a hundred years", quoted(text))),
    }
}

/// A duration as people write it: `45m`, `36h`, `30d`, `1y`.
pub fn duration_text(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    for (unit, size) in [("y", 365 * DAY), ("d", DAY), ("h", 3600), ("m", 60)] {
        if seconds != 0 && seconds % size == 0 {
            return format!("{}{unit}", seconds / size);
        }
    }
    format!("{seconds}s")
}

/// A date, RFC 3339.
pub(crate) fn date(text: &str) -> Result<Date, String> {
    let plain = text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    text.parse().ok().filter(|_| plain).ok_or_else(|| format!("{} is not a date such as 2026-12-24", quoted(text)))
}

/// The first moment after a day, UTC.
pub fn end_of_day(date: Date) -> Option<Timestamp> {
    date.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// A moment, RFC 3339; a date means its end, UTC.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    if let Some(date) = date(text).ok().filter(|_| text.len() <= 10) {
        return end_of_day(date).ok_or_else(|| format!("{} is further away than dates are counted", quoted(text)));
    }
    text.parse().ok().filter(|_| text.len() > 10).ok_or_else(|| {
        format!("{} is not a date such as 2026-12-24, or a time such as 2026-12-24T18:00:00Z", quoted(text))
    })
}

/// A version, as <https://semver.org> writes it.
pub(crate) fn version(text: &str) -> Result<semver::Version, String> {
    text.parse().map_err(|_| format!("{} is not a version such as 1.2.0", quoted(text)))
}

/// A destination: `CIDR:port`, with brackets around IPv6 (`[2001:db8::/32]:443`), or `hostname:port`.
pub(crate) fn egress(text: &str) -> Result<Egress, String> {
    let wrong = || format!("{} is not a destination such as 203.0.113.0/24:443 or api.example.com:443", quoted(text));
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse::<u16>().ok().filter(|number| *number > 0 && !port.starts_with(['0', '+']));
    let port = port.ok_or_else(|| format!("{} has no port from 1 to 65535 at its end", quoted(text)))?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(address) = host.parse::<IpAddr>() {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        return Err(format!("{} is one address: write it as the range {address}/{bits}", quoted(text)));
    }
    if let Some((address, bits)) = host.split_once('/') {
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits: u32 = bits.parse().map_err(|_| wrong())?;
        let network = network(address, bits).ok_or_else(wrong)?;
        if network != address {
            return Err(format!("{} is not the range's first address: write {network}/{bits}", quoted(text)));
        }
        return Ok(Egress::Cidr { cidr: format!("{network}/{bits}"), port });
    }
    if !hostname(host) {
        return Err(wrong());
    }
    Ok(Egress::Hostname { hostname: host.to_owned(), port })
}

/// The first address of the range.
fn network(address: IpAddr, bits: u32) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) if bits <= 32 => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            Some(IpAddr::V4((v4.to_bits() & mask).into()))
        }
        IpAddr::V6(v6) if bits <= 128 => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            Some(IpAddr::V6((v6.to_bits() & mask).into()))
        }
        _ => None,
    }
}

/// Whether a text is a lower case DNS name of at least two labels, the last of which is no number (RFC 1123).
pub(crate) fn hostname(text: &str) -> bool {
    let labels: Vec<_> = text.split('.').collect();
    text.len() <= 253
        && labels.len() > 1
        && labels.iter().all(|label| dns_label(label))
        && labels.last().is_some_and(|last| !last.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether a text is an RFC 1123 label of at most 63 characters.
pub fn dns_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, seconds) in [("30m", 1800), ("24h", DAY), ("7d", 7 * DAY), ("2w", 14 * DAY), ("1y", 365 * DAY)] {
            assert_eq!(duration(text, "mhdwy").unwrap().as_secs(), seconds);
        }
        for (text, expected) in [
            ("-1", "\"-1\" is not a duration such as 30m, 24h, 7d or 2w"),
            ("-1d", "\"-1d\" is not a duration such as 30m, 24h, 7d or 2w"),
            ("0d", "0d is no time at all"),
            ("1e18d", "\"1e18d\" is not a duration such as 30m, 24h, 7d or 2w"),
            ("99999999999999999999d", "\"99999999999999999999d\" is longer than a hundred years"),
            ("1y", "\"1y\" is not a duration such as 30m, 24h, 7d or 2w"),
            ("7é", "\"7é\" is not a duration such as 30m, 24h, 7d or 2w"),
            ("d", "\"d\" is not a duration such as 30m, 24h, 7d or 2w"),
        ] {
            assert_eq!(duration(text, "mhdw").unwrap_err(), expected);
        }
        let texts = ["400d", "1y", "36h", "90m"];
        assert_eq!(texts.map(|text| duration_text(duration(text, "mhdwy").unwrap())), texts);
    }

    #[test]
    fn a_date_ends_with_its_day_leap_days_too() {
        assert_eq!(moment("2028-02-29").unwrap().to_string(), "2028-03-01T00:00:00Z");
        assert_eq!(moment("2026-12-24T18:00:00+01:00").unwrap().to_string(), "2026-12-24T17:00:00Z");
        for bad in ["2026-02-29", "tomorrow", "2026-1-1", "20261224", "9999-12-31", "2026-12-24T18:00:00"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_destination_is_a_range_or_a_host_name_with_a_port() {
        let cidr = |cidr: &str, port| Ok(Egress::Cidr { cidr: cidr.into(), port });
        assert_eq!(egress("203.0.113.0/24:443"), cidr("203.0.113.0/24", 443));
        assert_eq!(egress("[2001:db8::/32]:443"), cidr("2001:db8::/32", 443));
        assert_eq!(egress("0.0.0.0/0:53"), cidr("0.0.0.0/0", 53));
        assert_eq!(
            egress("api.example.com:443"),
            Ok(Egress::Hostname { hostname: "api.example.com".into(), port: 443 })
        );
        assert_eq!(
            egress("203.0.113.7/24:443").unwrap_err(),
            "\"203.0.113.7/24:443\" is not the range's first address: write 203.0.113.0/24"
        );
        assert_eq!(
            egress("203.0.113.7:443").unwrap_err(),
            "\"203.0.113.7:443\" is one address: write it as the range 203.0.113.7/32"
        );
        for bad in
            ["api.example.com", "*:443", "api.example.com:0", "10.0.0.0/33:1", "localhost:1", "1.2.3:80", "a b.c:1"]
        {
            assert!(egress(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_invisible_is_shown() {
        assert_eq!(quoted("a\u{202e}b\nc"), r#""a\u{202e}b\nc""#);
        assert_eq!(
            line("maya\u{202e}@example.com").unwrap_err(),
            r#""maya\u{202e}@example.com" has an invisible character"#
        );
        assert_eq!(line("a\nb").unwrap_err(), r#""a\nb" has more than one line"#);
    }
}

//! Kubernetes quantities: `100m`, `1.5`, `64Mi`, `2G`, `1e3`.

use serde_json::Value;

/// The amount that a quantity stands for, in its unit (cores, bytes). `None` for what is no quantity, or below zero.
pub fn parse(text: &str) -> Option<f64> {
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    if !number.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    let factor = match suffix {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024f64,
        "Mi" => 1024f64.powi(2),
        "Gi" => 1024f64.powi(3),
        "Ti" => 1024f64.powi(4),
        "Pi" => 1024f64.powi(5),
        "Ei" => 1024f64.powi(6),
        _ => 10f64.powi(suffix.strip_prefix(['e', 'E'])?.parse::<i8>().ok()?.into()),
    };
    Some(number.parse::<f64>().ok()? * factor).filter(|amount| amount.is_finite())
}

/// The same from JSON, where a whole or decimal number is a quantity too.
pub fn of(value: &Value) -> Option<f64> {
    match value {
        Value::String(text) => parse(text),
        Value::Number(number) => number.as_f64().filter(|amount| *amount >= 0.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_quantity_is_read() {
        for (text, amount) in [
            ("100m", 0.1),
            ("1", 1.0),
            ("1.5", 1.5),
            (".5", 0.5),
            ("64Mi", 67_108_864.0),
            ("1Ki", 1024.0),
            ("2Gi", 2_147_483_648.0),
            ("1k", 1e3),
            ("1M", 1e6),
            ("1G", 1e9),
            ("1e3", 1e3),
            ("1E3", 1e3),
            ("12e-3", 0.012),
            ("1E", 1e18),
            ("250u", 0.00025),
        ] {
            let parsed = parse(text).unwrap();
            assert!((parsed - amount).abs() <= amount * 1e-12, "{text} is {parsed}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_none() {
        for text in ["", "m", "-1", "1 Gi", "1gi", "1KiB", "1e", "NaN", "inf", "1e999", "0x10", ".", "1.2.3", "1e400"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}

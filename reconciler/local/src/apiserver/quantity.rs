//! Quantities such as `500m` or `1.5Gi`: read, compared, and written in their canonical form.

use std::fmt;
use std::str::FromStr;

/// An amount with the format in which it was written. Amounts are compared by value.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    /// The amount in billionths.
    nanos: i128,
    format: QuantityFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QuantityFormat {
    /// `m`, `k`, `M`, ...
    Decimal,
    /// `Ki`, `Mi`, ...
    Binary,
    /// `e3`, `E3`.
    Exponent,
}

/// The text is not a quantity, or one too large to hold.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
pub struct QuantityError;

const DECIMAL: [(&str, u32); 10] =
    [("n", 0), ("u", 3), ("m", 6), ("", 9), ("k", 12), ("M", 15), ("G", 18), ("T", 21), ("P", 24), ("E", 27)];
const BINARY: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

impl Quantity {
    pub fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    pub fn is_zero(&self) -> bool {
        self.nanos == 0
    }

    pub fn is_whole(&self) -> bool {
        self.nanos % 1_000_000_000 == 0
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let split = unsigned.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(split);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || number.len() > 30 {
            return Err(QuantityError);
        }
        let digits: i128 = format!("{whole}{fraction}").parse().map_err(|_| QuantityError)?;
        let (factor, format) = scale(suffix)?;
        let divisor = 10i128.checked_pow(fraction.len() as u32).ok_or(QuantityError)?;
        let scaled = digits.checked_mul(factor.up).and_then(|n| divisor.checked_mul(factor.down).map(|d| (n, d)));
        let (numerator, denominator) = scaled.ok_or(QuantityError)?;
        let nanos = numerator / denominator + i128::from(numerator % denominator != 0);
        Ok(Self { nanos: if text.starts_with('-') { -nanos } else { nanos }, format })
    }
}

/// The numbers by which an amount with a unit is multiplied and divided to get billionths.
struct UnitFactor {
    up: i128,
    down: i128,
}

fn scale(suffix: &str) -> Result<(UnitFactor, QuantityFormat), QuantityError> {
    if let Some((_, power)) = DECIMAL.iter().find(|(name, _)| *name == suffix) {
        return Ok((UnitFactor { up: 10i128.pow(*power), down: 1 }, QuantityFormat::Decimal));
    }
    if let Some(power) = BINARY.iter().position(|name| *name == suffix) {
        return Ok((UnitFactor { up: 1_000_000_000 << (10 * power), down: 1 }, QuantityFormat::Binary));
    }
    let exponent = suffix.strip_prefix(['e', 'E']).ok_or(QuantityError)?;
    let power: i32 = exponent.parse().map_err(|_| QuantityError)?;
    let ten = |power: i32| 10i128.checked_pow(power.unsigned_abs()).ok_or(QuantityError);
    let factor = match power + 9 {
        power @ 0.. => UnitFactor { up: ten(power)?, down: 1 },
        power => UnitFactor { up: 1, down: ten(power)? },
    };
    Ok((factor, QuantityFormat::Exponent))
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = 1_000_000_000i128;
        if self.format == QuantityFormat::Binary && self.nanos.abs() >= 1024 * one && self.nanos % one == 0 {
            let (mut amount, mut power) = (self.nanos / one, 0);
            while amount % 1024 == 0 && power + 1 < BINARY.len() {
                amount /= 1024;
                power += 1;
            }
            return write!(f, "{amount}{}", BINARY[power]);
        }
        let (mut amount, mut power) = (self.nanos, 0);
        while amount != 0
            && amount % 1000 == 0
            && (power + 1 < DECIMAL.len() || self.format == QuantityFormat::Exponent)
        {
            amount /= 1000;
            power += 1;
        }
        match self.format {
            _ if amount == 0 => f.write_str("0"),
            QuantityFormat::Exponent if power != 3 => {
                write!(f, "{amount}e{}", 3 * i32::try_from(power).unwrap_or(0) - 9)
            }
            QuantityFormat::Exponent => write!(f, "{amount}"),
            _ => write!(f, "{amount}{}", DECIMAL[power].0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_written_in_its_canonical_form() {
        for (text, canonical) in [
            ("1000m", "1"),
            ("1.5", "1500m"),
            ("0.1", "100m"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("0.5Mi", "512Ki"),
            ("0.5Ki", "512"),
            ("512Ki", "512Ki"),
            ("1000", "1k"),
            ("1500", "1500"),
            ("0", "0"),
            ("0Mi", "0"),
            ("1e3", "1e3"),
            ("12E2", "1200"),
            ("-1", "-1"),
            ("1.", "1"),
            (".5", "500m"),
            ("0.0000000001", "1n"),
            ("100M", "100M"),
        ] {
            assert_eq!(text.parse::<Quantity>().map(|q| q.to_string()), Ok(canonical.to_owned()), "{text}");
        }
    }

    #[test]
    fn text_that_is_no_quantity_is_refused() {
        for text in ["", "m", "1x", "1 Gi", "1..2", "--1", "1e", "1KB", "0x10"] {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
        assert!("1Gi".parse::<Quantity>().unwrap() > "1G".parse().unwrap());
    }
}

//! Kubernetes quantities: `250m`, `1.5Gi`, `12e6`, exactly.
//!
//! A float would be simpler and wrong: scheduling compares sums of these for equality. A quantity is read as
//! `digits × 10^a × 2^b` and only rounded once, away from zero, when it is asked for in a unit, which is what
//! Kubernetes does. Amounts beyond 63 bits saturate: the API server caps them as well.

/// A text that is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("reading the quantity {text:?}: {problem}")]
pub struct QuantityError {
    /// The text as it was given, cut where it is absurdly long.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl QuantityError {
    /// The stable word for metrics and conditions.
    pub fn reason(&self) -> &'static str {
        "InvalidQuantity"
    }
}

/// The amount in thousandths of the unit: what CPU is counted in.
///
/// # Errors
/// [`QuantityError`] where `text` is not a quantity.
pub fn parse_milli(text: &str) -> Result<i64, QuantityError> {
    parse(text).map(|amount| amount.scaled(3))
}

/// The amount in whole units: bytes for memory and storage, pieces for the rest.
///
/// # Errors
/// [`QuantityError`] where `text` is not a quantity.
pub fn parse_units(text: &str) -> Result<i64, QuantityError> {
    parse(text).map(|amount| amount.scaled(0))
}

/// `mantissa × 10^decimal × 2^binary`, with `sticky` where digits too small to matter were left out.
struct Amount {
    negative: bool,
    mantissa: u128,
    sticky: bool,
    decimal: i64,
    binary: u32,
}

impl Amount {
    /// The amount times `10^digits`, rounded away from zero, saturating.
    fn scaled(&self, digits: i64) -> i64 {
        let magnitude = self.magnitude(self.decimal.saturating_add(digits));
        match (magnitude, self.negative) {
            (Some(magnitude), false) => magnitude,
            (Some(magnitude), true) => -magnitude,
            (None, false) => i64::MAX,
            (None, true) => i64::MIN,
        }
    }

    /// None where the magnitude does not fit.
    fn magnitude(&self, decimal: i64) -> Option<i64> {
        if self.mantissa == 0 {
            return Some(i64::from(self.sticky));
        }
        let mut value = self.mantissa.checked_mul(1_u128 << self.binary)?;
        let mut inexact = self.sticky;
        if decimal >= 0 {
            // 10^19 is beyond 63 bits whatever it multiplies.
            let exponent = u32::try_from(decimal).ok().filter(|exponent| *exponent < 19)?;
            value = value.checked_mul(10_u128.pow(exponent))?;
        } else {
            match u32::try_from(decimal.unsigned_abs())
                .ok()
                .filter(|exponent| *exponent <= 38)
            {
                Some(exponent) => {
                    let divisor = 10_u128.pow(exponent);
                    inexact |= value % divisor != 0;
                    value /= divisor;
                }
                // Smaller than one by far: all that is left is that it is not nothing.
                None => (value, inexact) = (0, true),
            }
        }
        i64::try_from(value.checked_add(u128::from(inexact))?).ok()
    }
}

fn parse(text: &str) -> Result<Amount, QuantityError> {
    let failed = |problem| QuantityError {
        text: text.chars().take(64).collect(),
        problem,
    };
    if text.is_empty() {
        return Err(failed("it is empty"));
    }
    let (negative, unsigned) = match text.as_bytes()[0] {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let number_end = unsigned
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(number_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Err(failed("it has no digits"));
    }
    if fraction.contains('.') {
        return Err(failed("it has two decimal points"));
    }

    let (exponent, binary) =
        suffix_scale(suffix).ok_or_else(|| failed("its suffix is not one of Kubernetes"))?;
    let mut amount = Amount {
        negative,
        mantissa: 0,
        sticky: false,
        decimal: exponent,
        binary,
    };
    for (is_fraction, digit) in whole
        .bytes()
        .map(|digit| (false, digit))
        .chain(fraction.bytes().map(|digit| (true, digit)))
    {
        let digit = u128::from(digit - b'0');
        // 2^60 is the largest suffix: below this bound nothing can overflow before the division.
        if amount.mantissa < (1_u128 << 62) {
            amount.mantissa = amount.mantissa * 10 + digit;
            amount.decimal = amount.decimal.saturating_sub(i64::from(is_fraction));
        } else {
            amount.sticky |= digit != 0;
            amount.decimal = amount.decimal.saturating_add(i64::from(!is_fraction));
        }
    }
    Ok(amount)
}

/// Powers of ten and of two that a suffix stands for.
fn suffix_scale(suffix: &str) -> Option<(i64, u32)> {
    Some(match suffix {
        "n" => (-9, 0),
        "u" => (-6, 0),
        "m" => (-3, 0),
        "" => (0, 0),
        "k" => (3, 0),
        "M" => (6, 0),
        "G" => (9, 0),
        "T" => (12, 0),
        "P" => (15, 0),
        "E" => (18, 0),
        "Ki" => (0, 10),
        "Mi" => (0, 20),
        "Gi" => (0, 30),
        "Ti" => (0, 40),
        "Pi" => (0, 50),
        "Ei" => (0, 60),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
                return None;
            }
            // An exponent beyond 64 bits is as good as the largest.
            let limit = if exponent.starts_with('-') {
                -i64::from(i32::MAX)
            } else {
                i64::from(i32::MAX)
            };
            (exponent.parse().unwrap_or(limit), 0)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantities_read_as_kubernetes_reads_them() {
        const MAX: i64 = i64::MAX;
        for (text, milli, units) in [
            ("0", 0, 0),
            ("1", 1000, 1),
            ("100m", 100, 1),
            ("1500m", 1500, 2),
            ("0.1", 100, 1),
            (".5", 500, 1),
            ("1.", 1000, 1),
            ("+2", 2000, 2),
            ("-1", -1000, -1),
            ("-1500m", -1500, -2),
            ("1n", 1, 1),
            ("1u", 1, 1),
            ("1000000n", 1, 1),
            ("1000001n", 2, 1),
            ("1k", 1_000_000, 1000),
            ("1Ki", 1_024_000, 1024),
            ("1.5Gi", 1_610_612_736_000, 1_610_612_736),
            ("0.1Ki", 102_400, 103),
            ("1e3", 1_000_000, 1000),
            ("1E3", 1_000_000, 1000),
            ("12e-1", 1200, 2),
            ("1e+2", 100_000, 100),
            ("1E", MAX, 1_000_000_000_000_000_000),
            ("1Ei", MAX, 1 << 60),
            ("8Ei", MAX, MAX),
            ("10E", MAX, MAX),
            ("-10E", i64::MIN, i64::MIN),
            ("1e100", MAX, MAX),
            ("1e-100", 1, 1),
            ("0e100", 0, 0),
            ("0e99999999999999999999", 0, 0),
            ("1e99999999999999999999", MAX, MAX),
            ("1e-99999999999999999999", 1, 1),
            ("9223372036854775807", MAX, MAX),
            ("9223372036854775808", MAX, MAX),
            ("00000000000000000000000000000000000000000000001", 1000, 1),
            ("1.00000000000000000000000000000000000000000000001", 1001, 2),
            ("0.00000000000000000000000000000000000000000000000", 0, 0),
            ("100000000000000000000000000000000000000000e-40", 10_000, 10),
        ] {
            assert_eq!(parse_milli(text), Ok(milli), "{text} in thousandths");
            assert_eq!(parse_units(text), Ok(units), "{text} in units");
        }
    }

    #[test]
    fn other_texts_are_refused_by_name() {
        for text in [
            "", " ", "m", ".", "-", "+", "1 Gi", "1gi", "1K", "1KI", "1e", "1e+", "1e1.5", "1.2.3", "--1",
            "1m1", "0x10", "NaN", "١",
        ] {
            let error = parse_units(text).unwrap_err();
            assert_eq!(error.text, text);
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in ".{0,40}") {
            let _ = (parse_milli(&text), parse_units(&text));
        }

        #[test]
        fn numeric_texts_do_not_panic(text in "[-+]?[0-9.]{0,60}([eE][-+]?[0-9]{0,25}|[a-zA-Z]{0,2})") {
            let _ = (parse_milli(&text), parse_units(&text));
        }

        #[test]
        fn whole_numbers_survive(value in any::<i64>()) {
            prop_assume!(value > i64::MIN);
            prop_assert_eq!(parse_units(&value.to_string()), Ok(value));
            prop_assert_eq!(parse_milli(&format!("{value}m")), Ok(value));
        }

        #[test]
        fn units_are_thousandths_rounded_up(value in 0_i64..1_000_000_000_000) {
            let text = format!("{}.{:03}", value / 1000, value % 1000);
            prop_assert_eq!(parse_milli(&text), Ok(value));
            prop_assert_eq!(parse_units(&text), Ok(value.div_euclid(1000) + i64::from(value % 1000 != 0)));
        }
    }
}

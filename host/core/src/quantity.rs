//! Kubernetes quantities: `250m`, `1.5Gi`, `12e6`, exactly.
//!
//! A float would be simpler and wrong: scheduling compares sums of these for equality. A quantity is read as
//! `digits × 10^a × 2^b` and only rounded once, away from zero, when it is asked for in a unit, which is what
//! Kubernetes does. Amounts beyond ±(2^63 - 1) saturate there: Kubernetes caps some of them and lets others wrap
//! round to small or negative numbers, by which a pod that asks for more than exists would fit anywhere. Of an
//! absurd number of digits (19 always count) the last only tell that there was more.

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
    /// The amount times `10^digits`, rounded away from zero, saturating on both sides alike: every amount has an
    /// opposite.
    fn scaled(&self, digits: i64) -> i64 {
        let magnitude = self
            .magnitude(self.decimal.saturating_add(digits))
            .unwrap_or(i64::MAX);
        if self.negative { -magnitude } else { magnitude }
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
    if fraction.contains('.') {
        return Err(failed("it has two decimal points"));
    }

    // Kubernetes takes a number without digits for zero, and so do we: the API server let it pass.
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
            (exponent.parse().ok()?, 0)
        }
    })
}

#[cfg(test)]
#[path = "quantity_tests.rs"]
mod tests;

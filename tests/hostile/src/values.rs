//! The values that break things: at the limits, beyond them, and of another type.

use arbitrary::{Result, Unstructured};
use serde_json::{Value, json};

const QUANTITIES: [&str; 34] = [
    "0",
    "1",
    "100m",
    "1500m",
    "4",
    "110",
    "512Mi",
    "16Gi",
    "1e3",
    "-0",
    "-1",
    "-1500m",
    "",
    ".",
    "m",
    "0x10",
    "1KI",
    "1 Gi",
    "∞",
    "1e400",
    "-1e400",
    "1e-400",
    "1e9223372036854775807",
    "1e-9223372036854775808",
    "8Ei",
    "-8Ei",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "9223372036854775807m",
    "9223372036854775807Ei",
    "4611686018427387904",
    "00000000000000000000000000000000000001",
    "0.00000000000000000000000000000000000001",
];

/// A length that labels and names may just have, and one that they may not.
const LONGEST_LABEL: usize = 63;
const TOO_LONG: usize = 300;

const NUMBERS: [i64; 17] = [
    0,
    1,
    1,
    2,
    3,
    5,
    80,
    -1,
    65_535,
    65_536,
    1 << 31,
    -(1 << 31),
    (1 << 31) - 1,
    1_000_000_000,
    -1_000_000_000,
    i64::MAX,
    i64::MIN,
];

const TIMES: [&str; 6] = [
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:05:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-30T23:59:59Z",
    "-009998-01-01T00:00:00Z",
    "yesterday",
];

/// Draws values. Once the bytes are used up everything comes out as its first choice, so that it ends.
pub(crate) struct Dice<'a>(pub(crate) Unstructured<'a>);

impl Dice<'_> {
    pub(crate) fn one_in(&mut self, sides: u8) -> Result<bool> {
        Ok(self.0.int_in_range(0..=sides - 1)? == sides - 1)
    }

    pub(crate) fn pick<'t>(&mut self, from: &[&'t str]) -> Result<&'t str> {
        Ok(*self.0.choose(from)?)
    }

    pub(crate) fn count(&mut self, most: usize) -> Result<usize> {
        self.0.int_in_range(0..=most)
    }

    fn text(&mut self) -> Result<String> {
        let length = self.count(24)?;
        let bytes = self.0.bytes(length.min(self.0.len()))?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    pub(crate) fn quantity(&mut self) -> Result<Value> {
        Ok(match self.0.int_in_range(0..=19)? {
            19 => json!(self.text()?),
            18 => json!(*self.0.choose(&NUMBERS)?),
            _ => json!(self.pick(&QUANTITIES)?),
        })
    }

    pub(crate) fn quantities(&mut self) -> Result<Value> {
        let names = [
            "cpu",
            "memory",
            "pods",
            "ephemeral-storage",
            "example.com/gpu",
            "hugepages-2Mi",
            "",
        ];
        self.map(3, |dice| Ok((dice.pick(&names)?.to_owned(), dice.quantity()?)))
    }

    /// Few names, so that references meet, and some that nothing can have.
    pub(crate) fn name(&mut self) -> Result<String> {
        Ok(match self.0.int_in_range(0..=15)? {
            14 => "n".repeat(TOO_LONG),
            15 => self.text()?,
            _ => self.pick(&["a", "b", "c", "d", "web", ""])?.to_owned(),
        })
    }

    pub(crate) fn namespace(&mut self) -> Result<&'static str> {
        self.pick(&["default", "default", "other", ""])
    }

    pub(crate) fn key(&mut self) -> Result<&'static str> {
        self.pick(&["zone", "kubernetes.io/hostname", "app", "rack", "zone", ""])
    }

    pub(crate) fn label_value(&mut self) -> Result<String> {
        Ok(match self.0.int_in_range(0..=9)? {
            7 => "v".repeat(LONGEST_LABEL),
            8 => self.0.choose(&NUMBERS)?.to_string(),
            9 => self.text()?,
            _ => self.pick(&["a", "b", "web", ""])?.to_owned(),
        })
    }

    pub(crate) fn labels(&mut self) -> Result<Value> {
        self.map(3, |dice| Ok((dice.key()?.to_owned(), json!(dice.label_value()?))))
    }

    pub(crate) fn number(&mut self) -> Result<i64> {
        Ok(*self.0.choose(&NUMBERS)?)
    }

    pub(crate) fn time(&mut self) -> Result<&'static str> {
        self.pick(&TIMES)
    }

    pub(crate) fn list(&mut self, most: usize, each: impl Fn(&mut Self) -> Result<Value>) -> Result<Value> {
        let items: Result<Vec<Value>> = (0..self.count(most)?).map(|_| each(self)).collect();
        Ok(Value::Array(items?))
    }

    pub(crate) fn map(
        &mut self,
        most: usize,
        each: impl Fn(&mut Self) -> Result<(String, Value)>,
    ) -> Result<Value> {
        let items: Result<_> = (0..self.count(most)?).map(|_| each(self)).collect();
        Ok(Value::Object(items?))
    }

    /// Now and then something of another type in the place of a field.
    pub(crate) fn spoil(&mut self, object: &mut Value) -> Result<()> {
        if !self.one_in(12)? {
            return Ok(());
        }
        let mut at = object;
        for _ in 0..=self.count(4)? {
            let below = match at {
                Value::Object(map) if !map.is_empty() => {
                    let nth = self.0.int_in_range(0..=map.len() - 1)?;
                    map.values_mut().nth(nth)
                }
                Value::Array(list) if !list.is_empty() => {
                    let nth = self.0.int_in_range(0..=list.len() - 1)?;
                    list.get_mut(nth)
                }
                _ => None,
            };
            match below {
                Some(below) => at = below,
                None => return Ok(()),
            }
        }
        *at = match self.0.int_in_range(0..=4)? {
            0 => Value::Null,
            1 => json!(self.number()?),
            2 => json!([]),
            3 => json!({}),
            _ => json!(self.text()?),
        };
        Ok(())
    }
}

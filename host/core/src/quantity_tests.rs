//! Quantities beside those of Kubernetes. The expected numbers are what `resource.ParseQuantity`, `MilliValue` and
//! `Value` of k8s.io/apimachinery 0.35.1 answered.

use super::*;
use proptest::prelude::*;

const MAX: i64 = i64::MAX;

#[test]
fn quantities_read_as_kubernetes_reads_them() {
    for (text, milli, units) in [
        ("0", 0, 0),
        ("1", 1000, 1),
        ("100m", 100, 1),
        ("1500m", 1500, 2),
        ("999m", 999, 1),
        ("0.1", 100, 1),
        (".5", 500, 1),
        ("+.5", 500, 1),
        ("1.", 1000, 1),
        ("1.m", 1, 1),
        ("+2", 2000, 2),
        // Zero has no sign.
        ("-0", 0, 0),
        ("+0", 0, 0),
        ("-0.0", 0, 0),
        ("0Ki", 0, 0),
        ("0E", 0, 0),
        ("0.0Ei", 0, 0),
        ("0e100", 0, 0),
        ("000000000000000000000000000000m", 0, 0),
        ("0.00000000000000000000000000000000000000000000000", 0, 0),
        // No digits are zero as well.
        (".", 0, 0),
        ("-", 0, 0),
        ("+", 0, 0),
        ("m", 0, 0),
        (".m", 0, 0),
        ("Ki", 0, 0),
        ("E", 0, 0),
        ("e1", 0, 0),
        // Whatever is more than nothing is rounded up.
        ("1n", 1, 1),
        ("1.1n", 1, 1),
        ("0.9n", 1, 1),
        ("999999n", 1, 1),
        ("1000000n", 1, 1),
        ("1000001n", 2, 1),
        ("1u", 1, 1),
        ("0.5m", 1, 1),
        ("1.1m", 2, 1),
        ("0.0000000001", 1, 1),
        ("1.0000000001", 1001, 2),
        ("0.000000000000000001", 1, 1),
        ("0.0000001Ki", 1, 1),
        ("0.1Ki", 102_400, 103),
        ("0.000000001Ei", 1_152_921_504_607, 1_152_921_505),
        ("0.0000000000000000001Ei", 116, 1),
        ("2.0000000009Gi", 2_147_483_648_967, 2_147_483_649),
        // Suffixes and exponents.
        ("1k", 1_000_000, 1000),
        ("1Ki", 1_024_000, 1024),
        ("1.5Ki", 1_536_000, 1536),
        ("0.5Mi", 524_288_000, 524_288),
        ("1.5Gi", 1_610_612_736_000, 1_610_612_736),
        ("100000000000000000000n", 100_000_000_000_000, 100_000_000_000),
        ("1e3", 1_000_000, 1000),
        ("2.5E3", 2_500_000, 2500),
        ("1e0", 1000, 1),
        ("1e-0", 1000, 1),
        ("1e+0", 1000, 1),
        ("1e00001", 10_000, 10),
        ("1E+1", 10_000, 10),
        ("1E-1", 100, 1),
        ("12e-1", 1200, 2),
        ("1e-10", 1, 1),
        ("1e-100", 1, 1),
        // Negative ones.
        ("-1", -1000, -1),
        ("-1.5", -1500, -2),
        ("-1500m", -1500, -2),
        ("-0.5m", -1, -1),
        ("-1n", -1, -1),
        ("-1000001n", -2, -1),
        ("-1Ki", -1_024_000, -1024),
        ("-.5Ki", -512_000, -512),
        // As many digits as one likes.
        ("00000000000000000000000000000000000000000000001", 1000, 1),
        ("1.00000000000000000000000000000000000000000000001", 1001, 2),
        ("100000000000000000000000000000000000000000e-40", 10_000, 10),
        // As large as it gets.
        ("1P", 1_000_000_000_000_000_000, 1_000_000_000_000_000),
        ("9P", 9_000_000_000_000_000_000, 9_000_000_000_000_000),
        ("8Pi", 9_007_199_254_740_992_000, 9_007_199_254_740_992),
        ("9223372036854775807m", MAX, 9_223_372_036_854_776),
        ("9223372036854775807n", 9_223_372_036_855, 9_223_372_037),
    ] {
        assert_eq!(parse_milli(text), Ok(milli), "{text} in thousandths");
        assert_eq!(parse_units(text), Ok(units), "{text} in units");
    }
}

/// Kubernetes answers these with numbers that have wrapped round (the last two columns: thousandths, units), or not
/// within minutes. We saturate.
#[test]
fn amounts_that_wrap_round_in_kubernetes_saturate() {
    type Theirs = Option<(i64, i64)>;
    let cases: [(&str, i64, i64, Theirs); 20] = [
        (
            "10P",
            MAX,
            10_000_000_000_000_000,
            Some((0, 10_000_000_000_000_000)),
        ),
        ("9Pi", MAX, 9 << 50, Some((-8_313_644_912_125_935_616, 9 << 50))),
        (
            "1E",
            MAX,
            1_000_000_000_000_000_000,
            Some((0, 1_000_000_000_000_000_000)),
        ),
        ("1Ei", MAX, 1 << 60, Some((i64::MIN, 1 << 60))),
        ("8Ei", MAX, MAX, Some((-1000, MAX))),
        ("10E", MAX, MAX, Some((0, 0))),
        ("-10E", -MAX, -MAX, Some((0, 0))),
        ("-8Ei", -MAX, -MAX, Some((1000, -MAX))),
        ("1e19", MAX, MAX, Some((0, 0))),
        ("1e400", MAX, MAX, Some((0, 0))),
        ("-1e400", -MAX, -MAX, Some((0, 0))),
        ("1e2147483647", MAX, MAX, Some((1, 0))),
        ("1e2147483648", MAX, MAX, None),
        ("1e-2147483648", 1, 1, None),
        ("1e9223372036854775807", MAX, MAX, None),
        ("9223372036854775807", MAX, MAX, Some((-1000, MAX))),
        ("9223372036854775808", MAX, MAX, Some((0, i64::MIN))),
        ("9223372036854775807Ei", MAX, MAX, Some((-1000, MAX))),
        ("-9223372036854775809", -MAX, -MAX, Some((-1000, -1))),
        (
            "100000000000000000000",
            MAX,
            MAX,
            Some((200_376_420_520_689_664, 7_766_279_631_452_241_920)),
        ),
    ];
    for (text, milli, units, theirs) in cases {
        assert_eq!(parse_milli(text), Ok(milli), "{text} in thousandths");
        assert_eq!(parse_units(text), Ok(units), "{text} in units");
        assert_ne!(
            theirs,
            Some((milli, units)),
            "{text} belongs into the other table"
        );
    }
}

/// Where Kubernetes leaves its fast path, negative amounts come out nearer to zero, one of them positive (the last
/// two columns). We go away from zero throughout.
#[test]
fn negative_fractions_go_away_from_zero() {
    for (text, milli, units, theirs) in [
        ("-5e-10", -1, -1, (1, 1)),
        ("-1.0000000001", -1001, -2, (-999, 0)),
        ("-0.1Ki", -102_400, -103, (-102_400, -101)),
    ] {
        assert_eq!(parse_milli(text), Ok(milli), "{text} in thousandths");
        assert_eq!(parse_units(text), Ok(units), "{text} in units");
        assert_ne!(theirs, (milli, units), "{text} belongs into the other table");
    }
}

#[test]
fn what_kubernetes_refuses_is_refused_by_name() {
    for text in [
        "",
        " ",
        " 1",
        "1 ",
        "1 Gi",
        "1gi",
        "1K",
        "1KI",
        "1kI",
        "1ki",
        "1MB",
        "1mi",
        "1Zi",
        "1ei",
        "1eK",
        "1Eii",
        "1e",
        "1e+",
        "1e-",
        "1e1.5",
        "1e+-1",
        "1e1Ki",
        "1.2.3",
        "1..2",
        "--",
        "--1",
        "+-1",
        "1m1",
        "0x10",
        "1_000",
        "1,000",
        "NaN",
        "Inf",
        "-Inf",
        "∞",
        "١",
        "１",
        "1µ",
        "1e١",
        "0e99999999999999999999",
        "1e-99999999999999999999",
    ] {
        let error = parse_units(text).unwrap_err();
        assert_eq!(error.text, text);
        assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        assert!(parse_milli(text).is_err(), "{text}");
    }
}

const SUFFIXES: [(&str, i128, i128); 13] = [
    ("n", 1, 1_000_000_000),
    ("u", 1, 1_000_000),
    ("m", 1, 1000),
    ("", 1, 1),
    ("k", 1000, 1),
    ("M", 1_000_000, 1),
    ("G", 1_000_000_000, 1),
    ("E", 1_000_000_000_000_000_000, 1),
    ("Ki", 1 << 10, 1),
    ("Mi", 1 << 20, 1),
    ("Gi", 1 << 30, 1),
    ("Ti", 1 << 40, 1),
    ("Ei", 1 << 60, 1),
];

/// `whole.fraction` with a suffix, as text and as a fraction.
fn some_quantity() -> impl Strategy<Value = (String, i128, i128)> {
    let parts = (
        any::<bool>(),
        0..2_000_000_000_000_i128,
        0..1000_i128,
        0..SUFFIXES.len(),
    );
    parts.prop_map(|(negative, whole, fraction, suffix)| {
        let (suffix, times, by) = SUFFIXES[suffix];
        let sign = if negative { -1 } else { 1 };
        let text = format!("{}{whole}.{fraction:03}{suffix}", if negative { "-" } else { "" });
        (text, sign * (whole * 1000 + fraction) * times, by * 1000)
    })
}

/// `numerator / denominator` away from zero, within what we keep.
fn rounded(numerator: i128, denominator: i128) -> i64 {
    let magnitude = (numerator.abs() + denominator - 1) / denominator;
    i64::try_from(magnitude).unwrap_or(MAX) * i64::try_from(numerator.signum()).unwrap()
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
    fn whole_numbers_survive(value in -MAX..=MAX) {
        prop_assert_eq!(parse_units(&value.to_string()), Ok(value));
        prop_assert_eq!(parse_milli(&format!("{value}m")), Ok(value));
    }

    #[test]
    fn they_are_the_fractions_that_they_say((text, numerator, denominator) in some_quantity()) {
        prop_assert_eq!(parse_units(&text), Ok(rounded(numerator, denominator)));
        if let Some(numerator) = numerator.checked_mul(1000) {
            prop_assert_eq!(parse_milli(&text), Ok(rounded(numerator, denominator)));
        }
    }

    #[test]
    fn the_larger_one_reads_larger(one in some_quantity(), other in some_quantity()) {
        // Both have denominators of at most 10^12.
        let (Some(left), Some(right)) = (one.1.checked_mul(other.2), other.1.checked_mul(one.2)) else {
            return Ok(());
        };
        for read in [parse_milli, parse_units] {
            let (one, other) = (read(&one.0).unwrap(), read(&other.0).unwrap());
            let ordered = if left <= right { one <= other } else { one >= other };
            prop_assert!(ordered);
        }
    }

    #[test]
    fn a_sign_changes_nothing_else(text in "[0-9]{1,25}(\\.[0-9]{0,25})?(m|k|Mi|Ei|e-?[0-9]{1,3})?") {
        for read in [parse_milli, parse_units] {
            let amount = read(&text).unwrap();
            prop_assert_eq!(read(&format!("+{text}")), Ok(amount));
            prop_assert_eq!(read(&format!("-{text}")), Ok(-amount));
        }
    }
}

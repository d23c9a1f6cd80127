//! How a duration is written: in flags of both programs, and so in the chart's values.
//!
//! One number and one unit, nothing else, so that the chart's schema can say the same in one pattern. Humantime's and
//! Go's grammars have more (`1h30m`, `1month`), and a year of theirs does not have 365 days.

use std::time::Duration;

use thiserror::Error;

use crate::Quoted;

/// What [`parse`] accepts, as a regular expression; the chart's schema has it.
pub const PATTERN: &str = "^([0-9]+(ms|s|m|h|d|y)|0)$";

/// Milliseconds of each unit. A year has 365 days.
const UNITS: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60 * 1000),
    ("h", 60 * 60 * 1000),
    ("d", 24 * 60 * 60 * 1000),
    ("y", 365 * 24 * 60 * 60 * 1000),
];

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DurationError {
    /// A number alone.
    #[error("{number} has no unit: write {number}s for seconds, or another unit (ms, m, h, d, y)")]
    NoUnit {
        /// The number.
        number: String,
    },
    /// Something else.
    #[error("{} is not a duration: write a number and ms, s, m, h, d or y, such as 500ms, 90s or 10y", Quoted(.text))]
    Invalid {
        /// The text.
        text: String,
    },
    /// More than can be counted.
    #[error("{} is too long", Quoted(.text))]
    TooLong {
        /// The text.
        text: String,
    },
}

/// Reads `500ms`, `90s`, `5m`, `12h`, `90d` or `10y`; `0` needs no unit.
///
/// # Errors
/// If it is something else.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let invalid = || DurationError::Invalid { text: text.to_owned() };
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(invalid());
    }
    if unit.is_empty() {
        let is_zero = number == "0";
        return if is_zero {
            Ok(Duration::ZERO)
        } else {
            Err(DurationError::NoUnit { number: number.to_owned() })
        };
    }
    let (_, milliseconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(invalid)?;
    let number: Option<u64> = number.parse().ok();
    let duration = number.and_then(|number| number.checked_mul(*milliseconds)).map(Duration::from_millis);
    duration.ok_or_else(|| DurationError::TooLong { text: text.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::zero("0", 0)]
    #[case::milliseconds("250ms", 250)]
    #[case::seconds("5s", 5_000)]
    #[case::minutes("2m", 120_000)]
    #[case::hours("12h", 43_200_000)]
    #[case::days("90d", 7_776_000_000)]
    #[case::years("10y", 315_360_000_000)]
    #[case::zero_with_a_unit("0s", 0)]
    fn valid(#[case] text: &str, #[case] milliseconds: u64) {
        assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)));
    }

    proptest::proptest! {
        #[test]
        fn the_pattern_and_the_parser_agree(text in "([0-9]{1,7}(ms|s|m|h|d|y)|0)") {
            proptest::prop_assert!(parse(&text).is_ok());
        }
    }

    #[rstest]
    #[case::no_unit("900", "900 has no unit: write 900s for seconds, or another unit (ms, m, h, d, y)")]
    #[case::no_number(
        "s",
        r#""s" is not a duration: write a number and ms, s, m, h, d or y, such as 500ms, 90s or 10y"#
    )]
    #[case::other_unit(
        "5w",
        r#""5w" is not a duration: write a number and ms, s, m, h, d or y, such as 500ms, 90s or 10y"#
    )]
    #[case::two_units(
        "1h30m",
        r#""1h30m" is not a duration: write a number and ms, s, m, h, d or y, such as 500ms, 90s or 10y"#
    )]
    #[case::fraction(
        "1.5d",
        r#""1.5d" is not a duration: write a number and ms, s, m, h, d or y, such as 500ms, 90s or 10y"#
    )]
    #[case::negative(
        "-1d",
        r#""-1d" is not a duration: write a number and ms, s, m, h, d or y, such as 500ms, 90s or 10y"#
    )]
    #[case::empty(
        "",
        r#""" is not a duration: write a number and ms, s, m, h, d or y, such as 500ms, 90s or 10y"#
    )]
    #[case::too_many_years("9999999999999999y", r#""9999999999999999y" is too long"#)]
    #[case::too_many_digits("99999999999999999999h", r#""99999999999999999999h" is too long"#)]
    fn invalid(#[case] text: &str, #[case] message: &str) {
        assert_eq!(parse(text).unwrap_err().to_string(), message);
    }
}

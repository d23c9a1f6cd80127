//! The number in a quantity.

/// A number as it is, without rounding: equal where the numbers are, however they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number {
    /// Does not end in a zero.
    digits: u128,
    /// Of ten; none if there are no digits.
    exponent: i32,
}

impl Number {
    pub(super) fn is_zero(self) -> bool {
        self.digits == 0
    }
}

/// Reads a Kubernetes quantity as a whole number: `2`, `2000m`, `1k`, `1Ki`, `2e3`. `None` if it is not a
/// quantity, is negative, or no whole number, as a count of devices has to be.
pub fn whole(text: &str) -> Option<u64> {
    let Number { digits, exponent } = number(text)?;
    if digits == 0 {
        return Some(0);
    }
    let power = u32::try_from(exponent).ok()?;
    u64::try_from(digits.checked_mul(10u128.checked_pow(power)?)?).ok()
}

/// Reads a Kubernetes quantity. `None` if malformed, negative or too large.
///
/// Source: apimachinery `resource.Quantity`: `<sign>digits[.digits]` and a suffix.
pub(super) fn number(text: &str) -> Option<Number> {
    let number_end =
        text.find(|character: char| !matches!(character, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(number_end)?;
    let number = number.strip_prefix('+').unwrap_or(number);
    let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = [integer, fraction].concat();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mut value: u128 = digits.parse().ok()?;
    let mut exponent = -i32::try_from(fraction.len()).ok()?;
    match suffix {
        "" => {}
        "n" => exponent -= 9,
        "u" => exponent -= 6,
        "m" => exponent -= 3,
        "k" => exponent += 3,
        "M" => exponent += 6,
        "G" => exponent += 9,
        "T" => exponent += 12,
        "P" => exponent += 15,
        "E" => exponent += 18,
        "Ki" => value = value.checked_mul(1 << 10)?,
        "Mi" => value = value.checked_mul(1 << 20)?,
        "Gi" => value = value.checked_mul(1 << 30)?,
        "Ti" => value = value.checked_mul(1 << 40)?,
        "Pi" => value = value.checked_mul(1 << 50)?,
        "Ei" => value = value.checked_mul(1 << 60)?,
        scientific => {
            let power = scientific.strip_prefix(['e', 'E'])?;
            exponent = exponent.checked_add(power.parse().ok()?)?;
        }
    }
    if value == 0 {
        return Some(Number { digits: 0, exponent: 0 });
    }
    while value.is_multiple_of(10) {
        value /= 10;
        exponent = exponent.checked_add(1)?;
    }
    Some(Number { digits: value, exponent })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("0", Some(0))]
    #[case("2", Some(2))]
    #[case("+2", Some(2))]
    #[case("02", Some(2))]
    #[case("2000m", Some(2))]
    #[case("1500m", None)]
    #[case("2.0", Some(2))]
    #[case("2.", Some(2))]
    #[case(".5k", Some(500))]
    #[case("1.5k", Some(1500))]
    #[case("1k", Some(1000))]
    #[case("1Ki", Some(1024))]
    #[case("2e3", Some(2000))]
    #[case("2E3", Some(2000))]
    #[case("2E", Some(2_000_000_000_000_000_000))]
    #[case("2000e-3", Some(2))]
    #[case("0e-2000000000", Some(0))]
    #[case("1e2000000000", None)]
    #[case("18446744073709551616", None)]
    #[case("-1", None)]
    #[case("", None)]
    #[case(".", None)]
    #[case("two", None)]
    #[case("1 ", None)]
    #[case("1kk", None)]
    #[case("1.2.3", None)]
    fn quantities(#[case] text: &str, #[case] expected: Option<u64>) {
        assert_eq!(whole(text), expected);
    }

    #[rstest]
    #[case("0.5", "500m", true)]
    #[case("1Gi", "1024Mi", true)]
    #[case("1024", "1.024k", true)]
    #[case("0", "0m", true)]
    #[case("1M", "1Mi", false)]
    #[case("100m", "5m", false)]
    fn equal_numbers(#[case] left: &str, #[case] right: &str, #[case] expected: bool) {
        assert_eq!(number(left).unwrap() == number(right).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn whole_numbers_are_themselves(number: u64) {
            prop_assert_eq!(whole(&number.to_string()), Some(number));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9.eEkKmMi+-]{0,12}|.*") {
            let _ = whole(&text);
        }
    }
}

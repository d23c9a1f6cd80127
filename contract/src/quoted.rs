use std::fmt;

/// Shows text from outside inside a message: in quotes, control characters escaped, cut after
/// [`Quoted::LONGEST`] characters, so that a hostile value can neither forge a log line nor fill one.
///
/// ```
/// assert_eq!(contract::Quoted("a\nb").to_string(), r#""a\nb""#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted<'a>(pub &'a str);

impl Quoted<'_> {
    /// How many characters of a value are shown.
    pub const LONGEST: usize = 80;
}

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut characters = self.0.char_indices();
        match characters.nth(Self::LONGEST) {
            None => write!(f, "{:?}", self.0),
            Some((end, _)) => {
                let shown = self.0.get(..end).unwrap_or_default();
                write!(f, "{shown:?}… ({} bytes)", self.0.len())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Quoted;

    #[test]
    fn long_values_are_cut_between_characters() {
        let shown = Quoted(&"ü".repeat(100)).to_string();
        assert_eq!(shown, format!("\"{}\"… (200 bytes)", "ü".repeat(80)));
    }

    #[test]
    fn a_value_of_just_the_longest_length_is_whole() {
        assert_eq!(Quoted(&"x".repeat(80)).to_string(), format!("\"{}\"", "x".repeat(80)));
    }
}

use std::fmt;

/// Shows text from outside inside a message: in quotes, control characters escaped, cut after
/// [`Quoted::LONGEST`] characters, so that a hostile value can neither forge a log line nor fill one.
///
/// Text that has double quotes, as JSON has, stands in single ones where that spares it all escapes.
///
/// ```
/// assert_eq!(contract::Quoted("a\nb").to_string(), r#""a\nb""#);
/// assert_eq!(contract::Quoted(r#"{"name":5}"#).to_string(), r#"'{"name":5}'"#);
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
        let end = characters.nth(Self::LONGEST).map(|(end, _)| end);
        let shown = end.map_or(self.0, |end| self.0.get(..end).unwrap_or_default());
        let is_plain = |character: char| character == '"' || character.escape_debug().count() == 1;
        if shown.contains('"') && shown.chars().all(is_plain) {
            write!(f, "'{shown}'")?;
        } else {
            write!(f, "{shown:?}")?;
        }
        if end.is_some() { write!(f, "… ({} bytes)", self.0.len()) } else { Ok(()) }
    }
}

/// As much of `text` as fits into `longest` bytes, cut between two characters.
#[must_use]
pub fn cut(text: &str, longest: usize) -> &str {
    text.get(..text.floor_char_boundary(longest)).unwrap_or_default()
}

/// What serde_json says is wrong. It repeats a text that it did not expect, however long that is; here it is cut.
#[must_use]
pub fn json_problem(error: &serde_json::Error) -> String {
    // No sentence of its own is as long.
    const LONGEST: usize = 300;
    let problem = error.to_string();
    if problem.len() <= LONGEST {
        return problem;
    }
    format!("{}… at line {} column {}", cut(&problem, LONGEST), error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use super::{Quoted, cut, json_problem};

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut(&"ü".repeat(200), 253).len(), 252);
        assert_eq!(cut("short", 253), "short");
    }

    #[test]
    fn a_long_problem_says_where_it_is() {
        let error = serde_json::from_str::<u8>(&format!("\n\"{}\"", "a".repeat(1000))).unwrap_err();
        let problem = json_problem(&error);
        assert!(problem.starts_with("invalid type: string \"aaa"), "{problem}");
        assert!(problem.ends_with("aaa… at line 2 column 1002") && problem.len() < 400, "{problem}");
        let error = serde_json::from_str::<u8>("x").unwrap_err();
        assert_eq!(json_problem(&error), error.to_string());
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        let shown = Quoted(&"ü".repeat(100)).to_string();
        assert_eq!(shown, format!("\"{}\"… (200 bytes)", "ü".repeat(80)));
    }

    #[test]
    fn no_value_ends_its_own_quotes() {
        assert_eq!(Quoted(r#"{"a":"it's"}"#).to_string(), r#""{\"a\":\"it's\"}""#);
        assert_eq!(Quoted("\"\n").to_string(), r#""\"\n""#);
        assert_eq!(Quoted("it's").to_string(), r#""it's""#);
    }

    #[test]
    fn a_value_of_just_the_longest_length_is_whole() {
        assert_eq!(Quoted(&"x".repeat(80)).to_string(), format!("\"{}\"", "x".repeat(80)));
    }
}

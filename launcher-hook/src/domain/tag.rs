//! Start tags, read strictly and with the place of everything in them.

use std::borrow::Cow;
use std::ops::Range;

/// One attribute of a start tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Attribute<'d> {
    pub(super) name: &'d str,
    /// The value as written, without its quotes.
    pub(super) raw: &'d str,
    /// Where `raw` is in the domain.
    pub(super) place: Range<usize>,
}

/// What is wrong with a start tag.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TagProblem<'d> {
    Syntax(Cow<'static, str>),
    Duplicate(&'d str),
}

/// More than any element of libvirt has; keeps the look for duplicates short.
const MOST_ATTRIBUTES: usize = 256;

/// Reads the start tag `<name a="b" …>` or `<name/>` at `tag`; the attributes replace what is in `attributes`.
pub(super) fn read_tag<'d>(
    text: &'d str,
    tag: &Range<usize>,
    attributes: &mut Vec<Attribute<'d>>,
) -> Result<&'d str, TagProblem<'d>> {
    attributes.clear();
    let syntax = |problem: &'static str| TagProblem::Syntax(Cow::Borrowed(problem));
    let inner = text
        .get(tag.clone())
        .and_then(|tag| tag.strip_prefix('<'))
        .and_then(|tag| tag.strip_suffix('>'))
        .ok_or_else(|| syntax("a tag without '<' and '>'"))?;
    let inner = inner.strip_suffix('/').unwrap_or(inner);
    let base = tag.start + 1;

    let (name, mut rest) = split_name(inner)?;
    loop {
        let trimmed = skip_space(rest);
        if trimmed.is_empty() {
            return Ok(name);
        }
        if trimmed.len() == rest.len() {
            return Err(syntax("no white space before an attribute"));
        }
        let (name, after) = split_name(trimmed)?;
        let after = skip_space(after)
            .strip_prefix('=')
            .map(skip_space)
            .ok_or_else(|| syntax("an attribute without a value"))?;
        let quote = match after.bytes().next() {
            Some(quote @ (b'"' | b'\'')) => quote,
            _ => return Err(syntax("an attribute's value without quotes")),
        };
        let (raw, after) = after
            .get(1..)
            .and_then(|value| {
                let end = value.bytes().position(|byte| byte == quote)?;
                Some((value.get(..end)?, value.get(end + 1..)?))
            })
            .ok_or_else(|| syntax("an attribute's value without its closing quote"))?;
        check_value(raw)?;
        if attributes.iter().any(|other| other.name == name) {
            return Err(TagProblem::Duplicate(name));
        }
        if attributes.len() == MOST_ATTRIBUTES {
            return Err(syntax("an element with more than 256 attributes"));
        }
        let end = base + inner.len() - after.len() - 1;
        attributes.push(Attribute { name, raw, place: end - raw.len()..end });
        rest = after;
    }
}

// Bytes rather than characters: every tag of the domain comes through here.
fn skip_space(text: &str) -> &str {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let length = text.bytes().take_while(space).count();
    text.get(length..).unwrap_or_default()
}

/// Takes a name off the front.
fn split_name(text: &str) -> Result<(&str, &str), TagProblem<'static>> {
    let length = text.find(|character| !continues_name(character)).unwrap_or(text.len());
    match text.split_at_checked(length) {
        Some((name, rest)) if name.starts_with(starts_name) => Ok((name, rest)),
        _ => Err(TagProblem::Syntax(
            format!("{} does not start with an XML name", contract::Quoted(text)).into(),
        )),
    }
}

/// Whether all of it is one name.
pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(starts_name) && text.chars().all(continues_name)
}

/// `NameStartChar` of XML 1.0, section 2.3.
fn starts_name(character: char) -> bool {
    matches!(character,
        'a'..='z' | 'A'..='Z' | '_' | ':' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}' | '\u{200d}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}'
        | '\u{fdf0}'..='\u{fffd}' | '\u{10000}'..='\u{effff}')
}

/// `NameChar` of XML 1.0, section 2.3.
fn continues_name(character: char) -> bool {
    starts_name(character)
        || matches!(character,
            '0'..='9' | '-' | '.' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}' | '\u{2040}')
}

fn check_value(raw: &str) -> Result<(), TagProblem<'static>> {
    if !raw.bytes().any(|byte| matches!(byte, b'<' | b'&')) {
        return Ok(());
    }
    if raw.contains('<') {
        return Err(TagProblem::Syntax("'<' in an attribute's value".into()));
    }
    let mut rest = raw;
    while let Some((_, after)) = rest.split_once('&') {
        let (reference, after) = after.split_once(';').ok_or(TagProblem::Syntax("'&' without ';'".into()))?;
        check_reference(reference)?;
        rest = after;
    }
    Ok(())
}

/// Checks what stands between `&` and `;`: without a document type only five entities are defined.
pub(super) fn check_reference(reference: &str) -> Result<(), TagProblem<'static>> {
    if resolve(reference).is_some() {
        Ok(())
    } else {
        Err(TagProblem::Syntax(format!("the reference {} means nothing", contract::Quoted(reference)).into()))
    }
}

fn resolve(reference: &str) -> Option<char> {
    let Some(number) = reference.strip_prefix('#') else {
        return match reference {
            "lt" => Some('<'),
            "gt" => Some('>'),
            "amp" => Some('&'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => None,
        };
    };
    let (digits, radix) = match number.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    // `from_str_radix` alone would take a sign.
    let valid = !digits.is_empty() && digits.chars().all(|digit| digit.is_digit(radix));
    let code = valid.then(|| u32::from_str_radix(digits, radix).ok())??;
    char::from_u32(code).filter(|&character| allowed(character))
}

/// Whether XML 1.0 has this character at all.
pub(super) fn allowed(character: char) -> bool {
    !matches!(character, '\0'..='\x08' | '\x0b' | '\x0c' | '\x0e'..='\x1f' | '\u{fffe}' | '\u{ffff}')
}

/// What a checked value means: references resolved, white space turned into spaces.
pub(super) fn decode(raw: &str) -> Cow<'_, str> {
    if !raw.contains(['&', '\t', '\n', '\r']) {
        return Cow::Borrowed(raw);
    }
    let spaces = |text: &str| text.replace("\r\n", " ").replace(['\t', '\n', '\r'], " ");
    let mut decoded = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('&') {
        decoded.push_str(&spaces(before));
        let (reference, after) = after.split_once(';').unwrap_or((after, ""));
        decoded.extend(resolve(reference));
        rest = after;
    }
    decoded.push_str(&spaces(rest));
    Cow::Owned(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn read(tag: &str) -> Result<(&str, Vec<Attribute<'_>>), TagProblem<'_>> {
        let mut attributes = Vec::new();
        let name = read_tag(tag, &(0..tag.len()), &mut attributes)?;
        Ok((name, attributes))
    }

    #[rstest]
    #[case::none("<a>", "a", &[])]
    #[case::self_closing("<a/>", "a", &[])]
    #[case::two("<a b=\"1\" c='2'>", "a", &[("b", "1"), ("c", "2")])]
    #[case::spaces("<a \n b = \"1\"\t/>", "a", &[("b", "1")])]
    #[case::greater_in_value("<a b=\"x>y\">", "a", &[("b", "x>y")])]
    #[case::other_quote("<a b='\"'>", "a", &[("b", "\"")])]
    #[case::prefix("<q:a xmlns:q=\"u\">", "q:a", &[("xmlns:q", "u")])]
    #[case::slash_in_value("<a b=\"/\"/>", "a", &[("b", "/")])]
    #[case::not_ascii("<größe·1 日本='1'/>", "größe·1", &[("日本", "1")])]
    fn reads(#[case] tag: &str, #[case] name: &str, #[case] expected: &[(&str, &str)]) {
        let (found, attributes) = read(tag).unwrap();
        assert_eq!(found, name);
        let pairs: Vec<_> = attributes.iter().map(|a| (a.name, a.raw)).collect();
        assert_eq!(pairs, expected);
        for attribute in &attributes {
            assert_eq!(&tag[attribute.place.clone()], attribute.raw);
        }
    }

    #[rstest]
    #[case::no_name("<>")]
    #[case::digit_first("<1a>")]
    #[case::middle_dot_first("<·a>")]
    #[case::fraction_in_a_name("<a b½=\"1\">")]
    #[case::no_space("<a b=\"1\"c=\"2\">")]
    #[case::no_value("<a b>")]
    #[case::no_quotes("<a b=1>")]
    #[case::open_quote("<a b=\"1>")]
    #[case::less_in_value("<a b=\"<\">")]
    #[case::bare_ampersand("<a b=\"&\">")]
    #[case::undefined_entity("<a b=\"&nbsp;\">")]
    #[case::nul_reference("<a b=\"&#0;\">")]
    #[case::surrogate("<a b=\"&#xd800;\">")]
    #[case::signed_reference("<a b=\"&#+65;\">")]
    #[case::slash_inside("<a / b=\"1\">")]
    fn refuses(#[case] tag: &str) {
        assert!(matches!(read(tag), Err(TagProblem::Syntax(_))), "{tag}");
    }

    #[test]
    fn duplicates() {
        assert_eq!(read("<a b=\"1\" b=\"1\">"), Err(TagProblem::Duplicate("b")));
    }

    #[rstest]
    #[case::plain("abc", "abc")]
    #[case::named("&lt;&gt;&amp;&quot;&apos;", "<>&\"'")]
    #[case::numbers("&#65;&#x42;", "AB")]
    #[case::white_space("a\nb\r\nc\td", "a b c d")]
    #[case::written_white_space("a&#10;b", "a\nb")]
    fn decodes(#[case] raw: &str, #[case] meant: &str) {
        assert_eq!(decode(raw), meant);
    }
}

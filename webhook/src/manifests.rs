//! Kubernetes objects in text: YAML or JSON, one or many, lists taken apart.

use std::borrow::Cow;
use std::fmt;

use contract::Quoted;
use serde_json::Value;
use serde_saphyr::{MessageFormatter, UserMessageFormatter};
use thiserror::Error;

/// Text that holds no Kubernetes objects.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DocumentError {
    /// Bytes that are not UTF-8, with a byte order mark of UTF-16.
    #[error("is not UTF-8 text (it starts like UTF-16, as PowerShell's > writes it): save it as UTF-8")]
    Utf16,
    /// Other bytes that are not UTF-8.
    #[error("is not UTF-8 text (byte {position}): save it as UTF-8")]
    Encoding {
        /// Where the first wrong byte is, the first being 1.
        position: usize,
    },
    /// Neither JSON nor YAML.
    #[error("is not {format}: {problem}")]
    Syntax {
        /// What it was taken for.
        format: &'static str,
        /// What the parser says.
        problem: String,
    },
    /// A document that is not an object.
    #[error("document {document} is {found}, not a Kubernetes object with apiVersion and kind")]
    NoObject {
        /// Its place in the text, the first being 1.
        document: usize,
        /// What it is instead.
        found: &'static str,
    },
}

/// A Kubernetes object and its position in the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Where it is.
    pub position: Position,
    /// The object.
    pub object: Value,
}

/// The position of an object in a text, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Number of the document among those that are not empty, the first being 1.
    pub document: usize,
    /// Number of the item if the document is a list, the first being 1.
    pub item: Option<usize>,
}

/// The text in `bytes`.
///
/// # Errors
/// Bytes that are not UTF-8.
pub fn text(bytes: &[u8]) -> Result<&str, DocumentError> {
    std::str::from_utf8(bytes).map_err(|error| {
        if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            DocumentError::Utf16
        } else {
            DocumentError::Encoding { position: error.valid_up_to() + 1 }
        }
    })
}

/// Reads all objects in `text`: JSON (objects one after the other are fine, as `kubectl -o json` and `jq` print
/// them) or YAML. The items of lists stand for themselves; empty documents are skipped.
///
/// # Errors
/// The first document that is not an object.
pub fn parse(text: &str) -> Result<Vec<Document>, DocumentError> {
    let text = text.trim_start_matches('\u{feff}');
    let documents = if text.trim_start().starts_with('{') {
        // A YAML document may be in braces, too; kubectl takes both.
        json(text).or_else(|error| yaml(text).map_err(|_| error))?
    } else {
        yaml(text)?
    };
    let mut objects = Vec::with_capacity(documents.len());
    for (index, document) in documents.into_iter().enumerate() {
        let found = match &document {
            Value::Object(_) => {
                let position = Position { document: index + 1, item: None };
                take_apart(document, position, &mut objects);
                continue;
            }
            Value::Null => continue,
            Value::Array(_) => "a list",
            Value::String(_) => "a text",
            Value::Number(_) => "a number",
            Value::Bool(_) => "a truth value",
        };
        return Err(DocumentError::NoObject { document: index + 1, found });
    }
    Ok(objects)
}

/// An object's kind; empty if it has none.
#[must_use]
pub fn kind(object: &Value) -> &str {
    object.get("kind").and_then(Value::as_str).unwrap_or_default()
}

fn json(text: &str) -> Result<Vec<Value>, DocumentError> {
    serde_json::Deserializer::from_str(text)
        .into_iter()
        .collect::<Result<_, _>>()
        .map_err(|error| DocumentError::Syntax { format: "JSON", problem: error.to_string() })
}

fn yaml(text: &str) -> Result<Vec<Value>, DocumentError> {
    let mut options = serde_saphyr::Options::default();
    // A file of 100,000 NADs is a normal one. Aliases stay bounded.
    options.budget = None;
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| DocumentError::Syntax {
        format: "YAML",
        problem: error.render_with_formatter(&UsersWords),
    })
}

/// Errors in words for the author of a file: the library's own ones advise its callers.
struct UsersWords;

impl MessageFormatter for UsersWords {
    fn format_message<'a>(&self, error: &'a serde_saphyr::Error) -> Cow<'a, str> {
        match error {
            serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } => {
                format!("the key {} is given twice: remove one", Quoted(key)).into()
            }
            other => UserMessageFormatter.format_message(other),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "document {}", self.document)?;
        self.item.map_or(Ok(()), |item| write!(f, ", item {item}"))
    }
}

fn take_apart(mut object: Value, position: Position, objects: &mut Vec<Document>) {
    let is_list = kind(&object).ends_with("List");
    match object.get_mut("items") {
        Some(Value::Array(items)) if is_list => {
            for (index, item) in std::mem::take(items).into_iter().enumerate() {
                // An item of a list in a list counts as the outer one.
                let item_number = position.item.unwrap_or(index + 1);
                take_apart(item, Position { item: Some(item_number), ..position }, objects);
            }
        }
        _ => objects.push(Document { position, object }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::yaml("kind: Pod", &["Pod"])]
    #[case::documents("---\nkind: A\n---\n# nothing\n---\nkind: B\n", &["A", "B"])]
    #[case::json(r#"{"kind":"A"}"#, &["A"])]
    #[case::json_stream("{\"kind\":\"A\"}\n{\"kind\":\"B\"}", &["A", "B"])]
    #[case::list("kind: List\nitems: [{kind: A}, {kind: PodList, items: [{kind: B}]}]", &["A", "B"])]
    #[case::empty("", &[])]
    #[case::comment("# nothing\n", &[])]
    #[case::items_of_its_own("kind: ConfigMap\nitems: [{kind: A}]", &["ConfigMap"])]
    #[case::braces_then_yaml("{\"kind\": \"A\"}\n---\nkind: B\n", &["A", "B"])]
    #[case::yaml_in_braces("{kind: A, items: [1, 2,]}", &["A"])]
    #[case::byte_order_mark_and_json("\u{feff}{\"kind\":\"A\"}", &["A"])]
    #[case::byte_order_mark_and_yaml("\u{feff}# made elsewhere\r\n---\r\nkind: A\r\n", &["A"])]
    fn objects(#[case] text: &str, #[case] kinds: &[&str]) {
        let objects = parse(text).unwrap();
        assert_eq!(objects.iter().map(|found| kind(&found.object)).collect::<Vec<_>>(), kinds);
    }

    #[test]
    fn refusals() {
        let cases = [
            ("json", r#"{"kind":"#),
            ("yaml", "a: ["),
            ("text", "just words"),
            ("list of lists", "kind: A\n---\n[]"),
            ("key twice", "kind: A\nkind: B\n"),
            ("binary", "kind: !!binary /w==\n"),
            ("unclosed braces", "{\"kind\": \"A\"\n---\nkind: B\n"),
        ];
        let told = cases.map(|(name, text)| format!("{name}\n  {}", parse(text).unwrap_err()));
        insta::assert_snapshot!(told.join("\n"), @r#"
        json
          is not JSON: EOF while parsing a value at line 1 column 8
        yaml
          is not YAML: error: line 1 column 4: unclosed bracket '['
         --> <input>:1:4
          |
        1 | a: [
          |    ^ unclosed bracket '['
        text
          document 1 is a text, not a Kubernetes object with apiVersion and kind
        list of lists
          document 2 is a list, not a Kubernetes object with apiVersion and kind
        key twice
          is not YAML: error: line 2 column 1: the key "kind" is given twice: remove one
         --> <input>:2:1
          |
        1 | kind: A
        2 | kind: B
          | ^ the key "kind" is given twice: remove one
        binary
          is not YAML: error: line 1 column 16: !!binary scalar is not valid UTF-8 so cannot be stored into string.
         --> <input>:1:16
          |
        1 | kind: !!binary /w==
          |                ^ !!binary scalar is not valid UTF-8 so cannot be stored into string.
        unclosed braces
          is not JSON: expected `,` or `}` at line 2 column 1
        "#);
    }

    #[rstest]
    #[case::key_twice("a: 1\na: 2")]
    #[case::key_twice_in_braces("{a: 1, a: 2}")]
    #[case::binary("a: !!binary /w==")]
    #[case::unknown_alias("a: *b")]
    #[case::tab("a:\n\tb: 1")]
    #[case::unknown_tag("a: !!float x")]
    #[case::merge_key_of_a_text("a: {<<: b}")]
    fn no_message_speaks_of_the_library(#[case] text: &str) {
        let message = parse(text).map_or_else(|error| error.to_string(), |found| format!("{found:?}"));
        for word in ["Options", "Policy", "policy", "ignore_binary_tag", "serde", "Option<"] {
            assert!(!message.contains(word), "{message}");
        }
    }

    #[rstest]
    #[case::alone("kind: A", &["document 1"])]
    #[case::after_an_empty_one("---\n---\nkind: A\n---\nkind: B", &["document 1", "document 2"])]
    #[case::in_a_list("kind: List\nitems: [{kind: A}, {kind: BList, items: [{kind: C}, {kind: D}]}]", &["document 1, item 1", "document 1, item 2", "document 1, item 2"])]
    fn positions(#[case] text: &str, #[case] expected: &[&str]) {
        let found = parse(text).unwrap();
        assert_eq!(found.iter().map(|found| found.position.to_string()).collect::<Vec<_>>(), expected);
    }

    #[rstest]
    #[case::little_endian(b"\xff\xfek\0i\0", DocumentError::Utf16)]
    #[case::big_endian(b"\xfe\xff\0k\0i", DocumentError::Utf16)]
    #[case::latin_1(b"caf\xe9", DocumentError::Encoding { position: 4 })]
    fn bytes_that_are_not_utf_8(#[case] bytes: &[u8], #[case] expected: DocumentError) {
        assert_eq!(text(bytes), Err(expected));
    }

    #[test]
    fn a_large_file_is_read_whole() {
        let text = "kind: A\nmetadata: {name: x}\n---\n".repeat(20_000);
        assert_eq!(parse(&text).unwrap().len(), 20_000);
    }
}

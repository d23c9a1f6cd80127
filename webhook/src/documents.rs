//! Kubernetes objects in text: YAML or JSON, one or many, lists taken apart.

use serde_json::Value;
use thiserror::Error;

/// Text that holds no Kubernetes objects.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DocumentError {
    /// Neither JSON nor YAML.
    #[error("is no {format}: {problem}")]
    Syntax {
        /// What it was taken for.
        format: &'static str,
        /// What the parser says.
        problem: String,
    },
    /// A document that is no object.
    #[error("document {document} is {found}, not a Kubernetes object with apiVersion and kind")]
    NoObject {
        /// Its place in the text, the first being 1.
        document: usize,
        /// What it is instead.
        found: &'static str,
    },
}

/// Reads all objects in `text`: what starts with `{` as JSON (objects one after the other are fine, as
/// `kubectl -o json` and `jq` print them), anything else as YAML. The items of lists stand for themselves;
/// empty documents are passed over.
///
/// # Errors
/// The first document that is none.
pub fn parse(text: &str) -> Result<Vec<Value>, DocumentError> {
    let documents = if text.trim_start().starts_with('{') { json(text)? } else { yaml(text)? };
    let mut objects = Vec::with_capacity(documents.len());
    for (index, document) in documents.into_iter().enumerate() {
        let found = match &document {
            Value::Object(_) => {
                take_apart(document, &mut objects);
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

/// An object's kind; empty where it has none.
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
    serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| DocumentError::Syntax { format: "YAML", problem: error.to_string() })
}

fn take_apart(mut object: Value, objects: &mut Vec<Value>) {
    let is_list = kind(&object).ends_with("List");
    match object.get_mut("items") {
        Some(Value::Array(items)) if is_list => {
            for item in std::mem::take(items) {
                take_apart(item, objects);
            }
        }
        _ => objects.push(object),
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
    fn objects(#[case] text: &str, #[case] kinds: &[&str]) {
        let objects = parse(text).unwrap();
        assert_eq!(objects.iter().map(kind).collect::<Vec<_>>(), kinds);
    }

    #[rstest]
    #[case::json(r#"{"kind":"#, "is no JSON: EOF")]
    #[case::yaml("a: [", "is no YAML: ")]
    #[case::text("just words", "document 1 is a text, not a Kubernetes object")]
    #[case::list_of_lists("kind: A\n---\n[]", "document 2 is a list, not a Kubernetes object")]
    fn refusals(#[case] text: &str, #[case] start: &str) {
        let message = parse(text).unwrap_err().to_string();
        assert!(message.starts_with(start), "{message}");
    }

    #[test]
    fn a_large_file_is_read_whole() {
        let text = "kind: A\nmetadata: {name: x}\n---\n".repeat(20_000);
        assert_eq!(parse(&text).unwrap().len(), 20_000);
    }
}

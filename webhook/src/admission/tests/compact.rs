use super::super::compact::read;
use super::*;
use proptest::prelude::*;
use rstest::rstest;

/// A pod as KubeVirt makes it.
const POD: &str = include_str!("../../../tests/fixtures/virt-launcher-pod.json");

fn kubevirts_pod() -> Value {
    serde_json::from_str(POD).unwrap()
}

/// Reads a text both ways. What is read here has to be what serde_json reads.
fn read_as<'a, T: serde::Deserialize<'a> + std::fmt::Debug>(text: &'a str) -> bool {
    let Some(value) = read::<T>(text) else { return false };
    let expected = serde_json::from_str::<T>(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(format!("{value:?}"), format!("{expected:?}"), "{text}");
    true
}

/// The same where a skipped string, list or object may be broken, which only serde_json notices.
fn skip_as<'a, T: serde::Deserialize<'a> + std::fmt::Debug>(text: &'a str) {
    if serde_json::from_str::<T>(text).is_ok() || !text.contains(['"', '[', '{']) {
        read_as::<T>(text);
    } else {
        let _ = read::<T>(text);
    }
}

/// An object of which nothing is skipped, and all may be missing.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Known {
    a: Option<Box<Self>>,
}

/// A value of strings of which nothing is skipped.
#[derive(Debug, serde::Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "printed and compared")]
enum Whole {
    Word(Option<bool>),
    Text(String),
    List(Vec<Self>),
    Object(std::collections::BTreeMap<String, Self>),
}

#[test]
fn kubevirts_pod_is_not_left_to_serde_json() {
    let pod = kubevirts_pod().to_string();
    assert!(read_as::<Pod<'_>>(&pod) && read_as::<Unread<'_>>(&pod));
    let review = review(&kubevirts_pod());
    assert!(read_as::<Request<'_>>(&(review["request"].to_string() + "\n")));
}

#[rstest]
#[case::string(r#""a""#)]
#[case::escapes(r#""\"\\\/\b\f\n\r\t\u00e4\ud83d\ude00""#)]
#[case::other_letters("\"\u{7f}ä😀\"")]
#[case::numbers("[0,-0,1,-12,0.5,-1.25e+7,3E-2,4e1]")]
#[case::words("[true,false,null]")]
#[case::nested(r#"{"a":[{},[],[[{"b":[]}]],{"c":{"d":1},"":2}],"a":3}"#)]
#[case::line_feed_at_the_end("{}\n")]
fn skips(#[case] text: &str) {
    assert!(read_as::<serde::de::IgnoredAny>(text));
    assert!(read_as::<Unread<'_>>(text.trim_end()));
}

#[rstest]
#[case::nothing("")]
#[case::open_string("\"a")]
#[case::open_escape("\"a\\")]
#[case::control_character("\"a\u{1f}\"")]
#[case::line_feed_in_a_string("\"a\n\"")]
#[case::leading_zero("01")]
#[case::no_digits("-")]
#[case::no_fraction("1.")]
#[case::no_exponent("1e+")]
#[case::plus("+1")]
#[case::half_a_word("tru")]
#[case::long_word("nulls")]
#[case::no_end("[1")]
#[case::no_end_within("[[1]")]
#[case::end_in_a_string(r#"["]"#)]
#[case::more("{}{}")]
#[case::more_after_the_line_feed("{}\n{}")]
fn skips_nothing_without_an_end(#[case] text: &str) {
    assert!(read::<serde::de::IgnoredAny>(text).is_none());
    assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_err(), "no case: {text}");
}

#[rstest]
#[case::unknown_escape(r#""\x""#)]
#[case::short_escape(r#""\u12""#)]
#[case::no_escape(r#""\u12g4""#)]
#[case::comma_at_the_end(r#"["a",]"#)]
#[case::comma_at_the_end_of_an_object(r#"{"a":"b",}"#)]
#[case::comma_at_the_start(r#"[,"a"]"#)]
#[case::no_comma(r#"["a""b"]"#)]
#[case::wrong_end(r#"["a"}"#)]
#[case::wrong_end_of_an_object(r#"{"a":"b"]"#)]
#[case::no_colon(r#"{"a""b"}"#)]
#[case::no_value(r#"{"a":}"#)]
#[case::no_key(r#"{null:"a"}"#)]
fn reads_nothing_broken(#[case] text: &str) {
    assert!(read::<Whole>(text).is_none());
    assert!(serde_json::from_str::<Whole>(text).is_err(), "no case: {text}");
}

#[test]
fn what_is_deep_is_skipped() {
    for depth in [1, 64, 65, 66, 1_000_000] {
        assert!(read_as::<Unread<'_>>(&("[".repeat(depth) + &"]".repeat(depth))));
        assert!(read::<Unread<'_>>(&"[".repeat(depth)).is_none());
        assert!(read::<Unread<'_>>(&r#"{"a":"#.repeat(depth)).is_none());
    }
}

#[test]
fn a_list_in_place_of_an_object_is_read_to_its_end() {
    for text in ["[]]]", r#"["a"]]]"#, r#"["a","b","c"]"#, r#"["a","b","c","d"]"#, r#"["a","b","c","x":1}"#] {
        assert!(read::<Kind<'_>>(text).is_none());
    }
}

#[test]
fn a_string_ends_where_it_ends_wherever_that_is() {
    for length in 0..200 {
        for special in ["\"", "\\\"\"", "\\", "\u{1}", ""] {
            let text = format!("\"{}{special}", "x".repeat(length));
            read_as::<Unread<'_>>(&text);
            assert_eq!(read::<Unread<'_>>(&text).is_some(), special.ends_with('"'), "{text}");
        }
    }
}

#[test]
fn a_list_ends_where_it_ends_wherever_that_is() {
    for length in 0..200 {
        let padding = "x".repeat(length);
        for string in ["]", "[", r#"\"]"#, r"\\", r#"\\\"["#, r"\u005d", "ä]", ""] {
            let text = format!(r#"["{padding}",[{{"{string}":["{padding}{string}"]}}],"{string}"]"#);
            assert!(read_as::<Vec<Unread<'_>>>(&text), "{text}");
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,80}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(".{0,20}", inner, 0..5)
                .prop_map(|entries| entries.into_iter().collect::<Value>()),
        ]
    })
}

proptest! {
    #[test]
    fn all_that_serde_json_writes_is_skipped(value in any_json()) {
        prop_assert!(read_as::<Unread<'_>>(&value.to_string()));
    }

    #[test]
    fn broken_json_is_read_as_serde_json_reads_it(text in r#"([\[\]{}",:0-9a-e\\untrulse+.\n -]|"a":|\\u00|true|null){0,24}"#) {
        skip_as::<serde::de::IgnoredAny>(&text);
        skip_as::<Unread<'_>>(&text);
        skip_as::<Pod<'_>>(&text);
        skip_as::<contract::vmi::Vmi>(&text);
        read_as::<Whole>(&text);
        read_as::<Known>(&text);
        read_as::<std::collections::BTreeMap<String, Option<String>>>(&text);
    }

    #[test]
    fn a_broken_pod_is_read_as_serde_json_reads_it(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0usize..3, r#"[\[\]{}",:0-9a-z\\. -]|null|\{\}"#), 1..4)
    ) {
        let mut text = kubevirts_pod().to_string();
        for (place, removed, put) in changes {
            let start = place.index(text.len());
            let end = (start + removed).min(text.len());
            if text.is_char_boundary(start) && text.is_char_boundary(end) {
                text.replace_range(start..end, &put);
            }
        }
        skip_as::<Pod<'_>>(&text);
        skip_as::<Unread<'_>>(&text);
    }
}

//! The words that `docs/glossary.md` and plain English have better ones for.
//!
//! Each phrase has a number: how often the tree still has it. It may only shrink, and is lowered in the commit that
//! makes it wrong, so that what was mended does not come back.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test says what went wrong by stopping there")]

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A phrase that is not to be written, what to write instead, and how often the tree still has it.
struct Phrase {
    words: &'static str,
    remedy: &'static str,
    left: usize,
    /// With one of these words before or behind it, it is plain English.
    before: &'static [&'static str],
    behind: &'static [&'static str],
}

const fn phrase(words: &'static str, remedy: &'static str, left: usize) -> Phrase {
    Phrase { words, remedy, left, before: &[], behind: &[] }
}

const PHRASES: &[Phrase] = &[
    Phrase {
        words: "is no",
        remedy: "is not a (valid) …",
        left: 0,
        before: &["there"],
        behind: &["longer", "more", "different", "better", "worse", "less"],
    },
    Phrase { before: &["there"], behind: &["the"], ..phrase("is none", "is not one; or say what it is", 0) },
    phrase("gives whether", "returns whether", 0),
    phrase("somebody else's", "untrusted; or name the owner", 0),
    phrase("where it is there", "if present", 0),
    phrase("where they are there", "if present", 0),
    phrase("sees to it", "makes sure", 0),
    phrase("see to it", "make sure", 0),
    phrase("for eyes", "human-readable", 0),
    phrase("so many bytes", "the first N bytes, this many bytes", 0),
    phrase("is to be", "must be; will be; or say what it is", 0),
    phrase("are to be", "must be; will be; or say what they are", 0),
    phrase("for ever", "forever", 0),
    phrase("as ever", "as before; or say what goes on", 0),
    phrase("seldom", "rarely", 0),
    phrase("farewell", "a graceful shutdown; close_notify; GOAWAY", 0),
    phrase("come again", "retry; are refilled", 0),
    phrase("what becomes of", "what happens to", 0),
    phrase("nobody's", "say what it is not", 0),
    phrase("is nobody", "say who is missing", 0),
    phrase("goes on serving", "keeps being used", 0),
    phrase("puts in", "injects; writes; adds", 0),
    phrase("is put in", "is injected; is written; is added", 0),
    phrase("keeps nobody", "cannot lock others out", 0),
    phrase("it never should", "unexpectedly", 0),
    phrase("have it that", "configure", 0),
    phrase("the way of", "the path of; how … gets to …", 0),
    Phrase { before: &["there"], behind: &["longer", "more"], ..phrase("are no", "are not; other than", 0) },
    phrase("anew", "again; re-… (restart, reload, reconnect)", 0),
    phrase("any more", "no longer", 0),
    phrase("became of", "happened to; the result of", 0),
    phrase("come of it", "result", 0),
    phrase("no good", "invalid; cannot be used", 0),
    phrase("sees to", "makes sure; handles", 0),
    phrase("see to", "make sure; handle", 0),
    phrase("put into pods", "injected into pods", 0),
    phrase("may not be listed", "no permission to list", 0),
    phrase("whoever", "name them: clients, the author of the VMI", 0),
];

/// A word of a file, in lower case and without the punctuation around it, and its line. The end of a part of a sentence
/// is an empty word.
struct Word {
    text: String,
    line: usize,
}

fn words(text: &str) -> Vec<Word> {
    let mut words = Vec::new();
    for (number, line) in text.lines().enumerate() {
        // Also where a string begins, as in error("is …").
        for raw in line.split(|c: char| c.is_whitespace() || matches!(c, '"' | '(')) {
            // Code such as `None` is not prose.
            let word = raw.trim_matches(|c: char| !c.is_ascii_alphabetic() && c != '`').to_ascii_lowercase();
            // Nothing is left of `///`, `#` and the end of a line in a string: a phrase goes on behind them.
            if !word.is_empty() {
                words.push(Word { text: word, line: number + 1 });
            }
            if raw.ends_with(['.', ':', ';', ',']) {
                words.push(Word { text: String::new(), line: number + 1 });
            }
        }
    }
    words
}

impl Phrase {
    /// The lines on which it begins.
    fn lines(&self, words: &[Word]) -> Vec<usize> {
        let phrase: Vec<&str> = self.words.split(' ').collect();
        let is = |word: Option<&Word>, among: &[&str]| {
            word.is_some_and(|word| among.contains(&word.text.as_str()))
        };
        let found = words.windows(phrase.len()).enumerate().filter(|(place, window)| {
            let before = place.checked_sub(1).and_then(|place| words.get(place));
            window.iter().map(|word| word.text.as_str()).eq(phrase.iter().copied())
                && !is(before, self.before)
                && !is(words.get(place + phrase.len()), self.behind)
        });
        found.filter_map(|(_, window)| Some(window.first()?.line)).collect()
    }

    /// What to do if the tree has it at these places.
    fn problem(&self, places: &[String]) -> Option<String> {
        let Self { words, remedy, left, .. } = self;
        let found = places.len();
        match found.cmp(left) {
            Ordering::Equal => None,
            Ordering::Less => {
                Some(format!("{words:?} is here {found} times: lower its number in this test from {left}\n"))
            }
            Ordering::Greater => Some(format!(
                "{words:?} is here {found} times, {left} are allowed. Write: {remedy}\n  {}\n",
                places.join("\n  ")
            )),
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files of the tree that people write, but for this one.
fn files() -> Vec<String> {
    let output = Command::new("git").args(["ls-files"]).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let list = String::from_utf8(output.stdout).unwrap();
    let endings = [".rs", ".md", ".yaml", ".tpl", ".sh"];
    let files: Vec<String> = list
        .lines()
        .filter(|file| endings.iter().any(|ending| file.ends_with(ending)))
        .filter(|file| !file.ends_with("tests/words.rs"))
        // In the index, and deleted in the work tree.
        .filter(|file| root().join(file).exists())
        .map(str::to_owned)
        .collect();
    assert!(files.len() > 300, "{} files", files.len());
    files
}

#[test]
fn phrases_only_get_fewer() {
    let files: Vec<(String, Vec<Word>)> = files()
        .into_iter()
        .map(|file| {
            let text = fs::read(root().join(&file)).unwrap();
            (file, words(&String::from_utf8_lossy(&text)))
        })
        .collect();
    let mut report = String::new();
    for phrase in PHRASES {
        let lines = files.iter().flat_map(|(file, words)| {
            phrase.lines(words).into_iter().map(move |line| format!("{file}:{line}"))
        });
        report.extend(phrase.problem(&lines.collect::<Vec<_>>()));
    }
    assert!(report.is_empty(), "\n{report}");
}

#[test]
fn what_counts_as_a_phrase() {
    let cases = [
        ("plain", "This text is no address.", vec![1]),
        ("over two lines of a comment", "/// It is\n/// no address.", vec![1]),
        ("over two lines of a string", "\"{} is \\\n no address\"", vec![1]),
        ("upper case and punctuation", "`x` Is no, y", vec![1]),
        ("a comparison", "It is no longer than that.", vec![]),
        ("a fact", "There is no address.", vec![]),
        ("two parts of a sentence", "as it is: no address", vec![]),
        ("at the start of a string", "#[error(\"is no {address}\")]", vec![1]),
        ("of two strings", "f(\"is\", \"no\")", vec![]),
        ("code", "It is `no` address.", vec![]),
        ("part of a word", "this no, is not", vec![]),
        ("twice", "is no\nis no", vec![1, 2]),
    ];
    let phrase = PHRASES.first().unwrap();
    for (name, text, expected) in cases {
        assert_eq!(phrase.lines(&words(text)), expected, "{name}");
    }
}

#[test]
fn a_number_is_neither_exceeded_nor_left_too_high() {
    let phrase = phrase("for ever", "forever", 1);
    let places = ["a.rs:1", "b.rs:2"].map(str::to_owned);
    let problem = |count: usize| phrase.problem(places.get(..count).unwrap()).unwrap_or_default();
    assert_eq!(problem(0), "\"for ever\" is here 0 times: lower its number in this test from 1\n");
    assert_eq!(problem(1), "");
    assert_eq!(
        problem(2),
        "\"for ever\" is here 2 times, 1 are allowed. Write: forever\n  a.rs:1\n  b.rs:2\n"
    );
}

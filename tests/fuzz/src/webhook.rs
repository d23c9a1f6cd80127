//! What the webhook does with untrusted bytes, and what must hold whatever they are.
//!
//! The fuzz targets call these, and so does `webhook/tests/corpus.rs` with all that is in the corpora.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, LazyLock};

use admission::{
    Lookup, Network, Networks, NotWatched, Options, Outcome, Pod, Unreadable, Unresolved, Verdict,
};
use contract::vmi::Vmi;
use contract::{NadName, annotation, parse_default_network, parse_networks};
use serde_json::{Value, json};
use webhook::networks::file;

/// The including crate's own way to the fixtures.
use super::NADS;

/// Reads a network selection annotation.
pub fn network_annotation(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = parse_default_network(text, "kube-system").map_err(|error| error.to_string());
    let selections = match parse_networks(text, "default") {
        Ok(selections) => selections,
        Err(error) => {
            assert_sentence(&error.to_string());
            return;
        }
    };
    // What was taken can be written down, and read again as the same.
    let written: Vec<Value> = selections
        .iter()
        .map(|selection| {
            json!({
                "namespace": selection.nad.namespace(),
                "name": selection.nad.name(),
                "interface": selection.interface,
                "mac": selection.mac.as_ref().map(ToString::to_string),
                "deviceID": selection.device_id,
            })
        })
        .collect();
    let again = parse_networks(&Value::from(written).to_string(), "default");
    assert_eq!(again.as_ref(), Ok(&selections), "{text:?}");
}

/// Answers a review of a pod, and the same as one of a VMI.
pub fn review(bytes: &[u8]) {
    pod(bytes);
    if let Ok(request) = admission::read_vmi(bytes)
        && let Some(vmi) = &request.object
    {
        let decision =
            admission::decide_vmi(vmi, request.namespace(), &*KNOWN, &NotWatched, &Options::default());
        let answer = answer_of(&admission::answer::<Vmi>(&request.uid, &decision), &request.uid);
        assert_eq!(answer["response"]["allowed"], true);
    }
    // Of two equal keys a patch cannot say which one it means; a Value has none twice.
    if let Ok(review) = serde_json::from_slice::<Value>(bytes) {
        a_patch_is_made_once(review);
    }
}

fn pod(bytes: &[u8]) {
    let request = match admission::read(bytes) {
        Ok(request) => request,
        Err(Unreadable::NoReview(sentence)) => return assert_sentence(&sentence),
        Err(Unreadable::Answerable { uid, denial }) => {
            let answer = answer_of(&admission::answer::<Pod<'_>>(&uid, &Verdict::denied(denial)), &uid);
            assert_eq!(answer["response"]["allowed"], false);
            return;
        }
    };
    let decision = admission::decide(&request, &*KNOWN, &Options::default());
    let answer = answer_of(&admission::answer::<Pod<'_>>(&request.uid, &decision.verdict), &request.uid);
    let response = &answer["response"];
    assert_eq!(response["patch"].is_string(), matches!(decision.verdict.outcome, Outcome::Patched(_)));
    assert_eq!(response["allowed"], !matches!(decision.verdict.outcome, Outcome::Denied(_)));
    if let Outcome::Denied(denial) = decision.verdict.outcome {
        assert_sentence(&denial.message);
    }
}

fn a_patch_is_made_once(mut review: Value) {
    let options =
        Options { namespace_isolation: true, on_unresolved: Unresolved::Warn, ..Options::default() };
    let decide = |review: &Value| {
        let bytes = serde_json::to_vec(review).unwrap();
        let request = admission::read(&bytes).ok()?;
        Some(admission::decide(&request, &*KNOWN, &options).verdict.outcome)
    };
    if let Some(Outcome::Patched(patch)) = decide(&review) {
        json_patch::patch(&mut review["request"]["object"], &patch).unwrap();
        let again = decide(&review);
        assert!(matches!(again, Some(Outcome::Unchanged)), "{again:?}");
    }
}

/// Reads the text of a file of NADs.
pub fn nad_yaml(bytes: &[u8]) {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let keys = [annotation::RESOURCE_NAME.to_owned()];
    match file::load(file.path(), &keys) {
        Ok(loaded) => {
            for network in loaded.networks.into_values() {
                if let Network::Invalid(error) = &*network {
                    assert_sentence(&error.to_string());
                }
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The networks of the fixtures.
static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    Known(file::load(NADS.as_ref(), &[annotation::RESOURCE_NAME.to_owned()]).unwrap().networks)
});

struct Known(BTreeMap<NadName, Arc<Network>>);

impl Networks for Known {
    fn get(&self, nad: &NadName) -> Lookup {
        self.0.get(nad).cloned().into()
    }
}

fn answer_of(bytes: &[u8], uid: &str) -> Value {
    let answer: Value = serde_json::from_slice(bytes).unwrap();
    assert_eq!(answer["response"]["uid"], uid);
    answer
}

/// A message goes into logs and terminals: one line, and no longer than a person reads.
fn assert_sentence(message: &str) {
    assert!(!message.is_empty() && !message.chars().any(char::is_control), "{message:?}");
}

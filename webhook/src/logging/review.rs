//! One line for each review, made by hand: it is the one line whose cost counts.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Lines, LogFormat};

/// What is logged of a review.
#[derive(Debug, Clone)]
pub struct ReviewLine<'a> {
    /// Identifies the review in the API server's audit log too.
    pub uid: &'a str,
    /// What it is about: `pod` or `vmi`.
    pub kind: &'static str,
    /// Of the object.
    pub namespace: &'a str,
    /// Of the object; its `generateName` where the API server makes up the name later.
    pub name: &'a str,
    /// What the answer was.
    pub outcome: &'static str,
    /// Why, where it was a refusal.
    pub reason: Option<&'static str>,
    /// The sentence of a refusal.
    pub message: Option<&'a str>,
    /// From the last byte of the body to the answer.
    pub duration: Duration,
}

/// Writes the lines about reviews.
#[derive(Debug, Clone)]
pub struct ReviewLog {
    lines: Lines,
    format: LogFormat,
    enabled: bool,
}

/// The line as JSON. (With `flatten`, serde would make a map of it, which costs.)
#[derive(Serialize)]
struct JsonLine<'a> {
    timestamp: &'a str,
    level: &'static str,
    message: &'static str,
    uid: &'a str,
    kind: &'static str,
    namespace: &'a str,
    name: &'a str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    duration_us: u64,
}

/// The longest text of somebody else's that a line holds: the longest name Kubernetes has.
const LONGEST: usize = 253;

impl ReviewLog {
    pub(super) fn new(lines: Lines, format: LogFormat, enabled: bool) -> Self {
        Self { lines, format, enabled }
    }

    /// A log that goes to `lines`, whatever the level.
    #[must_use]
    pub fn to(lines: Lines, format: LogFormat) -> Self {
        Self::new(lines, format, true)
    }

    /// How many log lines were dropped because nobody read them.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.lines.dropped()
    }

    /// Logs a review.
    pub fn write(&self, review: ReviewLine<'_>) {
        if !self.enabled {
            return;
        }
        let timestamp = timestamp(SystemTime::now());
        let review = ReviewLine {
            uid: cut(review.uid),
            namespace: cut(review.namespace),
            name: cut(review.name),
            ..review
        };
        self.lines.add(|line| {
            match self.format {
                LogFormat::Json => json(line, &timestamp, &review),
                LogFormat::Text => text(line, &timestamp, &review),
            }
            line.push(b'\n');
        });
    }
}

/// A time as tracing's own lines have it; one before 1970 or behind the year 9999 gives the first moment.
fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let time = SignedDuration::try_from(since).ok().and_then(|since| Timestamp::from_duration(since).ok());
    format!("{:.6}", time.unwrap_or_default())
}

fn json(line: &mut Vec<u8>, timestamp: &str, review: &ReviewLine<'_>) {
    let &ReviewLine { uid, kind, namespace, name, outcome, reason, message: detail, duration } = review;
    let duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let json = JsonLine {
        timestamp,
        level: "INFO",
        message: "review",
        uid,
        kind,
        namespace,
        name,
        outcome,
        reason,
        detail,
        duration_us,
    };
    // Neither the texts nor the vector can make this fail.
    let _ = serde_json::to_writer(line, &json);
}

fn text(line: &mut Vec<u8>, timestamp: &str, review: &ReviewLine<'_>) {
    let ReviewLine { uid, kind, namespace, name, outcome, reason, message, duration } = review;
    let mut shown = format!("{timestamp}  INFO review {kind} {outcome} {namespace:?}/{name:?} uid={uid:?}");
    if let Some(reason) = reason {
        let _ = write!(shown, " reason={reason}");
    }
    if let Some(message) = message {
        let _ = write!(shown, " detail={message:?}");
    }
    let _ = write!(line, "{shown} duration={duration:?}");
}

fn cut(text: &str) -> &str {
    contract::cut(text, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn line() -> ReviewLine<'static> {
        ReviewLine {
            uid: "u-1\n{\"forged\":true}",
            kind: "pod",
            namespace: "default",
            name: "virt-launcher-vm-",
            outcome: "denied",
            reason: Some("network_unknown"),
            message: Some("no \"net\""),
            duration: Duration::from_nanos(41_900),
        }
    }

    #[rstest]
    #[case::whole_seconds(Duration::from_secs(1_764_403_200), "2025-11-29T08:00:00.000000Z")]
    #[case::cut_off(Duration::from_nanos(999_999_999), "1970-01-01T00:00:00.999999Z")]
    #[case::leap_day(Duration::from_millis(1_709_164_800_250), "2024-02-29T00:00:00.250000Z")]
    #[case::out_of_range(Duration::from_secs(1 << 40), "1970-01-01T00:00:00.000000Z")]
    fn timestamps(#[case] since: Duration, #[case] expected: &str) {
        assert_eq!(timestamp(UNIX_EPOCH + since), expected);
    }

    #[test]
    fn a_clock_before_1970_is_no_panic() {
        assert_eq!(timestamp(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000000Z");
    }

    #[test]
    fn json_lines_hold_hostile_text_in_one_object() {
        let mut bytes = Vec::new();
        json(&mut bytes, "now", &line());
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            r#"{"timestamp":"now","level":"INFO","message":"review","uid":"u-1\n{\"forged\":true}","kind":"pod","namespace":"default","name":"virt-launcher-vm-","outcome":"denied","reason":"network_unknown","detail":"no \"net\"","duration_us":41}"#
        );
    }

    #[test]
    fn text_lines_stay_one_line() {
        let mut bytes = Vec::new();
        text(&mut bytes, "now", &line());
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            r#"now  INFO review pod denied "default"/"virt-launcher-vm-" uid="u-1\n{\"forged\":true}" reason=network_unknown detail="no \"net\"" duration=41.9µs"#
        );
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut(&"ü".repeat(200)).len(), 252);
        assert_eq!(cut("short"), "short");
    }
}

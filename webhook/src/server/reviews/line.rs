//! What is logged of a review.

use std::time::Duration;

use admission::Denial;

use crate::logging::REVIEW_TARGET;

/// What is counted and logged of a review.
pub(super) struct Line<'a> {
    /// Identifies the review in the API server's audit log too.
    pub(super) uid: &'a str,
    /// The object's namespace.
    pub(super) namespace: &'a str,
    /// The object's name, or its `generateName` if the API server generates the name later.
    pub(super) name: &'a str,
    /// What the review is about: `pod` or `vmi`.
    pub(super) kind: &'static str,
    /// What the answer was.
    pub(super) outcome: &'static str,
    /// Why, if it was a refusal.
    pub(super) denial: Option<&'a Denial>,
}

/// The longest untrusted text that a line holds: the longest name in Kubernetes.
const LONGEST: usize = 253;

impl Line<'_> {
    /// Logs it. `duration` is the time from the last byte of the body to the answer.
    pub(super) fn log(&self, duration: Duration) {
        tracing::info!(
            target: REVIEW_TARGET,
            uid = contract::cut(self.uid, LONGEST),
            kind = self.kind,
            namespace = contract::cut(self.namespace, LONGEST),
            name = contract::cut(self.name, LONGEST),
            outcome = self.outcome,
            reason = self.denial.map(|denial| denial.reason.as_str()),
            detail = self.denial.map(|denial| denial.message.as_str()),
            duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
            "review"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use rstest::rstest;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::logging::{LogFormat, layer};
    use admission::Reason;

    #[derive(Clone, Default)]
    struct Output(Arc<Mutex<Vec<u8>>>);

    impl Write for Output {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The log after `line`, without its times.
    fn logged(format: LogFormat, line: &Line<'_>) -> String {
        let output = Output::default();
        let writer = output.clone();
        let subscriber = tracing_subscriber::registry().with(layer(format, move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || line.log(Duration::from_nanos(41_900)));
        let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
        let start = text.find("20").unwrap();
        let end = text.find('Z').unwrap();
        [&text[..start], "TIME", &text[end + 1..]].concat()
    }

    #[rstest]
    #[case::json(
        LogFormat::Json,
        concat!(
            r#"{"timestamp":"TIME","level":"INFO","message":"review","uid":"u-1\n{\"forged\":true}","kind":"pod","#,
            r#""namespace":"default","name":"virt-launcher-vm-","outcome":"denied","reason":"network_unknown","#,
            r#""detail":"no \"net\"","duration_us":41,"target":"webhook::review"}"#, "\n"
        )
    )]
    #[case::text(
        LogFormat::Text,
        concat!(
            r#"TIME  INFO webhook::review: review uid="u-1\n{\"forged\":true}" kind="pod" namespace="default" "#,
            r#"name="virt-launcher-vm-" outcome="denied" reason="network_unknown" detail="no \"net\"" duration_us=41"#,
            "\n"
        )
    )]
    fn hostile_text_stays_in_its_field(#[case] format: LogFormat, #[case] expected: &str) {
        let denial = Denial { reason: Reason::NetworkUnknown, message: "no \"net\"".to_owned() };
        let line = Line {
            uid: "u-1\n{\"forged\":true}",
            namespace: "default",
            name: "virt-launcher-vm-",
            kind: "pod",
            outcome: "denied",
            denial: Some(&denial),
        };
        assert_eq!(logged(format, &line), expected);
    }

    #[test]
    fn what_there_is_not_is_left_out_and_long_names_are_cut() {
        let name = "ü".repeat(200);
        let line =
            Line { uid: "", namespace: "", name: &name, kind: "vmi", outcome: "unchanged", denial: None };
        let line: serde_json::Value = serde_json::from_str(&logged(LogFormat::Json, &line)).unwrap();
        assert_eq!((line.get("reason"), line.get("detail")), (None, None), "{line}");
        assert_eq!(line["name"].as_str().unwrap().len(), 252);
    }
}

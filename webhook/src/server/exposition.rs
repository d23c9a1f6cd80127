//! The two formats of metrics: OpenMetrics for those that ask for it, and the text format before it for the others.
//!
//! Formats: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use http::{HeaderMap, header};

pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
pub(super) const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether a client names OpenMetrics among what it takes. Prometheus does, and names it first.
pub(super) fn wants_open_metrics(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| {
        let mut parts = kind.split(';').map(str::trim);
        let is_open_metrics = parts.next() == Some("application/openmetrics-text");
        is_open_metrics && !parts.any(|part| matches!(part.strip_prefix("q="), Some("0" | "0.0")))
    })
}

/// OpenMetrics text in the format before it: there a type is that of the samples' own name, an info is a gauge, and
/// neither units nor an end are marked.
pub(super) fn classic(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    // HELP comes before TYPE, and has to have the name that only TYPE decides about.
    let mut help = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let (ending, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            if let Some((_, help)) = help.take() {
                text.extend(["# HELP ", name, ending, " ", help, "\n"]);
            }
            text.extend(["# TYPE ", name, ending, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            text.extend([line, "\n"]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nothing("", false)]
    #[case::curl("*/*", false)]
    #[case::a_browser("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", false)]
    #[case::prometheus(
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        true
    )]
    #[case::not_at_all("application/openmetrics-text; q=0, text/plain", false)]
    fn open_metrics_is_for_those_that_ask(#[case] accept: &'static str, #[case] expected: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
        assert_eq!(wants_open_metrics(&headers), expected);
    }

    #[test]
    fn the_older_format_names_samples_by_their_whole_name() {
        let open_metrics = "\
# HELP a_build The version.
# TYPE a_build info
a_build_info{version=\"1\"} 1
# HELP a_reviews Reviews # TYPE of them.
# TYPE a_reviews counter
a_reviews_total{kind=\"pod\"} 3
# HELP a_duration_seconds Time.
# TYPE a_duration_seconds histogram
# UNIT a_duration_seconds seconds
a_duration_seconds_bucket{le=\"+Inf\"} 3
# EOF
";
        insta::assert_snapshot!(classic(open_metrics), @r#"
        # HELP a_build_info The version.
        # TYPE a_build_info gauge
        a_build_info{version="1"} 1
        # HELP a_reviews_total Reviews # TYPE of them.
        # TYPE a_reviews_total counter
        a_reviews_total{kind="pod"} 3
        # HELP a_duration_seconds Time.
        # TYPE a_duration_seconds histogram
        a_duration_seconds_bucket{le="+Inf"} 3
        "#);
    }
}

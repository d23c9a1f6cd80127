//! How long the API server waits for an answer, as it says with each review: `POST /mutate?timeout=5s`.

use std::time::Duration;

use http::Uri;

/// What the API server waits by itself, where it does not say.
const USUAL: Duration = Duration::from_secs(10);

/// How long looking things up may take: half of the time, so that there is time for the rest and the way back.
/// An answer that comes too late does not count, and with `failurePolicy: Ignore` the pod passes without its VFs.
pub(super) fn look_up_deadline(uri: &Uri) -> Duration {
    let parameters = uri.query().unwrap_or_default().split('&');
    let timeout = parameters.filter_map(|parameter| parameter.strip_prefix("timeout=")).next_back();
    // A registration has whole seconds, 30 at most.
    let seconds = timeout.and_then(|time| time.strip_suffix('s')?.parse::<u16>().ok());
    seconds.map_or(USUAL, |seconds| Duration::from_secs(seconds.into())) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::one_second("/mutate?timeout=1s", 500)]
    #[case::usual("/mutate?timeout=5s", 2500)]
    #[case::among_others("/mutate?a=b&timeout=3s", 1500)]
    #[case::not_said("/mutate", 5000)]
    #[case::no_time("/mutate?timeout=", 5000)]
    #[case::no_seconds("/mutate?timeout=-1s", 5000)]
    fn half_of_what_the_api_server_waits(#[case] uri: &str, #[case] milliseconds: u64) {
        assert_eq!(look_up_deadline(&uri.parse().unwrap()), Duration::from_millis(milliseconds));
    }
}

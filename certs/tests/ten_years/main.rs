//! Ten years of three replicas on one Secret and one webhook configuration, in seconds.
//!
//! The code is the shipped one, [`certs::managed::Keeper`], on a cluster made of variables. Every call
//! can be overtaken by another replica's, lost on its way there or back, or held up for days. At every
//! single step, for every replica: what it shows is covered by the bundle that API servers have now.

// Helpers of tests may fail the test on the spot.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod history;
mod world;

use std::time::Duration;

use certs::rotation::Settings;
use rstest::rstest;

use history::{History, Weather};
use world::Count;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const TEN_YEARS: u64 = 3653 * DAY;

fn settings(authority_days: u64, serving_days: u64) -> Settings {
    Settings {
        authority_lifetime: Duration::from_secs(authority_days * DAY),
        serving_lifetime: Duration::from_secs(serving_days * DAY),
        // They look once a day where real ones look every minute, and are held up for days.
        settle: Duration::from_secs(6 * DAY),
        ..Settings::new(Settings::service_names("sriov-webhook", "kubevirt-sriov"))
    }
}

fn live(seed: u64, weather: Weather, settings: Settings) -> (Count, usize, usize) {
    let mut history = History::new(seed, weather, settings);
    history.live(TEN_YEARS);
    for _ in 0..30 {
        // Something may just have been renewed: everybody gets to look.
        if history.is_settled() {
            break;
        }
        history.live(DAY);
    }
    history.finish()
}

#[test]
fn ten_fair_years_need_one_new_ca_and_a_certificate_every_sixty_days() {
    let (count, certificates, authorities) = live(1, Weather::Fair, settings(3653, 90));
    assert_eq!(count.failed, 0);
    assert!((61..=63).contains(&certificates), "{certificates} certificates");
    assert_eq!(authorities, 2);
    // Nobody writes without need: per certificate one write, per CA a few.
    assert!(count.writes <= certificates as u64 + 5, "{count:?}");
    assert!(count.publications <= 5, "{count:?}");
}

#[test]
fn ten_rough_years_with_a_ca_of_one_year() {
    let (count, certificates, authorities) = live(2, Weather::Rough, settings(365, 90));
    assert!(count.failed > 500 && count.conflicts >= 5 && count.disasters > 50, "{count:?}");
    assert!(certificates >= 60, "{certificates}");
    assert!((14..=17).contains(&authorities), "{authorities}");
}

/// Whatever happens, and in whatever order. The seed is the whole of it: a failure comes again.
#[rstest]
fn ten_foul_years(#[values(3, 100, 103)] seed: u64) {
    let (count, certificates, authorities) = live(seed, Weather::Foul, settings(730, 90));
    assert!(count.disasters > 50, "{count:?}");
    assert!(certificates >= 60 && authorities >= 7, "{certificates} certificates, {authorities} CAs");
}

//! Managed certificates when things are not as they should be: each case by itself, with its sentence.

// Helpers of tests may fail the test on the spot.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

// The ten years need more of the world than these cases do.
#[allow(dead_code)]
#[path = "ten_years/world.rs"]
mod world;

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use certs::ServingCertificate;
use certs::managed::{Keeper, KeeperError, Look};
use certs::pair::is_signed_by;
use certs::rotation::{Order, Settings, SettingsError, Vault};
use rstest::rstest;
use world::{Connection, World};

const DAY: u64 = 86_400;
const FIRST: &str = "made the first CA and serving certificate";
const PUBLISHED: &str = "wrote the CA bundle into the webhook configuration";
const RENEWED: &str = "renewed the serving certificate";
const STAGED: &str = "made the next CA; it signs once the bundle has it";
const PROMOTED: &str = "the next CA signs from now on";

struct Replica {
    keeper: Keeper<Connection>,
    serving: Arc<ServingCertificate>,
}

impl Replica {
    fn start(world: &Arc<Mutex<World>>) -> Self {
        Self::with(world, Settings::new(Settings::service_names("hook", "test")))
    }

    fn with(world: &Arc<Mutex<World>>, settings: Settings) -> Self {
        let serving = Arc::new(ServingCertificate::new());
        let keeper = Keeper::new(Connection(Arc::clone(world)), settings, Arc::clone(&serving)).unwrap();
        Self { keeper, serving }
    }

    fn look(&mut self) -> Result<Look, KeeperError> {
        finish(self.keeper.reconcile())
    }

    fn steps(&mut self) -> Vec<String> {
        self.look().unwrap().steps
    }

    fn fingerprint(&self) -> Option<String> {
        self.serving.status().serving.map(|serving| serving.fingerprint)
    }
}

fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

fn world() -> Arc<Mutex<World>> {
    World::new(1, 0)
}

fn vault(world: &Mutex<World>) -> Vault {
    let (vault, faults) = Vault::read(&world.lock().unwrap().secret.as_ref().unwrap().1);
    assert_eq!(faults, []);
    vault
}

fn bundle(world: &Mutex<World>) -> String {
    String::from_utf8(world.lock().unwrap().configuration.as_ref().unwrap().1.clone()).unwrap()
}

fn set_bundle(world: &Mutex<World>, bundle: &[u8]) {
    let mut world = world.lock().unwrap();
    let version = world.version();
    world.configuration = Some((version, bundle.to_vec()));
}

fn edit(world: &Mutex<World>, key: &str, value: Option<&[u8]>) {
    let mut world = world.lock().unwrap();
    let version = world.version();
    let (_, mut data) = world.secret.take().unwrap();
    match value {
        Some(value) => drop(data.insert(key.to_owned(), value.to_vec())),
        None => drop(data.remove(key)),
    }
    world.secret = Some((version, data));
}

fn pass(world: &Mutex<World>, seconds: u64) {
    world.lock().unwrap().seconds += seconds;
}

/// Is what the replica shows covered by the bundle?
fn is_covered(replica: &Replica, world: &Mutex<World>) -> bool {
    let roots = certs::pair::chain(bundle(world).as_bytes()).unwrap_or_default();
    let served = replica.serving.served().unwrap();
    is_signed_by(&served.cert, &roots, world.lock().unwrap().now())
}

#[test]
fn the_first_start_makes_everything_and_then_there_is_rest() {
    let world = world();
    let mut replica = Replica::start(&world);
    assert_eq!(replica.steps(), [FIRST, PUBLISHED]);
    assert_eq!(bundle(&world), vault(&world).bundle());
    assert!(is_covered(&replica, &world));
    let leaf = replica.serving.status().serving.unwrap();
    assert_eq!(leaf.names, ["hook", "hook.test", "hook.test.svc"]);
    assert_eq!(replica.look(), Ok(Look::default()));
    // A second one takes what it finds.
    let mut second = Replica::start(&world);
    assert_eq!(second.look(), Ok(Look::default()));
    assert_eq!(second.fingerprint(), replica.fingerprint());
}

#[test]
fn of_two_that_start_at_once_one_makes_and_the_other_takes() {
    let world = world();
    let (mut one, mut two) = (Replica::start(&world), Replica::start(&world));
    {
        // Turn by turn, so that both read that there is no Secret.
        let mut first = std::pin::pin!(one.keeper.reconcile());
        let mut second = std::pin::pin!(two.keeper.reconcile());
        let mut context = Context::from_waker(Waker::noop());
        let (mut is_first_done, mut is_second_done) = (false, false);
        while !is_first_done || !is_second_done {
            is_first_done = is_first_done || first.as_mut().poll(&mut context).is_ready();
            is_second_done = is_second_done || second.as_mut().poll(&mut context).is_ready();
        }
    }
    let count = world.lock().unwrap().count.clone();
    assert_eq!((count.writes, count.publications), (1, 1));
    assert!(count.conflicts >= 1);
    assert_eq!(one.fingerprint(), two.fingerprint());
    assert!(is_covered(&one, &world));
}

#[test]
fn an_empty_secret_that_is_there_already_is_filled_and_what_is_not_ours_stays() {
    let world = world();
    world.lock().unwrap().secret = Some((1, [("note".to_owned(), b"keep".to_vec())].into()));
    edit(&world, "tls.crt", Some(b""));
    let mut replica = Replica::start(&world);
    assert_eq!(replica.steps(), [FIRST, PUBLISHED]);
    assert_eq!(world.lock().unwrap().secret.as_ref().unwrap().1["note"], b"keep");
    assert_eq!(replica.look(), Ok(Look::default()));
}

#[rstest]
#[case::serving_certificate_garbage("tls.crt", Some("garbage"), "tls.crt holds no PEM certificate")]
#[case::serving_certificate_missing("tls.crt", None, "tls.crt is empty")]
#[case::serving_key_garbage("tls.key", Some("garbage"), "tls.key holds no PEM private key")]
#[case::signer_missing(
    "signer.crt",
    None,
    "signer.crt and signer.key: the CA cannot sign: its certificate is empty"
)]
#[case::signer_key_missing(
    "signer.key",
    None,
    "signer.crt and signer.key: the CA cannot sign: its key is empty"
)]
#[case::signer_half_written(
    "signer.crt",
    Some("-----BEGIN CERTIFICATE-----\nMII"),
    "signer.crt and signer.key: the CA cannot sign: its certificate is not complete PEM"
)]
#[case::retired_garbage(
    "retired.crt",
    Some("garbage"),
    "retired.crt cannot be read: its certificate is not there"
)]
fn an_edited_secret_is_mended_and_nobody_notices(
    #[case] key: &str,
    #[case] value: Option<&str>,
    #[case] sentence: &str,
) {
    let world = world();
    let (mut one, mut two) = (Replica::start(&world), Replica::start(&world));
    one.steps();
    two.steps();
    edit(&world, key, value.map(str::as_bytes));
    let steps = one.steps();
    assert!(steps[0].starts_with("repaired the Secret: "), "{steps:?}");
    assert!(steps[0].contains(sentence), "{steps:?}");
    // The certificate covers a replica that has not looked yet, too.
    assert!(is_covered(&one, &world) && is_covered(&two, &world));
    two.steps();
    assert!(is_covered(&one, &world) && is_covered(&two, &world));
    // A lost CA key ends in a new CA, after the wait.
    pass(&world, 400);
    one.steps();
    pass(&world, 400);
    for _ in 0..2 {
        one.steps();
        two.steps();
    }
    assert!(vault(&world).signer.is_some());
    assert_eq!(one.fingerprint(), two.fingerprint());
    assert!(is_covered(&one, &world));
}

#[test]
fn a_deleted_secret_keeps_the_old_ca_trusted() {
    let world = world();
    let (mut one, mut two) = (Replica::start(&world), Replica::start(&world));
    one.steps();
    two.steps();
    let before = bundle(&world);
    world.lock().unwrap().secret = None;
    assert_eq!(one.steps(), [FIRST, PUBLISHED]);
    assert!(bundle(&world).contains(&before));
    assert!(is_covered(&one, &world) && is_covered(&two, &world));
    two.steps();
    assert_eq!(one.fingerprint(), two.fingerprint());
}

#[test]
fn an_overwritten_bundle_comes_back() {
    let world = world();
    let mut replica = Replica::start(&world);
    replica.steps();
    let ours = bundle(&world);
    for other in [&b""[..], b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        set_bundle(&world, other);
        assert_eq!(replica.steps(), [PUBLISHED]);
        assert_eq!(bundle(&world), ours);
    }
}

#[test]
fn without_a_webhook_configuration_it_serves_and_says_so() {
    let world = world();
    world.lock().unwrap().configuration = None;
    let mut replica = Replica::start(&world);
    let look = replica.look().unwrap();
    assert_eq!(look.steps, [FIRST]);
    assert_eq!(look.notice.as_deref(), Some("missing"));
    assert!(replica.fingerprint().is_some());
    // It comes later, and is filled then.
    set_bundle(&world, b"");
    assert_eq!(replica.steps(), [PUBLISHED]);
    assert!(is_covered(&replica, &world));
}

#[test]
fn without_permission_nothing_new_is_shown_and_the_same_ca_goes_on() {
    let world = world();
    world.lock().unwrap().forbidden = true;
    let mut replica = Replica::start(&world);
    let sentence = "not allowed to get MutatingWebhookConfiguration sriov (the API server says: RBAC): grant \"get\" on \
                    it to this program's ServiceAccount or user with a ClusterRole";
    assert_eq!(replica.look().unwrap_err().to_string(), sentence);
    assert!(!replica.serving.status().is_valid_at(world.lock().unwrap().now()));
    assert!(world.lock().unwrap().secret.is_none());

    world.lock().unwrap().forbidden = false;
    replica.steps();
    let before = replica.fingerprint();
    world.lock().unwrap().forbidden = true;
    pass(&world, 61 * DAY);
    replica.look().unwrap_err();
    assert_ne!(replica.fingerprint(), before, "renewed by the CA that is trusted already");
    assert!(is_covered(&replica, &world));
}

#[test]
fn while_the_api_server_is_away_what_serves_goes_on() {
    let world = world();
    let mut replica = Replica::start(&world);
    replica.steps();
    let before = replica.fingerprint();
    world.lock().unwrap().away = true;
    let sentence = "cannot get Secret sriov/tls: the API server does not answer: gone";
    assert_eq!(replica.look().unwrap_err().to_string(), sentence);
    assert_eq!(replica.fingerprint(), before);
}

#[test]
fn a_clock_that_jumps_and_comes_back_costs_two_renewals() {
    let world = world();
    let mut replica = Replica::start(&world);
    replica.steps();
    world.lock().unwrap().clock_error = i64::try_from(200 * DAY).unwrap();
    assert_eq!(replica.steps(), [RENEWED]);
    world.lock().unwrap().clock_error = 0;
    assert_eq!(replica.steps(), [RENEWED]);
    let status = replica.serving.status();
    assert!(status.is_valid_at(world.lock().unwrap().now()));
    assert!(is_covered(&replica, &world));
}

#[test]
fn a_certificate_is_renewed_at_two_thirds() {
    let world = world();
    let mut replica = Replica::start(&world);
    replica.steps();
    pass(&world, 60 * DAY - 60);
    assert_eq!(replica.steps(), [""; 0]);
    pass(&world, 60);
    assert_eq!(replica.steps(), [RENEWED]);
}

#[test]
fn names_that_were_added_are_in_the_next_certificate_at_once() {
    let world = world();
    Replica::start(&world).steps();
    let mut settings = Settings::new(Settings::service_names("hook", "test"));
    settings.names.push("127.0.0.1".to_owned());
    let mut replica = Replica::with(&world, settings);
    assert_eq!(replica.steps(), [RENEWED]);
    assert!(replica.serving.status().serving.unwrap().names.contains(&"127.0.0.1".to_owned()));
}

#[test]
fn a_new_ca_signs_after_the_bundle_has_had_it_for_a_while_and_the_old_one_goes_last() {
    let world = world();
    let (mut one, mut two) = (Replica::start(&world), Replica::start(&world));
    one.steps();
    two.steps();
    let old = bundle(&world);

    // Asked for by a person; asking twice changes nothing.
    let mut person = Replica::start(&world);
    assert_eq!(finish(person.keeper.order(Order::RollAuthority)), Ok(true));
    assert_eq!(finish(person.keeper.order(Order::RollAuthority)), Ok(false));
    let look = one.look().unwrap();
    assert_eq!(look.steps, [PUBLISHED]);
    assert_eq!(look.again_in, Some(Duration::from_secs(300)));
    let new = bundle(&world).replace(&old, "");
    assert!(bundle(&world).contains(&old) && new.contains("BEGIN"));
    pass(&world, 299);
    assert_eq!(one.steps(), [""; 0]);
    pass(&world, 1);
    assert_eq!(one.steps()[0], PROMOTED);
    assert!(is_covered(&one, &world) && is_covered(&two, &world));
    two.steps();
    assert_eq!(one.fingerprint(), two.fingerprint());

    // The old CA is trusted for as long as anything it signed can be valid, and no longer.
    pass(&world, 59 * DAY);
    one.steps();
    assert!(bundle(&world).contains(&old));
    pass(&world, 31 * DAY + 301);
    one.steps();
    pass(&world, 301);
    one.steps();
    assert!(!bundle(&world).contains(&old));
    assert_eq!(vault(&world).retired, []);
}

#[test]
fn a_ca_near_its_end_is_followed_by_the_next() {
    let world = world();
    let mut replica = Replica::start(&world);
    replica.steps();
    for _ in 0..40 {
        pass(&world, 60 * DAY);
        replica.steps();
    }
    pass(&world, 60 * DAY);
    assert_eq!(replica.steps()[0], STAGED);
}

#[test]
fn a_certificate_can_be_renewed_by_hand() {
    let world = world();
    let mut replica = Replica::start(&world);
    replica.steps();
    let before = replica.fingerprint();
    assert_eq!(finish(Replica::start(&world).keeper.order(Order::Renew)), Ok(true));
    assert_eq!(replica.steps(), [""; 0]);
    assert_ne!(replica.fingerprint(), before);
}

#[rstest]
#[case::none(Settings::new(vec![]), SettingsError::NoNames.to_string())]
#[case::share(
    Settings { renew_at: 1.5, ..Settings::new(vec!["a".into()]) },
    "certificates cannot be renewed at 1.5 of their lifetime: give a share between 0.1 and 0.9"
)]
#[case::no_share(
    Settings { renew_at: f64::NAN, ..Settings::new(vec!["a".into()]) },
    "certificates cannot be renewed at NaN of their lifetime: give a share between 0.1 and 0.9"
)]
#[case::short(
    Settings { serving_lifetime: Duration::from_secs(5), ..Settings::new(vec!["a".into()]) },
    "a serving certificate of 5 s expires before it can be renewed: use at least 60 s"
)]
#[case::ca_too_short(
    Settings {
        authority_lifetime: Duration::from_secs(100 * DAY), renew_at: 0.5, ..Settings::new(vec!["a".into()])
    },
    "a CA of 8640000 s is too short for serving certificates of 7776000 s: what is left of it after 0.5 of its \
     lifetime must hold a whole one; make the CA live at least 15552001 s"
)]
#[case::endless(
    Settings { authority_lifetime: Duration::MAX, ..Settings::new(vec!["a".into()]) },
    "a CA of 18446744073709551615 s is longer than 100 years: give a shorter lifetime"
)]
#[case::long_wait(
    Settings { settle: Duration::from_secs(20 * DAY), ..Settings::new(vec!["a".into()]) },
    "a new CA cannot wait 1728000 s in the bundle before it signs: serving certificates of 7776000 s would end \
     meanwhile; give at most 1296000 s"
)]
fn settings_that_cannot_work_are_refused(#[case] settings: Settings, #[case] sentence: impl AsRef<str>) {
    assert_eq!(settings.check().unwrap_err().to_string(), sentence.as_ref());
}

//! A cluster in a few variables: one Secret, one webhook configuration, a clock, and trouble.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use apiserver::{Failure, Kind, Object};
use certs::managed::{Cluster, Configuration, Phase, Registration, SecretReading};
use certs::rotation::Data;

/// SplitMix64: the same seed, the same ten years.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    /// True in so many of a thousand throws.
    pub(crate) fn permille(&mut self, share: u64) -> bool {
        self.below(1000) < share
    }
}

pub(crate) struct World {
    pub(crate) dice: Dice,
    /// The true time, in seconds since 1970.
    pub(crate) seconds: u64,
    /// How far the API server's clock is off.
    pub(crate) clock_error: i64,
    pub(crate) secret: Option<(u64, Data)>,
    /// Version and bundle; none while the configuration is missing.
    pub(crate) configuration: Option<(u64, Vec<u8>)>,
    /// Somebody else wrote the bundle last, at that time.
    pub(crate) overwritten: Option<u64>,
    pub(crate) away: bool,
    pub(crate) forbidden: bool,
    /// How many of a thousand calls fail, half of them after they had their effect.
    pub(crate) failing: u64,
    versions: u64,
    pub(crate) count: Count,
}

/// What happened, so that a test that met nothing fails.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    pub(crate) conflicts: u64,
    pub(crate) writes: u64,
    pub(crate) publications: u64,
    pub(crate) disasters: u64,
}

impl World {
    pub(crate) fn new(seed: u64, failing: u64) -> Arc<Mutex<Self>> {
        Arc::new(Mutex::new(Self {
            dice: Dice::new(seed),
            seconds: 1_800_000_000,
            clock_error: 0,
            secret: None,
            configuration: Some((1, Vec::new())),
            overwritten: None,
            away: false,
            forbidden: false,
            failing,
            versions: 1,
            count: Count::default(),
        }))
    }

    /// What the API server's clock says.
    pub(crate) fn now(&self) -> SystemTime {
        let seconds = self.seconds.checked_add_signed(self.clock_error).unwrap();
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    pub(crate) fn version(&mut self) -> u64 {
        self.versions += 1;
        self.versions
    }
}

/// One replica's connection to it.
#[derive(Clone)]
pub(crate) struct Connection(pub(crate) Arc<Mutex<World>>);

impl Connection {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// Gives the others a turn, before and after a call has its effect.
    async fn travel(&self) {
        let mut arrived = false;
        poll_fn(|_| if std::mem::replace(&mut arrived, true) { Poll::Ready(()) } else { Poll::Pending })
            .await;
    }

    /// Loses a call on its way there or the answer on its way back.
    fn lose(&self, verb: &'static str) -> Result<(), Failure> {
        let mut world = self.world();
        world.count.calls += 1;
        let share = world.failing / 2;
        if world.away || world.dice.permille(share) {
            world.count.failed += 1;
            return Err(Failure::new(verb, secret(), Kind::Unreachable { reason: "gone".into() }));
        }
        Ok(())
    }
}

fn conflict(world: &mut World) -> Failure {
    world.count.conflicts += 1;
    Failure::new("patch", secret(), Kind::Conflict)
}

fn secret() -> Object {
    Object::named("Secret", "sriov", "tls")
}

impl Cluster for Connection {
    async fn registration(&self) -> Result<Registration, Failure> {
        self.travel().await;
        self.lose("get")?;
        let registration = {
            let world = self.world();
            if world.forbidden {
                let object = Object::of_cluster("MutatingWebhookConfiguration", "sriov");
                return Err(Failure::new("get", object, Kind::Forbidden { reason: "RBAC".to_owned() }));
            }
            match &world.configuration {
                Some((version, bundle)) => Registration {
                    configurations: vec![Configuration {
                        phase: Phase::Mutating,
                        name: "sriov".into(),
                        version: version.to_string(),
                        entries: vec![("pods".into(), bundle.clone()), ("machines".into(), bundle.clone())],
                    }],
                    notice: None,
                },
                None => Registration { notice: Some("missing".into()), ..Registration::default() },
            }
        };
        self.travel().await;
        self.lose("get")?;
        Ok(registration)
    }

    async fn secret(&self) -> Result<SecretReading, Failure> {
        self.travel().await;
        self.lose("get")?;
        let reading = {
            let world = self.world();
            let (version, data) = match &world.secret {
                Some((version, data)) => (Some(version.to_string()), data.clone()),
                None => (None, Data::new()),
            };
            SecretReading { version, data, now: world.now(), ours: world.now() }
        };
        self.travel().await;
        self.lose("get")?;
        Ok(reading)
    }

    async fn write(
        &self,
        version: Option<&str>,
        data: BTreeMap<String, Option<Vec<u8>>>,
    ) -> Result<(), Failure> {
        self.travel().await;
        self.lose("write")?;
        {
            let mut world = self.world();
            if world.secret.as_ref().map(|(version, _)| version.to_string()).as_deref() != version {
                return Err(conflict(&mut world));
            }
            let mut merged = world.secret.take().map(|(_, data)| data).unwrap_or_default();
            for (key, value) in data {
                match value {
                    Some(value) => merged.insert(key, value),
                    None => merged.remove(&key),
                };
            }
            let version = world.version();
            world.secret = Some((version, merged));
            world.count.writes += 1;
        }
        self.travel().await;
        self.lose("write")
    }

    async fn publish(&self, registration: &Registration, bundle: &str) -> Result<(), Failure> {
        self.travel().await;
        self.lose("patch")?;
        {
            let mut world = self.world();
            if world.configuration.as_ref().map(|(version, _)| version.to_string()).as_deref()
                != registration.configurations.first().map(|one| one.version.as_str())
            {
                return Err(conflict(&mut world));
            }
            let version = world.version();
            world.configuration = Some((version, bundle.as_bytes().to_vec()));
            world.overwritten = None;
            world.count.publications += 1;
        }
        self.travel().await;
        self.lose("patch")
    }
}

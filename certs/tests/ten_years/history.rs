//! Three replicas, what happens to them, and what must hold at each step.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use certs::managed::{Keeper, KeeperError, Look};
use certs::pair::is_signed_by;
use certs::rotation::{Data, Order, Settings, Vault};
use certs::{ServingCertificate, inspect};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::world::{Connection, Count, World};
use super::{DAY, HOUR};

type Looking = Pin<Box<dyn Future<Output = (Keeper<Connection>, Result<Look, KeeperError>)>>>;

enum Doing {
    Resting(Box<Keeper<Connection>>),
    Looking(Looking),
    /// Between two states; never seen.
    Nothing,
}

struct Replica {
    doing: Doing,
    serving: Arc<ServingCertificate>,
    /// When it looks again, or goes on with the call it is held up in.
    next: u64,
    since: u64,
    last_good: u64,
}

impl Replica {
    fn start(world: &Arc<Mutex<World>>, settings: &Settings, at: u64) -> Self {
        let serving = Arc::new(ServingCertificate::new());
        let keeper = Keeper::new(Connection(Arc::clone(world)), settings.clone(), Arc::clone(&serving));
        let doing = Doing::Resting(Box::new(keeper.unwrap()));
        Self { doing, serving, next: at, since: at, last_good: at }
    }
}

/// What is thrown at them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Weather {
    /// Nothing fails.
    Fair,
    /// Calls fail and hang, replicas and the API server go down.
    Rough,
    /// And people and clocks do their worst, one thing at a time.
    Foul,
}

pub(crate) struct History {
    weather: Weather,
    settings: Settings,
    world: Arc<Mutex<World>>,
    replicas: Vec<Replica>,
    covered: HashMap<(String, Vec<u8>), bool>,
    backup: Option<Data>,
    /// Until then the clock or a person explains that something is not valid.
    excused: u64,
    /// Until then a replica that starts may have nothing to show.
    dark: u64,
    quiet: u64,
    restore: Vec<(u64, Restore)>,
    shown: HashMap<String, u64>,
    authorities: HashMap<Vec<u8>, u64>,
}

#[derive(Debug, Clone, Copy)]
enum Restore {
    Clock,
    Permission,
    ApiServer,
    Configuration,
}

impl History {
    pub(crate) fn new(seed: u64, weather: Weather, settings: Settings) -> Self {
        let world = World::new(seed, if weather == Weather::Fair { 0 } else { 40 });
        let start = world.lock().unwrap().seconds;
        let replicas = (0..3).map(|_| Replica::start(&world, &settings, start)).collect();
        Self {
            weather,
            settings,
            world,
            replicas,
            covered: HashMap::new(),
            backup: None,
            excused: start + DAY,
            dark: start,
            quiet: start + 30 * DAY,
            restore: Vec::new(),
            shown: HashMap::new(),
            authorities: HashMap::new(),
        }
    }

    fn throw(&self, limit: u64) -> u64 {
        self.world.lock().unwrap().dice.below(limit)
    }

    fn now(&self) -> u64 {
        self.world.lock().unwrap().seconds
    }

    pub(crate) fn live(&mut self, duration: u64) {
        let end = self.now() + duration;
        while self.now() < end {
            let due = self.replicas.iter().map(|replica| replica.next).min().unwrap();
            {
                let mut world = self.world.lock().unwrap();
                world.seconds = world.seconds.max(due);
            }
            // The last two months are fair, so that the end can be looked at.
            if self.now() + 60 * DAY < end {
                self.happen();
            } else {
                self.clear_up();
            }
            self.restore();
            let now = self.now();
            let ready: Vec<usize> = (0..3).filter(|index| self.replicas[*index].next <= now).collect();
            if ready.is_empty() {
                // The one that was due is being restarted.
                continue;
            }
            let turn = ready[usize::try_from(self.throw(ready.len() as u64)).unwrap()];
            self.step(turn);
            self.check();
        }
    }

    /// One replica goes on until its next wait for an answer.
    fn step(&mut self, turn: usize) {
        let now = self.now();
        let is_held_up = self.weather != Weather::Fair && self.throw(500) == 0;
        let pause = if is_held_up { self.throw(3 * DAY) } else { self.throw(2) };
        let rest = 12 * HOUR + self.throw(24 * HOUR);
        let replica = &mut self.replicas[turn];
        let mut looking = match std::mem::replace(&mut replica.doing, Doing::Nothing) {
            Doing::Resting(mut keeper) => Box::pin(async move {
                let outcome = keeper.reconcile().await;
                (*keeper, outcome)
            }) as Looking,
            Doing::Looking(looking) => looking,
            Doing::Nothing => unreachable!(),
        };
        match looking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => {
                replica.doing = Doing::Looking(looking);
                replica.next = now + pause;
            }
            Poll::Ready((keeper, outcome)) => {
                replica.doing = Doing::Resting(Box::new(keeper));
                let wait = match outcome {
                    Ok(look) => {
                        for step in look.steps {
                            println!("{now} replica {turn}: {step}");
                        }
                        replica.last_good = now;
                        look.again_in.map_or(rest, |wait| rest.min(wait.as_secs() + 1))
                    }
                    Err(_) => 60 + pause,
                };
                replica.next = now + wait;
            }
        }
    }

    fn check(&mut self) {
        let world = self.world.lock().unwrap();
        let (seconds, now) = (world.seconds, world.now());
        if let Some(since) = world.overwritten {
            assert!(seconds - since < 5 * DAY, "a bundle that somebody overwrote was not put back");
        }
        for (index, replica) in self.replicas.iter().enumerate() {
            let Some(shown) = replica.serving.served() else {
                let late = seconds.saturating_sub(replica.since.max(self.dark));
                assert!(late < 8 * DAY, "replica {index} has nothing to show for {late} s");
                continue;
            };
            let status = replica.serving.status();
            let details = status.serving.unwrap();
            *self.shown.entry(details.fingerprint.clone()).or_default() += 1;
            if let Some((_, bundle)) = &world.configuration
                && world.overwritten.is_none()
            {
                let key = (details.fingerprint.clone(), bundle.clone());
                let covered = *self.covered.entry(key).or_insert_with(|| {
                    let roots: Vec<_> = CertificateDer::pem_slice_iter(bundle).flatten().collect();
                    for root in &roots {
                        *self.authorities.entry(root.to_vec()).or_default() += 1;
                    }
                    is_signed_by(&shown.cert, &roots, details.not_before)
                });
                assert!(
                    covered,
                    "{}: replica {index} shows {} of {}, which the bundle does not cover",
                    inspect::written(now),
                    details.fingerprint,
                    details.issuer
                );
            }
            if seconds > self.excused {
                assert!(
                    details.is_valid_at(now),
                    "{}: replica {index} shows a certificate that is valid from {} to {}",
                    inspect::written(now),
                    inspect::written(details.not_before),
                    inspect::written(details.not_after)
                );
            }
        }
    }

    fn happen(&mut self) {
        let now = self.now();
        if self.weather == Weather::Fair {
            return;
        }
        if self.throw(400) == 0 {
            let index = usize::try_from(self.throw(3)).unwrap();
            let pause = self.throw(HOUR);
            println!("{now} replica {index} restarts");
            self.replicas[index] = Replica::start(&self.world, &self.settings, now + pause);
        }
        if now < self.quiet {
            return;
        }
        // One thing at a time: the next only when this one is over.
        self.quiet = now + 5 * DAY + self.throw(30 * DAY);
        let kinds = if self.weather == Weather::Rough { 2 } else { 14 };
        let what = self.throw(kinds);
        let pause = HOUR + self.throw(4 * DAY);
        println!("{now} event {what} for {pause}");
        self.world.lock().unwrap().count.disasters += 1;
        match what {
            0 => self.world.lock().unwrap().away = true,
            1 => {
                // Everything at once, as when a node pool is replaced.
                for index in 0..3 {
                    self.replicas[index] = Replica::start(&self.world, &self.settings, now + index as u64);
                }
            }
            2 => self.world.lock().unwrap().forbidden = true,
            3 => self.world.lock().unwrap().secret = None,
            4..=6 => self.edit(),
            7 | 8 => self.overwrite(),
            9 => self.world.lock().unwrap().configuration = None,
            10 => {
                let data = self.backup.clone();
                let mut world = self.world.lock().unwrap();
                let version = world.version();
                world.secret = data.map(|data| (version, data));
            }
            11 => self.backup = self.world.lock().unwrap().secret.clone().map(|(_, data)| data),
            12 => {
                let far = i64::try_from(self.throw(4000 * DAY)).unwrap() - i64::try_from(400 * DAY).unwrap();
                self.world.lock().unwrap().clock_error = far;
            }
            _ => self.ask(),
        }
        let restore = match what {
            0 => Some(Restore::ApiServer),
            2 => Some(Restore::Permission),
            9 => Some(Restore::Configuration),
            12 => Some(Restore::Clock),
            _ => None,
        };
        if let Some(restore) = restore {
            self.restore.push((now + pause, restore));
            self.quiet = self.quiet.max(now + pause + 5 * DAY);
        }
        // A replica that is held up learns of the end some days later.
        self.dark = now + pause + 8 * DAY;
        if what >= 2 {
            self.excused = self.dark;
        }
    }

    fn restore(&mut self) {
        let now = self.now();
        let mut world = self.world.lock().unwrap();
        self.restore.retain(|(at, restore)| {
            let is_due = *at <= now;
            if is_due {
                match restore {
                    Restore::Clock => world.clock_error = 0,
                    Restore::Permission => world.forbidden = false,
                    Restore::ApiServer => world.away = false,
                    Restore::Configuration => {
                        let version = world.version();
                        world.configuration = Some((version, Vec::new()));
                        world.overwritten = Some(now);
                    }
                }
            }
            !is_due
        });
    }

    fn clear_up(&mut self) {
        for (at, _) in &mut self.restore {
            *at = 0;
        }
    }

    /// Somebody edits the Secret.
    fn edit(&mut self) {
        let mut world = self.world.lock().unwrap();
        let version = world.version();
        let dice = world.dice.roll();
        let Some((_, mut data)) = world.secret.take() else {
            return;
        };
        let keys: Vec<String> = data.keys().cloned().collect();
        let key = &keys[usize::try_from(dice >> 8).unwrap() % keys.len()];
        let other = &keys[usize::try_from(dice >> 16).unwrap() % keys.len()];
        match dice % 5 {
            0 => drop(data.remove(key)),
            1 => drop(data.insert(key.clone(), b"garbage".to_vec())),
            2 => data.get_mut(key).unwrap().truncate(100),
            3 => {
                let value = data[other].clone();
                data.insert(key.clone(), value);
            }
            _ => data.values_mut().for_each(Vec::clear),
        }
        world.secret = Some((version, data));
    }

    /// Somebody overwrites the bundle.
    fn overwrite(&mut self) {
        let now = self.now();
        let mut world = self.world.lock().unwrap();
        let version = world.version();
        let dice = world.dice.roll();
        let Some((_, mut bundle)) = world.configuration.take() else {
            return;
        };
        match dice % 4 {
            0 => bundle.clear(),
            1 => bundle = b"garbage".to_vec(),
            // In the middle of the first certificate.
            2 => bundle.truncate(300),
            _ => {
                let clock = world.now();
                let lifetime = Duration::from_secs(DAY);
                let foreign = certs::issue::Authority::generate("foreign", lifetime, clock).unwrap();
                bundle = foreign.certificate_pem().into_bytes();
            }
        }
        world.configuration = Some((version, bundle));
        world.overwritten = Some(now);
    }

    /// Somebody asks for a new CA or certificate by hand.
    fn ask(&mut self) {
        let connection = Connection(Arc::clone(&self.world));
        let serving = Arc::new(ServingCertificate::new());
        let mut keeper = Keeper::new(connection, self.settings.clone(), serving).unwrap();
        let order = if self.throw(2) == 0 { Order::Renew } else { Order::RollAuthority };
        let mut asking = std::pin::pin!(keeper.order(order));
        while asking.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {}
    }

    /// Does everybody agree, and is nothing under way?
    pub(crate) fn is_settled(&self) -> bool {
        let world = self.world.lock().unwrap();
        let Some((_, data)) = &world.secret else { return false };
        let (vault, faults) = Vault::read(data);
        let Some(serving) = &vault.serving else { return false };
        let shows = |replica: &Replica| replica.serving.status().serving.as_ref() == Some(serving.leaf());
        let bundle = world.configuration.as_ref().map(|(_, bundle)| bundle.as_slice());
        let is_published = bundle == Some(vault.bundle().as_bytes());
        faults.is_empty() && vault.next.is_none() && is_published && self.replicas.iter().all(shows)
    }

    pub(crate) fn finish(self) -> (Count, usize, usize) {
        assert!(self.is_settled(), "a month of quiet was not enough to agree");
        let world = self.world.lock().unwrap();
        for replica in &self.replicas {
            assert!(world.seconds - replica.last_good < 8 * DAY);
        }
        (world.count.clone(), self.shown.len(), self.authorities.len())
    }
}

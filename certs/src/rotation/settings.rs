//! What people may set about managed certificates.

use std::time::Duration;

/// How managed certificates are made and when they change. Lifetimes and shares are checked once, by
/// [`Settings::check`].
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// DNS names and IP addresses of the serving certificate.
    pub names: Vec<String>,
    /// How a CA calls itself; the moment of its making is added.
    pub authority_name: String,
    /// How long a CA is valid.
    pub authority_lifetime: Duration,
    /// How long a serving certificate is valid.
    pub serving_lifetime: Duration,
    /// The share of its lifetime after which a certificate or a CA is renewed.
    pub renew_at: f64,
    /// How long a new CA must have stood in the bundle before it signs: time for every API server to
    /// have heard of it.
    pub settle: Duration,
}

/// Settings that cannot work.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// Nothing to issue for.
    #[error("a serving certificate needs a name: give the service and its namespace, or names of your own")]
    NoNames,
    /// A share that is not between 0.1 and 0.9.
    #[error("certificates cannot be renewed at {value} of their lifetime: give a share between 0.1 and 0.9")]
    RenewAt {
        /// The value.
        value: f64,
    },
    /// Too short to be renewed in time.
    #[error("a serving certificate of {} s expires before it can be renewed: use at least 60 s", .value.as_secs())]
    ServingLifetime {
        /// The value.
        value: Duration,
    },
    /// The CA would end before what it signs.
    #[error(
        "a CA of {} s is too short for serving certificates of {} s: what is left of it after {renew_at} of \
         its lifetime must hold a whole one; make the CA live at least {} s",
        .authority.as_secs(), .serving.as_secs(), .needed.as_secs()
    )]
    AuthorityLifetime {
        /// The CA's lifetime.
        authority: Duration,
        /// The serving certificate's lifetime.
        serving: Duration,
        /// The share.
        renew_at: f64,
        /// What would do.
        needed: Duration,
    },
    /// Longer than anybody can mean.
    #[error("a CA of {} s is longer than 100 years: give a shorter lifetime", .value.as_secs())]
    Endless {
        /// The value.
        value: Duration,
    },
    /// The wait before a new CA signs eats the time it has.
    #[error(
        "a new CA cannot wait {} s in the bundle before it signs: serving certificates of {} s would end \
         meanwhile; give at most {} s", .settle.as_secs(), .serving.as_secs(), .most.as_secs()
    )]
    Settle {
        /// The value.
        settle: Duration,
        /// The serving certificate's lifetime.
        serving: Duration,
        /// The most that works.
        most: Duration,
    },
}

const DAY: Duration = Duration::from_secs(86_400);
const CENTURY: Duration = Duration::from_secs(100 * 366 * 86_400);

impl Settings {
    /// A CA of ten years, serving certificates of 90 days, both renewed at two thirds.
    pub fn new(names: Vec<String>) -> Self {
        Self {
            names,
            authority_name: "sriov-webhook CA".to_owned(),
            authority_lifetime: 3653 * DAY,
            serving_lifetime: 90 * DAY,
            renew_at: 2.0 / 3.0,
            settle: Duration::from_secs(5 * 60),
        }
    }

    /// The names by which a cluster reaches a service. The API server asks for the last one.
    pub fn service_names(service: &str, namespace: &str) -> Vec<String> {
        vec![service.to_owned(), format!("{service}.{namespace}"), format!("{service}.{namespace}.svc")]
    }

    /// Do they fit together?
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.names.is_empty() {
            return Err(SettingsError::NoNames);
        }
        if !(0.1..=0.9).contains(&self.renew_at) {
            return Err(SettingsError::RenewAt { value: self.renew_at });
        }
        if self.serving_lifetime < Duration::from_secs(60) {
            return Err(SettingsError::ServingLifetime { value: self.serving_lifetime });
        }
        if self.authority_lifetime > CENTURY {
            return Err(SettingsError::Endless { value: self.authority_lifetime });
        }
        let after_renewal = self.authority_lifetime.mul_f64(1.0 - self.renew_at);
        if after_renewal < self.serving_lifetime {
            return Err(SettingsError::AuthorityLifetime {
                authority: self.authority_lifetime,
                serving: self.serving_lifetime,
                renew_at: self.renew_at,
                needed: self.serving_lifetime.div_f64(1.0 - self.renew_at) + Duration::from_secs(1),
            });
        }
        let most = self.serving_lifetime.mul_f64((1.0 - self.renew_at) / 2.0);
        if self.settle > most {
            return Err(SettingsError::Settle { settle: self.settle, serving: self.serving_lifetime, most });
        }
        Ok(())
    }
}

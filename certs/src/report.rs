//! Certificates laid out for people: what each says, and what is right or wrong about them together.

use std::fmt::Write as _;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::inspect::{Details, written};
use crate::pair::{self, Pair};
use crate::rotation::{Data, Vault};

/// The certificates that were inspected, with the findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    now: SystemTime,
    certificates: Vec<(String, Details)>,
    findings: Vec<Finding>,
}

/// One thing that is right or wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Is it as it should be?
    pub is_good: bool,
    /// What it is.
    pub sentence: String,
}

/// Where certificates stand, in the order in which people want them.
const PARTS: [&str; 5] = ["tls.crt", "ca.crt", "signer.crt", "next.crt", "retired.crt"];

impl Report {
    /// The certificates of a PEM file.
    pub fn of_file(name: &str, pem: &[u8], now: SystemTime) -> Self {
        let mut report = Self::empty(now);
        report.read(name, pem);
        report
    }

    /// What a folder or a Secret holds under the names of `--tls-dir`, and what managed certificates add.
    pub fn of_data(data: &Data, now: SystemTime) -> Self {
        let mut report = Self::empty(now);
        let part = |key: &str| data.get(key).map(Vec::as_slice).filter(|part| !part.is_empty());
        let is_managed = part("signer.crt").is_some() || part("next.crt").is_some();
        for key in PARTS {
            // A managed bundle only repeats what stands below it.
            if let Some(pem) = part(key)
                && !(key == "ca.crt" && is_managed)
            {
                report.read(key, pem);
            }
        }
        let pair = Pair::from_pem(part("tls.crt").unwrap_or_default(), part("tls.key").unwrap_or_default());
        match &pair {
            Ok(_) => report.find(true, "tls.key is the key of tls.crt".to_owned()),
            Err(error) => report.find(false, error.to_string()),
        }
        if let (Ok(pair), Some(ca)) = (&pair, part("ca.crt")) {
            let signed = pair::chain(ca).is_ok_and(|authorities| {
                pair::is_signed_by(pair.chain(), &authorities, pair.leaf().not_before)
            });
            let sentence = if signed {
                "a CA of ca.crt signed tls.crt".to_owned()
            } else {
                format!("no CA of ca.crt signed tls.crt (its issuer is {})", pair.leaf().issuer)
            };
            report.find(signed, sentence);
        }
        if is_managed {
            let (vault, faults) = Vault::read(data);
            for fault in faults {
                let is_new = report.findings.iter().all(|finding| finding.sentence != fault.sentence);
                if is_new {
                    report.find(false, fault.sentence);
                }
            }
            if vault.next.is_some() {
                report.find(true, "a new CA waits to be trusted everywhere before it signs".to_owned());
            }
        }
        report
    }

    /// Is nothing wrong?
    pub fn is_good(&self) -> bool {
        self.findings.iter().all(|finding| finding.is_good)
    }

    /// What is right and wrong.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (part, details) in &self.certificates {
            let kind = if details.is_authority { " (CA)" } else { "" };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{part}{kind}");
            for (label, value) in self.rows(details) {
                let _ = writeln!(text, "  {label:<12} {value}");
            }
            text.push('\n');
        }
        for Finding { is_good, sentence } in &self.findings {
            let _ = writeln!(text, "{:<6} {sentence}", if *is_good { "ok" } else { "WRONG" });
        }
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let certificates: Vec<_> = self
            .certificates
            .iter()
            .map(|(part, details)| {
                json!({
                    "part": part,
                    "subject": details.subject,
                    "issuer": details.issuer,
                    "names": details.names,
                    "serial": details.serial,
                    "notBefore": written(details.not_before),
                    "notAfter": written(details.not_after),
                    "daysLeft": self.days_left(details),
                    "fingerprint": details.fingerprint,
                    "isCA": details.is_authority,
                })
            })
            .collect();
        let findings: Vec<_> = self
            .findings
            .iter()
            .map(|Finding { is_good, sentence }| json!({ "good": is_good, "sentence": sentence }))
            .collect();
        json!({ "certificates": certificates, "findings": findings, "good": self.is_good() })
    }

    fn empty(now: SystemTime) -> Self {
        Self { now, certificates: Vec::new(), findings: Vec::new() }
    }

    fn read(&mut self, name: &str, pem: &[u8]) {
        let chain = match pair::chain(pem) {
            Ok(chain) => chain,
            // The pair's own finding says the same of tls.crt.
            Err(_) if name == "tls.crt" => return,
            Err(error) => return self.find(false, error.to_string().replacen("tls.crt", name, 1)),
        };
        for (index, certificate) in chain.iter().enumerate() {
            let part = if chain.len() == 1 { name.to_owned() } else { format!("{name} {}", index + 1) };
            match Details::of(certificate) {
                Ok(details) => {
                    self.check_time(&part, &details);
                    self.certificates.push((part, details));
                }
                Err(error) => self.find(false, format!("{part} is {error}")),
            }
        }
    }

    fn check_time(&mut self, part: &str, details: &Details) {
        let now = written(self.now);
        if self.now > details.not_after {
            self.find(false, format!("{part} expired at {} and now it is {now}", written(details.not_after)));
        } else if self.now < details.not_before {
            let begin = written(details.not_before);
            self.find(false, format!("{part} is valid from {begin} on and now it is {now}"));
        } else {
            self.find(true, format!("{part} is valid now, {} days more", self.days_left(details)));
        }
    }

    fn find(&mut self, is_good: bool, sentence: String) {
        self.findings.push(Finding { is_good, sentence });
    }

    fn days_left(&self, details: &Details) -> u64 {
        details.remaining(self.now).as_secs() / 86_400
    }

    fn rows(&self, details: &Details) -> Vec<(&'static str, String)> {
        let mut rows = vec![("subject", details.subject.clone()), ("issuer", details.issuer.clone())];
        if !details.names.is_empty() {
            rows.push(("names", details.names.join(", ")));
        }
        rows.push(("serial", details.serial.clone()));
        let (begin, end) = (written(details.not_before), written(details.not_after));
        rows.push(("valid", format!("{begin} to {end} ({} days left)", self.days_left(details))));
        rows.push(("SHA-256", details.fingerprint.clone()));
        rows
    }
}

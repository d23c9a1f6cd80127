//! The decision tables of docs/design/which-vf.md, row by row.

use std::fmt::Write as _;

use super::claimed::metadata;
use super::*;
use crate::plan::selections::interface_name;

const PAGE: &str = include_str!("../../../../docs/design/which-vf.md");

/// The cells of each row.
fn rows() -> Vec<[String; 6]> {
    let lines = PAGE.lines().filter(|line| line.starts_with("| "));
    let rows = lines.map(|line| {
        let cells: Vec<String> =
            line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        <[String; 6]>::try_from(cells).unwrap_or_else(|cells| panic!("{cells:?} are not six cells"))
    });
    rows.filter(|cells| cells[0] != "networks" && cells[0] != "---").collect()
}

/// `x2` is function 2 of the resource of NAD `x`.
fn address(device: &str) -> String {
    let (pool, function) = device.split_at(1);
    let bus = match pool {
        "x" => "01",
        "y" => "02",
        other => panic!("no pool {other:?}"),
    };
    format!("0000:{bus}:10.{function}")
}

fn device_info(device: &str) -> String {
    format!(r#"{{"type":"pci","pci":{{"pci-address":"{}"}}}}"#, address(device))
}

/// A case as its cells describe it.
#[derive(Default)]
struct Row {
    vmi: Vec<(String, String, &'static str)>,
    variables: Vec<(String, String)>,
    annotation: Option<String>,
    info: Vec<String>,
    status: Option<Vec<String>>,
    pending: bool,
    aliases: Vec<(String, String)>,
    claims: Vec<ClaimMetadata>,
}

impl Row {
    fn read(networks: &str, devices: &str, known: &str) -> Self {
        let mut row = Self::default();
        for network in networks.split_whitespace() {
            let (name, nad) = network.split_once(':').unwrap();
            let (nad, kind) = nad.split_once('+').unwrap_or((nad, ""));
            let nad = if kind == "claim" { format!("{nad}!claim") } else { nad.to_owned() };
            let fields = match kind {
                "" | "claim" => VF,
                "mac" => VF_WITH_MAC,
                "bridge" => BRIDGE,
                "absent" => ABSENT,
                other => panic!("{other:?} is not a kind of interface"),
            };
            row.vmi.push((name.to_owned(), nad, fields));
        }
        for pool in ["x", "y"] {
            let own = devices.split_whitespace().filter(|device| device.starts_with(pool));
            let own: Vec<_> = own.map(address).collect();
            if !own.is_empty() {
                row.variables.push((format!("PCIDEVICE_INTEL_COM_{}", pool.to_uppercase()), own.join(",")));
            }
        }
        for fact in known.split(';').map(str::trim).filter(|fact| !fact.is_empty()) {
            row.learn(fact);
        }
        row
    }

    fn learn(&mut self, fact: &str) {
        let (word, rest) = fact.split_once(' ').unwrap_or((fact, ""));
        let pair = || rest.split_once('=').unwrap();
        match word {
            "resources" => self.variables.push((RESOURCES.0.to_owned(), RESOURCES.1.to_owned())),
            "selections" => self.annotation = Some(rest.to_owned()),
            "info" => {
                let (network, device) = pair();
                let info = device_info(device);
                self.info.push(format!(r#"{{"network":"{network}","deviceInfo":{info}}}"#));
            }
            "alias" => {
                let (network, device) = pair();
                self.aliases.push((network.to_owned(), address(device)));
            }
            "status" => {
                let (network, device) = pair();
                self.attach(network, Some(device));
            }
            "attached" => {
                self.status.get_or_insert_default();
                rest.split(',').filter(|name| *name != "none").for_each(|network| self.attach(network, None));
            }
            "driver" => {
                let addresses: Vec<_> = rest.split(',').map(address).collect();
                self.variables.push(("SRIOVNETWORK_PCI_ADDRESSES".to_owned(), addresses.join(",")));
            }
            "metadata" => {
                let (network, device) = pair();
                self.claims.push(metadata(network, &address(device)));
            }
            "pending" => self.pending = true,
            other => panic!("{other:?} is not a fact"),
        }
    }

    fn attach(&mut self, network: &str, device: Option<&str>) {
        let (_, nad, _) = self.vmi.iter().find(|(name, ..)| name == network).unwrap();
        let nad = nad.trim_end_matches("!claim");
        let mut entry = format!(r#"{{"name":"ns/{nad}","interface":"{}""#, interface_name(network));
        if let Some(device) = device {
            write!(entry, r#","device-info":{}"#, device_info(device)).unwrap();
        }
        self.status.get_or_insert_default().push(format!("{entry}}}"));
    }

    fn plan(&self, rule: Assign) -> Planned {
        let vmi: Vec<_> = self.vmi.iter().map(|(name, nad, more)| (&**name, &**nad, *more)).collect();
        let variables: Vec<_> = self.variables.iter().map(|(name, value)| (&**name, &**value)).collect();
        let aliases: Vec<_> = self.aliases.iter().map(|(name, address)| (&**name, &**address)).collect();
        let info = format!(r#"{{"interfaces":[{}]}}"#, self.info.join(","));
        let status = self.status.as_ref().map(|entries| format!("[{}]", entries.join(",")));
        let case = Case {
            vmi: &vmi,
            variables: &variables,
            annotation: self.annotation.as_deref(),
            network_info: Some(&info),
            network_status: if self.pending { Some("") } else { status.as_deref() },
            aliases: &aliases,
            claims: &self.claims,
            rule,
        };
        case.plan()
    }
}

/// What the last two cells would say.
fn outcome(planned: Planned) -> (String, String) {
    let assignments = match planned {
        Ok(assignments) => assignments,
        Err(error) => return ("refused".to_owned(), error.to_string()),
    };
    let short = |one: &Assignment| {
        let pool = if one.address.to_string().starts_with("0000:01:") { 'x' } else { 'y' };
        format!("{}={pool}{}", one.network, one.address.to_string().chars().last().unwrap())
    };
    let mut origins: Vec<String> = assignments.iter().map(|one| one.origin.to_string()).collect();
    origins.dedup();
    (assignments.iter().map(short).collect::<Vec<_>>().join(" "), origins.join(", "))
}

#[test]
fn each_row_of_the_page_is_what_happens() {
    let rows = rows();
    let mut wrong = String::new();
    for [networks, devices, known, rule, result, because] in &rows {
        let (is, why) = outcome(Row::read(networks, devices, known).plan(rule.parse().unwrap()));
        let is_refused = is == "refused";
        let agrees = if is_refused { why.contains(because.as_str()) } else { why == *because };
        if is != *result || !agrees {
            writeln!(wrong, "{networks} | {devices} | {known} | {rule}: is {is}, {why}").unwrap();
        }
    }
    assert_eq!(wrong, "");
    assert!(rows.len() > 30, "only {} rows were found", rows.len());
    for rule in [Assign::Refuse, Assign::Multus, Assign::InOrder] {
        assert!(rows.iter().any(|row| row[3] == rule.to_string()), "{rule} has no row");
    }
    use Ambiguity::{Claims, Crossing, NotAlike, Order, Resources, Spare, Takers, Unnamed};
    for reason in [Claims, Crossing, NotAlike, Order, Resources, Spare, Takers, Unnamed] {
        let sentence = reason.to_string();
        assert!(rows.iter().any(|row| sentence.contains(&row[5])), "{reason:?} has no row");
    }
}

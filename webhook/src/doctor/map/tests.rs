use std::collections::BTreeMap;

use admission::Options;
use apiserver::{Failure, Kind, Resource, Scope};
use contract::{NadName, annotation};
use k8s_openapi::api::core::v1::Pod;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::doctor::facts::{LauncherPod, Machine, Nad, Nads, Node};

fn decisions() -> Decisions {
    Decisions { options: Options::default(), source: Source::CommandLine }
}

const RED: &str = "example.com/red";

fn nad(resource: &str, config: &Value) -> Nad {
    let keys = [annotation::RESOURCE_NAME.to_owned()];
    Nad::read(&keys, [(annotation::RESOURCE_NAME, resource)], Some(&config.to_string()))
}

/// One side after the other of a virtual machine with two VFs, all of one mind.
struct Sides {
    vmi: Value,
    networks: Value,
    status: Value,
    info: Value,
    devices: Value,
    limit: &'static str,
    phase: &'static str,
}

impl Default for Sides {
    fn default() -> Self {
        let pci = |address: &str| json!({"type": "pci", "version": "1.1.0", "pci": {"pci-address": address}});
        let mut with_pf = pci("0000:3b:02.1");
        with_pf["pci"]["pf-pci-address"] = json!("0000:3b:00.0");
        let interface = |name: &str, mac: &str| json!({"name": name, "sriov": {}, "macAddress": mac});
        let reported = |name: &str, mac: &str, pod: &str| json!({"name": name, "mac": mac, "infoSource": "domain, multus-status", "podInterfaceName": pod});
        Self {
            vmi: json!({
                "spec": {
                    "domain": {"devices": {"interfaces": [
                        interface("disk", "02:00:00:00:0a:01"), interface("wire", "02:00:00:00:0a:02"),
                    ]}},
                    "networks": [
                        {"name": "disk", "multus": {"networkName": "disk"}},
                        {"name": "wire", "multus": {"networkName": "shared/wire"}},
                    ],
                },
                "status": {"interfaces": [
                    reported("disk", "02:00:00:00:0a:01", "pod111aaa"),
                    reported("wire", "02:00:00:00:0a:02", "pod222bbb"),
                ]},
            }),
            networks: json!([
                {"name": "disk", "namespace": "lab", "mac": "02:00:00:00:0a:01", "interface": "pod111aaa"},
                {"name": "wire", "namespace": "shared", "mac": "02:00:00:00:0a:02", "interface": "pod222bbb"},
            ]),
            status: json!([
                {"name": "podnet", "interface": "eth0", "default": true},
                {"name": "lab/disk", "interface": "pod111aaa", "mac": "02:00:00:00:0a:01", "device-info": with_pf},
                {"name": "shared/wire", "interface": "pod222bbb", "mac": "02:00:00:00:0a:02",
                 "device-info": pci("0000:3b:02.3")},
            ]),
            info: json!({"interfaces": [
                {"network": "disk", "deviceInfo": pci("0000:3b:02.1"), "mac": "02:00:00:00:0a:01"},
                {"network": "wire", "deviceInfo": pci("0000:3b:02.3"), "mac": "02:00:00:00:0a:02"},
            ]}),
            devices: json!([{"name": RED, "resources": [
                {"resourceID": "0000:3b:02.3", "health": "Healthy"}, {"resourceID": "0000:3b:02.1", "health": "Healthy"},
            ]}]),
            limit: "2",
            phase: "Running",
        }
    }
}

impl Sides {
    fn facts(mut self) -> Facts {
        self.vmi["apiVersion"] = json!("kubevirt.io/v1");
        self.vmi["kind"] = json!("VirtualMachineInstance");
        self.vmi["metadata"] = json!({"name": "postgres", "namespace": "lab", "uid": "1"});
        self.vmi["status"]["phase"] = json!(self.phase);
        let mut annotations = json!({(annotation::NETWORKS): self.networks.to_string()});
        for (key, value) in
            [(annotation::NETWORK_STATUS, self.status), ("kubevirt.io/network-info", self.info)]
        {
            if !value.is_null() {
                annotations[key] = json!(value.to_string());
            }
        }
        let pod = json!({
            "metadata": {
                "name": "virt-launcher-postgres-q9x4z", "namespace": "lab", "annotations": annotations,
                "labels": {"kubevirt.io": "virt-launcher", "kubevirt.io/created-by": "1"},
            },
            "spec": {"nodeName": "rack1", "containers": [
                {"name": "compute", "resources": {"limits": {RED: self.limit}, "requests": {RED: self.limit}}},
            ]},
            "status": {"phase": "Running", "containerStatuses": [
                {"name": "compute", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                 "state": {"running": {}}, "allocatedResourcesStatus": self.devices},
            ]},
        });
        let sriov = json!({"type": "sriov", "vlan": 100, "trust": "on", "spoofchk": "off"});
        let chain = json!({"plugins": [{"type": "sriov"}, {"type": "tuning"}]});
        Facts {
            networks: Some(Ok(Nads(BTreeMap::from([
                (NadName::new("lab", "disk").unwrap(), nad(RED, &sriov)),
                (NadName::new("shared", "wire").unwrap(), nad(RED, &chain)),
            ])))),
            machines: Some(Ok(vec![Machine::read(&serde_json::from_value(self.vmi).unwrap())])),
            pods: Some(Ok(vec![LauncherPod::read(&serde_json::from_value(pod).unwrap())])),
            nodes: Some(Ok(vec![Node { name: "rack1".to_owned(), ..Node::default() }])),
            ..Facts::default()
        }
    }
}

fn drawn(facts: &Facts) -> Map {
    map(facts, &[], &decisions())
}

fn table(map: &Map) -> String {
    let mut text = Vec::new();
    write_table(map, &mut text).unwrap();
    anstream::adapter::strip_str(&String::from_utf8(text).unwrap()).to_string()
}

#[test]
fn all_sides_are_of_one_mind() {
    let map = drawn(&Sides::default().facts());
    assert!(map.healthy);
    insta::assert_snapshot!(table(&map));
}

#[test]
fn the_same_for_programs() {
    let mut text = Vec::new();
    write_json(&drawn(&Sides::default().facts()), &mut text).unwrap();
    insta::assert_snapshot!(String::from_utf8(text).unwrap());
}

/// One side says something else: the column that is marked, and the sentence.
#[rstest]
#[case::mac_of_multus(
    |sides: &mut Sides| sides.status[1]["mac"] = json!("06:00:00:00:00:99"),
    "!06:00:00:00:00:99",
    "network disk: MAC address 02:00:00:00:0a:01 is requested, but network-status has 06:00:00:00:00:99"
)]
#[case::mac_of_the_domain(
    |sides: &mut Sides| sides.vmi["status"]["interfaces"][0]["mac"] = json!("06:00:00:00:00:99"),
    "!06:00:00:00:00:99",
    "network disk: MAC address 02:00:00:00:0a:01 is requested, but the domain has 06:00:00:00:00:99"
)]
#[case::vf_of_kubevirt(
    |sides: &mut Sides| {
        sides.info["interfaces"][0]["deviceInfo"]["pci"]["pci-address"] = json!("0000:3b:02.3");
    },
    "!0000:3b:02.1",
    "network disk: its VF is 0000:3b:02.1 in network-status and 0000:3b:02.3 in network-info"
)]
#[case::vf_of_the_kubelet(
    |sides: &mut Sides| sides.devices[0]["resources"][1]["resourceID"] = json!("0000:3b:02.7"),
    "!0000:3b:02.1",
    "network disk: its VF is 0000:3b:02.1 in network-status, and the kubelet has allocated 0000:3b:02.3, 0000:3b:02.7"
)]
#[case::devices_held(
    |sides: &mut Sides| sides.limit = "1",
    "!example.com/red 1/2",
    "pod virt-launcher-postgres-q9x4z holds 1 of 2 example.com/red"
)]
#[case::not_in_the_domain(
    |sides: &mut Sides| sides.vmi["status"]["interfaces"][0]["infoSource"] = json!("multus-status"),
    "!absent",
    "network disk has no device in the running domain"
)]
#[case::not_attached(
    |sides: &mut Sides| { sides.status.as_array_mut().unwrap().remove(1); },
    "0000:3b:02.1",
    "Multus attached nothing for NAD lab/disk"
)]
fn one_side_says_something_else(#[case] change: fn(&mut Sides), #[case] cell: &str, #[case] sentence: &str) {
    let mut sides = Sides::default();
    change(&mut sides);
    let map = drawn(&sides.facts());
    let table = table(&map);
    let row = table.lines().find(|line| line.starts_with("  disk (sriov)")).unwrap();
    assert!(row.split("  ").any(|text| text.trim() == cell), "{table}");
    assert!(table.contains(sentence), "{table}");
    assert_eq!((map.healthy, map.state()), (false, State::Wrong), "{table}");
}

#[test]
fn empty_columns_say_what_would_fill_them() {
    let sides = Sides {
        status: Value::Null,
        info: Value::Null,
        devices: Value::Null,
        phase: "Scheduled",
        ..Sides::default()
    };
    let mut facts = sides.facts();
    // It has only just been started.
    let Some(Ok(pods)) = &mut facts.pods else { panic!("no pods") };
    pods[0].running_since = None;
    insta::assert_snapshot!(table(&drawn(&facts)));
}

#[test]
fn of_one_device_the_kubelet_alone_says_enough() {
    let mut sides = Sides { status: Value::Null, info: Value::Null, limit: "1", ..Sides::default() };
    for list in ["/spec/networks", "/spec/domain/devices/interfaces"] {
        sides.vmi.pointer_mut(list).unwrap().as_array_mut().unwrap().pop();
    }
    sides.networks.as_array_mut().unwrap().pop();
    sides.devices[0]["resources"].as_array_mut().unwrap().remove(0);
    let map = drawn(&sides.facts());
    assert_eq!(map.machines[0].pods[0].networks[0].vf.value.as_deref(), Some("0000:3b:02.1"));
}

#[test]
fn without_a_pod_it_shows_what_is_wanted() {
    let mut facts = Sides { phase: "Pending", ..Sides::default() }.facts();
    facts.pods = Some(Ok(Vec::new()));
    let table = table(&drawn(&facts));
    assert!(table.starts_with("lab/postgres: Pending\n  no pod\n"), "{table}");
    assert!(table.contains("? VF of disk, wire needs a pod"), "{table}");
    assert!(table.contains("warning  lab/postgres: has no pod"), "{table}");
}

#[test]
fn one_vmi_of_many() {
    let facts = Sides::default().facts();
    let name = |name: &str| NadName::new("lab", name).unwrap();
    assert_eq!(map(&facts, &[name("postgres")], &decisions()).machines.len(), 1);
    let other = map(&facts, &[name("other")], &decisions());
    assert_eq!((other.machines.len(), other.healthy), (0, false));
    assert!(table(&other).contains("lab/other: there is no such VMI"), "{}", table(&other));
}

#[test]
fn what_may_not_be_seen_is_no_empty_map() {
    let mut facts = Sides::default().facts();
    facts.pods = Some(Err(Failure::new(
        "list",
        Resource::of::<Pod>().within(Scope::AllNamespaces),
        Kind::Forbidden { reason: "no".to_owned() },
    )));
    let map = drawn(&facts);
    assert!(!map.healthy && map.state() == State::Unknown);
    assert!(
        table(&map)
            .starts_with("unknown  not allowed to list pods in all namespaces (the API server says: no)\n"),
        "{}",
        table(&map)
    );
}

//! What ResourceSlices offer.

use std::collections::BTreeMap;
use std::fmt;

use kube::api::DynamicObject;
use serde_json::Value;

use super::{list, text};

/// The attribute that has the PCI address of a device.
///
/// Source: Kubernetes, KEP-4381.
const PCI_BUS_ID: &str = "resource.kubernetes.io/pciBusID";

/// The devices of all drivers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// The devices.
    pub devices: Vec<Device>,
    /// Pools of which not all slices are there: the scheduler does not use them.
    pub incomplete: Vec<String>,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Which.
    pub id: DeviceId,
    /// The node that has it; `None` if it is not bound to one by name.
    pub node: Option<String>,
    /// Its attributes, by their names with domain.
    pub attributes: BTreeMap<String, Attribute>,
    /// Whether a taint keeps it from being allocated to a claim without a toleration.
    pub is_tainted: bool,
    /// Whether several claims can have it, or parts of it, so that it does not count as one.
    pub is_shared: bool,
}

/// The name of a device, which is unique with its driver and pool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceId {
    /// The driver.
    pub driver: String,
    /// The pool, of a node often called as the node.
    pub pool: String,
    /// The name in the pool.
    pub name: String,
}

/// A value that CEL compares as it is. Versions and lists are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// `string`.
    Text(String),
    /// `int`.
    Number(i64),
    /// `bool`.
    Flag(bool),
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.driver, self.pool, self.name)
    }
}

/// A pool of a driver.
type Pool = (String, String);

impl Offer {
    /// Reads slices. Of a pool only the newest generation counts.
    #[must_use]
    pub fn read(slices: &[DynamicObject]) -> Self {
        let mut pools: BTreeMap<Pool, (i64, Vec<&Value>)> = BTreeMap::new();
        for slice in slices {
            let data = &slice.data;
            let (Some(driver), Some(pool)) = (text(data, "/spec/driver"), text(data, "/spec/pool/name"))
            else {
                continue;
            };
            let generation = number(data, "/spec/pool/generation");
            let (newest, seen) = pools.entry((driver.to_owned(), pool.to_owned())).or_default();
            if generation > *newest {
                (*newest, *seen) = (generation, Vec::new());
            }
            if generation == *newest {
                seen.push(data);
            }
        }
        let mut offer = Self::default();
        for ((driver, pool), (_, slices)) in pools {
            let expected = slices.first().map_or(0, |slice| number(slice, "/spec/pool/resourceSliceCount"));
            if i64::try_from(slices.len()) != Ok(expected) {
                offer.incomplete.push(format!("{driver}/{pool}"));
                continue;
            }
            for slice in slices {
                let devices = list(slice, "/spec/devices");
                offer.devices.extend(devices.filter_map(|one| device(&driver, &pool, slice, one)));
            }
        }
        offer
    }

    /// The device with this name.
    #[must_use]
    pub fn device(&self, id: &DeviceId) -> Option<&Device> {
        self.devices.iter().find(|device| device.id == *id)
    }
}

impl Device {
    /// The address of a PCI device.
    #[must_use]
    pub fn pci_address(&self) -> Option<&str> {
        match self.attributes.get(PCI_BUS_ID)? {
            Attribute::Text(address) => Some(address),
            _ => None,
        }
    }
}

fn device(driver: &str, pool: &str, slice: &Value, device: &Value) -> Option<Device> {
    let node = text(device, "/nodeName").or_else(|| text(slice, "/spec/nodeName"));
    let own = device.get("attributes").and_then(Value::as_object);
    let attributes = own.into_iter().flatten().filter_map(|(name, value)| {
        // An attribute without a domain is in the driver's.
        let name = if name.contains('/') { name.clone() } else { format!("{driver}/{name}") };
        Some((name, attribute(value)?))
    });
    let mut effects = list(device, "/taints").filter_map(|taint| text(taint, "/effect"));
    let is_shared = device.get("allowMultipleAllocations").and_then(Value::as_bool) == Some(true)
        || list(device, "/consumesCounters").next().is_some();
    Some(Device {
        id: DeviceId {
            driver: driver.to_owned(),
            pool: pool.to_owned(),
            name: text(device, "/name")?.to_owned(),
        },
        node: node.map(str::to_owned),
        attributes: attributes.collect(),
        is_tainted: effects.any(|effect| matches!(effect, "NoSchedule" | "NoExecute")),
        is_shared,
    })
}

fn attribute(value: &Value) -> Option<Attribute> {
    let string = value.get("string").and_then(Value::as_str).map(|text| Attribute::Text(text.to_owned()));
    let int = || value.get("int").and_then(Value::as_i64).map(Attribute::Number);
    let bool = || value.get("bool").and_then(Value::as_bool).map(Attribute::Flag);
    string.or_else(int).or_else(bool)
}

fn number(value: &Value, place: &str) -> i64 {
    value.pointer(place).and_then(Value::as_i64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn slice(generation: i64, count: i64, devices: &Value) -> DynamicObject {
        let pool = json!({"name": "rack1", "generation": generation, "resourceSliceCount": count});
        let spec = json!({"driver": "vf.test", "nodeName": "rack1", "pool": pool, "devices": devices});
        serde_json::from_value(json!({"metadata": {"name": "s"}, "spec": spec})).unwrap()
    }

    #[rstest]
    #[case::one_slice(vec![slice(1, 1, &json!([{"name": "a"}]))], &["a"], 0)]
    #[case::two_slices(vec![slice(1, 2, &json!([{"name": "a"}])), slice(1, 2, &json!([{"name": "b"}]))], &["a", "b"], 0)]
    #[case::an_older_generation(vec![slice(2, 1, &json!([{"name": "a"}])), slice(1, 1, &json!([{"name": "b"}]))], &["a"], 0)]
    #[case::a_newer_generation(vec![slice(1, 1, &json!([{"name": "a"}])), slice(2, 1, &json!([{"name": "b"}]))], &["b"], 0)]
    #[case::half_published(vec![slice(1, 2, &json!([{"name": "a"}]))], &[], 1)]
    fn pools(#[case] slices: Vec<DynamicObject>, #[case] devices: &[&str], #[case] incomplete: usize) {
        let offer = Offer::read(&slices);
        let names: Vec<_> = offer.devices.iter().map(|device| device.id.name.as_str()).collect();
        assert_eq!((names.as_slice(), offer.incomplete.len()), (devices, incomplete));
    }

    #[test]
    fn a_device() {
        let devices = json!([{
            "name": "0000-01-10-2",
            "attributes": {
                "resource.kubernetes.io/pciBusID": {"string": "0000:01:10.2"},
                "vlan": {"int": 5}, "trusted": {"bool": true}, "firmware": {"version": "1.2.3"},
            },
            "taints": [{"key": "broken", "effect": "NoSchedule"}],
        }]);
        let offer = Offer::read(&[slice(1, 1, &devices)]);
        let id = DeviceId {
            driver: "vf.test".to_owned(),
            pool: "rack1".to_owned(),
            name: "0000-01-10-2".to_owned(),
        };
        let device = offer.device(&id).unwrap();
        assert_eq!((device.pci_address(), device.node.as_deref()), (Some("0000:01:10.2"), Some("rack1")));
        assert!(device.is_tainted && !device.is_shared);
        let names: Vec<_> = device.attributes.keys().map(String::as_str).collect();
        assert_eq!(names, ["resource.kubernetes.io/pciBusID", "vf.test/trusted", "vf.test/vlan"]);
    }

    #[rstest]
    #[case::multiple_allocations(json!([{"name": "a", "allowMultipleAllocations": true}]))]
    #[case::partitions(json!([{"name": "a", "consumesCounters": [{"counterSet": "c"}]}]))]
    fn devices_that_do_not_count_as_one(#[case] devices: Value) {
        assert!(Offer::read(&[slice(1, 1, &devices)]).devices[0].is_shared);
    }
}

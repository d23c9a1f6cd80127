//! What doctor knows of Dynamic Resource Allocation (DRA): which DeviceClass serves which resource, what drivers offer,
//! and who holds it.

mod held;
mod offer;
mod selectors;

use apiserver::Failure;
use contract::DEVICE_CLASS_PREFIX;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde_json::Value;

pub use offer::{Attribute, Device, DeviceId, Offer};

/// DeviceClasses, devices and claims.
#[derive(Debug, Clone)]
pub struct Dra {
    /// The DeviceClasses.
    pub classes: Vec<DeviceClass>,
    /// What the ResourceSlices offer; not read if there is no DeviceClass.
    pub offer: Result<Offer, Failure>,
    /// The ResourceClaims that have devices; not read if there is no DeviceClass.
    pub claims: Result<Vec<Claim>, Failure>,
}

impl Default for Dra {
    fn default() -> Self {
        Self { classes: Vec::new(), offer: Ok(Offer::default()), claims: Ok(Vec::new()) }
    }
}

/// A DeviceClass.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceClass {
    /// Its name.
    pub name: String,
    /// The extended resource that pods may request instead of making a claim.
    pub extended_resource: Option<String>,
    /// The CEL expressions that a device must satisfy; `None` if there is a selector of another kind.
    pub selectors: Option<Vec<String>>,
    /// When it was created.
    pub created: Option<Timestamp>,
}

/// A ResourceClaim with devices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The devices that it has.
    pub devices: Vec<Allocated>,
    /// The pods that may use it.
    pub pods: Vec<String>,
}

/// A device of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocated {
    /// The name of the request; of alternatives, without the name of the one that was chosen.
    pub request: String,
    /// The DeviceClass of the request; `None` if the claim does not have that request.
    pub class: Option<String>,
    /// Which device.
    pub device: DeviceId,
}

impl Dra {
    /// The DeviceClass from which the scheduler takes devices for `resource`.
    #[must_use]
    pub fn class_for(&self, resource: &str) -> Option<&DeviceClass> {
        // Of several classes with one name for a resource, the scheduler takes the newest, then the first by name.
        let serving = self.classes.iter().filter(|class| class.serves(resource));
        serving.min_by(|one, other| (other.created, &one.name).cmp(&(one.created, &other.name)))
    }

    /// The claims as far as they could be listed.
    pub fn seen_claims(&self) -> impl Iterator<Item = &Claim> {
        self.claims.iter().flatten()
    }
}

impl DeviceClass {
    /// Picks out what doctor needs.
    #[must_use]
    pub fn read(class: &DynamicObject) -> Self {
        let resource = class.data.pointer("/spec/extendedResourceName").and_then(Value::as_str);
        let selectors = list(&class.data, "/spec/selectors")
            .map(|selector| text(selector, "/cel/expression").map(str::to_owned));
        Self {
            name: class.name_any(),
            extended_resource: resource.map(str::to_owned),
            selectors: selectors.collect(),
            created: class.creation_timestamp().map(|time| time.0),
        }
    }

    /// Whether the scheduler answers a request for `resource` with devices of this class.
    #[must_use]
    pub fn serves(&self, resource: &str) -> bool {
        self.extended_resource.as_deref() == Some(resource)
            || resource.strip_prefix(DEVICE_CLASS_PREFIX) == Some(&self.name)
    }

    /// The devices on offer that are of this class.
    ///
    /// # Errors
    /// Why that cannot be said. The sentence has no subject: the caller names the class.
    pub fn devices<'o>(&self, offer: &'o Offer) -> Result<Vec<&'o Device>, String> {
        let expressions = self.selectors.as_ref().ok_or("has a selector that is not CEL")?;
        let selectors = selectors::compile(expressions)?;
        let mut selected = Vec::new();
        for device in &offer.devices {
            if selectors::select(&selectors, device)? {
                selected.push(device);
            }
        }
        if selected.iter().any(|device| device.is_shared) {
            return Err("selects devices that can be shared or divided".to_owned());
        }
        match offer.incomplete.first() {
            Some(pool) => {
                Err(format!("may select devices of pool {pool}, which its driver is still publishing"))
            }
            None => Ok(selected),
        }
    }
}

impl Claim {
    /// Picks out what doctor needs; `None` if it has no devices.
    #[must_use]
    pub fn read(claim: &DynamicObject) -> Option<Self> {
        let data = &claim.data;
        let results = list(data, "/status/allocation/devices/results");
        // Who monitors a device holds none.
        let results =
            results.filter(|result| result.get("adminAccess").and_then(Value::as_bool) != Some(true));
        let devices: Vec<Allocated> = results.filter_map(|result| allocated(data, result)).collect();
        let pods = list(data, "/status/reservedFor").filter(|user| text(user, "/resource") == Some("pods"));
        (!devices.is_empty()).then(|| Self {
            namespace: claim.namespace().unwrap_or_default(),
            name: claim.name_any(),
            devices,
            pods: pods.filter_map(|user| text(user, "/name").map(str::to_owned)).collect(),
        })
    }
}

fn allocated(claim: &Value, result: &Value) -> Option<Allocated> {
    // A request that lists alternatives is named together with the one that was chosen.
    let full = text(result, "/request")?;
    let (name, alternative) = full.split_once('/').map_or((full, None), |(name, rest)| (name, Some(rest)));
    let request = list(claim, "/spec/devices/requests").find(|request| text(request, "/name") == Some(name));
    let class = request.and_then(|request| match alternative {
        None => text(request, "/exactly/deviceClassName"),
        Some(alternative) => list(request, "/firstAvailable")
            .find(|one| text(one, "/name") == Some(alternative))
            .and_then(|one| text(one, "/deviceClassName")),
    });
    Some(Allocated {
        request: name.to_owned(),
        class: class.map(str::to_owned),
        device: DeviceId {
            driver: text(result, "/driver")?.to_owned(),
            pool: text(result, "/pool")?.to_owned(),
            name: text(result, "/device")?.to_owned(),
        },
    })
}

fn list<'v>(value: &'v Value, place: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    value.pointer(place).and_then(Value::as_array).into_iter().flatten()
}

fn text<'v>(value: &'v Value, place: &str) -> Option<&'v str> {
    value.pointer(place).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    fn object(object: Value) -> DynamicObject {
        serde_json::from_value(object).unwrap()
    }

    fn class(name: &str, created: &str, spec: &Value) -> DeviceClass {
        let metadata = json!({"name": name, "creationTimestamp": created});
        DeviceClass::read(&object(json!({"metadata": metadata, "spec": spec})))
    }

    const EARLY: &str = "2026-03-01T08:00:00Z";
    const LATE: &str = "2026-03-01T09:00:00Z";

    #[rstest]
    #[case::by_its_name_for_it("intel.com/vf", &[("a", EARLY, "intel.com/vf")], Some("a"))]
    #[case::by_the_name_of_the_class("deviceclass.resource.kubernetes.io/a", &[("a", EARLY, "intel.com/vf")], Some("a"))]
    #[case::by_the_name_of_the_class_alone("deviceclass.resource.kubernetes.io/a", &[("a", EARLY, "")], Some("a"))]
    #[case::longer_names("intel.com/vf2", &[("a", EARLY, "intel.com/vf")], None)]
    #[case::another_class("deviceclass.resource.kubernetes.io/ab", &[("a", EARLY, "")], None)]
    #[case::the_newest("intel.com/vf", &[("a", EARLY, "intel.com/vf"), ("b", LATE, "intel.com/vf")], Some("b"))]
    #[case::the_first_by_name("intel.com/vf", &[("b", LATE, "intel.com/vf"), ("a", LATE, "intel.com/vf")], Some("a"))]
    fn which_class_serves_a_resource(
        #[case] resource: &str,
        #[case] classes: &[(&str, &str, &str)],
        #[case] expected: Option<&str>,
    ) {
        let read = |(name, created, resource): &(&str, &str, &str)| {
            let spec =
                if resource.is_empty() { json!({}) } else { json!({"extendedResourceName": resource}) };
            class(name, created, &spec)
        };
        let dra = Dra { classes: classes.iter().map(read).collect(), ..Dra::default() };
        assert_eq!(dra.class_for(resource).map(|class| class.name.as_str()), expected);
    }

    #[test]
    fn a_selector_of_another_kind_is_not_a_class_without_selectors() {
        let cel = json!({"cel": {"expression": "true"}});
        assert_eq!(class("a", EARLY, &json!({"selectors": [cel]})).selectors, Some(vec!["true".to_owned()]));
        assert_eq!(class("a", EARLY, &json!({"selectors": [cel, {"new": {}}]})).selectors, None);
        assert_eq!(class("a", EARLY, &json!({})).selectors, Some(Vec::new()));
    }

    /// As the scheduler makes a claim for a pod that requests an extended resource.
    #[test]
    fn the_devices_of_a_claim() {
        let claim = |results: Value| {
            Claim::read(&object(json!({
                "metadata": {"name": "pod-extended-resources-x", "namespace": "lab",
                             "annotations": {"resource.kubernetes.io/extended-resource-claim": "true"}},
                "spec": {"devices": {"requests": [
                    {"name": "container-0-request-0", "exactly": {"deviceClassName": "vf", "count": 2}},
                    {"name": "any", "firstAvailable": [{"name": "fast", "deviceClassName": "fast"},
                                                       {"name": "slow", "deviceClassName": "slow"}]},
                ]}},
                "status": {"allocation": {"devices": {"results": results}},
                           "reservedFor": [{"resource": "pods", "name": "pod", "uid": "1"},
                                           {"apiGroup": "x", "resource": "others", "name": "other", "uid": "2"}]},
            })))
        };
        let result = |request: &str| json!({"request": request, "driver": "d", "pool": "n", "device": "a"});
        let read =
            claim(json!([result("container-0-request-0"), result("any/slow"), result("gone")])).unwrap();
        let devices: Vec<_> =
            read.devices.iter().map(|one| (one.request.as_str(), one.class.as_deref())).collect();
        assert_eq!(devices, [("container-0-request-0", Some("vf")), ("any", Some("slow")), ("gone", None)]);
        assert_eq!((read.name.as_str(), read.pods), ("pod-extended-resources-x", vec!["pod".to_owned()]));
        assert_eq!(claim(json!([])), None);
        assert_eq!(claim(Value::Null), None);
        let mut monitored = result("container-0-request-0");
        monitored["adminAccess"] = json!(true);
        assert_eq!(claim(json!([monitored])), None);
    }
}

//! What of a VMI and a domain decides how much memory is locked.

use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::Value;

use crate::check::memory::Demand;

/// From the VMI alone. Only the domain says whether the guest has an IOMMU.
#[must_use]
pub fn of_vmi(vmi: &str, networks: usize) -> Option<Demand> {
    let vmi: Value = serde_json::from_str(vmi).ok()?;
    let domain = vmi.pointer("/spec/domain")?;
    let sizes =
        ["/memory/maxGuest", "/memory/guest", "/resources/requests/memory", "/resources/limits/memory"];
    let guest = sizes.iter().find_map(|path| bytes(domain.pointer(path)?))?;
    let count = |path: &str| domain.pointer(path).and_then(Value::as_array).map_or(0, Vec::len);
    let devices = networks + count("/devices/gpus") + count("/devices/hostDevices");
    Some(Demand { guest, devices: u64::try_from(devices).ok()?, viommu: false })
}

/// From the domain. What cannot be read is left out: the caller has checked that it is a domain.
#[must_use]
pub fn of_domain(domain: &str) -> Option<Demand> {
    let mut reader = Reader::from_str(domain);
    let mut path: Vec<String> = Vec::new();
    let (mut unit, mut memory) = (None, None);
    let mut demand = Demand { guest: 0, devices: 0, viommu: false };
    loop {
        let event = reader.read_event().ok()?;
        match &event {
            Event::Start(tag) | Event::Empty(tag) => {
                let name = tag.name().into_inner().to_owned();
                let attribute = |name: &str| {
                    let attribute = tag.try_get_attribute(name).ok()??;
                    Some(attribute.value.into_owned())
                };
                match (path.len(), name.as_str()) {
                    (1, "memory") => unit = Some(attribute("unit").unwrap_or_else(|| "KiB".to_owned())),
                    (2, "iommu") => demand.viommu = true,
                    (2, "hostdev") if attribute("type").as_deref() == Some("pci") => demand.devices += 1,
                    _ => {}
                }
                if matches!(event, Event::Start(_)) {
                    path.push(name);
                }
            }
            Event::Text(text) if path.len() == 2 && path.last().is_some_and(|name| name == "memory") => {
                memory = text.trim().parse::<u64>().ok();
            }
            Event::End(_) => {
                path.pop();
            }
            Event::Eof => break,
            _ => {}
        }
    }
    demand.guest = memory?.checked_mul(libvirt_unit(&unit?)?)?;
    Some(demand)
}

/// libvirt's units: `k`, `M` and so on count in 1024, `KB` in 1000.
fn libvirt_unit(unit: &str) -> Option<u64> {
    match unit {
        "b" | "bytes" => Some(1),
        "KB" => Some(1000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        "k" | "KiB" => Some(1 << 10),
        "M" | "MiB" => Some(1 << 20),
        "G" | "GiB" => Some(1 << 30),
        "T" | "TiB" => Some(1 << 40),
        _ => None,
    }
}

/// A quantity of memory, such as `96Mi`, `1.5Gi`, `1G` or `1073741824`, rounded down.
fn bytes(quantity: &Value) -> Option<u64> {
    let text = match quantity {
        Value::Number(number) => return number.as_u64(),
        other => other.as_str()?.trim(),
    };
    const SUFFIXES: [(&str, u64); 9] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("k", 1000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
        ("", 1),
    ];
    let (digits, factor) =
        SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)))?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.parse::<u64>().ok()?.checked_mul(factor)?;
    if fraction.is_empty() {
        return Some(whole);
    }
    let scale = 10u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = u128::from(fraction.parse::<u64>().ok()?) * u128::from(factor) / u128::from(scale);
    whole.checked_add(u64::try_from(part).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::guest(r#""memory":{"guest":"96Mi"}"#, Some(96 << 20))]
    #[case::fraction(r#""memory":{"guest":"1.5Gi"}"#, Some(3 << 29))]
    #[case::decimal(r#""memory":{"guest":"2G"}"#, Some(2_000_000_000))]
    #[case::bytes(r#""memory":{"guest":"1073741824"}"#, Some(1 << 30))]
    #[case::room_for_hotplug(r#""memory":{"guest":"1Gi","maxGuest":"4Gi"}"#, Some(4 << 30))]
    #[case::request(r#""resources":{"requests":{"memory":"1Gi"}}"#, Some(1 << 30))]
    #[case::instance_type("", None)]
    #[case::nonsense(r#""memory":{"guest":"much"}"#, None)]
    fn memory_of_a_vmi(#[case] domain: &str, #[case] expected: Option<u64>) {
        let vmi = format!(
            r#"{{"spec":{{"domain":{{"x":0{}{domain}}}}}}}"#,
            if domain.is_empty() { "" } else { "," }
        );
        assert_eq!(of_vmi(&vmi, 2).map(|demand| demand.guest), expected);
    }

    #[test]
    fn devices_of_a_vmi() {
        let vmi =
            r#"{"spec":{"domain":{"memory":{"guest":"1Gi"},"devices":{"gpus":[{}],"hostDevices":[{},{}]}}}}"#;
        assert_eq!(of_vmi(vmi, 2).map(|demand| demand.devices), Some(5));
    }

    #[rstest]
    #[case::plain("<domain><memory unit='KiB'>98304</memory><devices><hostdev type='pci'/></devices></domain>", Some((96 << 20, 1, false)))]
    #[case::usual_unit("<domain><memory>1024</memory><devices/></domain>", Some((1 << 20, 0, false)))]
    #[case::with_an_iommu("<domain><memory unit='GiB'>1</memory><devices><iommu model='intel'/><hostdev type='pci'><source/></hostdev><hostdev type='usb'/><hostdev type='pci'/></devices></domain>", Some((1 << 30, 2, true)))]
    #[case::elsewhere("<domain><x><memory unit='GiB'>1</memory></x></domain>", None)]
    #[case::nothing("<domain/>", None)]
    fn domains(#[case] domain: &str, #[case] expected: Option<(u64, u64, bool)>) {
        let found = of_domain(domain).map(|demand| (demand.guest, demand.devices, demand.viommu));
        assert_eq!(found, expected);
    }
}

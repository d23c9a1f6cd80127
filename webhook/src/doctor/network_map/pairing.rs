//! Which attachment of a pod is which network's.

use contract::network_status::NetworkStatus;
use contract::vmi::ReportedInterface;
use contract::{NadName, NetworkSelection};

/// What is attached for one network.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Attached<'p> {
    /// The pod's selection.
    pub(super) selection: Option<&'p NetworkSelection>,
    /// What Multus says of it: its place in the list, and the entry.
    pub(super) status: Option<(usize, &'p NetworkStatus)>,
}

/// Of the networks of a VMI on one NAD, what is attached for the one that is the `place`th of `count`.
///
/// KubeVirt knows the interface in the pod of each network, and says it once the domain runs. Before, networks of one
/// NAD are told apart by their order, in which KubeVirt hands them to Multus, as long as none was added or removed.
pub(super) fn attached<'p>(
    nad: &NadName,
    (place, count): (usize, usize),
    reported: Option<&ReportedInterface>,
    selections: &'p [NetworkSelection],
    status: &'p [NetworkStatus],
) -> Attached<'p> {
    let interface = reported.and_then(|reported| reported.pod_interface_name.as_deref());
    let of_nad: Vec<&NetworkSelection> =
        selections.iter().filter(|selection| selection.nad == *nad).collect();
    let by_name = of_nad
        .iter()
        .copied()
        .find(|selection| interface.is_some() && selection.interface.as_deref() == interface);
    let by_place = || if of_nad.len() == count { of_nad.get(place).copied() } else { None };
    let selection = by_name.or_else(by_place);

    let entries: Vec<(usize, &NetworkStatus)> =
        status.iter().enumerate().filter(|(_, entry)| entry.name == nad.as_str()).collect();
    let interface = interface.or_else(|| selection?.interface.as_deref());
    let entry = match interface {
        Some(interface) => entries.iter().copied().find(|(_, entry)| entry.interface == interface),
        None if entries.len() == count => entries.get(place).copied(),
        None => None,
    };
    Attached { selection, status: entry }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::network_status::parse;
    use contract::parse_networks;
    use rstest::rstest;

    #[rstest]
    #[case::one("red", r#"[{"name":"lab/red","interface":"net1"}]"#, (0, 1), None, Some("net1"))]
    #[case::by_the_selection(
        "red@podaa, red@podbb", r#"[{"name":"lab/red","interface":"podbb"},{"name":"lab/red","interface":"podaa"}]"#,
        (1, 2), None, Some("podbb")
    )]
    #[case::as_kubevirt_says(
        "red@podaa, red@podbb", r#"[{"name":"lab/red","interface":"podaa"},{"name":"lab/red","interface":"podbb"}]"#,
        (0, 2), Some("podbb"), Some("podbb")
    )]
    #[case::one_was_added(
        "red@podaa", r#"[{"name":"lab/red","interface":"podaa"}]"#, (1, 2), None, None
    )]
    #[case::one_was_added_and_kubevirt_says(
        "red@podaa", r#"[{"name":"lab/red","interface":"podaa"}]"#, (1, 2), Some("podaa"), Some("podaa")
    )]
    #[case::another_nad("blue", r#"[{"name":"lab/blue","interface":"net1"}]"#, (0, 1), None, None)]
    #[case::not_attached("red@podaa", r#"[{"name":"lab/blue","interface":"podbb"}]"#, (0, 1), None, None)]
    fn entries(
        #[case] selections: &str,
        #[case] status: &str,
        #[case] place: (usize, usize),
        #[case] pod_interface: Option<&str>,
        #[case] expected: Option<&str>,
    ) {
        let selections = parse_networks(selections, "lab").unwrap();
        let status = parse(status).unwrap();
        let reported = ReportedInterface {
            pod_interface_name: pod_interface.map(str::to_owned),
            ..ReportedInterface::default()
        };
        let nad = NadName::new("lab", "red").unwrap();
        let attached = attached(&nad, place, Some(&reported), &selections, &status);
        assert_eq!(attached.status.map(|(_, entry)| entry.interface.as_str()), expected);
    }
}

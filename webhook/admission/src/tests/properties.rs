use super::*;
use proptest::prelude::*;

fn selection() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "vf",
        "cx6",
        "bridge",
        "rack1",
        "default/sriov-net-a",
        "net-admin/sriov-net-b@net1",
    ])
    .prop_map(str::to_owned)
}

fn resources() -> impl Strategy<Value = Value> {
    let quantities = || {
        let quantity = prop::sample::select(vec!["0", "1", "2", "3000m", "4"]);
        let name = prop::sample::select(vec!["intel.com/sriov_vfio", "mellanox.com/cx6_vfio", "cpu"]);
        prop::option::of(prop::collection::btree_map(name, quantity, 0..3))
    };
    prop::option::of((quantities(), quantities())).prop_map(|both| {
        both.map_or(json!(null), |(limits, requests)| json!({"limits": limits, "requests": requests}))
    })
}

prop_compose! {
    fn any_pod()(
        selections in prop::collection::vec(selection(), 0..6),
        default in prop::option::of(Just("default-vf")),
        compute in resources(),
        other in resources(),
        compute_first: bool,
        node_selector in prop::option::of(Just(json!({"rack": "r1"}))),
    ) -> Value {
        let mut pod = pod(&selections.join(","));
        if let Some(default) = default {
            pod["metadata"]["annotations"][annotation::DEFAULT_NETWORK] = json!(default);
        }
        let mut containers =
            vec![json!({"name": "compute", "resources": compute}), json!({"name": "other", "resources": other})];
        if !compute_first {
            containers.reverse();
        }
        pod["spec"]["containers"] = json!(containers);
        if let Some(node_selector) = node_selector {
            pod["spec"]["nodeSelector"] = node_selector;
        }
        pod
    }
}

/// Everything that a patch may change, taken out.
fn without_ours(pod: &Value) -> Value {
    let mut pod = pod.clone();
    pod["spec"].as_object_mut().unwrap().remove("nodeSelector");
    for container in pod["spec"]["containers"].as_array_mut().unwrap() {
        if container["name"] == "compute" {
            container.as_object_mut().unwrap().remove("resources");
        }
    }
    pod
}

proptest! {
    #[test]
    fn a_patched_pod_needs_no_patch(pod in any_pod()) {
        let decision = decide_pod(&pod, &Options::default());
        if let Outcome::Denied(denial) = &decision.verdict.outcome {
            prop_assert_eq!(denial.reason, Reason::WrongContainer);
            return Ok(());
        }
        let after = patched(&pod, &decision);
        prop_assert_eq!(decide_pod(&after, &Options::default()).verdict.outcome, Outcome::Unchanged);
    }

    /// The final look finds nothing in a pod that was left as it was patched, and what is missing in one that was not.
    #[test]
    fn the_final_look_passes_what_was_patched_and_nothing_less(pod in any_pod()) {
        let options = Options::default();
        let decision = decide_pod(&pod, &options);
        let look = |pod: &Value| {
            let body = review(pod).to_string();
            decide_final(&read(body.as_bytes()).unwrap(), &networks(), &options).verdict.outcome
        };
        match &decision.verdict.outcome {
            Outcome::Patched(_) => {
                let refused = matches!(look(&pod), Outcome::Denied(denial) if denial.reason == Reason::Incomplete);
                prop_assert!(refused);
                prop_assert_eq!(look(&patched(&pod, &decision)), Outcome::Unchanged);
            }
            outcome => prop_assert_eq!(&look(&pod), outcome),
        }
    }

    #[test]
    fn a_patched_pod_holds_the_greater_of_need_and_what_was_there(pod in any_pod()) {
        let decision = decide_pod(&pod, &Options::default());
        if matches!(decision.verdict.outcome, Outcome::Denied(_)) {
            return Ok(());
        }
        let after = decide_pod(&patched(&pod, &decision), &Options::default());
        for (before, after) in decision.needs.iter().zip(&after.needs) {
            prop_assert_eq!(after.present, before.present.max(before.needed));
            prop_assert_eq!(after.added, 0);
        }
    }

    /// What other containers request is nothing that the virtual machine could use.
    #[test]
    fn a_pod_that_passes_has_on_compute_what_its_networks_need(pod in any_pod()) {
        let decision = decide_pod(&pod, &Options::default());
        let denied = matches!(decision.verdict.outcome, Outcome::Denied(_));
        for need in &decision.needs {
            let on = |wanted: fn(&str) -> bool| -> u64 {
                need.holders.iter().filter(|holder| wanted(&holder.container)).map(|holder| holder.count).sum()
            };
            prop_assert_eq!(need.present, on(|name| name == "compute"));
            prop_assert!(denied || need.present + need.added >= need.needed);
            prop_assert!(denied || need.added == 0 || on(|name| name != "compute") == 0);
        }
    }

    #[test]
    fn a_patch_touches_nothing_else(pod in any_pod()) {
        let after = patched(&pod, &decide_pod(&pod, &Options::default()));
        prop_assert_eq!(without_ours(&after), without_ours(&pod));
    }

    #[test]
    fn no_annotation_makes_it_panic(networks in ".*", default in prop::option::of(".*"), global: bool) {
        let mut pod = pod(&networks);
        if let Some(default) = default {
            pod["metadata"]["annotations"][annotation::DEFAULT_NETWORK] = json!(default);
        }
        let options = Options { namespace_isolation: global, ..Options::default() };
        let response = respond(review(&pod).to_string().as_bytes(), &options).unwrap();
        prop_assert_eq!(&response["uid"], "3f0c7d2e");
    }

    #[test]
    fn no_body_makes_it_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = respond(&body, &Options::default());
    }

    #[test]
    fn no_cut_of_a_review_makes_it_panic(at in 0.0..1.0f64) {
        let body = review(&pod("vf,vf")).to_string();
        let end = (body.len() as f64 * at) as usize;
        prop_assert!(respond(&body.as_bytes()[..end], &Options::default()).is_err());
    }
}

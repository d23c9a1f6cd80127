//! What deciding costs without a network: each step on the review of a KubeVirt pod with two networks, with
//! what no reader can do without as the floor beside it: one look at each byte of the body, checked as UTF-8.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench that fails may panic")]
#![allow(missing_docs, reason = "criterion's macros write public functions")]

use std::hint::black_box;

use admission::{Network, Networks as _, Options, Outcome, Pod, review_of};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde::de::IgnoredAny;
use serde_json::Value;
use webhook::networks::NetworkStore;

const POD: &str = include_str!("../tests/fixtures/virt-launcher-pod.json");
const RESOURCE_KEY: &str = contract::annotation::RESOURCE_NAME;

fn review(networks: Option<&str>) -> Vec<u8> {
    let mut pod: Value = serde_json::from_str(POD).unwrap();
    if let Some(networks) = networks {
        pod["metadata"]["annotations"][contract::annotation::NETWORKS] = networks.into();
    }
    serde_json::to_vec(&review_of(&pod)).unwrap()
}

/// The two networks of the pod among `count` others.
fn store(count: usize) -> NetworkStore {
    let store = NetworkStore::default();
    let network =
        |resource: &str| Network::from_annotations(&[RESOURCE_KEY.to_owned()], [(RESOURCE_KEY, resource)]);
    store.begin_list();
    for name in ["default/sriov-net-a", "net-admin/sriov-net-b"] {
        store.set(name.parse().unwrap(), network("intel.com/sriov_vfio"));
    }
    for index in 0..count {
        let name = format!("tenant-{}/network-{index}", index % 250);
        store.set(name.parse().unwrap(), network(&format!("intel.com/sriov_{}", index % 8)));
    }
    store.end_list();
    store
}

fn steps(criterion: &mut Criterion) {
    let body = review(None);
    let (networks, options) = (store(10), Options::default());
    let request = admission::read(&body).unwrap();
    let decision = admission::decide(&request, &networks, &options);
    assert!(matches!(&decision.verdict.outcome, Outcome::Patched(_)), "{decision:?}");

    let mut group = criterion.benchmark_group(format!("a review of {} bytes", body.len()));
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("floor: check UTF-8", |bencher| {
        bencher.iter(|| std::str::from_utf8(black_box(&body)).map(str::len));
    });
    group.bench_function("floor: skip the JSON", |bencher| {
        bencher.iter(|| serde_json::from_slice::<IgnoredAny>(black_box(&body)).is_ok());
    });
    group.bench_function("beside it: a full parse", |bencher| {
        bencher.iter(|| serde_json::from_slice::<Value>(black_box(&body)));
    });
    group.bench_function("read", |bencher| {
        bencher.iter(|| admission::read(black_box(&body)).is_ok());
    });
    group.bench_function("decide", |bencher| {
        bencher.iter(|| admission::decide(black_box(&request), &networks, &options));
    });
    group.bench_function("answer", |bencher| {
        bencher.iter(|| admission::answer::<Pod<'_>>(&request.uid, black_box(&decision.verdict)));
    });
    group.bench_function("all", |bencher| {
        bencher.iter(|| {
            let request = admission::read(black_box(&body)).unwrap();
            admission::answer::<Pod<'_>>(
                &request.uid,
                &admission::decide(&request, &networks, &options).verdict,
            )
        });
    });
    group.finish();
}

fn selections(criterion: &mut Criterion) {
    let (networks, options) = (store(10), Options::default());
    let mut group = criterion.benchmark_group("selections");
    for count in [1, 10, 100, contract::LONGEST_LIST] {
        let comma = vec!["sriov-net-a"; count].join(",");
        let json = vec![r#"{"name":"sriov-net-a","namespace":"default"}"#; count].join(",");
        for (form, text) in [("comma", comma), ("JSON", format!("[{json}]"))] {
            group.throughput(Throughput::Elements(count as u64));
            let id = format!("parse the {form} form");
            group.bench_with_input(BenchmarkId::new(id, count), &text, |bencher, text| {
                bencher.iter(|| contract::parse_networks(black_box(text), "default"));
            });
            let body = review(Some(&text));
            let request = admission::read(&body).unwrap();
            let id = format!("decide on the {form} form");
            group.bench_with_input(BenchmarkId::new(id, count), &request, |bencher, request| {
                bencher.iter(|| admission::decide(black_box(request), &networks, &options));
            });
        }
    }
    group.finish();
}

fn networks(criterion: &mut Criterion) {
    let nad = "default/sriov-net-a".parse().unwrap();
    let mut group = criterion.benchmark_group("look up among networks");
    for count in [10, 10_000, 100_000] {
        let store = store(count);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| store.get(black_box(&nad)));
        });
    }
    group.finish();
}

criterion_group!(benches, steps, selections, networks);
criterion_main!(benches);

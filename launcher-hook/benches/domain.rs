//! How long a domain of 64 KiB takes, with what no editor can do without as the floor beside it: a copy of the
//! bytes and one pass of the tokenizer over them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench that fails may panic")]
#![allow(missing_docs, reason = "criterion's macros write public functions")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use launcher_hook::define::{Options, PodTexts, define};
use launcher_hook::domain::Document;
use quick_xml::events::Event;

const VMI: &str = include_str!("../tests/fixtures/vmi.json");
const BARE: &str = include_str!("../tests/fixtures/domain.no-hostdev.xml");
const NETWORK_INFO: &str = include_str!("../tests/fixtures/network-info.json");

/// The fixture with more disks, up to 64 KiB.
fn large_domain() -> String {
    let start = BARE.find("\t\t<disk").expect("the fixture has a disk");
    let end = BARE.find("\t\t<serial").expect("the fixture has a serial device behind its disks");
    let disks = BARE.get(start..end).expect("in this order");
    let copies = (64 * 1024 - BARE.len()) / disks.len();
    let mut domain = BARE.to_owned();
    domain.insert_str(end, &disks.repeat(copies));
    domain
}

fn tokenize(domain: &str) -> usize {
    let mut reader = quick_xml::Reader::from_str(domain);
    let mut events = 0;
    while !matches!(reader.read_event().expect("well-formed"), Event::Eof) {
        events += 1;
    }
    events
}

fn domain(criterion: &mut Criterion) {
    let domain = large_domain();
    let sources = PodTexts { network_info: Some(NETWORK_INFO), ..PodTexts::default() };
    let options = Options::default();
    let edited = define(VMI, &domain, &sources, &options).expect("two hostdevs").xml.into_owned();
    assert_eq!(edited.matches("<hostdev").count(), 2);

    let mut group = criterion.benchmark_group(format!("domain of {} bytes", domain.len()));
    group.throughput(Throughput::Bytes(domain.len() as u64));
    group.bench_function("floor: copy and tokenize", |bencher| {
        bencher.iter(|| {
            let copy = black_box(&domain).clone();
            (tokenize(&copy), copy)
        });
    });
    group.bench_function("read and check", |bencher| {
        bencher.iter(|| Document::parse(black_box(&domain)).map(|_| ()));
    });
    group.bench_function("define: two hostdevs added", |bencher| {
        bencher.iter(|| define(black_box(VMI), black_box(&domain), &sources, &options));
    });
    group.bench_function("define: nothing to do", |bencher| {
        bencher.iter(|| define(black_box(VMI), black_box(&edited), &sources, &options));
    });
    group.finish();
}

criterion_group!(benches, domain);
criterion_main!(benches);

//! What the store costs: lone commits, bulk commits, opening, memory. Arguments: directory,
//! records, bytes of a record.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a measurement by hand"
)]

use std::path::Path;
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use store::{Options, Store};

fn cpu() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64
}

fn rss() -> f64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = text.lines().find(|l| l.starts_with("Pss:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

fn key(number: u64) -> Vec<u8> {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("s{mixed:016x}").into_bytes()
}

fn value(number: u64, salt: u64, length: usize) -> Vec<u8> {
    let mut text = format!("<sip:user{number}@example.com>;tag={salt:x} ");
    let mut state = number ^ salt.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    while text.len() < length {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        text.push_str(&format!("{:08x};branch=z9hG4bK ", state >> 32));
    }
    text.truncate(length);
    text.into_bytes()
}

fn measure(name: &str, count: u64, work: impl FnOnce()) {
    let (begin, before) = (Instant::now(), cpu());
    work();
    let (wall, used) = (begin.elapsed().as_secs_f64() * 1e6, cpu() - before);
    println!(
        "{name}: {:.2} us CPU, {:.2} us wall each; {:.2} s wall in all",
        used / count as f64,
        wall / count as f64,
        wall / 1e6
    );
}

fn main() {
    let args: Vec<_> = std::env::args().collect();
    let dir = Path::new(&args[1]);
    let records: u64 = args[2].parse().unwrap();
    let length: usize = args[3].parse().unwrap();
    let phase = args.get(4).map_or("all", String::as_str);
    if phase == "open" {
        let base = rss();
        let begin = cpu();
        let now = Instant::now();
        let (mut store, opened) = Store::open(dir, Options::default()).unwrap();
        println!(
            "open {:?} {:.3} s wall {:.3} s cpu, {:.1} MB",
            opened.how,
            now.elapsed().as_secs_f64(),
            (cpu() - begin) / 1e6,
            rss() - base
        );
        let now = Instant::now();
        let mut bytes = 0;
        store.scan_all(|k, v| bytes += k.len() + v.len()).unwrap();
        println!(
            "scan {:.3} s wall, {bytes} bytes, {:.1} MB in all",
            now.elapsed().as_secs_f64(),
            rss() - base
        );
        std::process::exit(0);
    }
    let base = rss();
    let (mut store, _) = Store::open(dir, Options::default()).unwrap();
    store.stay_on_this_thread();
    measure("fill (500 a batch, flush each)", records, || {
        for start in (0..records).step_by(500) {
            let batch: Vec<_> = (start..(start + 500).min(records))
                .map(|n| (key(n), Some(value(n, 0, length))))
                .collect();
            store.apply(&batch).unwrap();
            store.flush().unwrap();
            store.settle(false).unwrap();
        }
    });
    measure("rest of settling", records, || while store.settle(true).unwrap() {});
    println!(
        "memory {:.1} MB, {:.0} B a record, disk {:.1} MB",
        rss() - base,
        (rss() - base) * 1048576.0 / records as f64,
        store.stats().unwrap().disk_bytes as f64 / 1e6
    );
    let count = 1_000;
    measure("lone commit of 1 KB", count, || {
        for n in 0..count {
            let batch = [(key(n * 7919 % records), Some(value(n, 1, 1000)))];
            store.apply(&batch).unwrap();
            store.flush().unwrap();
        }
    });
    for group in [10, 100, 1000] {
        let count = (group * 100).min(records);
        measure(&format!("overwrite, {group} a commit"), count, || {
            for start in (0..count).step_by(group as usize) {
                let batch: Vec<_> = (start..start + group)
                    .map(|n| (key(n * 7919 % records), Some(value(n, 2 + group, length))))
                    .collect();
                store.apply(&batch).unwrap();
                store.flush().unwrap();
            }
        });
        while store.settle(true).unwrap() {}
    }
    let made: u64 = 20_000;
    measure("(making batches alone)", made, || {
        for start in (0..made).step_by(500) {
            let batch: Vec<_> =
                (start..start + 500).map(|n| (key(n), Some(value(n, 0, length)))).collect();
            std::hint::black_box(batch);
        }
    });
    for (name, count) in [("in order", 50_000), ("random", 50_000), ("random", 2_000)] {
        let mut keys: Vec<_> = (0..records).map(key).collect();
        if name == "in order" {
            keys.sort();
        }
        for start in (0..count).step_by(500) {
            let batch: Vec<_> = (start..start + 500)
                .map(|n| (keys[n as usize % keys.len()].clone(), Some(value(n, count, length))))
                .collect();
            store.apply(&batch).unwrap();
            store.flush().unwrap();
        }
        measure(&format!("settle {count} {name}"), count, || while store.settle(true).unwrap() {});
    }
    println!(
        "memory {:.1} MB, disk {:.1} MB",
        rss() - base,
        store.stats().unwrap().disk_bytes as f64 / 1e6
    );
    measure("snapshot", 1, || drop(store.snapshot(usize::MAX).unwrap()));
    measure("close", 1, || store.close().unwrap());
}

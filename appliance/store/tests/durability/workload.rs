//! Batches that follow from their number, so that whoever knows how many were applied knows what
//! must be in the store.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use store::{OpenFailure, Opened, Options, Store};

/// The key that every batch sets to its own number.
const NUMBER: &[u8] = b"z";
const KEYS: u64 = 1_500;
const MAX_CHANGES: u64 = 24;
const MAX_VALUE: u64 = 700;

pub(crate) type Batch = Vec<(Vec<u8>, Option<Vec<u8>>)>;
pub(crate) type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// A number below a bound.
pub(crate) fn below(random: &mut ChaCha8Rng, bound: u64) -> u64 {
    random.next_u64() % bound.max(1)
}

/// Batch `number`.
pub(crate) fn batch(number: u64) -> Batch {
    let mut random = ChaCha8Rng::seed_from_u64(number);
    let mut changes: Batch = (0..=below(&mut random, MAX_CHANGES))
        .map(|_| {
            let key = below(&mut random, KEYS);
            // Neighbours in one table, and tables apart, as the appliance has them.
            let key = [&[b"bpsu"[(key % 4) as usize]], key.to_be_bytes().as_slice()].concat();
            let length = below(&mut random, MAX_VALUE) as usize;
            let value: Vec<u8> = number.to_le_bytes().into_iter().cycle().take(length).collect();
            (key, (below(&mut random, 5) > 0).then_some(value))
        })
        .collect();
    changes.push((NUMBER.to_vec(), Some(number.to_le_bytes().to_vec())));
    changes
}

/// Applies a batch to a model of the store.
pub(crate) fn apply(records: &mut Records, batch: Batch) {
    for (key, value) in batch {
        match value {
            Some(value) => records.insert(key, value),
            None => records.remove(&key),
        };
    }
}

/// All records of a store.
pub(crate) fn records(store: &mut Store) -> Records {
    let mut found = Records::new();
    let mut last = Vec::new();
    store
        .scan_all(|key, value| {
            assert!(last.as_slice() < key, "the walk goes by key");
            last = key.to_vec();
            found.insert(key.to_vec(), value.to_vec());
        })
        .unwrap();
    found
}

/// The number of the last batch in a store; panics unless the store holds exactly what all
/// batches up to that one amount to.
pub(crate) fn last_batch(store: &mut Store) -> u64 {
    let found = records(store);
    let last = found.get(NUMBER).map_or(0, |number| {
        u64::from_le_bytes(number.as_slice().try_into().expect("a number has eight bytes"))
    });
    let mut expected = Records::new();
    (1..=last).for_each(|number| apply(&mut expected, batch(number)));
    assert!(found == expected, "the store is not what batches 1 to {last} amount to");
    last
}

/// Options for small test disks.
pub(crate) fn options() -> Options {
    Options { reserve_bytes: 1 << 20, settle_step: 20 }
}

/// Opens a store. A process that another test starts has our locks until it becomes another
/// program; this waits for them.
pub(crate) fn open(dir: &Path) -> Result<(Store, Opened), OpenFailure> {
    open_with(dir, &options())
}

/// The same with options.
pub(crate) fn open_with(dir: &Path, options: &Options) -> Result<(Store, Opened), OpenFailure> {
    loop {
        let opened = Store::open(dir, options.clone());
        match &opened {
            Err(OpenFailure::InUse { .. }) => {}
            Err(OpenFailure::Io { source, .. }) if source.kind() == ErrorKind::WouldBlock => {}
            _ => return opened,
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Goes on with the workload: after each flush tells which batch is now on disk, and takes a
/// step of settling or of a snapshot now and then. Ends after a batch number or never.
pub(crate) fn work(dir: &Path, seed: u64, through: u64, mut acknowledge: impl FnMut(u64)) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let (mut store, _) = Store::open(dir, options()).unwrap();
    let mut number = last_batch(&mut store);
    while number < through {
        for _ in 0..=below(&mut random, 3) {
            number += 1;
            store.apply(&batch(number)).unwrap();
        }
        store.flush().unwrap();
        acknowledge(number);
        if below(&mut random, 3) > 0 {
            store.settle(true).unwrap();
        }
        if below(&mut random, 2) == 0 {
            store.snapshot(30_000).unwrap();
        }
    }
}

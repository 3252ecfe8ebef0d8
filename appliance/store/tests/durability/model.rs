//! Against a map in memory: whatever is done to the store, it holds what the map holds.

use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, RngSeed};
use store::How;

use crate::workload::{self, Batch, Records};

#[derive(Debug, Clone)]
enum Step {
    Apply(Batch),
    Flush,
    Settle,
    /// A step of a snapshot, of so many bytes.
    Snapshot(usize),
    Close,
    Drop,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => (1..4_u8, 0..100_u8).prop_map(|(table, key)| vec![table, key]),
        2 => prop::collection::vec(1..4_u8, 1..6),
        1 => (1..=255_u8, prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(table, key)| [vec![table], key].concat()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let value = prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..300));
    prop_oneof![
        8 => prop::collection::vec((key(), value), 0..60).prop_map(Step::Apply),
        2 => Just(Step::Flush),
        4 => Just(Step::Settle),
        3 => (1..8_000_usize).prop_map(Step::Snapshot),
        1 => Just(Step::Snapshot(usize::MAX)),
        1 => Just(Step::Close),
        1 => Just(Step::Drop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        rng_algorithm: RngAlgorithm::ChaCha,
        rng_seed: RngSeed::Fixed(5_222),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_store_holds_what_the_map_holds(steps in prop::collection::vec(step(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let mut expected = Records::new();
        let (mut store, opened) = workload::open(dir.path()).unwrap();
        prop_assert!(matches!(opened.how, How::New));
        for step in steps {
            match step {
                Step::Apply(batch) => {
                    store.apply(&batch).unwrap();
                    workload::apply(&mut expected, batch);
                }
                Step::Flush => store.flush().unwrap(),
                Step::Settle => drop(store.settle(true).unwrap()),
                Step::Snapshot(budget) => drop(store.snapshot(budget).unwrap()),
                Step::Close | Step::Drop => {
                    if matches!(step, Step::Close) {
                        store.close().unwrap();
                    } else {
                        drop(store);
                    }
                    let (again, opened) = workload::open(dir.path()).unwrap();
                    prop_assert!(matches!(opened.how, How::Clean));
                    prop_assert_eq!(opened.records, expected.len() as u64);
                    store = again;
                }
            }
            prop_assert_eq!(&workload::records(&mut store), &expected);
            let stats = store.stats().unwrap();
            if stats.settled < stats.batches {
                continue;
            }
            prop_assert_eq!(stats.records, expected.len() as u64);
            let bytes: usize = expected.iter().map(|(key, value)| key.len() + value.len()).sum();
            prop_assert_eq!(stats.content_bytes, bytes as u64);
        }
        prop_assert_eq!(workload::records(&mut store), expected.clone());

        // The snapshot alone gives the same records, however many batches came between its steps.
        while store.is_taking_snapshot() {
            store.snapshot(5_000).unwrap();
        }
        store.snapshot(usize::MAX).unwrap();
        drop(store);
        std::fs::remove_dir_all(dir.path().join("store")).unwrap();
        let (mut store, opened) = workload::open(dir.path()).unwrap();
        prop_assert!(matches!(opened.how, How::RestoredFromSnapshot(_)));
        prop_assert_eq!(workload::records(&mut store), expected);
    }
}

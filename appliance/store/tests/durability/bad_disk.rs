//! A disk that is full or fails gives errors, not a crash, a hang or a lost batch.

use std::fs;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use store::{
    BuildFailure, How, OpenFailure, Options, SnapshotFailure, SnapshotProgress, Store, WriteFailure,
};

use crate::power_loss::interposer;
use crate::workload::{batch, last_batch, options};
use crate::{child, workload};

/// Modes of the file that makes the disk fail.
const FULL: u32 = 0o600;
const BROKEN: u32 = 0o700;

const TEST: &str = "bad_disk::a_failing_disk_is_an_error_and_loses_no_acknowledged_batch";

#[test]
fn a_failing_disk_is_an_error_and_loses_no_acknowledged_batch() {
    if let Some(dir) = child::role() {
        return live(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let status = child::command(TEST, dir.path().to_str().unwrap())
        .env("LD_PRELOAD", interposer(dir.path()))
        .env("LAMPLIGHT_TRACE_ROOT", dir.path().join("data"))
        .env("LAMPLIGHT_TRACE_FAULT", dir.path().join("fault"))
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    let (mut store, opened) = Store::open(&dir.path().join("data"), options()).unwrap();
    assert!(matches!(opened.how, How::Recovered), "{opened:?}");
    assert!((5..=6).contains(&last_batch(&mut store)), "five batches were acknowledged");
}

fn live(dir: &Path) {
    let fault = dir.join("fault");
    let dir = dir.join("data");
    let fail = |mode| {
        fs::write(&fault, "").unwrap();
        fs::set_permissions(&fault, fs::Permissions::from_mode(mode)).unwrap();
    };
    let heal = || fs::remove_file(&fault).unwrap();
    let is_full = |error: &Error| error.kind() == ErrorKind::StorageFull;
    let is_broken = |error: &Error| error.to_string().contains("Input/output error");

    let (mut store, _) = Store::open(&dir, options()).unwrap();
    for number in 1..=4 {
        store.apply(&batch(number)).unwrap();
        store.flush().unwrap();
    }

    // A snapshot that fails leaves the store as it was.
    for (mode, is_expected) in [(FULL, &is_full as &dyn Fn(&Error) -> bool), (BROKEN, &is_broken)] {
        fail(mode);
        let failure = store.snapshot(usize::MAX).unwrap_err();
        let SnapshotFailure::Io(error) = &failure else { panic!("{failure:?}") };
        assert!(is_expected(error), "{failure:?}");
        assert!(!dir.join("snapshot.new").exists() && !store.is_taking_snapshot());
        heal();
    }
    assert!(matches!(store.snapshot(usize::MAX), Ok(SnapshotProgress::Done(_))));
    store.apply(&batch(5)).unwrap();
    store.flush().unwrap();
    drop(store);

    // A store that cannot be opened for want of space is not damaged.
    fail(FULL);
    let failure = Store::open(&dir, options()).unwrap_err();
    let OpenFailure::Io { source, .. } = &failure else { panic!("{failure:?}") };
    assert!(is_full(source), "{failure:?}");
    heal();
    // One on a disk that takes nothing may be, but then nothing can be done about it either.
    fail(BROKEN);
    let failure = Store::open(&dir, options()).unwrap_err();
    let OpenFailure::NotRestored { source: BuildFailure::Io(error), .. } = &failure else {
        panic!("{failure:?}")
    };
    assert!(is_broken(error), "{failure:?}");
    heal();
    let (mut store, opened) = Store::open(&dir, options()).unwrap();
    assert!(matches!(opened.how, How::Clean) && opened.set_aside.is_empty(), "{opened:?}");
    assert_eq!(last_batch(&mut store), 5);

    // A flush that fails stops the store; nothing hangs, not even closing it.
    store.apply(&batch(6)).unwrap();
    fail(BROKEN);
    let failure = store.flush().unwrap_err();
    assert!(matches!(&failure, WriteFailure::Io(error) if is_broken(error)), "{failure:?}");
    heal();
    assert!(matches!(store.apply(&batch(7)), Err(WriteFailure::Stopped)));
    assert!(matches!(store.flush(), Err(WriteFailure::Stopped)));
    assert!(matches!(store.scan_all(|_, _| {}), Err(WriteFailure::Stopped)));
    assert!(matches!(store.snapshot(1), Err(SnapshotFailure::Store(WriteFailure::Stopped))));
    drop(store);
    assert!(matches!(Store::open(&dir, options()), Err(OpenFailure::Io { .. })));
}

#[test]
fn a_full_disk_refuses_batches_until_there_is_space() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = workload::open(dir.path()).unwrap();
    store.apply(&batch(1)).unwrap();
    store.close().unwrap();
    let full = Options { reserve_bytes: u64::MAX, ..options() };
    let (mut store, _) = workload::open_with(dir.path(), &full).unwrap();
    assert!(matches!(store.apply(&batch(2)), Err(WriteFailure::DiskFull { .. })));
    assert!(matches!(store.snapshot(1), Err(SnapshotFailure::DiskFull { .. })));
    store.flush().unwrap();
    store.close().unwrap();
    let (mut store, _) = workload::open(dir.path()).unwrap();
    assert_eq!(last_batch(&mut store), 1);
    store.apply(&batch(2)).unwrap();
    store.close().unwrap();
}

#[test]
fn a_store_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = workload::open(dir.path()).unwrap();
    assert!(matches!(Store::open(dir.path(), options()), Err(OpenFailure::InUse { .. })));
    drop(store);
    workload::open(dir.path()).unwrap();
}

#[test]
fn a_refused_key_leaves_the_whole_batch_out() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = workload::open(dir.path()).unwrap();
    for key in [vec![], vec![0], vec![0, 1], vec![1; 70_000]] {
        let changes = [(vec![1], Some(vec![1])), (key, Some(vec![2]))];
        assert!(matches!(store.apply(&changes), Err(WriteFailure::Key(_))));
    }
    assert!(workload::records(&mut store).is_empty());
}

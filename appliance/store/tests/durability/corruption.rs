//! Damaged files: the store comes back from a snapshot and says so, or it refuses and changes
//! nothing. What it never does is go on with something that it was not.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use store::{Damage, How, OpenFailure, Opened, Restored, Store};

use crate::workload::{batch, below, last_batch};
use crate::{child, workload};

const LONGEST_OPEN: Duration = Duration::from_secs(120);
const OLDER: u64 = 100;
const NEWER: u64 = 150;
const LAST: u64 = 200;

/// A store of 200 batches with snapshots of the first 100 and 150.
fn store(dir: &Path) {
    open_store(dir).close().unwrap();
}

/// The same, as it is found when its process is killed: a part of it is in the journals only.
fn killed_store(dir: &Path) {
    let scratch = tempfile::tempdir().unwrap();
    let store = open_store(scratch.path());
    copy(scratch.path(), dir);
    drop(store);
}

fn open_store(dir: &Path) -> Store {
    let (mut store, _) = workload::open(dir).unwrap();
    for number in 1..=LAST {
        store.apply(&batch(number)).unwrap();
        store.flush().unwrap();
        // Two steps a batch keep up; in the end there are two journals.
        if number < LAST - 10 || number == LAST - 5 {
            store.settle(true).unwrap();
            store.settle(number < LAST - 10).unwrap();
        }
        if number == OLDER || number == NEWER {
            store.snapshot(usize::MAX).unwrap();
        }
        if number == LAST / 2 {
            store.close().unwrap();
            store = workload::open(dir).unwrap().0;
        }
    }
    store
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for (path, bytes) in files(from) {
        let to = to.join(path);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, bytes).unwrap();
    }
}

/// Every file below a directory, by relative path.
pub(crate) fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(next) = dirs.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else {
                found
                    .insert(path.strip_prefix(dir).unwrap().to_path_buf(), fs::read(path).unwrap());
            }
        }
    }
    found
}

/// Opens a store in good time; gives how, and the last batch in it.
fn open(dir: &Path) -> Result<(Opened, u64), OpenFailure> {
    let (sender, receiver) = sync_channel(1);
    let dir = dir.to_path_buf();
    std::thread::spawn(move || {
        let opened = workload::open(&dir).map(|(mut store, opened)| {
            let last = last_batch(&mut store);
            store.close().unwrap();
            (opened, last)
        });
        let _: Result<(), _> = sender.send(opened);
    });
    receiver.recv_timeout(LONGEST_OPEN).expect("the store opens or tells why not")
}

/// Opens a damaged store; gives what the restoration did, and the last batch.
fn restored(dir: &Path) -> (Restored, u64) {
    let (opened, last) = open(dir).unwrap();
    let How::RestoredFromSnapshot(restored) = opened.how else { panic!("{opened:?}") };
    assert_eq!(opened.set_aside.first(), restored.set_aside.as_ref());
    // It is a sound store from then on.
    let (again, same) = open(dir).unwrap();
    assert!(matches!(again.how, How::Clean) && same == last, "{again:?}");
    (*restored, last)
}

#[test]
fn any_damaged_file_is_noticed_or_did_not_matter() {
    const TEST: &str = "corruption::any_damaged_file_is_noticed_or_did_not_matter";
    if child::role().is_none() {
        return child::run(TEST, "judge");
    }
    for make in [store, killed_store] {
        damage_every_file_of(make);
    }
}

fn damage_every_file_of(make: fn(&Path)) {
    let scratch = tempfile::tempdir().unwrap();
    let good = scratch.path().join("good");
    make(&good);
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let (mut noticed, mut harmless) = (0, 0);
    for (path, bytes) in files(&good) {
        if !path.starts_with("store") || bytes.is_empty() {
            continue;
        }
        let mut cases = vec![None, Some(bytes[..bytes.len() / 2].to_vec())];
        for _ in 0..3 {
            let mut flipped = bytes.clone();
            flipped[below(&mut random, bytes.len() as u64) as usize] ^= 1 << below(&mut random, 8);
            cases.push(Some(flipped));
        }
        for (number, case) in cases.into_iter().enumerate() {
            let dir = tempfile::tempdir_in(scratch.path()).unwrap();
            copy(&good, dir.path());
            match case {
                Some(bytes) => fs::write(dir.path().join(&path), bytes).unwrap(),
                None => fs::remove_file(dir.path().join(&path)).unwrap(),
            }
            let (opened, last) = open(dir.path()).unwrap();
            let context = format!("{} case {number}: {last}, {opened:?}", path.display());
            match opened.how {
                How::RestoredFromSnapshot(restored) => {
                    assert_eq!(last, NEWER, "{context}");
                    assert!(restored.passed_over.is_empty(), "{context}");
                    let aside = restored.set_aside.as_ref().unwrap();
                    assert!(aside.join("store").is_dir(), "{context}");
                    let lost = restored.batches_lost;
                    assert!(lost.is_none_or(|lost| lost == LAST - NEWER), "{context}");
                    noticed += 1;
                }
                How::Clean | How::Recovered => {
                    assert_eq!(last, LAST, "{context}");
                    harmless += 1;
                }
                How::New => panic!("{context}"),
            }
        }
    }
    assert!(noticed > 30 && harmless > 0, "{noticed} noticed, {harmless} harmless");
}

#[test]
fn a_missing_part_is_damage_of_its_own_kind() {
    let scratch = tempfile::tempdir().unwrap();
    let good = scratch.path().join("good");
    store(&good);
    let damaged = |part: &str| {
        let dir = tempfile::tempdir_in(scratch.path()).unwrap();
        copy(&good, dir.path());
        let part = dir.path().join(part);
        if part.is_dir() { fs::remove_dir_all(part) } else { fs::remove_file(part) }.unwrap();
        let (restored, last) = restored(dir.path());
        assert_eq!(last, NEWER);
        assert_eq!(restored.snapshot, dir.path().join(format!("snapshot-{NEWER:016x}")));
        (restored.damage, restored.batches_lost)
    };
    assert!(matches!(damaged("store"), (Damage::Missing, None)));
    assert!(matches!(damaged("store/generation"), (Damage::NoGenerationFile, None)));
    assert!(matches!(damaged("store/engine"), (Damage::Unreadable(_), Some(50))));
    assert!(matches!(damaged("store/engine/metadata"), (Damage::Unreadable(_), Some(50))));
}

#[test]
fn a_journal_that_is_missing_cut_or_damaged_is_noticed() {
    let scratch = tempfile::tempdir().unwrap();
    let good = scratch.path().join("good");
    killed_store(&good);
    let journals: Vec<_> = files(&good)
        .into_iter()
        .filter(|(path, _)| path.to_str().unwrap().contains("journal-"))
        .collect();
    let [(old, old_bytes), (new, new_bytes)] = &journals[..] else { panic!("{journals:?}") };
    let restored_with = |path: &Path, bytes: Option<&[u8]>| {
        let dir = tempfile::tempdir_in(scratch.path()).unwrap();
        copy(&good, dir.path());
        match bytes {
            Some(bytes) => fs::write(dir.path().join(path), bytes).unwrap(),
            None => fs::remove_file(dir.path().join(path)).unwrap(),
        }
        let (restored, last) = restored(dir.path());
        assert_eq!((last, restored.batches_lost), (NEWER, Some(LAST - NEWER)));
        restored.damage
    };
    let mut flipped = new_bytes.clone();
    flipped[100] ^= 1;
    let cut = |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec();
    assert!(matches!(restored_with(old, None), Damage::JournalGap));
    assert!(matches!(restored_with(old, Some(&cut(old_bytes))), Damage::JournalGap));
    assert!(matches!(restored_with(new, Some(&flipped)), Damage::Journal));
    let stale = |found| move |damage| matches!(damage, Damage::Stale { expected: LAST, found: f } if f == found);
    assert!(stale(LAST - 1)(restored_with(new, Some(&cut(new_bytes)))));
    assert!(stale(LAST - 5)(restored_with(new, None)));
    // As it is, it is whole.
    let (opened, last) = open(&good).unwrap();
    assert!(matches!(opened.how, How::Recovered) && last == LAST, "{opened:?}");
    assert!(journals.iter().all(|(path, _)| !good.join(path).exists()));
}

#[test]
fn an_old_store_put_back_is_noticed() {
    let scratch = tempfile::tempdir().unwrap();
    let (now, old) = (scratch.path().join("now"), scratch.path().join("old"));
    let (mut store, _) = workload::open(&now).unwrap();
    for number in 1..=20 {
        if number == 11 {
            store.close().unwrap();
            copy(&now, &old);
            store = workload::open(&now).unwrap().0;
        }
        store.apply(&batch(number)).unwrap();
        store.flush().unwrap();
    }
    store.snapshot(usize::MAX).unwrap();
    store.close().unwrap();

    let replaced = |part: &str| {
        let dir = tempfile::tempdir_in(scratch.path()).unwrap();
        copy(&now, dir.path());
        fs::remove_dir_all(dir.path().join(part)).unwrap();
        copy(&old.join(part), &dir.path().join(part));
        restored(dir.path())
    };
    // The generation file, and with it gone too, the snapshots, know better.
    for part in ["store/engine", "store"] {
        let (restored, last) = replaced(part);
        assert!(
            matches!(restored.damage, Damage::Stale { expected: 20, found: 10 }),
            "{restored:?}"
        );
        assert_eq!((last, restored.batches_lost), (20, Some(0)));
    }

    let other = scratch.path().join("other");
    workload::open(&other).unwrap();
    let dir = tempfile::tempdir_in(scratch.path()).unwrap();
    copy(&now, dir.path());
    fs::remove_dir_all(dir.path().join("store/engine")).unwrap();
    copy(&other.join("store/engine"), &dir.path().join("store/engine"));
    let (restored, last) = restored(dir.path());
    assert!(matches!(restored.damage, Damage::OtherStore { .. }), "{restored:?}");
    assert_eq!(last, 20);
}

#[test]
fn a_record_that_is_gone_or_changed_in_sound_files_is_noticed() {
    let scratch = tempfile::tempdir().unwrap();
    let good = scratch.path().join("good");
    store(&good);
    let spoil: [fn(&sled::Db<64>, &[u8]); 2] = [
        |db, key| assert!(db.remove(key).unwrap().is_some()),
        |db, key| assert!(db.insert(key, b"other").unwrap().is_some()),
    ];
    for spoil in spoil {
        let dir = tempfile::tempdir_in(scratch.path()).unwrap();
        copy(&good, dir.path());
        let config = sled::Config::new().path(dir.path().join("store/engine"));
        let db: sled::Db<64> = config.flush_every_ms(None).open().unwrap();
        let (key, _) = db.range::<&[u8], _>(&b"p"[..]..).next().unwrap().unwrap();
        spoil(&db, &key);
        drop(db);
        let (restored, last) = restored(dir.path());
        assert!(matches!(restored.damage, Damage::Contents { .. }), "{restored:?}");
        assert_eq!((last, restored.batches_lost), (NEWER, Some(LAST - NEWER)));
    }
}

#[test]
fn a_bad_snapshot_is_passed_over_and_two_bad_ones_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    store(dir.path());
    let spoil = |counter: u64| {
        let path = dir.path().join(format!("snapshot-{counter:016x}"));
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        path
    };
    let newer = spoil(NEWER);
    let other = tempfile::tempdir().unwrap();
    copy(dir.path(), other.path());
    fs::remove_file(dir.path().join("store/generation")).unwrap();
    let (restored, last) = restored(dir.path());
    assert_eq!(last, OLDER);
    assert_eq!(restored.passed_over.len(), 1);
    assert_eq!(restored.passed_over[0].0, newer);
    assert!(restored.set_aside.unwrap().join(newer.file_name().unwrap()).is_file());

    let dir = other;
    let older = dir.path().join(format!("snapshot-{OLDER:016x}"));
    fs::write(&older, &fs::read(&older).unwrap()[..1000]).unwrap();
    fs::remove_file(dir.path().join("store/generation")).unwrap();
    let before = files(dir.path());
    for _ in 0..2 {
        let failure = open(dir.path()).unwrap_err();
        let OpenFailure::Unrecoverable { damage, snapshots, .. } = failure else {
            panic!("{failure:?}")
        };
        assert!(matches!(damage, Damage::NoGenerationFile), "{damage:?}");
        assert_eq!(snapshots.len(), 2);
        assert!(files(dir.path()) == before, "a refusal changed something");
    }
}

#[test]
fn an_index_without_its_next_log_opens_again_and_again() {
    // What a crash leaves between sled's renaming of its index and its making of the log.
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = workload::open(dir.path()).unwrap();
    store.apply(&batch(1)).unwrap();
    store.close().unwrap();
    let metadata = dir.path().join("store/engine/metadata");
    for _ in 0..4 {
        let (opened, last) = open(dir.path()).unwrap();
        assert!(matches!(opened.how, How::Clean) && last == 1, "{opened:?}");
        let names = fs::read_dir(&metadata).unwrap().map(|entry| entry.unwrap().path());
        let logs: Vec<_> = names.filter(|path| path.to_str().unwrap().contains("log_")).collect();
        assert_eq!(logs.len(), 1);
        // Closed without a batch since it was opened, so nothing is lost with the log.
        assert_eq!(fs::metadata(&logs[0]).unwrap().len(), 0);
        fs::remove_file(&logs[0]).unwrap();
    }
}

#[test]
fn a_copy_is_a_store_of_its_own() {
    let scratch = tempfile::tempdir().unwrap();
    let (one, two) = (scratch.path().join("one"), scratch.path().join("two"));
    store(&one);
    let (mut store, _) = workload::open(&one).unwrap();
    store.copy_to(&two).unwrap();
    assert!(matches!(store.copy_to(&two), Err(store::BuildFailure::Exists)));
    store.apply(&batch(LAST + 1)).unwrap();
    store.close().unwrap();
    let (opened, last) = open(&two).unwrap();
    assert!(matches!(opened.how, How::Clean) && last == LAST, "{opened:?}");
    assert_eq!(open(&one).unwrap().1, LAST + 1);
}

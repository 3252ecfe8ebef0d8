//! Snapshots as files: what is written reads back, what is damaged is refused.

use super::*;

fn generation() -> Generation {
    Generation { id: StoreId([3; 16]), counter: 0x2a, ahead: 0x2a, records: 2, digest: 99 }
}

fn write(dir: &Path, records: &[(&[u8], Option<&[u8]>)], counter: u64) -> SnapshotFile {
    let mut writer = Writer::create(dir, &[0]).unwrap();
    for (key, value) in records {
        writer.add(key, *value).unwrap();
    }
    let generation = Generation { counter, ..generation() };
    writer.finish(dir, generation, UNIX_EPOCH + Duration::from_millis(1_234)).unwrap()
}

const RECORDS: [(&[u8], Option<&[u8]>); 3] =
    [(b"ua", Some(b"one")), (b"ub", Some(b"")), (b"ua", None)];

#[test]
fn frames_and_footer_read_back_as_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), &RECORDS, 0x2a);
    assert_eq!(file.path, dir.path().join("snapshot-000000000000002a"));
    let mut reader = Reader::open(&file.path).unwrap();
    for (key, value) in RECORDS {
        let frame = reader.next().unwrap().unwrap();
        assert_eq!((frame.0.as_slice(), frame.1.as_deref()), (key, value));
    }
    assert!(reader.next().unwrap().is_none());
    assert_eq!(reader.footer.generation, generation());
    assert_eq!(reader.footer.taken, UNIX_EPOCH + Duration::from_millis(1_234));
}

#[test]
fn two_generations_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    for counter in [1, 2, 0x10, 0x11] {
        write(dir.path(), &RECORDS, counter);
    }
    let counters: Vec<_> = list(dir.path()).unwrap().iter().map(|file| file.counter).collect();
    assert_eq!(counters, [0x11, 0x10]);
}

#[test]
fn every_flipped_bit_and_every_missing_end_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), &RECORDS, 1).path;
    let good = fs::read(&path).unwrap();
    for position in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[position] ^= 1 << bit;
            fs::write(&path, &bad).unwrap();
            assert!(verify(&path).is_err(), "bit {bit} of byte {position}");
        }
        fs::write(&path, &good[..position]).unwrap();
        assert!(verify(&path).is_err(), "cut to {position} bytes");
    }
    fs::write(&path, &good).unwrap();
    verify(&path).unwrap();
}

//! What a journal gives back, whole, torn and damaged.

use super::*;

const ID: StoreId = StoreId([7; 16]);

type Changes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

fn read(dir: &Path, have: u64) -> Result<(u64, Changes), Unusable> {
    let mut found = Vec::new();
    let last = replay(&list(dir)?, ID, have, |key, value| {
        found.push((key.to_vec(), value.map(<[u8]>::to_vec)));
    })?;
    Ok((last, found))
}

/// Frames of batch 6, 7 and 8 together, and 9; gives where each begins and the last one ends.
fn write(dir: &Path) -> (PathBuf, Vec<usize>) {
    let mut journal = Journal::create(dir, ID, 5).unwrap();
    let mut ends = vec![HEADER_LENGTH];
    for batches in [&[6][..], &[7, 8], &[9]] {
        for &batch in batches {
            journal.add(b"key", Some(&[batch; 9]));
            journal.add(b"gone", None);
            journal.end_batch(u64::from(batch));
        }
        journal.commit().unwrap();
        journal.commit().unwrap();
        ends.push(HEADER_LENGTH + usize::try_from(journal.bytes).unwrap());
    }
    (journal.path, ends)
}

fn changes(batches: &[u8]) -> Changes {
    let both = |batch: &u8| [(b"key".to_vec(), Some(vec![*batch; 9])), (b"gone".to_vec(), None)];
    batches.iter().flat_map(both).collect()
}

#[test]
fn what_was_committed_comes_back_and_what_the_engine_has_is_skipped() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    assert_eq!(read(dir.path(), 5).unwrap(), (9, changes(&[6, 7, 8, 9])));
    assert_eq!(read(dir.path(), 6).unwrap(), (9, changes(&[7, 8, 9])));
    assert_eq!(read(dir.path(), 9).unwrap(), (9, vec![]));
    // An old journal come back: the engine is further.
    assert_eq!(read(dir.path(), 40).unwrap(), (40, vec![]));
    assert!(matches!(read(dir.path(), 4), Err(Unusable::Gap)));
}

#[test]
fn a_torn_end_is_left_out_and_damage_before_it_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (path, ends) = write(dir.path());
    let good = fs::read(&path).unwrap();
    let [begin, one, two, three] = ends[..] else { panic!("{ends:?}") };
    assert_eq!(three, good.len());
    for length in 0..good.len() {
        fs::write(&path, &good[..length]).unwrap();
        let last = match length {
            _ if length < begin => None,
            _ if length < one => Some(5),
            _ if length < two => Some(6),
            _ => Some(8),
        };
        assert_eq!(read(dir.path(), 5).ok().map(|(last, _)| last), last, "{length} bytes");
        // The system may have made the file longer before it wrote the end.
        let zeros = [&good[..length], &[0; 100]].concat();
        fs::write(&path, zeros).unwrap();
        assert_eq!(read(dir.path(), 5).ok().map(|(last, _)| last), last, "{length} and zeros");
    }
    for byte in 0..good.len() {
        let mut flipped = good.clone();
        flipped[byte] ^= 4;
        fs::write(&path, flipped).unwrap();
        match read(dir.path(), 5) {
            Ok((last, _)) => assert!(byte >= two && last == 8, "byte {byte}"),
            Err(unusable) => {
                assert!(byte < two && matches!(unusable, Unusable::Damaged), "byte {byte}");
            }
        }
    }
}

#[test]
fn one_journal_goes_on_where_the_other_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (first, ends) = write(dir.path());
    let mut next = Journal::create(dir.path(), ID, 9).unwrap();
    next.add(b"key", Some(&[10; 9]));
    next.end_batch(10);
    next.commit().unwrap();
    assert_eq!(
        read(dir.path(), 5).unwrap(),
        (
            10,
            changes(&[6, 7, 8, 9])
                .into_iter()
                .chain([(b"key".to_vec(), Some(vec![10; 9]))])
                .collect()
        )
    );
    assert_eq!(read(dir.path(), 9).unwrap().0, 10);
    let whole = fs::read(&first).unwrap();
    fs::write(&first, &whole[..ends[2] + 10]).unwrap();
    assert!(matches!(read(dir.path(), 5), Err(Unusable::Gap)));
    fs::remove_file(&first).unwrap();
    assert!(matches!(read(dir.path(), 5), Err(Unusable::Gap)));
    assert_eq!(read(dir.path(), 9).unwrap().0, 10);
}

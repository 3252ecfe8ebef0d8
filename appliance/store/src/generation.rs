//! Which store this is and how far it has come, written twice: inside the engine, as part of
//! whatever it is given, and in a small file beside it.
//!
//! The record inside counts the batches that the engine has and carries the number and the digest of all records, so a
//! store that reads well but is a mixture of times does not pass. The file carries the counter of
//! a batch only after that batch is durable, so whatever of it survives a crash is a floor: a
//! store below it was lost, replaced or cut short. The file is written at each flush and synced
//! only where a sync is due anyway (open, snapshot, close): nothing is wrong with an old floor.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The key of the generation record; no table has the letter 0.
pub(crate) const RECORD_KEY: [u8; 1] = [0];

const FORMAT: u8 = 2;
const MAGIC: [u8; 7] = *b"LAMPGEN";
/// Two slots, each in a page of its own: the one being overwritten may tear, the other stands.
const SLOT_DISTANCE: u64 = 4096;
const SLOT_LENGTH: usize = 45;

/// Tells one building of a store from any other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StoreId(pub(crate) [u8; 16]);

impl StoreId {
    /// An identity that no other store has.
    pub(crate) fn random() -> io::Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(Self(bytes))
    }
}

impl std::fmt::Display for StoreId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for StoreId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoreId({self})")
    }
}

/// The generation record of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation {
    pub(crate) id: StoreId,
    /// Batches applied since the store was first made.
    pub(crate) counter: u64,
    /// Changes of later batches, up to this one, may be among the records: the journal, which
    /// had them all on disk before, makes those batches whole.
    pub(crate) ahead: u64,
    /// Records, without this one.
    pub(crate) records: u64,
    /// Sum of the records' digests, without this one.
    pub(crate) digest: u64,
}

impl Generation {
    /// A store without records.
    pub(crate) fn empty(id: StoreId, counter: u64) -> Self {
        Self { id, counter, ahead: counter, records: 0, digest: 0 }
    }

    /// Takes a record in.
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.records = self.records.wrapping_add(1);
        self.digest = self.digest.wrapping_add(digest(key, value));
    }

    /// Takes a record out.
    pub(crate) fn subtract(&mut self, key: &[u8], value: &[u8]) {
        self.records = self.records.wrapping_sub(1);
        self.digest = self.digest.wrapping_sub(digest(key, value));
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&self.id.0);
        for number in [self.counter, self.ahead, self.records, self.digest] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[FORMAT], rest) = bytes.split_first_chunk::<1>()? else { return None };
        let (&id, rest) = rest.split_first_chunk()?;
        let (&counter, rest) = rest.split_first_chunk()?;
        let (&ahead, rest) = rest.split_first_chunk()?;
        let (&records, rest) = rest.split_first_chunk()?;
        let (&digest, rest) = rest.split_first_chunk()?;
        rest.is_empty().then(|| Self {
            id: StoreId(id),
            counter: u64::from_le_bytes(counter),
            ahead: u64::from_le_bytes(ahead),
            records: u64::from_le_bytes(records),
            digest: u64::from_le_bytes(digest),
        })
    }
}

/// Digest of one record; their sum does not depend on the order.
fn digest(key: &[u8], value: &[u8]) -> u64 {
    let pair = u64::from(crc32fast::hash(key)) << 32 | u64::from(crc32fast::hash(value));
    // CRCs add up linearly; the finalizer of splitmix64 makes the sum tell who has which value.
    let mixed = (pair ^ (pair >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What the file beside the store says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Floor {
    pub(crate) id: StoreId,
    /// The store had come at least so far.
    pub(crate) counter: u64,
    /// The store was closed in order and not opened since.
    pub(crate) is_closed: bool,
}

impl Floor {
    fn encode(&self, sequence: u64) -> [u8; SLOT_LENGTH] {
        let mut bytes = [0; SLOT_LENGTH];
        let fields = [
            &MAGIC[..],
            &[FORMAT, u8::from(self.is_closed)],
            &sequence.to_le_bytes(),
            &self.id.0,
            &self.counter.to_le_bytes(),
        ]
        .concat();
        let crc = crc32fast::hash(&fields).to_le_bytes();
        for (to, from) in bytes.iter_mut().zip(fields.iter().chain(&crc)) {
            *to = *from;
        }
        bytes
    }

    fn decode(bytes: &[u8; SLOT_LENGTH]) -> Option<(u64, Self)> {
        let (fields, &crc) = bytes.split_last_chunk()?;
        let rest = fields.strip_prefix(&MAGIC)?;
        let (&[FORMAT, is_closed], rest) = rest.split_first_chunk()? else { return None };
        let (&sequence, rest) = rest.split_first_chunk()?;
        let (&id, rest) = rest.split_first_chunk()?;
        let (&counter, _) = rest.split_first_chunk()?;
        let floor = Self {
            id: StoreId(id),
            counter: u64::from_le_bytes(counter),
            is_closed: is_closed != 0,
        };
        (crc32fast::hash(fields) == u32::from_le_bytes(crc))
            .then(|| (u64::from_le_bytes(sequence), floor))
    }
}

/// The file beside the store, open for writing.
#[derive(Debug)]
pub(crate) struct Sidecar {
    file: File,
    sequence: u64,
}

impl Sidecar {
    /// Writes a new file, whole and synced.
    pub(crate) fn create(path: &Path, floor: Floor) -> io::Result<()> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let mut sidecar = Self { file, sequence: 0 };
        sidecar.write(floor)?;
        sidecar.write(floor)?;
        sidecar.file.sync_all()
    }

    /// Opens the file; `None` when it is missing or neither slot can be read.
    pub(crate) fn open(path: &Path) -> io::Result<Option<(Self, Floor)>> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut newest: Option<(u64, Floor)> = None;
        for slot in [0, 1] {
            let mut bytes = [0; SLOT_LENGTH];
            match file.read_exact_at(&mut bytes, slot * SLOT_DISTANCE) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
                Err(error) => return Err(error),
            }
            let Some((sequence, floor)) = Floor::decode(&bytes) else { continue };
            if newest.is_none_or(|(best, _)| best < sequence) {
                newest = Some((sequence, floor));
            }
        }
        Ok(newest.map(|(sequence, floor)| (Self { file, sequence }, floor)))
    }

    /// Writes a floor over the older slot.
    pub(crate) fn write(&mut self, floor: Floor) -> io::Result<()> {
        let sequence = self.sequence.wrapping_add(1);
        self.file.write_all_at(&floor.encode(sequence), sequence % 2 * SLOT_DISTANCE)?;
        self.sequence = sequence;
        Ok(())
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: StoreId = StoreId([7; 16]);

    #[test]
    fn a_record_reads_back_as_written() {
        let mut generation = Generation::empty(ID, 41);
        generation.add(b"ukey", b"value");
        assert_eq!(Generation::decode(&generation.encode()), Some(generation));
        assert_eq!(Generation::decode(&generation.encode()[..40]), None);
    }

    #[test]
    fn the_digest_does_not_depend_on_the_order_but_on_who_has_what() {
        let mut one = Generation::empty(ID, 0);
        one.add(b"a", b"1");
        one.add(b"b", b"2");
        let mut other = Generation::empty(ID, 0);
        other.add(b"b", b"2");
        other.add(b"c", b"3");
        other.add(b"a", b"1");
        other.subtract(b"c", b"3");
        assert_eq!(one, other);
        let mut swapped = Generation::empty(ID, 0);
        swapped.add(b"a", b"2");
        swapped.add(b"b", b"1");
        assert_ne!(one.digest, swapped.digest);
    }

    #[test]
    fn the_newer_slot_counts_and_a_torn_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("generation");
        let floor = |counter, is_closed| Floor { id: ID, counter, is_closed };
        Sidecar::create(&path, floor(3, true)).unwrap();
        let (mut sidecar, found) = Sidecar::open(&path).unwrap().unwrap();
        assert_eq!(found, floor(3, true));
        sidecar.write(floor(3, false)).unwrap();
        assert_eq!(Sidecar::open(&path).unwrap().unwrap().1, floor(3, false));
        sidecar.write(floor(4, false)).unwrap();
        sidecar.write(floor(5, false)).unwrap();
        assert_eq!(Sidecar::open(&path).unwrap().unwrap().1, floor(5, false));

        sidecar.write(floor(5, true)).unwrap();
        assert_eq!(Sidecar::open(&path).unwrap().unwrap().1, floor(5, true));

        let newest = sidecar.sequence % 2 * SLOT_DISTANCE;
        sidecar.file.write_all_at(b"x", newest + 20).unwrap();
        assert_eq!(Sidecar::open(&path).unwrap().unwrap().1, floor(5, false));
        sidecar.file.write_all_at(b"x", SLOT_DISTANCE - newest + 20).unwrap();
        assert!(Sidecar::open(&path).unwrap().is_none());
    }
}

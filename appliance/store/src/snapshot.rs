//! Logical snapshots: all records in one file that needs no engine to be read.
//!
//! ```text
//! header   magic, format
//! frames   kind (put, remove), length of key, length of value, key, value, CRC-32 of all these
//! footer   generation of the store, number of frames, time, CRC-32 of the frames' CRCs, CRC-32
//! ```
//!
//! A snapshot is written in steps between batches, so frames are to be applied in order: a batch
//! that comes in between adds frames for the keys already passed. What results is the store at
//! the moment of the footer. The file gets its name, which carries that moment's counter, when it
//! is complete and synced.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::directory;
use crate::generation::{Generation, StoreId};
use crate::store::WriteFailure;

const PREFIX: &str = "snapshot-";
/// The snapshot being written.
pub(crate) const UNFINISHED: &str = "snapshot.new";
/// Finished snapshots kept.
const KEPT: usize = 2;

const MAGIC: [u8; 8] = *b"LAMPSNAP";
const FORMAT: u8 = 1;
const HEADER: [u8; 9] = {
    let [a, b, c, d, e, f, g, h] = MAGIC;
    [a, b, c, d, e, f, g, h, FORMAT]
};
const PUT: u8 = 1;
const REMOVE: u8 = 2;
const FOOTER: u8 = 3;
const FRAME_HEAD: usize = 9;
const CRC: u64 = 4;
const FOOTER_LENGTH: usize = 65;

/// A snapshot could not be taken; the store itself goes on.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotFailure {
    /// Fewer bytes are free than the snapshot and the reserve need.
    #[error("the snapshot needs {needed} bytes and {free} are free")]
    DiskFull {
        /// Bytes free.
        free: u64,
        /// Bytes that the snapshot is expected to take, and the reserve.
        needed: u64,
    },
    /// The file could not be written.
    #[error("the snapshot cannot be written")]
    Io(#[from] io::Error),
    /// The store failed while its records were read or flushed.
    #[error("the store failed")]
    Store(#[source] WriteFailure),
}

/// A snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotDamage {
    /// The file could not be read.
    #[error("the file cannot be read")]
    Io(#[from] io::Error),
    /// The file does not begin as a snapshot of a known format does.
    #[error("the file is no snapshot of a known format")]
    Header,
    /// A frame is damaged.
    #[error("frame {0} is damaged")]
    Frame(u64),
    /// The end is missing or damaged.
    #[error("the end of the file is missing or damaged")]
    Footer,
    /// The frames are good and yet do not give the records that the footer announces.
    #[error("the records are not those that the end of the file announces")]
    Contents,
}

/// How far a snapshot has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotProgress {
    /// The newest snapshot already holds everything.
    Unchanged,
    /// More steps are needed.
    More,
    /// The snapshot is complete and on disk.
    Done(SnapshotFile),
}

/// A finished snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotFile {
    /// Where it is.
    pub path: PathBuf,
    /// The last batch that it contains.
    pub counter: u64,
}

/// What the end of a snapshot says about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Footer {
    pub(crate) generation: Generation,
    pub(crate) taken: SystemTime,
    frames: u64,
    frames_crc: u32,
}

impl Footer {
    fn encode(&self) -> Vec<u8> {
        let millis = self.taken.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let mut bytes = vec![FOOTER];
        bytes.extend_from_slice(&self.generation.id.0);
        for number in [
            self.generation.counter,
            self.generation.records,
            self.generation.digest,
            self.frames,
            u64::try_from(millis).unwrap_or_default(),
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.frames_crc.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8; FOOTER_LENGTH]) -> Option<Self> {
        let (fields, &crc) = bytes.split_last_chunk()?;
        if crc32fast::hash(fields) != u32::from_le_bytes(crc) {
            return None;
        }
        let (&[FOOTER], rest) = fields.split_first_chunk::<1>()? else { return None };
        let (&id, rest) = rest.split_first_chunk()?;
        let (&counter, rest) = rest.split_first_chunk()?;
        let (&records, rest) = rest.split_first_chunk()?;
        let (&digest, rest) = rest.split_first_chunk()?;
        let (&frames, rest) = rest.split_first_chunk()?;
        let (&millis, rest) = rest.split_first_chunk()?;
        let (&frames_crc, _) = rest.split_first_chunk()?;
        let since = Duration::from_millis(u64::from_le_bytes(millis));
        Some(Self {
            generation: Generation {
                id: StoreId(id),
                counter: u64::from_le_bytes(counter),
                ahead: u64::from_le_bytes(counter),
                records: u64::from_le_bytes(records),
                digest: u64::from_le_bytes(digest),
            },
            taken: UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH),
            frames: u64::from_le_bytes(frames),
            frames_crc: u32::from_le_bytes(frames_crc),
        })
    }
}

/// The finished snapshots of a store, newest first.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<SnapshotFile>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let counter = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if let Some(counter) = counter.and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
            found.push(SnapshotFile { path: entry.path(), counter });
        }
    }
    found.sort_by_key(|snapshot| std::cmp::Reverse(snapshot.counter));
    Ok(found)
}

/// The end of a snapshot, if that much can be read.
pub(crate) fn footer(path: &Path) -> Result<Footer, SnapshotDamage> {
    Reader::open(path).map(|reader| reader.footer)
}

/// Reads a snapshot from beginning to end without keeping anything.
pub(crate) fn verify(path: &Path) -> Result<Footer, SnapshotDamage> {
    let mut reader = Reader::open(path)?;
    while reader.next()?.is_some() {}
    Ok(reader.footer)
}

/// A frame: a key and its value, `None` for removed.
pub(crate) type Frame = (Vec<u8>, Option<Vec<u8>>);

/// A snapshot being read.
#[derive(Debug)]
pub(crate) struct Reader {
    input: BufReader<File>,
    pub(crate) footer: Footer,
    bytes_left: u64,
    frames_read: u64,
    frames_crc: crc32fast::Hasher,
}

impl Reader {
    /// Opens a snapshot whose beginning and end are right.
    pub(crate) fn open(path: &Path) -> Result<Self, SnapshotDamage> {
        let mut file = File::open(path)?;
        let header = u64::try_from(HEADER.len()).unwrap_or_default();
        let footer = u64::try_from(FOOTER_LENGTH).unwrap_or_default();
        let Some(bytes_left) = file.metadata()?.len().checked_sub(header + footer) else {
            return Err(SnapshotDamage::Header);
        };
        file.seek(SeekFrom::Start(header + bytes_left))?;
        let mut end = [0; FOOTER_LENGTH];
        file.read_exact(&mut end)?;
        let footer = Footer::decode(&end).ok_or(SnapshotDamage::Footer)?;
        file.seek(SeekFrom::Start(0))?;
        let mut input = BufReader::with_capacity(1 << 16, file);
        let mut begin = [0; HEADER.len()];
        input.read_exact(&mut begin)?;
        if begin != HEADER {
            return Err(SnapshotDamage::Header);
        }
        Ok(Self { input, footer, bytes_left, frames_read: 0, frames_crc: crc32fast::Hasher::new() })
    }

    /// The next frame; `None` at the end, when all that was announced has been read.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, SnapshotDamage> {
        if self.bytes_left == 0 {
            let crc = self.frames_crc.clone().finalize();
            let is_whole = self.frames_read == self.footer.frames && crc == self.footer.frames_crc;
            return if is_whole { Ok(None) } else { Err(SnapshotDamage::Footer) };
        }
        let damage = SnapshotDamage::Frame(self.frames_read);
        let mut head = [0; FRAME_HEAD];
        self.input.read_exact(&mut head)?;
        let [kind, k0, k1, k2, k3, v0, v1, v2, v3] = head;
        let key_length = u64::from(u32::from_le_bytes([k0, k1, k2, k3]));
        let value_length = u64::from(u32::from_le_bytes([v0, v1, v2, v3]));
        let head_length = u64::try_from(FRAME_HEAD).unwrap_or_default();
        let length = head_length + key_length + value_length + CRC;
        let Some(bytes_left) = self.bytes_left.checked_sub(length) else { return Err(damage) };
        let key = self.bytes(key_length)?;
        let value = self.bytes(value_length)?;
        let mut crc = [0; 4];
        self.input.read_exact(&mut crc)?;
        if frame_crc(&head, &key, &value).to_le_bytes() != crc {
            return Err(damage);
        }
        let value = match kind {
            PUT => Some(value),
            REMOVE => None,
            _ => return Err(damage),
        };
        self.bytes_left = bytes_left;
        self.frames_read += 1;
        self.frames_crc.update(&crc);
        Ok(Some((key, value)))
    }

    fn bytes(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        self.input.by_ref().take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

fn frame_crc(head: &[u8], key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in [head, key, value] {
        hasher.update(part);
    }
    hasher.finalize()
}

/// A snapshot being written.
#[derive(Debug)]
pub(crate) struct Writer {
    path: PathBuf,
    output: BufWriter<File>,
    /// The last key that the walk over the records has passed.
    pub(crate) passed: Vec<u8>,
    frames: u64,
    frames_crc: crc32fast::Hasher,
}

impl Writer {
    /// Begins a snapshot after a key.
    pub(crate) fn create(dir: &Path, passed: &[u8]) -> io::Result<Self> {
        let path = dir.join(UNFINISHED);
        directory::remove(&path)?;
        let mut output = BufWriter::with_capacity(1 << 16, File::create_new(&path)?);
        output.write_all(&HEADER)?;
        Ok(Self {
            path,
            output,
            passed: passed.to_vec(),
            frames: 0,
            frames_crc: crc32fast::Hasher::new(),
        })
    }

    /// Adds a frame; returns its length.
    pub(crate) fn add(&mut self, key: &[u8], value: Option<&[u8]>) -> io::Result<usize> {
        let (kind, value) = value.map_or((REMOVE, &[][..]), |value| (PUT, value));
        let mut head = vec![kind];
        for part in [key, value] {
            let length = u32::try_from(part.len()).map_err(io::Error::other)?;
            head.extend_from_slice(&length.to_le_bytes());
        }
        let crc = frame_crc(&head, key, value).to_le_bytes();
        for part in [&head, key, value, &crc] {
            self.output.write_all(part)?;
        }
        self.frames += 1;
        self.frames_crc.update(&crc);
        Ok(head.len() + key.len() + value.len() + crc.len())
    }

    /// Makes the frames so far durable, so that the last sync is a small one.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.output.flush()?;
        self.output.get_ref().sync_data()
    }

    /// Ends the snapshot, gives it its name and removes those that are too old; or gives it up.
    pub(crate) fn finish(
        mut self,
        dir: &Path,
        generation: Generation,
        now: SystemTime,
    ) -> io::Result<SnapshotFile> {
        let path = dir.join(format!("{PREFIX}{:016x}", generation.counter));
        if let Err(error) = self.complete(&path, generation, now) {
            self.abandon();
            return Err(error);
        }
        for old in list(dir)?.iter().skip(KEPT) {
            directory::remove(&old.path)?;
        }
        Ok(SnapshotFile { path, counter: generation.counter })
    }

    fn complete(
        &mut self,
        path: &Path,
        generation: Generation,
        taken: SystemTime,
    ) -> io::Result<()> {
        let frames_crc = self.frames_crc.clone().finalize();
        let footer = Footer { generation, taken, frames: self.frames, frames_crc };
        self.output.write_all(&footer.encode())?;
        self.output.flush()?;
        self.output.get_ref().sync_all()?;
        directory::rename(&self.path, path)
    }

    /// Gives the snapshot up.
    pub(crate) fn abandon(self) {
        if let Err(error) = directory::remove(&self.path) {
            tracing::debug!(%error, "an unfinished snapshot stays until the next open");
        }
    }
}

#[cfg(test)]
mod tests;

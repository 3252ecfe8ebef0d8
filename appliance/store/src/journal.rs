//! The journal: what has been applied and is not yet in the engine, one frame a flush.
//!
//! ```text
//! header   magic, format, identity of the store, base: the batch before the first one, CRC-32
//! frame    magic, first and last batch, length, CRC-32 of header and these; changes; CRC-32
//! change   kind (put, remove), length of key, length of value, key, value
//! ```
//!
//! A frame is written and synced before the next one begins, so after a crash the last one may be
//! torn and no other: what follows a torn frame proves that the file was damaged. A journal gets
//! its name when its header is on disk, and is removed when the engine has all of it on disk;
//! should it come back, the engine's counter tells that it is done with.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::directory;
use crate::generation::StoreId;

const PREFIX: &str = "journal-";
const UNFINISHED: &str = "journal.new";

const MAGIC: [u8; 8] = *b"LAMPJRNL";
const FORMAT: u8 = 1;
const HEADER_LENGTH: usize = 37;
const FRAME_MAGIC: [u8; 4] = *b"\xf1LJF";
const FRAME_HEAD: usize = 32;
const CRC: usize = 4;
const PUT: u8 = 1;
const REMOVE: u8 = 2;
/// The buffer's memory is given back after a batch that needed more.
const BUFFER: usize = 1 << 18;

/// A journal being written.
#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) path: PathBuf,
    file: File,
    header: [u8; HEADER_LENGTH],
    /// The frame under construction, its head left blank.
    frame: Vec<u8>,
    /// The last batch on disk, and the last one in the frame.
    written: u64,
    through: u64,
    /// Bytes on disk.
    pub(crate) bytes: u64,
}

impl Journal {
    /// Begins a journal that goes on after a batch.
    pub(crate) fn create(dir: &Path, id: StoreId, base: u64) -> io::Result<Self> {
        let unfinished = dir.join(UNFINISHED);
        directory::remove(&unfinished)?;
        let mut file = File::create_new(&unfinished)?;
        let header = header(id, base);
        file.write_all(&header)?;
        file.sync_all()?;
        let path = dir.join(format!("{PREFIX}{base:016x}"));
        directory::rename(&unfinished, &path)?;
        let frame = vec![0; FRAME_HEAD];
        Ok(Self { path, file, header, frame, written: base, through: base, bytes: 0 })
    }

    /// Takes a change of a batch in; it is on disk after the next commit.
    pub(crate) fn add(&mut self, key: &[u8], value: Option<&[u8]>) {
        let (kind, value) = value.map_or((REMOVE, &[][..]), |value| (PUT, value));
        self.frame.push(kind);
        for part in [key, value] {
            // The store refuses what is longer.
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            self.frame.extend_from_slice(&length.to_le_bytes());
        }
        self.frame.extend_from_slice(key);
        self.frame.extend_from_slice(value);
    }

    /// Ends a batch.
    pub(crate) fn end_batch(&mut self, counter: u64) {
        self.through = counter;
    }

    /// Makes every batch that was ended durable.
    pub(crate) fn commit(&mut self) -> io::Result<()> {
        if self.through == self.written {
            return Ok(());
        }
        let length = self.frame.len().saturating_sub(FRAME_HEAD);
        let head = frame_head(
            &self.header,
            self.written.saturating_add(1),
            self.through,
            u64::try_from(length).unwrap_or(u64::MAX),
        );
        let (blank, changes) = self.frame.split_at_mut(FRAME_HEAD);
        blank.copy_from_slice(&head);
        let crc = crc32fast::hash(changes);
        self.frame.extend_from_slice(&crc.to_le_bytes());
        self.file.write_all(&self.frame)?;
        self.file.sync_data()?;
        self.bytes = self.bytes.saturating_add(u64::try_from(self.frame.len()).unwrap_or(u64::MAX));
        self.written = self.through;
        self.frame.truncate(FRAME_HEAD);
        self.frame.shrink_to(BUFFER);
        Ok(())
    }
}

fn header(id: StoreId, base: u64) -> [u8; HEADER_LENGTH] {
    let mut bytes = [0; HEADER_LENGTH];
    let fields = [&MAGIC[..], &[FORMAT], &id.0, &base.to_le_bytes()].concat();
    let crc = crc32fast::hash(&fields).to_le_bytes();
    for (to, from) in bytes.iter_mut().zip(fields.iter().chain(&crc)) {
        *to = *from;
    }
    bytes
}

fn frame_head(header: &[u8], first: u64, last: u64, length: u64) -> [u8; FRAME_HEAD] {
    let mut bytes = [0; FRAME_HEAD];
    let numbers = [first, last, length].map(u64::to_le_bytes).concat();
    let fields = [&FRAME_MAGIC[..], &numbers].concat();
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(&fields);
    let crc = hasher.finalize().to_le_bytes();
    for (to, from) in bytes.iter_mut().zip(fields.iter().chain(&crc)) {
        *to = *from;
    }
    bytes
}

/// The journals of a store, by the batch that they go on after.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let base = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if let Some(base) = base.and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
            found.push((base, entry.path()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Why a journal cannot be replayed.
#[derive(Debug)]
pub(crate) enum Unusable {
    Io(io::Error),
    /// Its beginning, or something before its end, is not what was written.
    Damaged,
    /// It goes on after a batch that is nowhere.
    Gap,
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Gives every change after batch `have`, in order, and tells the batch that they lead to. What
/// was given is on disk: it may have been read from the system's memory.
pub(crate) fn replay(
    journals: &[(u64, PathBuf)],
    id: StoreId,
    mut have: u64,
    mut visit: impl FnMut(&[u8], Option<&[u8]>),
) -> Result<u64, Unusable> {
    for (base, path) in journals {
        if *base > have {
            return Err(Unusable::Gap);
        }
        let bytes = fs::read(path)?;
        let header = header(id, *base);
        let mut rest = bytes.strip_prefix(&header).ok_or(Unusable::Damaged)?;
        while !rest.is_empty() {
            let Some((frame, after)) = Frame::split(rest, &header) else {
                let is_end = (1..rest.len())
                    .filter_map(|from| rest.get(from..))
                    .all(|rest| Frame::head(rest, &header).is_none());
                if is_end {
                    break;
                }
                return Err(Unusable::Damaged);
            };
            rest = after;
            if frame.last <= have {
                continue;
            }
            if frame.first != have.saturating_add(1) {
                return Err(Unusable::Gap);
            }
            frame.visit(&mut visit).ok_or(Unusable::Damaged)?;
            have = frame.last;
        }
        File::open(path)?.sync_data()?;
    }
    Ok(have)
}

struct Frame<'a> {
    first: u64,
    last: u64,
    changes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The numbers in a whole head: the first and the last batch, the length of the changes.
    fn head(bytes: &[u8], header: &[u8]) -> Option<[u64; 3]> {
        let rest = bytes.strip_prefix(&FRAME_MAGIC)?;
        let (&first, rest) = rest.split_first_chunk()?;
        let (&last, rest) = rest.split_first_chunk()?;
        let (&length, _) = rest.split_first_chunk()?;
        let [first, last, length] = [first, last, length].map(u64::from_le_bytes);
        let is_whole = bytes.starts_with(&frame_head(header, first, last, length));
        is_whole.then_some([first, last, length])
    }

    /// The frame at the beginning of some bytes, if it is whole, and what follows it.
    fn split(bytes: &'a [u8], header: &[u8]) -> Option<(Self, &'a [u8])> {
        let [first, last, length] = Self::head(bytes, header)?;
        let (changes, rest) =
            bytes.get(FRAME_HEAD..)?.split_at_checked(usize::try_from(length).ok()?)?;
        let (&crc, rest) = rest.split_first_chunk::<CRC>()?;
        (crc32fast::hash(changes).to_le_bytes() == crc)
            .then_some((Self { first, last, changes }, rest))
    }

    fn visit(&self, visit: &mut impl FnMut(&[u8], Option<&[u8]>)) -> Option<()> {
        let mut rest = self.changes;
        while let Some((kind, after)) = rest.split_first() {
            let (&key, after) = after.split_first_chunk()?;
            let (&value, after) = after.split_first_chunk()?;
            let length = |bytes| usize::try_from(u32::from_le_bytes(bytes)).ok();
            let (key, after) = after.split_at_checked(length(key)?)?;
            let (value, after) = after.split_at_checked(length(value)?)?;
            match *kind {
                PUT => visit(key, Some(value)),
                REMOVE => visit(key, None),
                _ => return None,
            }
            rest = after;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;

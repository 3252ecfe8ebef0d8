//! The store: one directory, one owner, batches that are on disk whole or not at all.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::batch::{CHUNK, Contents};
use crate::directory;
use crate::engine::{EngineFailure, Record};
use crate::generation::{Floor, RECORD_KEY, Sidecar};
use crate::journal::Journal;
use crate::pending::Pending;
use crate::restore::{self, BuildFailure};
use crate::snapshot::{self, SnapshotFailure, SnapshotFile, SnapshotProgress};

/// Longest key.
const MAX_KEY: usize = 64 * 1024;
/// Longest value.
const MAX_VALUE: usize = 64 * 1024 * 1024;

/// What the owner of a store decides.
#[derive(Debug, Clone)]
pub struct Options {
    /// Batches are refused when fewer bytes than these are free: the engine needs space to move
    /// its leaves, and cannot go on after it once failed to write.
    pub reserve_bytes: u64,
    /// Changes that a step of settling gives to the engine: as many as may keep others waiting.
    pub settle_step: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { reserve_bytes: 64 * 1024 * 1024, settle_step: 1024 }
    }
}

/// A batch or a flush was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteFailure {
    /// The key is empty, too long or begins with the reserved letter 0; nothing was applied.
    #[error("a key of {0} bytes is refused")]
    Key(usize),
    /// The value is too long; nothing was applied.
    #[error("a value of {0} bytes is refused")]
    Value(usize),
    /// The disk is all but full; nothing was applied, and the next batch may be tried.
    #[error("{free} bytes are free, {reserve} are kept in reserve")]
    DiskFull {
        /// Bytes free.
        free: u64,
        /// Bytes that must stay free.
        reserve: u64,
    },
    /// The disk failed. The store is stopped: what was flushed is on disk, what was applied after
    /// that may or may not be, and only a new process can open it again.
    #[error("the disk failed")]
    Io(#[source] io::Error),
    /// The engine failed; otherwise as with `Io`.
    #[error("the engine failed: {0}")]
    Engine(Box<str>),
    /// An earlier failure has stopped the store.
    #[error("the store is stopped since an earlier failure")]
    Stopped,
}

impl From<EngineFailure> for WriteFailure {
    fn from(failure: EngineFailure) -> Self {
        match failure {
            EngineFailure::Io(error) => Self::Io(error),
            EngineFailure::Panicked(what) => Self::Engine(what),
            EngineFailure::Stopped => Self::Stopped,
        }
    }
}

/// Figures of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Records in the engine, which has come to batch `settled`.
    pub records: u64,
    /// Bytes of all their keys and values.
    pub content_bytes: u64,
    /// The last batch that the engine has.
    pub settled: u64,
    /// Bytes of everything in the store's directory.
    pub disk_bytes: u64,
    /// Batches applied since the store was first made.
    pub batches: u64,
    /// The last of them that is known to be on disk.
    pub flushed: u64,
}

/// An open store. It is closed when dropped; `close` also tells whether that went well.
#[derive(Debug)]
pub struct Store {
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    pub(crate) contents: Contents,
    pub(crate) journal: Journal,
    pub(crate) pending: Pending,
    /// The last batch applied.
    pub(crate) counter: u64,
    pub(crate) sidecar: Sidecar,
    pub(crate) flushed: u64,
    pub(crate) snapshot: Option<snapshot::Writer>,
    pub(crate) newest_snapshot: Option<u64>,
    pub(crate) is_open: bool,
    pub(crate) _lock: File,
}

impl Store {
    /// Keeps all further work on the calling thread, which waits for it anyway.
    pub fn stay_on_this_thread(&mut self) {
        self.contents.engine.stay_on_this_thread();
    }

    /// Walks over all records in the order of their keys.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn scan_all(&mut self, mut visit: impl FnMut(&[u8], &[u8])) -> Result<(), WriteFailure> {
        let mut last = RECORD_KEY.to_vec();
        loop {
            let records = self.records_after(&last)?;
            let Some((key, _)) = records.last() else { return Ok(()) };
            last = key.to_vec();
            for (key, value) in &records {
                visit(key, value);
            }
        }
    }

    /// Some records in the order of their keys, from the first key after `after`; none only when
    /// there are no more.
    fn records_after(&mut self, after: &[u8]) -> Result<Vec<Record>, EngineFailure> {
        let mut after = after.to_vec();
        loop {
            let records = self.contents.engine.records_after(Some(&after), CHUNK)?;
            let is_end = records.len() < CHUNK;
            if self.pending.is_empty() {
                return Ok(records);
            }
            let last = records.last().filter(|_| !is_end).map(|(key, _)| key.to_vec());
            let records = self.pending.overlay(records, &after, last.as_deref());
            match last {
                Some(last) if records.is_empty() => after = last,
                _ => return Ok(records),
            }
        }
    }

    /// Applies changes as one batch, whole or not at all; of several changes to a key the last
    /// counts. The batch is on disk after the next flush.
    ///
    /// # Errors
    /// When a key or value is refused, the disk is full or the engine fails.
    pub fn apply(&mut self, batch: &[(Vec<u8>, Option<Vec<u8>>)]) -> Result<(), WriteFailure> {
        let changes = || batch.iter().map(|(key, value)| (key.as_slice(), value.as_deref()));
        for (key, value) in changes() {
            if key.is_empty() || key.starts_with(&RECORD_KEY) || key.len() > MAX_KEY {
                return Err(WriteFailure::Key(key.len()));
            }
            if let Some(value) = value.filter(|value| value.len() > MAX_VALUE) {
                return Err(WriteFailure::Value(value.len()));
            }
        }
        if self.contents.engine.is_stopped() {
            return Err(WriteFailure::Stopped);
        }
        self.check_space(1)?;
        self.settle_if_too_long()?;
        for (key, value) in changes() {
            self.journal.add(key, value);
            self.pending.add(key, value);
        }
        self.counter = self.counter.saturating_add(1);
        self.journal.end_batch(self.counter);
        self.note_in_snapshot(batch);
        Ok(())
    }

    /// Whether the reserve, or a part of it, is free.
    pub(crate) fn check_space(&self, part: u64) -> Result<(), WriteFailure> {
        let free = directory::free(&self.dir).map_err(WriteFailure::Io)?;
        let reserve = self.options.reserve_bytes / part;
        if free < reserve { Err(WriteFailure::DiskFull { free, reserve }) } else { Ok(()) }
    }

    /// Makes every batch applied so far durable: it is on disk when this returns.
    ///
    /// # Errors
    /// When the disk or the engine fails.
    pub fn flush(&mut self) -> Result<(), WriteFailure> {
        if self.contents.engine.is_stopped() {
            return Err(WriteFailure::Stopped);
        }
        if self.flushed == self.counter {
            return Ok(());
        }
        if let Err(error) = self.journal.commit() {
            // What of the frame is on disk nobody knows; nothing may follow it.
            self.contents.engine.stop();
            return Err(WriteFailure::Io(error));
        }
        self.flushed = self.counter;
        if let Err(error) = self.write_floor(false) {
            // The batch is safe; only the evidence of it lags behind.
            tracing::warn!(%error, "the generation file could not be written");
        }
        Ok(())
    }

    /// Takes a step of a snapshot: records of about `budget` bytes, synced. `usize::MAX` takes it
    /// all in one. Batches may come between the steps; the snapshot is of the moment of its last
    /// step, which flushes.
    ///
    /// # Errors
    /// When the snapshot cannot be written; it is given up, the next step begins another.
    pub fn snapshot(&mut self, budget: usize) -> Result<SnapshotProgress, SnapshotFailure> {
        if self.snapshot.is_none() && self.newest_snapshot == Some(self.counter) {
            return Ok(SnapshotProgress::Unchanged);
        }
        let mut writer = match self.snapshot.take() {
            Some(writer) => writer,
            None => self.begin_snapshot()?,
        };
        match self.snapshot_step(&mut writer, budget) {
            Ok(false) => {
                self.snapshot = Some(writer);
                Ok(SnapshotProgress::More)
            }
            Ok(true) if budget < usize::MAX && self.pending.len() > self.options.settle_step => {
                // The end of a snapshot needs an engine that has everything; not all in one step.
                self.snapshot = Some(writer);
                self.settle(true).map_err(SnapshotFailure::Store)?;
                Ok(SnapshotProgress::More)
            }
            Ok(true) => self.finish_snapshot(writer).map(SnapshotProgress::Done),
            Err(failure) => {
                writer.abandon();
                Err(failure)
            }
        }
    }

    /// Whether a snapshot has been begun and not finished.
    #[must_use]
    pub fn is_taking_snapshot(&self) -> bool {
        self.snapshot.is_some()
    }

    /// Makes a store with the same records in another directory, for a system that will upgrade
    /// its copy while this one stays as it is.
    ///
    /// # Errors
    /// When there is a store already or the copy cannot be written.
    pub fn copy_to(&mut self, dir: &Path) -> Result<(), BuildFailure> {
        directory::create(dir)?;
        if dir.join(restore::STORE).exists() {
            return Err(BuildFailure::Exists);
        }
        let counter = self.counter;
        restore::build(dir, counter, |builder| {
            let mut last = RECORD_KEY.to_vec();
            loop {
                let records = self
                    .records_after(&last)
                    .map_err(|failure| BuildFailure::Source(failure.to_string().into()))?;
                let Some((key, _)) = records.last() else { return Ok(()) };
                last = key.to_vec();
                let frames =
                    records.iter().map(|(key, value)| (key.to_vec(), Some(value.to_vec())));
                builder.add(&frames.collect::<Vec<_>>())?;
            }
        })?;
        Ok(restore::put_in_place(dir)?)
    }

    /// Figures of the store.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn stats(&self) -> io::Result<Stats> {
        Ok(Stats {
            records: self.contents.generation.records,
            content_bytes: self.contents.bytes,
            disk_bytes: directory::size(&self.dir)?,
            settled: self.contents.generation.counter,
            batches: self.counter,
            flushed: self.flushed,
        })
    }

    /// Flushes and closes the store.
    ///
    /// # Errors
    /// When the disk or the engine fails.
    pub fn close(mut self) -> Result<(), WriteFailure> {
        self.shut()
    }

    fn shut(&mut self) -> Result<(), WriteFailure> {
        if !std::mem::take(&mut self.is_open) {
            return Ok(());
        }
        if let Some(writer) = self.snapshot.take() {
            writer.abandon();
        }
        self.flush()?;
        if self.check_space(2).is_ok() {
            self.settle_all()?;
        }
        self.contents.engine.close()?;
        if self.is_settled() {
            directory::remove(&self.journal.path).map_err(WriteFailure::Io)?;
        }
        self.write_floor(true).and_then(|()| self.sidecar.sync()).map_err(WriteFailure::Io)
    }

    pub(crate) fn write_floor(&mut self, is_closed: bool) -> io::Result<()> {
        let id = self.contents.generation.id;
        self.sidecar.write(Floor { id, counter: self.flushed, is_closed })
    }

    fn begin_snapshot(&self) -> Result<snapshot::Writer, SnapshotFailure> {
        let free = directory::free(&self.dir)?;
        let needed = self.contents.bytes.saturating_add(self.options.reserve_bytes);
        if free < needed {
            return Err(SnapshotFailure::DiskFull { free, needed });
        }
        Ok(snapshot::Writer::create(&self.dir, &RECORD_KEY)?)
    }

    /// Writes the next records; true when there are no more.
    fn snapshot_step(
        &mut self,
        writer: &mut snapshot::Writer,
        budget: usize,
    ) -> Result<bool, SnapshotFailure> {
        let mut written: usize = 0;
        while written < budget {
            let records = self
                .records_after(&writer.passed)
                .map_err(|failure| SnapshotFailure::Store(failure.into()))?;
            if records.is_empty() {
                return Ok(true);
            }
            for (key, value) in records {
                written = written.saturating_add(writer.add(&key, Some(&value))?);
                writer.passed = key.to_vec();
                if written >= budget {
                    break;
                }
            }
        }
        writer.sync()?;
        Ok(false)
    }

    fn finish_snapshot(
        &mut self,
        mut writer: snapshot::Writer,
    ) -> Result<SnapshotFile, SnapshotFailure> {
        // A snapshot that is ahead of the store would make the store look stale after a crash, and
        // only the engine tells how many records there are. If the disk is full, that is known
        // before the engine writes.
        let settled = writer.sync().map_err(SnapshotFailure::Io);
        let settled = settled.and_then(|()| self.settle_all().map_err(SnapshotFailure::Store));
        if let Err(failure) = settled {
            writer.abandon();
            return Err(failure);
        }
        let file = writer.finish(&self.dir, self.contents.generation, SystemTime::now())?;
        self.newest_snapshot = Some(file.counter);
        self.sidecar.sync()?;
        tracing::debug!(path = %file.path.display(), "snapshot taken");
        Ok(file)
    }

    /// Keeps a snapshot under way true: it has passed keys that a batch has now changed.
    fn note_in_snapshot(&mut self, batch: &[(Vec<u8>, Option<Vec<u8>>)]) {
        let Some(writer) = &mut self.snapshot else { return };
        let passed = writer.passed.clone();
        let noted = batch
            .iter()
            .filter(|(key, _)| *key <= passed)
            .try_for_each(|(key, value)| writer.add(key, value.as_deref()).map(drop));
        if let Err(error) = noted {
            tracing::warn!(%error, "the snapshot under way is given up");
            if let Some(writer) = self.snapshot.take() {
                writer.abandon();
            }
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Err(failure) = self.shut() {
            tracing::warn!(%failure, "the store could not be closed in order");
        }
    }
}

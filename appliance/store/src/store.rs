//! The store: one directory, one owner, batches that are on disk whole or not at all.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::batch::{CHUNK, Contents};
use crate::directory;
use crate::engine::{Engine, EngineFailure, EngineOpenFailure, Record};
use crate::generation::{Floor, RECORD_KEY, Sidecar};
use crate::journal::{self, Journal, Unusable};
use crate::pending::Pending;
use crate::restore::{self, BuildFailure, Damage, NotRestored, Restored};
use crate::snapshot::{self, SnapshotDamage, SnapshotFailure, SnapshotFile, SnapshotProgress};

const LOCK: &str = "lock";
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

/// How a store came to be open.
#[derive(Debug)]
pub enum How {
    /// There was nothing in the directory.
    New,
    /// It had been closed in order.
    Clean,
    /// It had not been closed; everything that had been flushed is there.
    Recovered,
    /// It was damaged or missing, and was built anew from a snapshot: an alarm is due.
    RestoredFromSnapshot(Box<Restored>),
}

/// What was found when a store was opened.
#[derive(Debug)]
pub struct Opened {
    /// How the store came to be open.
    pub how: How,
    /// Records in it.
    pub records: u64,
    /// What this and earlier restorations set aside and nobody has removed yet, newest first.
    pub set_aside: Vec<PathBuf>,
}

/// A store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenFailure {
    /// Another process, or another part of this one, has it open.
    #[error("{} is in use", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The system refused: no permission, no space, no handle. Nothing is known to be damaged.
    #[error("the files in {} cannot be used", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The store is damaged and there is no snapshot to build it from; nothing was changed.
    #[error("the store in {} is damaged and no snapshot of it can be read", path.display())]
    Unrecoverable {
        /// The directory.
        path: PathBuf,
        /// What is wrong with the store.
        #[source]
        damage: Damage,
        /// What is wrong with each snapshot.
        snapshots: Vec<(PathBuf, SnapshotDamage)>,
    },
    /// The store is damaged, there is a good snapshot, and it could not be restored.
    #[error("the store in {} is damaged ({damage}) and cannot be restored", path.display())]
    NotRestored {
        /// The directory.
        path: PathBuf,
        /// What is wrong with the store.
        damage: Damage,
        /// What kept it from being restored.
        source: BuildFailure,
    },
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
    sidecar: Sidecar,
    flushed: u64,
    snapshot: Option<snapshot::Writer>,
    newest_snapshot: Option<u64>,
    is_open: bool,
    _lock: File,
}

impl Store {
    /// Opens the store in a directory. An empty or missing directory becomes a new store; a
    /// damaged store is set aside and built anew from its newest good snapshot, as `Opened` tells.
    ///
    /// # Errors
    /// When the store is in use, cannot be read or made, or is damaged beyond its snapshots.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Opened), OpenFailure> {
        let path = || dir.to_path_buf();
        let refused = |source| OpenFailure::Io { path: path(), source };
        directory::create(dir).map_err(refused)?;
        let lock = File::create(dir.join(LOCK)).map_err(refused)?;
        lock.try_lock().map_err(|failure| match failure {
            TryLockError::WouldBlock => OpenFailure::InUse { path: path() },
            TryLockError::Error(source) => OpenFailure::Io { path: path(), source },
        })?;
        for unfinished in [restore::UNFINISHED, snapshot::UNFINISHED] {
            directory::remove(&dir.join(unfinished)).map_err(refused)?;
        }
        let snapshots = snapshot::list(dir).map_err(refused)?;
        let set_aside = restore::list_set_aside(dir).map_err(refused)?;

        let restore = |damage, last_known| {
            tracing::error!(%damage, "the store is damaged; restoring it from a snapshot");
            restore::restore(dir, damage, last_known, &snapshots)
                .map(|restored| How::RestoredFromSnapshot(Box::new(restored)))
                .map_err(|failure| match failure {
                    NotRestored::NoSnapshot(damage, snapshots) => {
                        OpenFailure::Unrecoverable { path: path(), damage, snapshots }
                    }
                    NotRestored::Build(damage, source) => {
                        OpenFailure::NotRestored { path: path(), damage, source }
                    }
                })
        };
        let mut how = None;
        if !dir.join(restore::STORE).exists() {
            how = Some(if snapshots.is_empty() && set_aside.is_empty() {
                restore::build(dir, 0, |_| Ok(()))
                    .and_then(|_| Ok(restore::put_in_place(dir)?))
                    .map_err(|failure| refused(build_error(failure)))?;
                How::New
            } else {
                restore(Damage::Missing, None)?
            });
        }
        let mut last_known = None;
        let opened = match open_existing(dir, &snapshots, &mut last_known) {
            Err(EngineOpenFailure::Damaged(damage)) if how.is_none() => {
                how = Some(restore(damage, last_known)?);
                open_existing(dir, &[], &mut last_known)
            }
            other => other,
        };
        let Existing { contents, sidecar, floor, mut pending, counter } =
            opened.map_err(|failure| match failure {
                EngineOpenFailure::Environment(source) => refused(source),
                // Built and synced a moment ago: this is the disk, not the store.
                EngineOpenFailure::Damaged(damage) => refused(io::Error::other(damage)),
            })?;
        let in_store = dir.join(restore::STORE);
        let journal =
            Journal::create(&in_store, contents.generation.id, counter).map_err(refused)?;
        let others = journal::list(&in_store).map_err(refused)?;
        let others = others.into_iter().map(|(_, path)| path).filter(|path| *path != journal.path);
        if contents.generation.counter < counter {
            pending.rotate(counter, others.collect());
        } else {
            for done in others {
                directory::remove(&done).map_err(refused)?;
            }
        }
        let how = how.unwrap_or(if floor.is_closed { How::Clean } else { How::Recovered });

        let mut store = Self {
            dir: path(),
            options,
            flushed: counter,
            contents,
            journal,
            pending,
            counter,
            sidecar,
            snapshot: None,
            newest_snapshot: snapshot::list(dir).map_err(refused)?.first().map(|file| file.counter),
            is_open: true,
            _lock: lock,
        };
        store.write_floor(false).and_then(|()| store.sidecar.sync()).map_err(refused)?;
        if matches!(how, How::New) {
            // Whoever finds this snapshot later knows that there was a store.
            if let Err(failure) = store.snapshot(usize::MAX) {
                tracing::warn!(%failure, "the first snapshot could not be taken");
            }
        }
        let records = store.contents.generation.records;
        let set_aside = restore::list_set_aside(dir).map_err(refused)?;
        let set_aside = set_aside.into_iter().map(|(_, path)| path).collect();
        tracing::info!(?how, records, batch = store.flushed, "store open");
        Ok((store, Opened { how, records, set_aside }))
    }

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

    fn write_floor(&mut self, is_closed: bool) -> io::Result<()> {
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

/// A store as it was found.
struct Existing {
    contents: Contents,
    sidecar: Sidecar,
    floor: Floor,
    /// What the journal holds and the engine does not.
    pending: Pending,
    /// The last batch.
    counter: u64,
}

/// Opens the store in its place and compares it with what is known of it elsewhere: the
/// generation file, the ends of its snapshots. `last_known` learns how far it had come.
fn open_existing(
    dir: &Path,
    snapshots: &[SnapshotFile],
    last_known: &mut Option<u64>,
) -> Result<Existing, EngineOpenFailure> {
    let store = dir.join(restore::STORE);
    let sidecar =
        Sidecar::open(&store.join(restore::SIDECAR)).map_err(EngineOpenFailure::Environment)?;
    let Some((sidecar, floor)) = sidecar else {
        return Err(EngineOpenFailure::Damaged(Damage::NoGenerationFile));
    };
    *last_known = Some(floor.counter);
    let contents = Contents::load(Engine::open(&store.join(restore::ENGINE))?)?;
    let found = contents.generation;
    if found.id != floor.id {
        let damage = Damage::OtherStore { expected: floor.id, found: found.id };
        return Err(EngineOpenFailure::Damaged(damage));
    }
    let mut pending = Pending::default();
    let journals = journal::list(&store).map_err(EngineOpenFailure::Environment)?;
    let counter = journal::replay(&journals, found.id, found.counter, |key, value| {
        pending.add(key, value);
    })
    .map_err(|unusable| match unusable {
        Unusable::Io(error) => error.into(),
        Unusable::Damaged => EngineOpenFailure::Damaged(Damage::Journal),
        Unusable::Gap => EngineOpenFailure::Damaged(Damage::JournalGap),
    })?;
    let mut expected = floor.counter.max(found.ahead);
    for file in snapshots {
        // One that cannot be read is no evidence; it is replaced in its turn.
        if let Ok(footer) = snapshot::footer(&file.path)
            && footer.generation.id == found.id
        {
            expected = expected.max(footer.generation.counter);
        }
    }
    *last_known = Some(expected);
    if counter < expected {
        return Err(EngineOpenFailure::Damaged(Damage::Stale { expected, found: counter }));
    }
    Ok(Existing { contents, sidecar, floor, pending, counter })
}

fn build_error(failure: BuildFailure) -> io::Error {
    match failure {
        BuildFailure::Io(error) => error,
        other => io::Error::other(other),
    }
}

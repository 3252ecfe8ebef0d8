//! What happens to a store that is damaged: it is set aside, and a new one is built from the
//! newest snapshot that can be read. Building comes first; until the new store is complete and on
//! disk nothing of the old one is touched.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sled::InlineArray;

use crate::batch::Contents;
use crate::directory;
use crate::engine::{Engine, EngineFailure};
use crate::generation::{Floor, Generation, Sidecar, StoreId};
use crate::snapshot::{self, Reader, SnapshotDamage, SnapshotFile};

pub(crate) const STORE: &str = "store";
pub(crate) const ENGINE: &str = "engine";
pub(crate) const SIDECAR: &str = "generation";
pub(crate) const UNFINISHED: &str = "store.new";
const SET_ASIDE: &str = "damaged-";
/// Damaged stores kept for whoever wants to know why.
const SET_ASIDE_KEPT: usize = 2;
/// What is built in memory before it is flushed.
const BUILD_BATCH_RECORDS: usize = 4096;
const BUILD_FLUSH_BYTES: u64 = 32 << 20;

/// What is wrong with a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The store's directory is gone while its snapshots are there.
    #[error("the store's directory is missing")]
    Missing,
    /// The engine's own index is gone.
    #[error("the engine's index is missing")]
    NoMetadata,
    /// The engine could not read its files.
    #[error("the engine cannot read its files")]
    Unreadable(#[source] io::Error),
    /// The engine gave up on its files.
    #[error("the engine panicked on its files: {0}")]
    Panicked(Box<str>),
    /// The engine's index and its data do not belong together.
    #[error("the engine's index and its data do not belong together")]
    Leaves,
    /// The store does not contain its generation record.
    #[error("the store lacks its generation record")]
    NoGeneration,
    /// The file beside the store is missing or unreadable.
    #[error("the generation file is missing or unreadable")]
    NoGenerationFile,
    /// The store is not the one that the generation file belongs to.
    #[error("the generation file belongs to store {expected} and this is store {found}")]
    OtherStore {
        /// The store that the generation file names.
        expected: StoreId,
        /// The store that was found.
        found: StoreId,
    },
    /// The store is older than it is known to have been.
    #[error("the store ends at batch {found} and batch {expected} was on disk")]
    Stale {
        /// The batch that is known to have been on disk.
        expected: u64,
        /// The last batch that was found.
        found: u64,
    },
    /// The journal is damaged before its end.
    #[error("the journal is damaged")]
    Journal,
    /// A journal is missing: batches between the engine's last and the journal's first.
    #[error("a part of the journal is missing")]
    JournalGap,
    /// The records read well and are not those of any one moment.
    #[error("the contents do not match their digest ({found} records, {expected} expected)")]
    Contents {
        /// Records according to the generation record.
        expected: u64,
        /// Records found.
        found: u64,
    },
}

/// What a restoration did.
#[derive(Debug)]
pub struct Restored {
    /// What was wrong with the store.
    pub damage: Damage,
    /// The snapshot that the store was built from.
    pub snapshot: PathBuf,
    /// When that snapshot was completed.
    pub taken: SystemTime,
    /// Batches that were on disk and are not in the snapshot; `None` when that cannot be known.
    pub batches_lost: Option<u64>,
    /// Newer snapshots that could not be used.
    pub passed_over: Vec<(PathBuf, SnapshotDamage)>,
    /// Where the damaged store and snapshots are kept; `None` if there was nothing to keep.
    pub set_aside: Option<PathBuf>,
}

/// A store could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildFailure {
    /// A file or directory could not be written.
    #[error("the new store cannot be written")]
    Io(#[from] io::Error),
    /// The new engine failed.
    #[error("the new store's engine failed: {0}")]
    Engine(Box<str>),
    /// The place is taken.
    #[error("there is a store already")]
    Exists,
    /// The snapshot turned out to be unusable.
    #[error("the snapshot cannot be used")]
    Snapshot(#[from] SnapshotDamage),
    /// The store that is copied failed.
    #[error("the store that is copied failed: {0}")]
    Source(Box<str>),
}

impl From<EngineFailure> for BuildFailure {
    fn from(failure: EngineFailure) -> Self {
        match failure {
            EngineFailure::Io(error) => Self::Io(error),
            EngineFailure::Panicked(what) => Self::Engine(what),
            EngineFailure::Stopped => Self::Engine("stopped".into()),
        }
    }
}

/// Why a damaged store stays damaged.
#[derive(Debug)]
pub(crate) enum NotRestored {
    /// No snapshot can be read.
    NoSnapshot(Damage, Vec<(PathBuf, SnapshotDamage)>),
    /// There is a snapshot, but no store could be built from it.
    Build(Damage, BuildFailure),
}

/// Fills a store under construction, batch by batch.
#[derive(Debug)]
pub(crate) struct Builder {
    contents: Contents,
    counter: u64,
    unflushed: u64,
}

impl Builder {
    /// Adds changes, in order.
    pub(crate) fn add(&mut self, changes: &[snapshot::Frame]) -> Result<(), BuildFailure> {
        let inline = |bytes: &Vec<u8>| InlineArray::from(bytes.as_slice());
        // Of several changes to a key the last counts.
        let changes: BTreeMap<_, _> =
            changes.iter().map(|(key, value)| (inline(key), value.as_ref().map(inline))).collect();
        let before = self.contents.bytes;
        self.contents.apply(changes, self.counter, self.counter)?;
        self.unflushed += self.contents.bytes.saturating_sub(before);
        if self.unflushed > BUILD_FLUSH_BYTES {
            self.contents.engine.flush()?;
            self.unflushed = 0;
        }
        Ok(())
    }
}

/// Builds a new store beside the place of the real one: complete, closed and on disk.
pub(crate) fn build(
    dir: &Path,
    counter: u64,
    fill: impl FnOnce(&mut Builder) -> Result<(), BuildFailure>,
) -> Result<Generation, BuildFailure> {
    let new = dir.join(UNFINISHED);
    directory::remove(&new)?;
    directory::create(&new)?;
    let id = StoreId::random()?;
    let contents = Contents::create(Engine::create(&new.join(ENGINE))?, id, counter)?;
    let mut builder = Builder { contents, counter, unflushed: 0 };
    fill(&mut builder)?;
    builder.contents.engine.close()?;
    let floor = Floor { id, counter, is_closed: true };
    Sidecar::create(&new.join(SIDECAR), floor)?;
    directory::sync_all(&new)?;
    Ok(builder.contents.generation)
}

/// Gives a built store its place.
pub(crate) fn put_in_place(dir: &Path) -> io::Result<()> {
    directory::rename(&dir.join(UNFINISHED), &dir.join(STORE))
}

/// Restores a damaged store from the newest snapshot that can be read. `last_known` is the last
/// batch known to have been on disk.
pub(crate) fn restore(
    dir: &Path,
    damage: Damage,
    last_known: Option<u64>,
    snapshots: &[SnapshotFile],
) -> Result<Restored, NotRestored> {
    // The counter never goes back, so that every later snapshot has a later name.
    let newest = snapshots.first().map_or(0, |snapshot| snapshot.counter);
    let counter = last_known.unwrap_or(0).max(newest).saturating_add(1);
    let mut passed_over = Vec::new();
    for candidate in snapshots {
        let built = snapshot::verify(&candidate.path)
            .map_err(BuildFailure::from)
            .and_then(|footer| build_from(dir, candidate, counter).map(|()| footer));
        let footer = match built {
            Ok(footer) => footer,
            Err(BuildFailure::Snapshot(unusable)) => {
                tracing::warn!(path = %candidate.path.display(), %unusable, "snapshot passed over");
                passed_over.push((candidate.path.clone(), unusable));
                continue;
            }
            Err(failure) => return Err(NotRestored::Build(damage, failure)),
        };
        let unusable = passed_over.iter().map(|(path, _)| path.as_path());
        let kept = set_aside(dir, unusable)
            .and_then(|kept| put_in_place(dir).map(|()| kept))
            .map_err(BuildFailure::Io);
        let set_aside = match kept {
            Ok(set_aside) => set_aside,
            Err(failure) => return Err(NotRestored::Build(damage, failure)),
        };
        return Ok(Restored {
            damage,
            snapshot: candidate.path.clone(),
            taken: footer.taken,
            batches_lost: last_known.map(|last| last.saturating_sub(footer.generation.counter)),
            passed_over,
            set_aside,
        });
    }
    Err(NotRestored::NoSnapshot(damage, passed_over))
}

fn build_from(dir: &Path, candidate: &SnapshotFile, counter: u64) -> Result<(), BuildFailure> {
    let mut reader = Reader::open(&candidate.path)?;
    let announced = reader.footer.generation;
    let built = build(dir, counter, |builder| {
        let mut changes = Vec::with_capacity(BUILD_BATCH_RECORDS);
        while let Some(frame) = reader.next()? {
            changes.push(frame);
            if changes.len() == BUILD_BATCH_RECORDS {
                builder.add(&changes)?;
                changes.clear();
            }
        }
        builder.add(&changes)
    })?;
    if (built.records, built.digest) == (announced.records, announced.digest) {
        Ok(())
    } else {
        Err(SnapshotDamage::Contents.into())
    }
}

/// Moves the damaged store and unusable snapshots into a directory of their own.
fn set_aside<'a>(
    dir: &Path,
    snapshots: impl Iterator<Item = &'a Path>,
) -> io::Result<Option<PathBuf>> {
    let store = dir.join(STORE);
    let mut moving: Vec<_> = snapshots.map(Path::to_path_buf).collect();
    if store.exists() {
        moving.push(store);
    }
    if moving.is_empty() {
        return Ok(None);
    }
    let others = list_set_aside(dir)?;
    let number = others.first().map_or(1, |(number, _)| number.saturating_add(1));
    let target = dir.join(format!("{SET_ASIDE}{number}"));
    directory::create(&target)?;
    for from in moving {
        if let Some(name) = from.file_name() {
            std::fs::rename(&from, target.join(name))?;
        }
    }
    directory::sync(&target)?;
    directory::sync(dir)?;
    for (_, old) in others.iter().skip(SET_ASIDE_KEPT - 1) {
        directory::remove(old)?;
    }
    Ok(Some(target))
}

/// What earlier restorations set aside, newest first.
pub(crate) fn list_set_aside(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(SET_ASIDE));
        if let Some(number) = number.and_then(|digits| digits.parse().ok()) {
            found.push((number, entry.path()));
        }
    }
    found.sort_by_key(|&(number, _)| std::cmp::Reverse(number));
    Ok(found)
}

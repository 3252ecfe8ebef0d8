//! Opening: the lock, what is found, the journal's replay, and recovery when that is damaged.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::batch::Contents;
use crate::directory;
use crate::engine::{Engine, EngineOpenFailure};
use crate::generation::{Floor, Sidecar};
use crate::journal::{self, Journal, Unusable};
use crate::pending::Pending;
use crate::restore::{self, BuildFailure, Damage, NotRestored, Restored};
use crate::snapshot::{self, SnapshotDamage, SnapshotFile};
use crate::store::{Options, Store};

const LOCK: &str = "lock";

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

impl OpenFailure {
    /// Whether there was no room on the disk, so that more of it would mend this.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    }
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

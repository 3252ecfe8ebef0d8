//! sled behind a guard: what it panics on, spins on or never returns from stops here.
//!
//! Facts of sled 1.0.0-alpha.124 that this file answers to (read in its source):
//! - A failed flush leaves its epoch open for ever, so the next flush, and every drop, which
//!   flushes, would wait for ever. An engine that failed once is leaked and refuses all else.
//! - The background flusher aborts the process when it cannot write, so it is not started.
//! - It repairs nothing: a leaf whose slot holds another leaf makes it spin without end.
//!   [`Engine::open`] looks at every leaf before sled walks the tree.
//! - A flush hands each dirty leaf to rayon's threads, which then spin for more; that costs more
//!   than it gains.
//! - It writes each leaf that has changed, whole, and syncs three files and a directory: a lone
//!   change costs half a millisecond of CPU, so it comes by way of the journal, with many others.
//! - When it finds its metadata snapshot without a following log it removes that snapshot.
//! - A leaf that is paged out and in again is the one weak spot its author names: the cache
//!   has no bound, the data fit in memory by the limits of the appliance.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sled::InlineArray;

use crate::directory;
use crate::restore::Damage;

/// A flush writes whole leaves, so small ones make a lone change cheap; large ones are fewer to
/// look at when the engine opens.
const LEAF_FANOUT: usize = 64;
/// The quickest that compresses at all: higher levels set up far more memory for every leaf.
const COMPRESSION_LEVEL: i32 = 1;
const CACHE_BYTES: usize = 1 << 40;
const MAX_CLOSING_FLUSHES: usize = 16;

type Db = sled::Db<LEAF_FANOUT>;

/// Key and value as sled shares them.
pub(crate) type Record = (InlineArray, InlineArray);

/// An operation of the engine did not succeed; the engine is stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineFailure {
    #[error("the engine reports an error")]
    Io(#[source] io::Error),
    #[error("the engine panicked: {0}")]
    Panicked(Box<str>),
    #[error("the engine is stopped since an earlier failure")]
    Stopped,
}

/// Why an engine did not open.
#[derive(Debug)]
pub(crate) enum EngineOpenFailure {
    /// The files are not what they should be.
    Damaged(Damage),
    /// The files may well be right: no permission, no space, no handle.
    Environment(io::Error),
}

impl From<io::Error> for EngineOpenFailure {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::PermissionDenied
            | Kind::StorageFull
            | Kind::QuotaExceeded
            | Kind::FileTooLarge
            | Kind::ReadOnlyFilesystem
            | Kind::ResourceBusy
            | Kind::WouldBlock
            | Kind::Interrupted
            | Kind::OutOfMemory => Self::Environment(error),
            _ => Self::Damaged(Damage::Unreadable(error)),
        }
    }
}

impl From<EngineFailure> for EngineOpenFailure {
    fn from(failure: EngineFailure) -> Self {
        match failure {
            EngineFailure::Io(error) => error.into(),
            EngineFailure::Panicked(what) => Self::Damaged(Damage::Panicked(what)),
            EngineFailure::Stopped => Self::Damaged(Damage::Panicked("stopped".into())),
        }
    }
}

/// One open sled database and its default tree.
pub(crate) struct Engine {
    db: Option<Db>,
    /// Makes its thread the only one of a pool, as long as it is there.
    alone: Option<rayon::ThreadPool>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("stopped", &self.db.is_none()).finish()
    }
}

impl Engine {
    /// Makes an empty engine in a directory that does not exist.
    pub(crate) fn create(dir: &Path) -> Result<Self, EngineFailure> {
        fs::create_dir(dir).map_err(EngineFailure::Io)?;
        Self::open_unchecked(dir)
    }

    /// Opens what is there; never makes anything of an empty or missing directory.
    pub(crate) fn open(dir: &Path) -> Result<Self, EngineOpenFailure> {
        mend_metadata(&dir.join("metadata"))?;
        match catch_unwind(AssertUnwindSafe(|| check_leaves(dir))) {
            Ok(checked) => checked?,
            Err(panic) => return Err(EngineFailure::Panicked(panic_text(&*panic)).into()),
        }
        Ok(Self::open_unchecked(dir)?)
    }

    fn open_unchecked(dir: &Path) -> Result<Self, EngineFailure> {
        let config = config(dir);
        match catch_unwind(AssertUnwindSafe(|| config.open::<LEAF_FANOUT>())) {
            Ok(Ok(db)) => Ok(Self { db: Some(db), alone: None }),
            Ok(Err(error)) => Err(EngineFailure::Io(error)),
            Err(panic) => Err(EngineFailure::Panicked(panic_text(&*panic))),
        }
    }

    /// From here on flushes stay on the thread that calls this, which must not open an engine
    /// any more: sled's recovery waits for another thread of its pool.
    pub(crate) fn stay_on_this_thread(&mut self) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
        match pool.build() {
            Ok(pool) => self.alone = Some(pool),
            Err(error) => tracing::warn!(%error, "flushes are spread over several threads"),
        }
    }

    /// Whether a failure has stopped the engine.
    pub(crate) fn is_stopped(&self) -> bool {
        self.db.is_none()
    }

    /// Stops the engine, as a failure of its own would.
    pub(crate) fn stop(&mut self) {
        std::mem::forget(self.db.take());
    }

    /// The value of a key.
    pub(crate) fn get(&mut self, key: &[u8]) -> Result<Option<InlineArray>, EngineFailure> {
        self.guarded(|db| db.get(key))
    }

    /// Up to `limit` records in the order of their keys, from the first key after `after`.
    pub(crate) fn records_after(
        &mut self,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Record>, EngineFailure> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.guarded(|db| {
            db.range::<&[u8], _>((start, Bound::Unbounded)).take(limit).collect::<io::Result<_>>()
        })
    }

    /// Applies a batch, whole, to what the next flush makes durable.
    pub(crate) fn apply(&mut self, batch: sled::Batch) -> Result<(), EngineFailure> {
        self.guarded(|db| db.apply_batch(batch))
    }

    /// Makes everything applied durable.
    pub(crate) fn flush(&mut self) -> Result<(), EngineFailure> {
        self.guarded(|db| db.flush().map(drop))
    }

    /// Flushes and lets go of the files.
    pub(crate) fn close(&mut self) -> Result<(), EngineFailure> {
        // sled flushes several times while it drops and must find nothing left to write, not even
        // leaves to move: after a failure there it would wait for ever.
        for _ in 0..MAX_CLOSING_FLUSHES {
            if self.guarded(|db| db.flush())?.objects_flushed == 0 {
                let db = self.db.take();
                return catch_unwind(AssertUnwindSafe(|| drop(db)))
                    .map_err(|panic| EngineFailure::Panicked(panic_text(&*panic)));
            }
        }
        std::mem::forget(self.db.take());
        Ok(())
    }

    fn guarded<T>(
        &mut self,
        operation: impl FnOnce(&Db) -> io::Result<T>,
    ) -> Result<T, EngineFailure> {
        let db = self.db.as_ref().ok_or(EngineFailure::Stopped)?;
        let failure = match catch_unwind(AssertUnwindSafe(|| operation(db))) {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(error)) => EngineFailure::Io(error),
            Err(panic) => EngineFailure::Panicked(panic_text(&*panic)),
        };
        std::mem::forget(self.db.take());
        Err(failure)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Only `close` knows that the flush inside sled's own drop can succeed.
        std::mem::forget(self.db.take());
    }
}

fn config(dir: &Path) -> sled::Config {
    sled::Config::new()
        .path(dir)
        .flush_every_ms(None)
        .cache_capacity_bytes(CACHE_BYTES)
        .zstd_compression_level(COMPRESSION_LEVEL)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> Box<str> {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text").into()
}

/// Gives sled's metadata snapshot the log that must follow it.
///
/// A crash between sled's renaming of that snapshot and its making of the log, or a power loss
/// that takes the entry of a log not yet used, leaves the snapshot alone; sled would write its
/// successor under the same name and then remove it as the old one.
fn mend_metadata(dir: &Path) -> Result<(), EngineOpenFailure> {
    let mut snapshot = None;
    let mut log = None;
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some(number) = numbered(name, "snapshot_") {
            snapshot = snapshot.max(Some(number));
        } else if let Some(number) = numbered(name, "log_") {
            log = log.max(Some(number));
        }
    }
    let Some(snapshot) = snapshot else {
        return Err(EngineOpenFailure::Damaged(Damage::NoMetadata));
    };
    if log <= Some(snapshot) {
        File::create_new(dir.join(format!("log_{:016x}", snapshot.saturating_add(1))))?;
        directory::sync(dir)?;
    }
    Ok(())
}

fn numbered(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix).filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

/// Looks whether every leaf that the metadata names is where it says, and whether the leaves
/// cover all keys without gap or overlap.
fn check_leaves(dir: &Path) -> Result<(), EngineOpenFailure> {
    let found = sled::Heap::recover(LEAF_FANOUT, &config(dir))?;
    let mut trees = BTreeMap::new();
    for node in found.recovered_nodes {
        let tree: &mut BTreeMap<InlineArray, _> = trees.entry(node.collection_id).or_default();
        tree.insert(node.low_key, node.object_id);
    }
    for (_, tree) in trees {
        let mut expected = Some(Vec::new());
        for (low_key, object_id) in tree {
            let bytes = match found.heap.read(object_id) {
                Some(bytes) => bytes?,
                None => return Err(EngineOpenFailure::Damaged(Damage::Leaves)),
            };
            let Some((low, high)) = leaf_range(&bytes) else {
                return Err(EngineOpenFailure::Damaged(Damage::Leaves));
            };
            if low != *low_key || expected != Some(low) {
                return Err(EngineOpenFailure::Damaged(Damage::Leaves));
            }
            expected = high;
        }
        if expected.is_some() {
            return Err(EngineOpenFailure::Damaged(Damage::Leaves));
        }
    }
    Ok(())
}

/// The first key of a leaf and the first key after it: the head of sled's leaf format.
fn leaf_range(bytes: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let mut decoder = zstd::stream::read::Decoder::new(bytes).ok()?;
    let low = counted(&mut decoder)?;
    let mut tag = [0];
    decoder.read_exact(&mut tag).ok()?;
    let high = if tag == [0] { None } else { Some(counted(&mut decoder)?) };
    Some((low, high))
}

fn counted(reader: &mut impl Read) -> Option<Vec<u8>> {
    let mut length = [0; 8];
    reader.read_exact(&mut length).ok()?;
    let length = u64::from_le_bytes(length);
    let mut bytes = Vec::new();
    reader.take(length).read_to_end(&mut bytes).ok()?;
    (u64::try_from(bytes.len()) == Ok(length)).then_some(bytes)
}

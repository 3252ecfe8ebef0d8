//! Durable bytes on sled: atomic batches, a generation that shows a lost or stale store, snapshots.
//!
//! A store is one directory with one owner:
//!
//! ```text
//! lock                 held while the store is open
//! store/engine/        sled's files
//! store/journal-<n>    batches after number n that the engine does not have yet (crate::journal)
//! store/generation     which store this is and how far it had come (crate::generation)
//! snapshot-<counter>   the two newest logical snapshots (crate::snapshot)
//! damaged-<n>/         what recovery set aside: a store, snapshots that could not be read
//! *.new                unfinished work, removed at the next open
//! ```
//!
//! A flush writes to the journal only, which costs a write and a sync; the engine is given what has
//! gathered there in steps, later (crate::settle). What is read is the engine's records with those
//! of the journal, which are in memory, laid over them.
//!
//! Whatever stands under its final name is complete and on disk: everything is built beside it,
//! synced and renamed.

mod batch;
mod directory;
mod engine;
mod generation;
mod journal;
mod open;
mod pending;
mod restore;
mod settle;
mod snapshot;
mod store;

pub use crate::generation::StoreId;
pub use crate::open::{How, OpenFailure, Opened};
pub use crate::restore::{BuildFailure, Damage, Restored};
pub use crate::snapshot::{SnapshotDamage, SnapshotFailure, SnapshotFile, SnapshotProgress};
pub use crate::store::{Options, Stats, Store, WriteFailure};

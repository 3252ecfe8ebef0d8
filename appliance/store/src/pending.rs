//! What is in the journal and not yet in the engine: the newest value of every key concerned.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::PathBuf;

use sled::InlineArray;

use crate::engine::Record;

/// A key and its new value, `None` for removed.
pub(crate) type PendingChange = (InlineArray, Option<InlineArray>);

/// The changes on their way into the engine.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// What the journal being written holds.
    current: BTreeMap<InlineArray, Option<InlineArray>>,
    /// What earlier journals hold and the engine is being given.
    pub(crate) settling: Option<Settling>,
}

/// A part of the changes that goes into the engine step by step.
#[derive(Debug)]
pub(crate) struct Settling {
    /// By key; those before `done` are in the engine.
    changes: Vec<PendingChange>,
    done: usize,
    /// The batch that the engine will have come to.
    pub(crate) through: u64,
    /// The journals that are done with then.
    pub(crate) journals: Vec<PathBuf>,
}

impl Settling {
    /// The next changes, which become the engine's.
    pub(crate) fn take(&mut self, limit: usize) -> Vec<PendingChange> {
        let end = self.changes.len().min(self.done.saturating_add(limit));
        let part = self.changes.get_mut(self.done..end).unwrap_or_default();
        self.done = end;
        part.iter_mut().map(std::mem::take).collect()
    }

    /// Whether all changes have been taken.
    pub(crate) fn is_done(&self) -> bool {
        self.done == self.changes.len()
    }

    fn left(&self) -> &[PendingChange] {
        self.changes.get(self.done..).unwrap_or_default()
    }
}

impl Pending {
    /// Takes a change in.
    pub(crate) fn add(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.current.insert(key.into(), value.map(InlineArray::from));
    }

    /// Begins to settle all changes that came so far; only when nothing is being settled.
    pub(crate) fn rotate(&mut self, through: u64, journals: Vec<PathBuf>) {
        let changes = std::mem::take(&mut self.current).into_iter().collect();
        self.settling = Some(Settling { changes, done: 0, through, journals });
    }

    /// Whether the engine lacks nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.current.is_empty() && self.settling.as_ref().is_none_or(Settling::is_done)
    }

    /// Changes that are left to settle.
    pub(crate) fn len(&self) -> usize {
        self.current.len() + self.settling.as_ref().map_or(0, |settling| settling.left().len())
    }

    /// Makes of the engine's records those of the store, between two keys.
    pub(crate) fn overlay(
        &self,
        records: Vec<Record>,
        after: &[u8],
        through: Option<&[u8]>,
    ) -> Vec<Record> {
        let mut merged: BTreeMap<_, _> = records.into_iter().collect();
        let mut lay = |key: &InlineArray, value: &Option<InlineArray>| match value {
            Some(value) => drop(merged.insert(key.clone(), value.clone())),
            None => drop(merged.remove(key)),
        };
        if let Some(settling) = &self.settling {
            let left = settling.left();
            let from = left.partition_point(|(key, _)| key.as_ref() <= after);
            left.iter()
                .skip(from)
                .take_while(|(key, _)| through.is_none_or(|through| key.as_ref() <= through))
                .for_each(|(key, value)| lay(key, value));
        }
        let end = through.map_or(Bound::Unbounded, Bound::Included);
        self.current
            .range::<[u8], _>((Bound::Excluded(after), end))
            .for_each(|(key, value)| lay(key, value));
        merged.into_iter().collect()
    }
}

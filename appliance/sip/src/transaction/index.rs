//! Server transactions by key: the keys stand in the transactions alone.

use std::hash::BuildHasher as _;

use foldhash::quality::FixedState;
use hashbrown::HashTable;

/// Slots by the digest of a key; whoever asks compares the keys themselves.
#[derive(Debug)]
pub(super) struct Index {
    hasher: FixedState,
    entries: HashTable<Entry>,
}

#[derive(Debug)]
struct Entry {
    /// Kept, so that growing looks at no transaction.
    digest: u64,
    slot: u32,
}

impl Index {
    pub(super) fn new(seed: u64) -> Self {
        Self { hasher: FixedState::with_seed(seed), entries: HashTable::new() }
    }

    /// The slot whose key this is.
    pub(super) fn find(&self, key: &[u8], is_its_key: impl Fn(u32) -> bool) -> Option<u32> {
        let digest = self.hasher.hash_one(key);
        let is_same = |entry: &Entry| entry.digest == digest && is_its_key(entry.slot);
        self.entries.find(digest, is_same).map(|entry| entry.slot)
    }

    /// Adds a slot; its key must not be there yet.
    pub(super) fn insert(&mut self, key: &[u8], slot: u32) {
        let digest = self.hasher.hash_one(key);
        self.entries.insert_unique(digest, Entry { digest, slot }, |entry| entry.digest);
    }

    /// Removes a slot if it is there under this key.
    pub(super) fn remove(&mut self, key: &[u8], slot: u32) {
        let digest = self.hasher.hash_one(key);
        if let Ok(entry) = self.entries.find_entry(digest, |entry| entry.slot == slot) {
            entry.remove();
        }
    }
}

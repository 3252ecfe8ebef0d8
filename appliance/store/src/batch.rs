//! A batch and the contents it changes: the changes and the new generation record go into the
//! engine as one, and only what differs from what is there is written.

use crate::engine::{Engine, EngineFailure, EngineOpenFailure};
use crate::generation::{Generation, RECORD_KEY, StoreId};
use crate::pending::PendingChange;
use crate::restore::Damage;

/// Records read from the engine at a time.
pub(crate) const CHUNK: usize = 1024;

/// The engine together with what its records amount to.
#[derive(Debug)]
pub(crate) struct Contents {
    pub(crate) engine: Engine,
    pub(crate) generation: Generation,
    /// Bytes of all keys and values.
    pub(crate) bytes: u64,
}

impl Contents {
    /// Puts the first generation record into an empty engine.
    pub(crate) fn create(
        mut engine: Engine,
        id: StoreId,
        counter: u64,
    ) -> Result<Self, EngineFailure> {
        let generation = Generation::empty(id, counter);
        let mut batch = sled::Batch::default();
        batch.insert(RECORD_KEY, generation.encode());
        engine.apply(batch)?;
        Ok(Self { engine, generation, bytes: 0 })
    }

    /// Reads every record of an engine and compares them with its generation record.
    pub(crate) fn load(mut engine: Engine) -> Result<Self, EngineOpenFailure> {
        let stored = engine.get(&RECORD_KEY)?;
        let Some(generation) = stored.as_deref().and_then(Generation::decode) else {
            return Err(EngineOpenFailure::Damaged(Damage::NoGeneration));
        };
        let mut found = Generation { records: 0, digest: 0, ..generation };
        let mut bytes = 0;
        let mut last = RECORD_KEY.to_vec();
        loop {
            let records = engine.records_after(Some(&last), CHUNK)?;
            let Some((key, _)) = records.last() else { break };
            last = key.to_vec();
            for (key, value) in &records {
                found.add(key, value);
                bytes += size(key, value);
            }
        }
        if found != generation {
            return Err(EngineOpenFailure::Damaged(Damage::Contents {
                expected: generation.records,
                found: found.records,
            }));
        }
        Ok(Self { engine, generation, bytes })
    }

    /// Applies changes, each of another key, as one batch; `counter` and `ahead` are those of the
    /// generation record that goes with them.
    pub(crate) fn apply(
        &mut self,
        changes: impl IntoIterator<Item = PendingChange>,
        counter: u64,
        ahead: u64,
    ) -> Result<(), EngineFailure> {
        let mut generation = Generation { counter, ahead, ..self.generation };
        let mut bytes = self.bytes;
        let mut batch = sled::Batch::default();
        for (key, value) in changes {
            let old = self.engine.get(&key)?;
            if old == value {
                continue;
            }
            if let Some(old) = old {
                generation.subtract(&key, &old);
                bytes = bytes.saturating_sub(size(&key, &old));
            }
            match value {
                Some(value) => {
                    generation.add(&key, &value);
                    bytes += size(&key, &value);
                    batch.insert(key, value);
                }
                None => batch.remove(key),
            }
        }
        batch.insert(RECORD_KEY, generation.encode());
        self.engine.apply(batch)?;
        self.generation = generation;
        self.bytes = bytes;
        Ok(())
    }
}

fn size(key: &[u8], value: &[u8]) -> u64 {
    u64::try_from(key.len() + value.len()).unwrap_or(u64::MAX)
}

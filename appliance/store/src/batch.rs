//! A batch and the contents it changes: the changes and the new generation record go into the
//! engine as one, and only what differs from what is there is written.

use std::collections::BTreeMap;

use crate::engine::{Engine, EngineFailure, EngineOpenFailure};
use crate::generation::{Generation, RECORD_KEY, StoreId};
use crate::restore::Damage;

/// Records read from the engine at a time.
pub(crate) const CHUNK: usize = 1024;

/// A change that made a difference: a key and its new value, `None` for removed.
pub(crate) type Effect<'a> = (&'a [u8], Option<&'a [u8]>);

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
        let mut found = Generation::empty(generation.id, generation.counter);
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

    /// Applies changes as one batch, the last one of a key counting, under a counter; returns
    /// those that made a difference, by key.
    pub(crate) fn apply<'a>(
        &mut self,
        changes: impl IntoIterator<Item = Effect<'a>>,
        counter: u64,
    ) -> Result<Vec<Effect<'a>>, EngineFailure> {
        let changes: BTreeMap<_, _> = changes.into_iter().collect();
        let mut generation = Generation { counter, ..self.generation };
        let mut bytes = self.bytes;
        let mut batch = sled::Batch::default();
        let mut effects = Vec::with_capacity(changes.len());
        for (key, value) in changes {
            let old = self.engine.get(key)?;
            if old.as_deref() == value {
                continue;
            }
            if let Some(old) = old {
                generation.subtract(key, &old);
                bytes = bytes.saturating_sub(size(key, &old));
            }
            match value {
                Some(value) => {
                    generation.add(key, value);
                    bytes += size(key, value);
                    batch.insert(key, value);
                }
                None => batch.remove(key),
            }
            effects.push((key, value));
        }
        batch.insert(RECORD_KEY, generation.encode());
        self.engine.apply(batch)?;
        self.generation = generation;
        self.bytes = bytes;
        Ok(effects)
    }
}

fn size(key: &[u8], value: &[u8]) -> u64 {
    u64::try_from(key.len() + value.len()).unwrap_or(u64::MAX)
}

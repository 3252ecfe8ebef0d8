//! The way from the journal into the engine, in steps between batches.

use crate::directory;
use crate::journal::Journal;
use crate::restore;
use crate::store::{Store, WriteFailure};

/// A journal that has grown so long is settled.
const LONG: u64 = 16 << 20;
/// One that nobody settles is settled by the batch that comes next.
const TOO_LONG: u64 = 4 * LONG;

impl Store {
    /// Takes a step of giving the engine what only the journal has: of what has been begun, of
    /// all of it when that is `due`, or when the journal has grown long. True when another step
    /// should follow soon. Batches may come between the steps.
    ///
    /// Nothing depends on it but the length of the journal, the time that the next opening takes
    /// and memory; the later it is done, the more changes of the same records become one.
    ///
    /// # Errors
    /// When the disk is all but full (the next step may be tried), or the disk or the engine
    /// fails.
    pub fn settle(&mut self, due: bool) -> Result<bool, WriteFailure> {
        if self.contents.engine.is_stopped() {
            return Err(WriteFailure::Stopped);
        }
        let is_begun = self.pending.settling.is_some();
        if self.is_settled() || !(is_begun || due || self.journal.bytes >= LONG) {
            return Ok(false);
        }
        self.check_space(2)?;
        self.settle_step()?;
        Ok(self.pending.settling.is_some())
    }

    /// Whether the engine has every batch.
    pub(crate) fn is_settled(&self) -> bool {
        self.contents.generation.counter == self.counter
    }

    /// Keeps the journal from growing for ever when nobody settles.
    pub(crate) fn settle_if_too_long(&mut self) -> Result<(), WriteFailure> {
        if self.journal.bytes >= TOO_LONG { self.settle_all() } else { Ok(()) }
    }

    /// Gives the engine everything.
    pub(crate) fn settle_all(&mut self) -> Result<(), WriteFailure> {
        while !self.is_settled() {
            self.settle_step()?;
        }
        Ok(())
    }

    fn settle_step(&mut self) -> Result<(), WriteFailure> {
        if self.pending.settling.is_none() {
            self.rotate()?;
        }
        let Some(settling) = &mut self.pending.settling else { return Ok(()) };
        let part = settling.take(self.options.settle_step);
        let (ahead, is_done) = (settling.through, settling.is_done());
        let counter = if is_done { ahead } else { self.contents.generation.counter };
        self.contents.apply(part, counter, ahead)?;
        self.contents.engine.flush()?;
        if is_done && let Some(settled) = self.pending.settling.take() {
            for journal in settled.journals {
                if let Err(error) = directory::remove(&journal) {
                    tracing::warn!(%error, "a journal that is done with stays until the next open");
                }
            }
        }
        Ok(())
    }

    /// Begins another journal and with it the settling of what the old one holds.
    fn rotate(&mut self) -> Result<(), WriteFailure> {
        self.flush()?;
        let dir = self.dir.join(restore::STORE);
        let next = Journal::create(&dir, self.contents.generation.id, self.counter);
        let old = std::mem::replace(&mut self.journal, next.map_err(WriteFailure::Io)?);
        self.pending.rotate(self.counter, vec![old.path]);
        Ok(())
    }
}

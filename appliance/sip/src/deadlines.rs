//! Deadlines of many small things in one timer wheel: inserting costs a push, cancelling nothing.
//!
//! Entries are not removed when what they stand for ends; the owner notices a stale key when it
//! comes due. An owner whose deadline moves away re-arms at the old one, so it has one entry.

use std::collections::BTreeMap;

use crate::clock::Instant;

const TICK_BITS: u32 = 14;
const SLOTS: u64 = 4096;
const WORDS: usize = 64;

/// A set of deadlines with a resolution of 16.4 ms, never early.
#[derive(Debug)]
pub struct Deadlines<K> {
    slots: Vec<Vec<K>>,
    occupied: [u64; WORDS],
    /// Entries beyond one turn of the wheel, by tick.
    far: BTreeMap<u64, Vec<K>>,
    /// The first tick that has not been handed out.
    cursor: u64,
    due: Vec<K>,
    len: usize,
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Self {
            slots: std::iter::repeat_with(Vec::new).take(4096).collect(),
            occupied: [0; WORDS],
            far: BTreeMap::new(),
            cursor: 0,
            due: Vec::new(),
            len: 0,
        }
    }
}

impl<K> Deadlines<K> {
    /// Entries waiting, stale ones included.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Lets `key` come due at `at`, or with the next tick when that has passed.
    pub fn insert(&mut self, at: Instant, key: K) {
        let tick = at.as_micros().div_ceil(1 << TICK_BITS).max(self.cursor);
        self.len += 1;
        if tick - self.cursor < SLOTS {
            self.put(tick, key);
        } else {
            self.far.entry(tick).or_default().push(key);
        }
    }

    /// The next key that is due at `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        let tick_now = now.as_micros() >> TICK_BITS;
        loop {
            if let Some(key) = self.due.pop() {
                self.len -= 1;
                return Some(key);
            }
            let tick = self.next_tick()?;
            if tick > tick_now {
                // What lies between is empty: later entries may use those slots for later turns.
                self.advance(tick_now.saturating_add(1).min(tick));
                return None;
            }
            self.advance(tick);
            let slot = slot_of(tick);
            if let Some(keys) = self.slots.get_mut(slot) {
                std::mem::swap(keys, &mut self.due);
                self.due.reverse();
            }
            self.mark(slot, false);
            self.advance(tick + 1);
        }
    }

    /// When the next entry comes due.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        if !self.due.is_empty() {
            return Some(Instant::from_micros(self.cursor << TICK_BITS));
        }
        self.next_tick().map(|tick| Instant::from_micros(tick << TICK_BITS))
    }

    fn put(&mut self, tick: u64, key: K) {
        let slot = slot_of(tick);
        if let Some(keys) = self.slots.get_mut(slot) {
            keys.push(key);
            self.mark(slot, true);
        }
    }

    fn mark(&mut self, slot: usize, occupied: bool) {
        if let Some(word) = self.occupied.get_mut(slot / 64) {
            let bit = 1_u64 << (slot % 64);
            if occupied { *word |= bit } else { *word &= !bit }
        }
    }

    fn advance(&mut self, cursor: u64) {
        self.cursor = self.cursor.max(cursor);
        while let Some(entry) = self.far.first_entry() {
            let tick = *entry.key();
            if tick.saturating_sub(self.cursor) >= SLOTS {
                break;
            }
            for key in entry.remove() {
                self.put(tick, key);
            }
        }
    }

    fn next_tick(&self) -> Option<u64> {
        let start = slot_of(self.cursor);
        let word_at = |index: usize| self.occupied.get(index % WORDS).copied().unwrap_or(0);
        // One word more than there are: the first is looked at in two parts.
        for step in 0..=WORDS {
            let index = start / 64 + step;
            let mut word = word_at(index);
            if step == 0 {
                word &= u64::MAX << (start % 64);
            } else if step == WORDS {
                word &= !(u64::MAX << (start % 64));
            }
            if word != 0 {
                let slot = (index % WORDS) * 64 + word.trailing_zeros() as usize;
                let ahead = (slot + 4096 - start) % 4096;
                return Some(self.cursor + ahead as u64);
            }
        }
        self.far.first_key_value().map(|(tick, _)| *tick)
    }
}

const fn slot_of(tick: u64) -> usize {
    (tick % SLOTS) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn at(millis: u64) -> Instant {
        Instant::default() + Duration::from_millis(millis)
    }

    #[test]
    fn comes_due_in_order_and_never_early() {
        let mut wheel = Deadlines::default();
        for millis in [700, 40, 3_600_000, 66_000, 500] {
            wheel.insert(at(millis), millis);
        }
        let mut seen = Vec::new();
        while let Some(next) = wheel.next() {
            while let Some(key) = wheel.pop_due(next) {
                assert!(next >= at(key) && next.since(at(key)) < Duration::from_millis(17));
                seen.push(key);
            }
        }
        assert_eq!(seen, [40, 500, 700, 66_000, 3_600_000]);
        assert!(wheel.is_empty());
    }

    #[test]
    fn what_is_already_past_comes_with_the_next_look() {
        let mut wheel = Deadlines::default();
        assert_eq!(wheel.pop_due(at(10_000)), None::<u8>);
        wheel.insert(at(1), 1);
        assert_eq!(wheel.pop_due(wheel.next().unwrap()), Some(1));
    }

    proptest! {
        #[test]
        fn agrees_with_a_sorted_list(steps in proptest::collection::vec((0_u64..200_000, 0_u64..30_000), 1..60)) {
            let mut wheel = Deadlines::default();
            let mut model: Vec<(u64, usize)> = Vec::new();
            let mut now = 0;
            for (id, (delay, passes)) in steps.into_iter().enumerate() {
                wheel.insert(at(now + delay), id);
                model.push((now + delay, id));
                now += passes;
                while let Some(id) = wheel.pop_due(at(now)) {
                    let place = model.iter().position(|(_, other)| *other == id).unwrap();
                    prop_assert!(model[place].0 <= now, "early");
                    model.remove(place);
                }
                prop_assert!(model.iter().all(|(due, _)| *due + 33 > now), "late");
                prop_assert_eq!(wheel.len(), model.len());
            }
        }
    }
}

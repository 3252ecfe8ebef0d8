//! The one thread that writes the store: group commit, the watermark that answers wait for,
//! snapshots, and service from memory while the disk fails.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use presence::output::{SaveSequence, Ticket};
use presence::record::Change;
use tokio::sync::{mpsc, oneshot};

use crate::alarm::{AlarmKind, Alarms};
use crate::server_task::Input;

/// Commits begin at least this long apart, so that what arrives meanwhile shares one sync; the
/// first after a pause begins at once.
const GROUP_WITHIN: Duration = Duration::from_millis(10);
/// Pause before a failed write is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// How often a snapshot is made while there are changes.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(300);
/// What was written is put away after so long, unless so much was written that it is due before:
/// the later, the more changes of the same records become one.
const SETTLE_EVERY: Duration = Duration::from_secs(60);
/// Bytes that may wait for the disk.
const WAITING_BYTES: usize = 128 * 1024 * 1024;

/// What the store tells the server.
#[derive(Debug)]
pub(crate) struct StoreEvent {
    /// Every batch up to here is on disk.
    pub(crate) durable: Option<SaveSequence>,
    /// Commits that are decided.
    pub(crate) committed: Vec<(Ticket, bool)>,
    /// Whether the store refuses writes now.
    pub(crate) is_failed: bool,
}

/// What the store has done, for metrics.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoreCounters {
    /// Batches written.
    pub(crate) commits: u64,
    /// Changes written.
    pub(crate) changes: u64,
    /// Batches that failed.
    pub(crate) failures: u64,
    /// Changes that found no room in memory.
    pub(crate) dropped: u64,
    /// Snapshots made.
    pub(crate) snapshots: u64,
    /// Time spent writing, in all.
    pub(crate) busy: Duration,
    /// The longest that one write took since the counters were last read.
    pub(crate) slowest: Duration,
    /// Changes that wait.
    pub(crate) waiting_changes: usize,
    /// Bytes that wait.
    pub(crate) waiting_bytes: usize,
}

/// One batch as the store takes it.
pub(crate) type Batch = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// What the thread does to the disk.
pub(crate) struct Disk<W, T, S> {
    /// Writes a batch, all or nothing, and returns when it is durable.
    pub(crate) write: W,
    /// Takes one step of putting away what was written, all of it when told so; true when another
    /// step should follow soon.
    pub(crate) settle: T,
    /// Takes one step of a snapshot; true when it is complete.
    pub(crate) snapshot: S,
}

/// The server's end: takes changes and never blocks on the disk.
#[derive(Debug, Clone)]
pub(crate) struct StoreQueue {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pending: Mutex<Pending>,
    /// There is work for a thread that has none.
    work: Condvar,
    /// A pause is over before its time.
    closing: Condvar,
    alarms: Alarms,
}

#[derive(Debug, Default)]
struct Pending {
    /// The newest value of every key that waits; what was put out last wins, so the whole is one
    /// batch whatever the number of changes it stands for.
    changes: HashMap<Vec<u8>, Waiting>,
    bytes: usize,
    through: SaveSequence,
    commits: Vec<Commit>,
    /// Those who wait for a snapshot of all that is queued.
    snapshots: Vec<oneshot::Sender<bool>>,
    is_closing: bool,
    /// The thread waits for work; else it will look by itself.
    is_idle: bool,
    counters: StoreCounters,
}

#[derive(Debug)]
struct Waiting {
    sequence: SaveSequence,
    value: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Commit {
    ticket: Ticket,
    sequence: SaveSequence,
    keys: Vec<Vec<u8>>,
}

impl StoreQueue {
    /// An empty queue.
    pub(crate) fn new(alarms: Alarms) -> Self {
        let (work, closing) = (Condvar::new(), Condvar::new());
        Self { shared: Arc::new(Shared { pending: Mutex::default(), work, closing, alarms }) }
    }

    /// Queues soft state.
    pub(crate) fn save(&self, sequence: SaveSequence, changes: Vec<Change>) {
        let mut pending = self.shared.lock();
        let dropped = pending.add(sequence, changes, false);
        self.shared.wake(pending);
        if dropped > 0 {
            self.shared.alarms.raise(
                AlarmKind::StoreBehind,
                format!("more than {} MB wait for the disk", WAITING_BYTES / 1_048_576),
            );
        }
    }

    /// Queues hard state; false when it cannot even wait.
    pub(crate) fn commit(
        &self,
        ticket: Ticket,
        sequence: SaveSequence,
        changes: Vec<Change>,
    ) -> bool {
        let keys: Vec<_> = changes.iter().map(|change| change.key.clone()).collect();
        let mut pending = self.shared.lock();
        let is_taken = pending.add(sequence, changes, true) == 0;
        if is_taken {
            pending.commits.push(Commit { ticket, sequence, keys });
        }
        self.shared.wake(pending);
        is_taken
    }

    /// Has a snapshot made of everything that was queued so far; what comes says whether it is on
    /// disk.
    pub(crate) fn snapshot(&self) -> oneshot::Receiver<bool> {
        let (done, on_done) = oneshot::channel();
        let mut pending = self.shared.lock();
        pending.snapshots.push(done);
        self.shared.wake(pending);
        on_done
    }

    /// What was done so far.
    pub(crate) fn counters(&self) -> StoreCounters {
        let mut pending = self.shared.lock();
        let mut counters = pending.counters.clone();
        pending.counters.slowest = Duration::ZERO;
        counters.waiting_changes = pending.changes.len();
        counters.waiting_bytes = pending.bytes;
        counters
    }

    /// Lets the thread write what waits, make a snapshot and end.
    pub(crate) fn close(&self) {
        self.shared.lock().is_closing = true;
        self.shared.work.notify_one();
        self.shared.closing.notify_one();
    }

    /// Writes what is queued until closed; false when something could not be written at the end.
    pub(crate) fn run<W, T, S, E, F>(
        &self,
        mut disk: Disk<W, T, S>,
        events: &mpsc::Sender<Input>,
    ) -> bool
    where
        W: FnMut(&Batch) -> Result<(), E>,
        T: FnMut(bool) -> Result<bool, E>,
        S: FnMut() -> Result<bool, F>,
        E: std::error::Error,
        F: std::error::Error,
    {
        let mut last_begin: Option<Instant> = None;
        let mut snapshot_due: Option<Instant> = None;
        let mut settle_due: Option<Instant> = None;
        let mut asked = Asked::default();
        loop {
            let due = [snapshot_due, settle_due].into_iter().flatten().min();
            let is_closing = self.shared.wait_for_work(due);
            if let Some(begin) = last_begin
                && !is_closing
            {
                self.shared.sleep_until(begin + GROUP_WITHIN);
            }
            let mut taken = self.shared.take();
            let is_idle = taken.is_empty();
            if asked.add(&mut taken.snapshots) {
                snapshot_due = Some(Instant::now());
            }
            if !is_idle {
                let now = Instant::now();
                last_begin = Some(now);
                snapshot_due = snapshot_due.or(Some(now + SNAPSHOT_EVERY));
                settle_due = settle_due.or(Some(now + SETTLE_EVERY));
                if !self.write(taken, &mut disk.write, events) {
                    if is_closing {
                        return false;
                    }
                    self.shared.sleep_until(Instant::now() + RETRY_AFTER);
                    continue;
                }
            }
            // A step at a time, so that what arrives meanwhile waits for one step only.
            let is_due = settle_due.is_some_and(|due| due <= Instant::now());
            settle_due = match (disk.settle)(is_due) {
                Ok(true) => Some(Instant::now()),
                Ok(false) if is_due => None,
                Ok(false) => settle_due,
                Err(error) => {
                    tracing::warn!(error = %in_words(&error), "what was written is not put away");
                    Some(Instant::now() + SETTLE_EVERY)
                }
            };
            if !is_idle && asked.waiting.is_empty() {
                continue;
            }
            if snapshot_due.is_some_and(|due| is_closing || due <= Instant::now()) {
                let step = self.take_snapshot_step(&mut disk.snapshot);
                asked.is_under_way = step.is_none();
                if let Some(is_made) = step {
                    snapshot_due = asked.answer(is_made).then(Instant::now);
                }
            }
            if is_closing && snapshot_due.is_none() {
                return true;
            }
        }
    }

    fn write<W, E>(&self, taken: Pending, write: &mut W, events: &mpsc::Sender<Input>) -> bool
    where
        W: FnMut(&Batch) -> Result<(), E>,
        E: std::error::Error,
    {
        let shared = &self.shared;
        let sequences: Vec<_> = taken.changes.values().map(|waiting| waiting.sequence).collect();
        let batch: Batch =
            taken.changes.into_iter().map(|(key, waiting)| (key, waiting.value)).collect();
        let begin = Instant::now();
        let outcome = write(&batch);
        let took = begin.elapsed();
        let is_stored = outcome.is_ok();
        let committed = taken.commits.iter().map(|c| (c.ticket, is_stored)).collect();
        let mut pending = shared.lock();
        let counters = &mut pending.counters;
        counters.busy += took;
        counters.slowest = counters.slowest.max(took);
        match outcome {
            Ok(()) => {
                counters.commits += 1;
                counters.changes = counters.changes.saturating_add(batch.len() as u64);
                drop(pending);
                shared.alarms.clear(AlarmKind::StoreFailed);
                shared.alarms.clear(AlarmKind::StoreBehind);
            }
            Err(error) => {
                counters.failures += 1;
                pending.take_back(batch, &sequences, &taken.commits, taken.through);
                drop(pending);
                shared.alarms.raise(AlarmKind::StoreFailed, in_words(&error));
            }
        }
        let event = StoreEvent {
            durable: is_stored.then_some(taken.through),
            committed,
            is_failed: !is_stored,
        };
        // The server takes its inputs as long as it lives; afterwards nobody waits.
        let _ = events.blocking_send(Input::Store(event));
        is_stored
    }

    /// Takes one step of a snapshot; when there is no other to take, whether it was made.
    fn take_snapshot_step<S, F>(&self, step: &mut S) -> Option<bool>
    where
        S: FnMut() -> Result<bool, F>,
        F: std::error::Error,
    {
        match step() {
            Ok(false) => None,
            Ok(true) => {
                self.shared.lock().counters.snapshots += 1;
                tracing::debug!("a snapshot was made");
                self.shared.alarms.clear(AlarmKind::SnapshotFailed);
                Some(true)
            }
            Err(error) => {
                self.shared.alarms.raise(AlarmKind::SnapshotFailed, in_words(&error));
                Some(false)
            }
        }
    }
}

/// Those who have asked for a snapshot.
#[derive(Debug, Default)]
struct Asked {
    waiting: Vec<oneshot::Sender<bool>>,
    /// A snapshot has begun, so that it may lack what was queued since.
    is_under_way: bool,
    /// The one that is under way is not the one that is waited for.
    is_another_due: bool,
}

impl Asked {
    /// Takes those who have come; whether a snapshot is due for them.
    fn add(&mut self, come: &mut Vec<oneshot::Sender<bool>>) -> bool {
        if come.is_empty() {
            return false;
        }
        self.is_another_due |= self.is_under_way;
        self.waiting.append(come);
        true
    }

    /// Tells them what became of a snapshot; whether another is due for them.
    fn answer(&mut self, is_made: bool) -> bool {
        if std::mem::take(&mut self.is_another_due) {
            return true;
        }
        for waiting in self.waiting.drain(..) {
            // Whoever has stopped waiting misses nothing.
            let _ = waiting.send(is_made);
        }
        false
    }
}

impl Pending {
    /// Gives the number of changes that found no room.
    fn add(&mut self, sequence: SaveSequence, changes: Vec<Change>, all_or_none: bool) -> u64 {
        let mut dropped = 0;
        if all_or_none {
            let bytes: usize = changes.iter().map(bytes_of).sum();
            if self.bytes.saturating_add(bytes) > WAITING_BYTES {
                self.counters.dropped += 1;
                return 1;
            }
        }
        for change in changes {
            let bytes = bytes_of(&change);
            let replaced = self.changes.get(&change.key).map(|old| waiting_bytes(&change.key, old));
            let after = self.bytes.saturating_add(bytes) - replaced.unwrap_or(0);
            if after > WAITING_BYTES && replaced.is_none() {
                dropped += 1;
                continue;
            }
            self.bytes = after;
            self.changes.insert(change.key, Waiting { sequence, value: change.value });
        }
        self.counters.dropped += dropped;
        self.through = self.through.max(sequence);
        dropped
    }

    /// Puts a failed batch back under what came since; its commits are undone.
    fn take_back(
        &mut self,
        batch: Batch,
        sequences: &[SaveSequence],
        commits: &[Commit],
        through: SaveSequence,
    ) {
        for ((key, value), sequence) in batch.into_iter().zip(sequences) {
            let is_commit =
                commits.iter().any(|c| c.sequence == *sequence && c.keys.contains(&key));
            if is_commit || self.changes.contains_key(&key) {
                continue;
            }
            let waiting = Waiting { sequence: *sequence, value };
            self.bytes = self.bytes.saturating_add(waiting_bytes(&key, &waiting));
            self.changes.insert(key, waiting);
        }
        self.through = self.through.max(through);
    }

    fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.commits.is_empty()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread if it waits for work: in a pause between commits a wake for every change
    /// would cost both sides more than the change.
    fn wake(&self, mut pending: MutexGuard<'_, Pending>) {
        let was_idle = std::mem::take(&mut pending.is_idle);
        drop(pending);
        if was_idle {
            self.work.notify_one();
        }
    }

    /// Waits for changes, closing, or the time given; tells whether it is closing.
    fn wait_for_work(&self, until: Option<Instant>) -> bool {
        let mut pending = self.lock();
        while pending.is_empty() && pending.snapshots.is_empty() && !pending.is_closing {
            pending.is_idle = true;
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            pending = match left {
                Some(Duration::ZERO) => break,
                Some(left) => {
                    let waited = self.work.wait_timeout(pending, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.work.wait(pending).unwrap_or_else(PoisonError::into_inner),
            };
        }
        pending.is_idle = false;
        pending.is_closing
    }

    /// Waits for a time, or for closing.
    fn sleep_until(&self, until: Instant) {
        let mut pending = self.lock();
        while !pending.is_closing {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.closing.wait_timeout(pending, left);
            pending = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn take(&self) -> Pending {
        let mut pending = self.lock();
        let taken = Pending {
            changes: std::mem::take(&mut pending.changes),
            commits: std::mem::take(&mut pending.commits),
            snapshots: std::mem::take(&mut pending.snapshots),
            through: pending.through,
            ..Pending::default()
        };
        pending.bytes = 0;
        taken
    }
}

fn bytes_of(change: &Change) -> usize {
    change.key.len() + change.value.as_ref().map_or(0, Vec::len) + size_of::<Waiting>()
}

fn waiting_bytes(key: &[u8], waiting: &Waiting) -> usize {
    key.len() + waiting.value.as_ref().map_or(0, Vec::len) + size_of::<Waiting>()
}

/// An error with its sources, in one line.
pub(crate) fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        words.push_str(": ");
        words.push_str(&error.to_string());
        source = error.source();
    }
    words
}

#[cfg(test)]
mod tests;

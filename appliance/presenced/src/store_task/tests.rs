//! The writing thread on a disk in memory that can be told to fail.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use super::*;

/// A disk in memory that can be told to fail.
#[derive(Clone, Default)]
struct Memory {
    content: Arc<Mutex<BTreeMap<Vec<u8>, Vec<u8>>>>,
    fails: Arc<AtomicBool>,
    writes: Arc<AtomicUsize>,
    snapshots: Arc<AtomicUsize>,
}

struct Fixture {
    queue: StoreQueue,
    memory: Memory,
    events: mpsc::Receiver<Input>,
    thread: JoinHandle<bool>,
    alarms: Alarms,
}

fn start() -> Fixture {
    let alarms = Alarms::default();
    let queue = StoreQueue::new(alarms.clone());
    let memory = Memory::default();
    let (sender, events) = mpsc::channel(1_024);
    let thread = {
        let (queue, memory) = (queue.clone(), memory.clone());
        std::thread::spawn(move || {
            let disk = Disk {
                write: |batch: &Batch| {
                    memory.writes.fetch_add(1, Ordering::SeqCst);
                    if memory.fails.load(Ordering::SeqCst) {
                        return Err(io::Error::other("no space"));
                    }
                    let mut content = memory.content.lock().unwrap();
                    for (key, value) in batch {
                        match value {
                            Some(value) => content.insert(key.clone(), value.clone()),
                            None => content.remove(key),
                        };
                    }
                    Ok(())
                },
                settle: |_| Ok(false),
                snapshot: || {
                    // The second step completes it.
                    let step = memory.snapshots.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, io::Error>(step == 1)
                },
            };
            queue.run(disk, &sender)
        })
    };
    Fixture { queue, memory, events, thread, alarms }
}

impl Fixture {
    fn event(&mut self) -> StoreEvent {
        match self.events.blocking_recv().unwrap() {
            Input::Store(event) => event,
            other => panic!("{other:?}"),
        }
    }

    fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.memory.content.lock().unwrap().get(key.as_bytes()).cloned()
    }
}

fn change(key: &str, value: &str) -> Change {
    Change { key: key.as_bytes().to_vec(), value: Some(value.as_bytes().to_vec()) }
}

#[test]
fn the_watermark_follows_the_disk_and_closing_writes_the_rest() {
    let mut fixture = start();
    fixture.queue.save(SaveSequence(1), vec![change("a", "1")]);
    assert_eq!(fixture.event().durable, Some(SaveSequence(1)));
    assert_eq!(fixture.get("a").unwrap(), b"1");
    for number in 2..=100 {
        fixture.queue.save(SaveSequence(number), vec![change("a", &number.to_string())]);
    }
    fixture.queue.close();
    let mut last = SaveSequence(0);
    while last < SaveSequence(100) {
        last = fixture.event().durable.unwrap();
    }
    assert_eq!(fixture.get("a").unwrap(), b"100");
    assert!(fixture.thread.join().unwrap());
    assert!(fixture.memory.writes.load(Ordering::SeqCst) < 100, "saves were not grouped");
    assert_eq!(fixture.memory.snapshots.load(Ordering::SeqCst), 2);
}

#[test]
fn a_commit_that_fails_is_said_so_and_never_written_while_saves_are_tried_again() {
    let mut fixture = start();
    fixture.memory.fails.store(true, Ordering::SeqCst);
    fixture.queue.save(SaveSequence(1), vec![change("soft", "1")]);
    assert!(fixture.event().is_failed);
    assert!(fixture.alarms.is_raised(AlarmKind::StoreFailed));
    assert!(fixture.queue.commit(Ticket(7), SaveSequence(2), vec![change("hard", "1")]));
    let failed = fixture.event();
    assert_eq!((failed.committed, failed.durable), (vec![(Ticket(7), false)], None));
    fixture.memory.fails.store(false, Ordering::SeqCst);
    fixture.queue.save(SaveSequence(3), vec![change("soft", "3")]);
    let mut event = fixture.event();
    while event.is_failed {
        event = fixture.event();
    }
    assert_eq!(event.durable, Some(SaveSequence(3)));
    fixture.queue.close();
    assert!(fixture.thread.join().unwrap());
    assert!(!fixture.alarms.is_raised(AlarmKind::StoreFailed));
    assert!(!fixture.memory.content.lock().unwrap().contains_key(b"hard".as_slice()));
    assert_eq!(fixture.memory.content.lock().unwrap()[b"soft".as_slice()], b"3");
}

#[test]
fn what_waits_is_bounded_but_a_waiting_key_can_always_be_renewed() {
    let mut pending = Pending::default();
    let large = "x".repeat(WAITING_BYTES / 4);
    for key in ["a", "b", "c"] {
        assert_eq!(pending.add(SaveSequence(1), vec![change(key, &large)], false), 0);
    }
    assert_eq!(pending.add(SaveSequence(2), vec![change("d", &large)], false), 1);
    assert_eq!(pending.add(SaveSequence(3), vec![change("a", &large)], false), 0);
    assert_eq!(pending.add(SaveSequence(4), vec![change("e", &large)], true), 1);
    assert_eq!(pending.counters.dropped, 2);
    assert_eq!(pending.through, SaveSequence(3));
    let expected: usize =
        pending.changes.iter().map(|(key, waiting)| waiting_bytes(key, waiting)).sum();
    assert_eq!(pending.bytes, expected);
}

#[test]
fn a_snapshot_that_is_asked_for_holds_what_was_queued_before() {
    let mut fixture = start();
    fixture.queue.save(SaveSequence(1), vec![change("a", "1")]);
    fixture.event();
    let made = fixture.queue.snapshot().blocking_recv();
    assert_eq!(made, Ok(true));
    // The second step completed it.
    assert_eq!(fixture.memory.snapshots.load(Ordering::SeqCst), 2);
    fixture.queue.close();
    assert!(fixture.thread.join().unwrap());
}

#[test]
fn one_that_has_begun_before_it_was_asked_for_is_not_the_one() {
    let mut asked = Asked { is_under_way: true, ..Asked::default() };
    let (done, mut on_done) = oneshot::channel();
    assert!(asked.add(&mut vec![done]));
    assert!(asked.answer(true), "another is due");
    on_done.try_recv().unwrap_err();
    assert!(!asked.answer(true));
    assert_eq!(on_done.try_recv(), Ok(true));
}

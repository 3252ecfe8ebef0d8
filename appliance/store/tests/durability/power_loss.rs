//! Without power at any moment, the store has every batch that it acknowledged, and no half batch.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use store::{How, OpenFailure, Opened, Store};

use crate::corruption::files;
use crate::crash_state::{Disk, Event, parse};
use crate::{child, workload};

const TEST: &str = "power_loss::a_hundred_power_losses_lose_no_acknowledged_batch";
const STATES: [(&str, usize); 2] = [("steady", 60), ("restored", 40)];
const LONGEST_OPEN: Duration = Duration::from_secs(120);
const DAMAGED: &str = "damaged";

#[test]
fn a_hundred_power_losses_lose_no_acknowledged_batch() {
    match child::role().as_deref() {
        None => child::run(TEST, "judge"),
        Some("judge") => STATES.iter().for_each(|(life, states)| judge(life, *states)),
        Some(work) => {
            let (life, root) = work.split_once(' ').unwrap();
            live(life, Path::new(root));
        }
    }
}

/// What the traced process does.
fn live(life: &str, root: &Path) {
    let dir = root.join("data");
    let mut acks = OpenOptions::new().append(true).create(true).open(root.join("acks")).unwrap();
    let mut tell = |what: String| acks.write_all(what.as_bytes()).unwrap();
    workload::work(&dir, 1, 40, |number| tell(number.to_string()));
    if life == "restored" {
        let (mut store, _) = Store::open(&dir, workload::options()).unwrap();
        store.snapshot(usize::MAX).unwrap();
        drop(store);
        tell(DAMAGED.to_owned());
        fs::remove_file(dir.join("store/generation")).unwrap();
        File::open(dir.join("store")).unwrap().sync_all().unwrap();
    }
    workload::work(&dir, 2, 80, |number| tell(number.to_string()));
    workload::work(&dir, 3, 110, |number| tell(number.to_string()));
}

fn judge(life: &str, states: usize) {
    let scratch = tempfile::tempdir().unwrap();
    let root = scratch.path().join("disk");
    let log = scratch.path().join("log");
    fs::create_dir(&root).unwrap();
    let status = child::command(TEST, &format!("{life} {}", root.display()))
        .env("LD_PRELOAD", interposer(scratch.path()))
        .env("LAMPLIGHT_TRACE_ROOT", &root)
        .env("LAMPLIGHT_TRACE_LOG", &log)
        .status()
        .unwrap();
    assert!(status.success(), "{life}: {status}");
    let events = parse(&fs::read(&log).unwrap(), root.to_str().unwrap());

    let mut random = ChaCha8Rng::seed_from_u64(states as u64);
    let mut moments: Vec<_> = (0..states).map(|_| moment(&events, &mut random)).collect();
    moments.sort_unstable();
    let mut disk = Disk::new();
    let mut acknowledged = 0;
    let mut is_damaged = false;
    let mut done = 0;
    let (mut lost_nothing, mut lost_unacknowledged) = (0, 0);
    for moment in moments {
        for event in &events[done..moment] {
            disk.replay(event);
            if let Event::Write { handle, bytes, .. } = event
                && disk.path_of(*handle) == "acks"
            {
                let said = std::str::from_utf8(bytes).unwrap();
                is_damaged |= said == DAMAGED;
                acknowledged = said.parse().unwrap_or(acknowledged);
            }
        }
        done = moment;
        let crashed = tempfile::tempdir_in(scratch.path()).unwrap();
        disk.lose_power(&mut random, crashed.path());
        let context = format!("{life}, after event {moment}, {acknowledged} acknowledged");
        // What opening leaves behind must open as well.
        for round in 0..2 {
            let (opened, last) = open(crashed.path().join("data"), &context);
            let is_sound = match opened.how {
                How::New => acknowledged == 0 && round == 0,
                How::Clean | How::Recovered => true,
                How::RestoredFromSnapshot(_) => is_damaged && round == 0,
            };
            assert!(is_sound, "{context}: {opened:?}");
            assert!(last >= acknowledged, "{context}: only {last} are there");
            if last > acknowledged { lost_nothing += 1 } else { lost_unacknowledged += 1 }
        }
    }
    events[done..].iter().for_each(|event| disk.replay(event));
    assert!(disk.files() == files(&root), "{life}: something was done that is not in the log");
    assert!(acknowledged >= 100, "{life}: the last states come too early ({acknowledged})");
    assert!(lost_nothing > 0 && lost_unacknowledged > 0, "{life}: the states are all alike");
}

/// A moment to lose power at: any, one beside a sync or a change of names, or one beside a write
/// to a journal, where it shows whether a batch is there or not.
fn moment(events: &[Event], random: &mut ChaCha8Rng) -> usize {
    let any = workload::below(random, events.len() as u64) as usize + 1;
    let kind = workload::below(random, 3);
    if kind == 0 {
        return any;
    }
    let is_journal = |handle| {
        let opened = events.iter().rev().find_map(|event| match event {
            Event::Open { handle: opened, path, .. } if *opened == handle => Some(path),
            _ => None,
        });
        opened.is_some_and(|path| path.contains("journal"))
    };
    let next = events[any - 1..].iter().position(|event| match event {
        Event::Write { handle, .. } => kind == 1 && is_journal(*handle),
        _ => kind == 2,
    });
    (any + next.unwrap_or_default() + workload::below(random, 2) as usize).min(events.len())
}

/// Opens a store and reads it, or fails when that takes for ever.
fn open(dir: PathBuf, context: &str) -> (Opened, u64) {
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || {
        let opened = Store::open(&dir, workload::options()).map(|(mut store, opened)| {
            let last = workload::last_batch(&mut store);
            store.close().unwrap();
            (opened, last)
        });
        let _: Result<(), _> = sender.send(opened);
    });
    let opened: Result<_, OpenFailure> = receiver
        .recv_timeout(LONGEST_OPEN)
        .unwrap_or_else(|failure| panic!("{context}: the store does not open: {failure}"));
    opened.unwrap_or_else(|failure| panic!("{context}: {failure:?}"))
}

/// Builds the library that logs what a process does to its files.
pub(crate) fn interposer(dir: &Path) -> PathBuf {
    let library = dir.join("interpose.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/durability/interpose.c");
    let status = Command::new("cc")
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .args(["-shared", "-fPIC", "-O2", "-o"])
        .args([&library, &source])
        .args(["-ldl", "-lpthread"])
        .status()
        .unwrap();
    assert!(status.success(), "cc: {status}");
    library
}

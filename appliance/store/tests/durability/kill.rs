//! Killed at any moment, the store has every batch that it acknowledged, and no half batch.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use store::{How, Store};

use crate::{child, workload};

const TEST: &str = "kill::thirty_kills_lose_no_acknowledged_batch";
const ROUNDS: u64 = 30;
const LONGEST_LIFE_MILLIS: u64 = 250;
const ACKNOWLEDGED: &str = "acknowledged ";

#[test]
fn thirty_kills_lose_no_acknowledged_batch() {
    match child::role().as_deref() {
        None => child::run(TEST, "judge"),
        Some("judge") => judge(),
        Some(work) => {
            let (seed, dir) = work.split_once(' ').unwrap();
            workload::work(Path::new(dir), seed.parse().unwrap(), u64::MAX, |number| {
                let mut output = std::io::stdout().lock();
                writeln!(output, "\n{ACKNOWLEDGED}{number}").unwrap();
                output.flush().unwrap();
            });
        }
    }
}

fn judge() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(30);
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let life = Duration::from_millis(workload::below(&mut random, LONGEST_LIFE_MILLIS));
        let last_heard = live(dir.path(), round, life);
        acknowledged = acknowledged.max(last_heard);

        let (mut store, opened) = Store::open(dir.path(), workload::options()).unwrap();
        let is_sound = match opened.how {
            How::New => acknowledged == 0,
            How::Clean => last_heard == 0,
            How::Recovered => true,
            How::RestoredFromSnapshot(_) => false,
        };
        assert!(is_sound, "round {round}: {opened:?}");
        let last = workload::last_batch(&mut store);
        assert!(last >= acknowledged, "round {round}: {last} of {acknowledged} batches");
        acknowledged = last;
        store.close().unwrap();
    }
    assert!(acknowledged >= ROUNDS / 2, "every other round acknowledges: {acknowledged}");
}

/// Lets a process work for a while; returns the last batch that it acknowledged.
fn live(dir: &Path, seed: u64, life: Duration) -> u64 {
    let role = format!("{seed} {}", dir.display());
    let mut process = child::command(TEST, &role).stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(process.stdout.take().unwrap());
    let (sender, receiver) = sync_channel(1024);
    let reader = std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if let Some(number) = line.strip_prefix(ACKNOWLEDGED)
                && sender.send(number.parse().unwrap()).is_err()
            {
                break;
            }
        }
    });
    // Every other one is killed wherever it is, maybe before it has opened the store; the rest
    // have shown that they are at work.
    let mut last = if seed.is_multiple_of(2) { 0 } else { receiver.recv().unwrap() };
    let end = Instant::now() + life;
    loop {
        match receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(number) => last = number,
            Err(RecvTimeoutError::Timeout) => break,
            Err(RecvTimeoutError::Disconnected) => panic!("{}", process.wait().unwrap()),
        }
    }
    process.kill().unwrap();
    process.wait().unwrap();
    // What was acknowledged before the kill may still be in the pipe.
    last = receiver.iter().max().unwrap_or(last).max(last);
    reader.join().unwrap();
    last
}

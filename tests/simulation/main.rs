//! Worlds with a virtual clock: lossy links, and crashes at every write. The server inside is
//! the very object that the daemon drives.

mod actor;
mod text;
mod world;

use world::{Crash, Faults, World};

const CALM: Faults = Faults { loss: 0, repeat: 0, delay_millis: 5 };
const LOSSY: Faults = Faults { loss: 15, repeat: 10, delay_millis: 120 };

#[test]
fn watchers_see_every_presentity_as_it_last_was() {
    let mut world = World::new(1, CALM, None).run();
    world.check();
    assert_eq!(world.retransmissions(), 0, "nothing is sent twice when nothing is lost");
}

#[test]
fn lost_repeated_and_reordered_datagrams_change_nothing_in_the_end() {
    for seed in 1..=40 {
        World::new(seed, LOSSY, None).run().check();
    }
}

#[test]
fn a_crash_before_any_write_loses_nothing_acknowledged() {
    crash_at_every_write(|write| Crash { at_write: write, reaches_disk: false });
}

#[test]
fn a_crash_behind_any_write_loses_nothing_acknowledged() {
    crash_at_every_write(|write| Crash { at_write: write, reaches_disk: true });
}

fn crash_at_every_write(crash: impl Fn(u64) -> Crash) {
    for (seed, faults) in [(7, CALM), (8, LOSSY)] {
        let writes = World::new(seed, faults, None).run().story_writes();
        assert!(writes > 20, "the story is too short to mean anything: {writes} writes");
        for write in 1..=writes {
            let mut world = World::new(seed, faults, Some(crash(write))).run();
            assert_eq!(world.crashes(), 1, "write {write} of seed {seed} was reached");
            world.check();
        }
    }
}

#[test]
fn everything_is_forgotten_when_it_has_expired() {
    let mut world = World::new(3, CALM, None).run();
    world.silence_and_wait();
    let totals = world.totals();
    assert_eq!(totals.subscriptions, 0);
    assert_eq!(totals.publications, 0);
    assert_eq!(totals.transactions, 0);
    assert_eq!(world.stored_soft_state(), 0, "the disk forgets too");
}

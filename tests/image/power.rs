//! Power cuts under load: nothing that was acknowledged is lost, and the machine starts by itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lamplight_tests::machine::ssh::Key;
use lamplight_tests::machine::{Hardware, Machine, Ports};
use lamplight_tests::pidf;
use lamplight_tests::wire::{Client, Via};

use crate::start::{answers, until_serving};

/// Cuts in every run of the tests; `LAMPLIGHT_CUTS` asks for more.
const CUTS: u32 = 3;
/// People who publish.
const PEOPLE: usize = 8;

fn clients(machine: &Machine) -> Vec<Client> {
    let of = |i| {
        let name = format!("user{i}");
        Client::new(Via::Tcp, Ports::at(machine.ports.sip), "example.test", &name, "")
    };
    (0..PEOPLE).map(of).collect()
}

#[test]
fn what_was_acknowledged_survives_the_power_going_out() {
    let cuts = std::env::var("LAMPLIGHT_CUTS").ok().and_then(|text| text.parse().ok());
    let cuts: u32 = cuts.unwrap_or(CUTS);
    let key = Key::new();
    let text = format!("{}trusted = [\"10.0.2.2/32\"]\n", answers(&key));
    let mut machine = Machine::start(Hardware::default(), Some(&text));
    until_serving(&machine);
    for i in 0..PEOPLE {
        machine.ssh(&key, &format!("user add user{i}")).expect_done();
    }
    for cut in 0..cuts {
        // An account, acknowledged at the last moment.
        machine.ssh(&key, &format!("user add cut{cut}")).expect_done();
        let acknowledged =
            publish_until_cut(&mut machine, Duration::from_millis(200 + 317 * u64::from(cut % 7)));
        assert!(!acknowledged.is_empty(), "nothing was under way");
        machine.switch_on();
        until_serving(&machine);
        machine.ssh(&key, &format!("show user cut{cut}")).expect_done();
        let clients = clients(&machine);
        for (person, etag) in &acknowledged {
            let client = &clients[*person];
            let answer = client.republish(etag, None, 3_600);
            assert_eq!(answer.status(), Some(200), "cut {cut}: {etag} of {acknowledged:?} is gone");
            let etag = answer.expect_header("SIP-ETag").to_owned();
            client.republish(&etag, None, 0).expect_status(200);
        }
    }
}

/// Publishes as fast as it goes and cuts the power meanwhile: who was told 200, with which
/// entity-tag.
fn publish_until_cut(machine: &mut Machine, after: Duration) -> Vec<(usize, String)> {
    let acknowledged = Arc::new(Mutex::new(Vec::new()));
    let is_cut = Arc::new(AtomicBool::new(false));
    let clients = clients(machine);
    let (begun, first) = std::sync::mpsc::sync_channel(4 * PEOPLE);
    let load = {
        let (acknowledged, is_cut) = (Arc::clone(&acknowledged), Arc::clone(&is_cut));
        std::thread::spawn(move || {
            // A client whose connection ends panics; that is the end of the load.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                for (person, client) in clients.iter().enumerate().cycle().take(4 * PEOPLE) {
                    let document = pidf::open(&client.aor(), "at work");
                    let request = client.publication().body("application/pidf+xml", document);
                    let answer = client.request(request).expect_status(200);
                    let etag = answer.expect_header("SIP-ETag").to_owned();
                    if is_cut.load(Ordering::Relaxed) {
                        return;
                    }
                    acknowledged
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((person, etag));
                    let _ = begun.send(());
                }
            }));
        })
    };
    let _ = first.recv_timeout(Duration::from_secs(60));
    std::thread::park_timeout(after);
    machine.cut();
    is_cut.store(true, Ordering::Relaxed);
    drop(load);
    std::mem::take(&mut *acknowledged.lock().unwrap_or_else(PoisonError::into_inner))
}

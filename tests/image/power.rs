//! Power cuts under load: nothing that was acknowledged is lost, and the machine starts by itself.

use std::collections::HashMap;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use lamplight_tests::machine::ssh::Key;
use lamplight_tests::machine::{Hardware, Machine, Ports, START_WITHIN};
use lamplight_tests::pidf;
use lamplight_tests::wire::{Client, Via};

use crate::start::{answers, until_serving};

/// Cuts in every run of the tests; `LAMPLIGHT_CUTS` asks for more.
const CUTS: u32 = 3;
/// People who publish.
const PEOPLE: usize = 12;
/// Connections that they share out.
const PUBLISHERS: usize = 4;

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
        let after = Duration::from_millis(200 + 317 * u64::from(cut % 7));
        let acknowledged = publish_until_cut(&mut machine, after);
        assert!(!acknowledged.is_empty(), "nothing was under way");
        machine.switch_on();
        until_serving(&machine);
        machine.ssh(&key, &format!("show user cut{cut}")).expect_done();
        let clients = clients(&machine);
        for (person, etag) in acknowledged {
            let answer = clients[person].republish(&etag, None, 3_600);
            assert_eq!(answer.status(), Some(200), "cut {cut}: {etag} of user{person} is gone");
        }
    }
}

/// What one of those who publish was told.
#[derive(Debug, Default)]
struct Told {
    /// The entity-tag of the last 200, by person.
    acknowledged: HashMap<usize, String>,
    /// Who waits for an answer: what was published may hold or not.
    in_flight: Option<usize>,
}

/// Publishes as fast as it goes, over several connections, and cuts the power meanwhile: who was
/// told 200, with which entity-tag.
fn publish_until_cut(machine: &mut Machine, after: Duration) -> HashMap<usize, String> {
    let mut all: Vec<_> = clients(machine).into_iter().enumerate().collect();
    let (begun, first) = std::sync::mpsc::sync_channel(1);
    let publishers: Vec<_> = std::iter::from_fn(|| {
        (!all.is_empty()).then(|| all.split_off(all.len().saturating_sub(PEOPLE / PUBLISHERS)))
    })
    .map(|people| {
        let begun = begun.clone();
        std::thread::spawn(move || publish(&people, &begun))
    })
    .collect();
    first.recv_timeout(START_WITHIN).expect("an acknowledgement");
    std::thread::park_timeout(after);
    machine.cut();
    let mut acknowledged = HashMap::new();
    for publisher in publishers {
        let mut told = publisher.join().expect("a publisher");
        if let Some(person) = told.in_flight {
            told.acknowledged.remove(&person);
        }
        acknowledged.extend(told.acknowledged);
    }
    acknowledged
}

/// One document after the other, each in the place of the person's last, until the connections
/// end.
fn publish(people: &[(usize, Client)], begun: &SyncSender<()>) -> Told {
    let mut told = Told::default();
    for (person, client) in people.iter().cycle() {
        let document = pidf::open(&client.aor(), "at work");
        let mut request = client.publication().body("application/pidf+xml", document);
        if let Some(etag) = told.acknowledged.get(person) {
            request = request.header("SIP-If-Match", etag);
        }
        told.in_flight = Some(*person);
        let Some(answer) = client.request_until_closed(request) else { return told };
        let etag = answer.expect_status(200).expect_header("SIP-ETag").to_owned();
        told.acknowledged.insert(*person, etag);
        told.in_flight = None;
        // The first alone is waited for.
        let _ = begun.try_send(());
    }
    told
}

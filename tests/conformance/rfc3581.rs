//! RFC 3581: symmetric response routing.

use lamplight_tests::node::{Node, Setup};
use lamplight_tests::wire::message::param;
use lamplight_tests::wire::{Client, Request};

fn alice() -> (Node, Client) {
    let node = Setup::default().trusting().start();
    let [alice] = node.clients(["alice"]);
    (node, alice)
}

fn options(via: &str) -> Request {
    Request::new("OPTIONS", "sip:example.test").header("Via", via)
}

#[test]
fn s4_rport_is_filled_in_and_received_always_goes_with_it() {
    let (_node, alice) = alice();
    let via = format!("SIP/2.0/UDP {};rport;branch=z9hG4bKrport1", alice.local);
    let answer = alice.transact(options(&via)).expect_status(200);
    let top = answer.all("Via").remove(0);
    assert_eq!(param(&top, "rport"), Some(alice.local.port().to_string().as_str()), "{answer}");
    // §4: received is added even when the address is the one in sent-by.
    assert_eq!(param(&top, "received"), Some("127.0.0.1"), "{answer}");
}

#[test]
fn s4_the_answer_goes_to_where_the_request_came_from() {
    let (_node, alice) = alice();
    // A phone behind a translator: it believes in an address nobody can reach.
    let via = "SIP/2.0/UDP 192.168.0.77:5060;rport;branch=z9hG4bKrport2";
    let answer = alice.transact(options(via)).expect_status(200);
    let top = answer.all("Via").remove(0);
    assert_eq!(param(&top, "rport"), Some(alice.local.port().to_string().as_str()), "{answer}");
    assert!(top.contains("192.168.0.77:5060"), "sent-by is left as it was: {answer}");
}

#[test]
fn s4_the_other_parameters_of_the_via_are_kept() {
    let (_node, alice) = alice();
    let via = "SIP/2.0/UDP 192.168.0.77;keep;rport;x=\"a;b\";branch=z9hG4bKrport3;z=1";
    let answer = alice.transact(options(via)).expect_status(200);
    let top = answer.all("Via").remove(0);
    for part in [";keep", ";x=\"a;b\"", ";branch=z9hG4bKrport3", ";z=1"] {
        assert!(top.contains(part), "{part} in {top}");
    }
}

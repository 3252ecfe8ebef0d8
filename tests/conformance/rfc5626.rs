//! RFC 5626: keep-alives and connections of clients that cannot be called back.

use lamplight_tests::node::{Node, Setup};
use lamplight_tests::pidf;
use lamplight_tests::wire::{Client, Request, Via};

#[test]
fn s4_4_1_a_double_line_end_is_answered_by_a_single_one() {
    let node = Setup::default().trusting().start();
    node.add_user("alice");
    for via in [Via::Tcp, Via::Tls] {
        let alice = node.client_over(via, "alice");
        alice.write(b"\r\n\r\n");
        alice.expect_blanks(2);
        alice.write(b"\r\n");
        alice.write(b"\r\n");
        alice.expect_blanks(4);
        // Between requests as well.
        let options = || alice.complete(Request::new("OPTIONS", "sip:example.test")).bytes();
        let stream = [options(), b"\r\n\r\n".to_vec(), options()].concat();
        alice.write(&stream);
        alice.expect_blanks(6);
        alice.expect_count("both answers", 2, |m| m.status() == Some(200));
    }
}

#[test]
fn s5_3_requests_to_a_binding_use_the_connection_it_registered_over() {
    let node = Setup::default().trusting().start();
    let [alice, _bob] = node.clients(["alice", "bob"]);
    for via in [Via::Tcp, Via::Tls] {
        let bob = node.client_over(via, "bob");
        // A contact that nobody can connect to, as phones behind translators give.
        let token = via.token().to_ascii_lowercase();
        let contact = format!(
            "<sip:bob@192.0.2.55:5060;transport={token};ob>;reg-id=1;\
             +sip.instance=\"<urn:uuid:00000000-0000-1000-8000-{:012x}>\"",
            bob.local.port()
        );
        let request = bob.registration().header("Supported", "outbound, path");
        bob.request(request.header("Contact", contact).header("Expires", 600)).expect_status(200);
        alice.message(&bob.aor(), "over your connection").expect_status(200);
        assert_eq!(bob.expect_request("MESSAGE").text(), "over your connection");
        bob.unregister();
    }
}

#[test]
fn s4_2_1_an_instance_that_registers_again_replaces_its_binding() {
    let node = Setup::default().trusting().start();
    let [alice] = node.clients(["alice"]);
    let contact = |port: u16| {
        format!(
            "<sip:alice@192.0.2.5:{port}>;reg-id=1;\
             +sip.instance=\"<urn:uuid:00000000-0000-1000-8000-000000000001>\""
        )
    };
    let register = |port: u16| {
        let request = alice.registration().header("Supported", "outbound, path");
        alice.request(request.header("Contact", contact(port)).header("Expires", 600))
    };
    register(5060).expect_status(200);
    let contacts = register(5070).expect_status(200).all("Contact");
    // §6: same instance and reg-id, where outbound is spoken; else two bindings by RFC 3261.
    assert!(contacts.iter().any(|c| c.contains(":5070")), "{contacts:?}");
    assert!(contacts.len() <= 2, "{contacts:?}");
}

fn signed_in(node: &Node, via: Via) -> Client {
    let alice = node.client_over(via, "alice");
    alice.register();
    alice.publish(&pidf::open(&alice.aor(), "signed in"));
    alice
}

#[test]
fn s3_5_a_device_whose_connection_is_lost_has_signed_off_at_once() {
    let node = Setup::default().trusting().start();
    let [_alice, bob] = node.clients(["alice", "bob"]);
    for via in [Via::Tcp, Via::Tls] {
        let alice = signed_in(&node, via);
        let watch = bob.subscribe(&alice.aor());
        watch.notify_with(&bob, "the state", |m| m.text().contains("signed in"));
        let aor = alice.aor();
        drop(alice);
        let last = watch.notify_with(&bob, "the end", |m| !m.text().contains("signed in"));
        assert!(!pidf::Presence::of(&last).is_open(), "{last}");
        bob.message(&aor, "anybody there?").expect_status(202);
    }
}

#[test]
fn who_only_published_over_a_connection_stays() {
    let node = Setup::default().trusting().start();
    let [_alice, bob] = node.clients(["alice", "bob"]);
    let alice = node.client_over(Via::Tcp, "alice");
    alice.publish(&pidf::open(&alice.aor(), "an application"));
    let watch = bob.subscribe(&alice.aor());
    watch.notify(&bob);
    drop(alice);
    // The close has been seen once a later connection has been served.
    let other = node.client_over(Via::Tcp, "bob");
    other.barrier();
    bob.barrier();
    assert_eq!(bob.count(|m| watch.is_notify(m)), 1);
}

#[test]
fn a_device_may_come_back_where_the_policy_waits() {
    let node = Setup::default().trusting().start();
    let [_alice, bob] = node.clients(["alice", "bob"]);
    node.appliance(&["set", "policy", "sign-off-tcp", "2"]).expect_done();
    let first = signed_in(&node, Via::Tcp);
    let watch = bob.subscribe(&first.aor());
    watch.notify(&bob);
    drop(first);
    let gone = watch.notify_with(&bob, "the end", |m| !m.text().contains("signed in"));
    assert!(!pidf::Presence::of(&gone).is_open(), "{gone}");
    node.appliance(&["set", "policy", "sign-off-tcp", "never"]).expect_done();
    let again = signed_in(&node, Via::Tcp);
    watch.notify_with(&bob, "the state", |m| m.text().contains("signed in"));
    let before = bob.count(|m| watch.is_notify(m));
    drop(again);
    let other = node.client_over(Via::Tcp, "bob");
    other.barrier();
    bob.barrier();
    assert_eq!(bob.count(|m| watch.is_notify(m)), before);
}

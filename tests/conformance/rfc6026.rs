//! RFC 6026: 2xx answers to INVITE and what proxies do with them.

use lamplight_tests::node::Setup;
use lamplight_tests::wire::Dialog;

#[test]
fn s7_3_a_repeated_200_is_passed_on_each_time() {
    let node = Setup::default().trusting().start();
    let [alice, bob] = node.clients(["alice", "bob"]);
    bob.register();
    let sent = alice.send(alice.invitation(&bob.aor()));
    let invite = bob.expect_request("INVITE");
    for round in 1..=3 {
        bob.respond(&invite, 200);
        let answer = alice.final_answer(&sent).expect_status(200);
        alice.send(Dialog::from_answer(&answer).next("ACK"));
        bob.expect_count("an ACK for each", round, |m| m.method() == Some("ACK"));
    }
}

#[test]
fn s7_1_a_repeated_invite_after_the_200_is_absorbed() {
    let node = Setup::default().trusting().start();
    let [alice, bob] = node.clients(["alice", "bob"]);
    bob.register();
    let sent = alice.send(alice.invitation(&bob.aor()));
    let invite = bob.expect_request("INVITE");
    bob.respond(&invite, 200);
    let answer = alice.final_answer(&sent).expect_status(200);
    for _ in 0..3 {
        alice.send_again(&sent);
    }
    alice.barrier();
    alice.send(Dialog::from_answer(&answer).next("ACK"));
    bob.expect_request("ACK");
    let branches: Vec<_> = bob.log().into_iter().filter(|m| m.method() == Some("INVITE")).collect();
    assert!(branches.iter().all(|m| m.branch() == invite.branch()), "{branches:?}");
}

#[test]
fn s8_5_a_200_that_no_transaction_knows_is_not_passed_on() {
    let node = Setup::default().trusting().start();
    let [alice, bob] = node.clients(["alice", "bob"]);
    bob.register();
    let us = node.ready.address("udp");
    let stray = format!(
        "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP {us};branch=z9hG4bKnever\r\n\
         Via: SIP/2.0/UDP {};branch=z9hG4bKstray\r\nFrom: <sip:alice@example.test>;tag=a\r\n\
         To: <sip:bob@example.test>;tag=b\r\nCall-ID: stray@test\r\nCSeq: 1 INVITE\r\n\
         Content-Length: 0\r\n\r\n",
        alice.local
    );
    bob.write(stray.as_bytes());
    bob.barrier();
    alice.barrier();
    assert!(alice.take(|m| m.branch().as_deref() == Some("z9hG4bKstray")).is_none());
}

//! §16: requests between registered clients pass through a stateful, record-routing proxy.

use lamplight_tests::node::{Node, Setup};
use lamplight_tests::wire::dialog::offer;
use lamplight_tests::wire::message::uri_of;
use lamplight_tests::wire::{Client, Dialog, Message, Via};

fn pair() -> (Node, Client, Client) {
    let node = Setup::default().trusting().start();
    let [alice, bob] = node.clients(["alice", "bob"]);
    bob.register();
    (node, alice, bob)
}

/// A call from one to the other, answered: both dialogs.
fn call(caller: &Client, callee: &Client) -> (Dialog, Dialog) {
    let (sent, invite) = ring(caller, callee);
    let sdp = offer(callee.local.ip());
    callee.respond_with(&invite, 200, &[("Content-Type", "application/sdp")], sdp.as_bytes());
    let answer = caller.final_answer(&sent).expect_status(200);
    assert_eq!(answer.text(), sdp);
    let mut ours = Dialog::from_answer(&answer);
    let ack = ours.next("ACK");
    caller.send(ack);
    let ack = callee.expect_request("ACK");
    assert_eq!(ack.request_uri(), callee.contact(), "{ack}");
    (ours, Dialog::from_request(&invite, &callee.tag))
}

/// A call that rings.
fn ring(caller: &Client, callee: &Client) -> (lamplight_tests::wire::client::Sent, Message) {
    let sent = caller.send(caller.invitation(&callee.aor()));
    let invite = callee.expect_request("INVITE");
    callee.respond(&invite, 180);
    let ours = sent.branch.clone();
    caller.expect("180", |m| m.status() == Some(180) && m.branch().as_deref() == Some(&ours));
    (sent, invite)
}

#[test]
fn s16_6_the_request_goes_to_the_binding_with_via_record_route_and_fewer_forwards() {
    let (node, alice, bob) = pair();
    let request = alice.invitation(&bob.aor()).header("Max-Forwards", 17);
    let sent = alice.send(request.header("X-Kept", "as it was"));
    let invite = bob.expect_request("INVITE");
    assert_eq!(invite.request_uri(), bob.contact());
    assert_eq!(invite.expect_header("Max-Forwards"), "16", "{invite}");
    assert_eq!(invite.header("X-Kept"), Some("as it was"), "{invite}");
    let vias = invite.all("Via");
    assert_eq!(vias.len(), 2, "{invite}");
    assert!(vias[0].contains("branch=z9hG4bK"), "{invite}");
    assert_ne!(invite.branch().as_deref(), Some(sent.branch.as_str()));
    let routes = invite.all("Record-Route");
    assert!(!routes.is_empty(), "{invite}");
    let us = node.ready.address("udp").to_string();
    assert!(uri_of(&routes[0]).contains(&us) && routes[0].contains(";lr"), "{invite}");
    for name in ["From", "To", "Call-ID", "CSeq", "Contact"] {
        assert_eq!(invite.header(name), sent.request.value(name), "{name} is the caller's");
    }
    assert_eq!(invite.body, sent.request.body);
    bob.respond(&invite, 486);
    alice.final_answer(&sent).expect_status(486);
}

#[test]
fn s16_7_answers_go_back_without_the_proxy_s_via() {
    let (_node, alice, bob) = pair();
    let (sent, invite) = ring(&alice, &bob);
    bob.respond_with(&invite, 200, &[("X-Callee", "yes")], b"");
    let answer = alice.final_answer(&sent).expect_status(200);
    assert_eq!(answer.all("Via").len(), 1, "{answer}");
    assert_eq!(answer.header("X-Callee"), Some("yes"));
    assert_eq!(answer.all("Record-Route"), invite.all("Record-Route"));
    alice.send(Dialog::from_answer(&answer).next("ACK"));
    bob.expect_request("ACK");
}

#[test]
fn s16_12_requests_in_the_dialog_follow_the_record_route_both_ways() {
    let (_node, alice, bob) = pair();
    let (mut ours, mut theirs) = call(&alice, &bob);
    let info = ours.next("INFO").header("Info-Package", "x").body("text/plain", "tone");
    alice.in_dialog(&mut ours, info).expect_status(200);
    let info = bob.expect_request("INFO");
    assert_eq!(info.request_uri(), bob.contact());
    assert!(info.all("Route").is_empty(), "our own Route is taken off: {info}");
    assert_eq!(info.text(), "tone");
    let bye = theirs.next("BYE");
    bob.in_dialog(&mut theirs, bye).expect_status(200);
    assert_eq!(alice.expect_request("BYE").request_uri(), alice.contact());
}

#[test]
fn s14_a_re_invite_changes_the_session_and_its_ack_arrives() {
    let (_node, alice, bob) = pair();
    let (mut ours, _theirs) = call(&alice, &bob);
    let hold = offer(alice.local.ip()) + "a=sendonly\r\n";
    let contact = format!("<{}>", alice.contact());
    let invite = ours.next("INVITE").header("Contact", contact).body("application/sdp", hold);
    let sent = alice.send(invite);
    let received = bob.expect_request("INVITE");
    assert!(received.text().contains("sendonly"), "{received}");
    bob.respond(&received, 200);
    let answer = alice.final_answer(&sent).expect_status(200);
    ours.cseq = answer.cseq().0;
    alice.send(ours.next("ACK"));
    assert_eq!(bob.expect_request("ACK").cseq().0, ours.cseq);
    let bye = ours.next("BYE");
    alice.in_dialog(&mut ours, bye).expect_status(200);
    bob.expect_request("BYE");
}

#[test]
fn s16_10_cancel_is_answered_and_stops_the_ringing() {
    let (_node, alice, bob) = pair();
    let (sent, invite) = ring(&alice, &bob);
    let mut cancel = alice.refusal_ack(&sent, &bob_tagless(&sent));
    cancel.method = "CANCEL".to_owned();
    let cancel = cancel.set("CSeq", "1 CANCEL");
    alice.send(cancel);
    alice.expect("200 to CANCEL", |m| m.status() == Some(200) && m.cseq().1 == "CANCEL");
    let received = bob.expect_request("CANCEL");
    assert_eq!(received.branch(), invite.branch(), "§9.1: the branch of the INVITE");
    assert_eq!(received.cseq().0, invite.cseq().0);
    bob.respond(&invite, 487);
    bob.expect_request("ACK");
    alice.final_answer(&sent).expect_status(487);
}

/// The request as if it were an answer: what `refusal_ack` copies from.
fn bob_tagless(sent: &lamplight_tests::wire::client::Sent) -> Message {
    Message::cut(&sent.bytes).expect("our own request")
}

#[test]
fn s16_7_a_refusal_is_acknowledged_hop_by_hop() {
    let (_node, alice, bob) = pair();
    let (sent, invite) = ring(&alice, &bob);
    bob.respond(&invite, 486);
    let ack = bob.expect_request("ACK");
    assert_eq!(ack.branch(), invite.branch(), "§17.1.1.3: the proxy's own ACK");
    alice.final_answer(&sent).expect_status(486);
    alice.barrier();
    bob.barrier();
    assert_eq!(bob.count(|m| m.method() == Some("ACK")), 1, "the caller's ACK ends at the proxy");
}

#[test]
fn s16_3_max_forwards_zero_is_483() {
    let (_node, alice, bob) = pair();
    let request = alice.invitation(&bob.aor()).header("Max-Forwards", 0);
    alice.request(request).expect_status(483);
    bob.barrier();
    assert_eq!(bob.count(|m| m.method() == Some("INVITE")), 0);
}

#[test]
fn s16_6_an_absent_max_forwards_becomes_70() {
    let (_node, alice, bob) = pair();
    let sent = alice.send(alice.invitation(&bob.aor()).without("Max-Forwards"));
    let invite = bob.expect_request("INVITE");
    assert_eq!(invite.header("Max-Forwards"), Some("70"), "{invite}");
    bob.respond(&invite, 603);
    alice.final_answer(&sent).expect_status(603);
}

#[test]
fn s16_3_an_unknown_proxy_require_is_420() {
    let (_node, alice, bob) = pair();
    let request = alice.invitation(&bob.aor()).header("Proxy-Require", "no-such-extension");
    let answer = alice.request(request).expect_status(420);
    assert_eq!(answer.all("Unsupported"), ["no-such-extension"], "{answer}");
}

#[test]
fn s16_3_a_require_for_the_callee_is_not_the_proxy_s_business() {
    let (_node, alice, bob) = pair();
    let request = alice.invitation(&bob.aor()).header("Require", "100rel, whatever");
    let sent = alice.send(request);
    let invite = bob.expect_request("INVITE");
    assert_eq!(invite.header("Require"), Some("100rel, whatever"));
    bob.respond(&invite, 420);
    alice.final_answer(&sent).expect_status(420);
}

#[test]
fn s16_3_step_4_a_loop_ends() {
    let node = Setup::default().trusting().start();
    let [alice, bob] = node.clients(["alice", "bob"]);
    let us = node.ready.address("udp");
    let looping = format!("<sip:bob@{us}>");
    let request = bob.registration().header("Contact", looping).header("Expires", 600);
    let bound = bob.request(request);
    if bound.status() != Some(200) {
        return; // A registrar may refuse what must loop.
    }
    let request = alice.invitation(&bob.aor()).header("Max-Forwards", 20);
    alice.request(request).expect_one_of(&[404, 480, 482, 483]);
}

#[test]
fn s16_5_a_user_who_does_not_exist_is_404() {
    let (_node, alice, _bob) = pair();
    alice.request(alice.invitation("sip:nobody@example.test")).expect_status(404);
}

#[test]
fn s16_5_a_user_without_bindings_is_480() {
    let (_node, _alice, bob) = pair();
    bob.request(bob.invitation("sip:alice@example.test")).expect_status(480);
}

#[test]
fn s16_4_a_preloaded_route_to_us_is_taken_off() {
    let (node, alice, bob) = pair();
    let us = format!("<sip:{};lr>", node.ready.address("udp"));
    let sent = alice.send(alice.invitation(&bob.aor()).header("Route", us));
    let invite = bob.expect_request("INVITE");
    assert!(invite.all("Route").is_empty(), "{invite}");
    bob.respond(&invite, 486);
    alice.final_answer(&sent).expect_status(486);
}

#[test]
fn s16_calls_cross_transports() {
    let node = Setup::default().trusting().start();
    node.import_users(["alice", "bob"]).expect_done();
    for (from, to) in [(Via::Udp, Via::Tcp), (Via::Tcp, Via::Tls), (Via::Tls, Via::Udp)] {
        let (alice, bob) = (node.client_over(from, "alice"), node.client_over(to, "bob"));
        alice.register();
        bob.register();
        let (mut ours, mut theirs) = call(&alice, &bob);
        let info = theirs.next("INFO").body("text/plain", "back");
        bob.in_dialog(&mut theirs, info).expect_status(200);
        alice.expect_request("INFO");
        let bye = ours.next("BYE");
        alice.in_dialog(&mut ours, bye).expect_status(200);
        bob.expect_request("BYE");
        alice.unregister();
        bob.unregister();
    }
}

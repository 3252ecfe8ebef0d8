//! §16.6 and §16.7: one INVITE, several bindings, the best answer.

use lamplight_tests::node::{Node, Setup};
use lamplight_tests::wire::client::Sent;
use lamplight_tests::wire::{Client, Dialog, Message};

/// A caller, and two devices of one callee, all ringing.
fn ringing() -> (Node, Client, [Client; 2], Sent, [Message; 2]) {
    let node = Setup::default().trusting().start();
    let [alice, bob] = node.clients(["alice", "bob"]);
    let devices = [bob, node.client("bob")];
    for device in &devices {
        device.register();
    }
    let sent = alice.send(alice.invitation(&devices[0].aor()));
    let invites = [0, 1].map(|i| {
        let invite = devices[i].expect_request("INVITE");
        devices[i].respond(&invite, 180);
        let tag = devices[i].tag.clone();
        alice.expect("180", |m| m.status() == Some(180) && m.to_tag() == Some(&tag));
        invite
    });
    (node, alice, devices, sent, invites)
}

#[test]
fn s16_6_every_binding_rings_under_its_own_branch() {
    let (_node, alice, devices, sent, invites) = ringing();
    assert_ne!(invites[0].branch(), invites[1].branch());
    assert_eq!(invites[0].request_uri(), devices[0].contact());
    assert_eq!(invites[1].request_uri(), devices[1].contact());
    for (device, invite) in devices.iter().zip(&invites) {
        device.respond(invite, 486);
    }
    alice.final_answer(&sent).expect_status(486);
}

#[test]
fn s16_7_step_10_the_first_200_cancels_the_others() {
    let (_node, alice, [desk, cell], sent, [at_desk, at_cell]) = ringing();
    cell.respond(&at_cell, 200);
    let answer = alice.final_answer(&sent).expect_status(200);
    assert_eq!(answer.to_tag(), Some(cell.tag.as_str()));
    let cancel = desk.expect_request("CANCEL");
    assert_eq!(cancel.branch(), at_desk.branch());
    desk.respond(&at_desk, 487);
    desk.expect_request("ACK");
    alice.send(Dialog::from_answer(&answer).next("ACK"));
    cell.expect_request("ACK");
    alice.barrier();
    assert!(alice.take(|m| m.status() == Some(487)).is_none(), "one final answer is enough");
}

#[test]
fn s16_7_step_5_every_200_is_passed_on() {
    let (_node, alice, [desk, cell], sent, [at_desk, at_cell]) = ringing();
    cell.respond(&at_cell, 200);
    desk.respond(&at_desk, 200);
    let tags = [0, 1].map(|_| {
        let answer = alice.final_answer(&sent).expect_status(200);
        alice.send(Dialog::from_answer(&answer).next("ACK"));
        answer.to_tag().map(str::to_owned)
    });
    assert!(tags.contains(&Some(desk.tag.clone())) && tags.contains(&Some(cell.tag.clone())));
    desk.expect_request("ACK");
    cell.expect_request("ACK");
}

#[test]
fn s16_7_step_6_the_best_refusal_waits_for_all_branches() {
    let (_node, alice, [desk, cell], sent, [at_desk, at_cell]) = ringing();
    desk.respond(&at_desk, 503);
    desk.expect_request("ACK");
    alice.barrier();
    let final_seen = |m: &Message| m.status().is_some_and(|s| s >= 300);
    assert_eq!(alice.count(final_seen), 0, "the other branch may still answer");
    cell.respond(&at_cell, 486);
    // The lowest class wins, so 4xx before 5xx.
    alice.final_answer(&sent).expect_status(486);
}

#[test]
fn s16_7_step_5_a_global_refusal_cancels_the_others() {
    let (_node, alice, [desk, cell], sent, [at_desk, at_cell]) = ringing();
    desk.respond(&at_desk, 603);
    cell.expect_request("CANCEL");
    cell.respond(&at_cell, 487);
    alice.final_answer(&sent).expect_status(603);
}

#[test]
fn s16_10_a_cancel_reaches_every_branch() {
    let (_node, alice, devices, sent, invites) = ringing();
    let copy = Message::cut(&sent.bytes).expect("our own request");
    let mut cancel = alice.refusal_ack(&sent, &copy).set("CSeq", "1 CANCEL");
    cancel.method = "CANCEL".to_owned();
    alice.send(cancel);
    for (device, invite) in devices.iter().zip(&invites) {
        device.expect_request("CANCEL");
        device.respond(invite, 487);
        device.expect_request("ACK");
    }
    alice.final_answer(&sent).expect_status(487);
}

#[test]
fn s16_7_a_dead_binding_does_not_hold_up_the_living_one() {
    let node = Setup::default().trusting().start();
    let [alice, bob] = node.clients(["alice", "bob"]);
    let dead = node.client_over(lamplight_tests::wire::Via::Tcp, "bob");
    dead.register();
    bob.register();
    dead.shut();
    let sent = alice.send(alice.invitation(&bob.aor()));
    let invite = bob.expect_request("INVITE");
    bob.respond(&invite, 200);
    let answer = alice.final_answer(&sent).expect_status(200);
    alice.send(Dialog::from_answer(&answer).next("ACK"));
    bob.expect_request("ACK");
}

//! §17: transactions as they show on the wire.

use lamplight_tests::node::{Node, Setup};
use lamplight_tests::pidf;
use lamplight_tests::wire::client::Reply;
use lamplight_tests::wire::{Client, Message, Request};

fn pair() -> (Node, Client, Client) {
    let node = Setup::default().trusting().start();
    let [alice, bob] = node.clients(["alice", "bob"]);
    (node, alice, bob)
}

#[test]
fn s17_2_2_a_repeated_request_gets_the_same_answer_and_is_done_once() {
    let (_node, alice, bob) = pair();
    let document = pidf::open(&alice.aor(), "once");
    let sent = alice.send(alice.publication().body("application/pidf+xml", document));
    let first = alice.final_answer(&sent).expect_status(200);
    for _ in 0..3 {
        alice.send_again(&sent);
        let again = alice.final_answer(&sent);
        assert_eq!(again.raw, first.raw, "the very same answer");
    }
    let notify = bob.subscribe(&alice.aor()).notify(&bob);
    assert_eq!(notify.text().matches("once").count(), 1, "{notify}");
}

#[test]
fn s17_2_2_a_repeated_subscribe_makes_one_subscription() {
    let (_node, alice, bob) = pair();
    let sent = bob.send(bob.subscription(&alice.aor()));
    bob.send_again(&sent);
    bob.send_again(&sent);
    let first = bob.final_answer(&sent).expect_status(200);
    let second = bob.final_answer(&sent).expect_status(200);
    assert_eq!(first.to_tag(), second.to_tag());
    alice.publish(&pidf::open(&alice.aor(), "how often?"));
    bob.expect("the NOTIFY", |m| m.text().contains("how often?"));
    bob.barrier();
    let mut tags: Vec<_> = bob.log();
    tags.retain(|m| m.method() == Some("NOTIFY"));
    let mut tags: Vec<_> = tags.iter().filter_map(Message::from_tag).collect();
    tags.dedup();
    assert_eq!(tags.len(), 1);
}

#[test]
fn s17_1_2_2_an_unanswered_request_of_ours_is_repeated_unchanged() {
    let (_node, alice, bob) = pair();
    bob.answer_with(|_| Reply::Nothing);
    let watch = bob.subscribe(&alice.aor());
    bob.expect_count("retransmissions", 3, |m| watch.is_notify(m));
    let all: Vec<Message> = bob.log().into_iter().filter(|m| watch.is_notify(m)).collect();
    assert!(all.windows(2).all(|w| w[0].raw == w[1].raw), "{all:?}");
    bob.respond(&all[0], 200);
    bob.answer_as_usual();
    // Once answered it stops: what follows is new.
    alice.publish(&pidf::open(&alice.aor(), "next"));
    let next = watch.notify_with(&bob, "that follows", |m| m.text().contains("next"));
    assert_eq!(next.cseq().0, all[0].cseq().0 + 1);
}

#[test]
fn s17_2_1_an_invite_gets_100_and_is_forwarded_once_however_often_it_comes() {
    let (_node, alice, bob) = pair();
    bob.register();
    let sent = alice.send(alice.invitation(&bob.aor()));
    alice.expect("100", |m| m.status() == Some(100));
    let invite = bob.expect_request("INVITE");
    for _ in 0..3 {
        alice.send_again(&sent);
    }
    bob.respond(&invite, 180);
    alice.expect("180", |m| m.status() == Some(180));
    bob.respond(&invite, 486);
    alice.final_answer(&sent).expect_status(486);
    let invites: Vec<Message> =
        bob.log().into_iter().filter(|m| m.method() == Some("INVITE")).collect();
    assert!(invites.iter().all(|m| m.branch() == invite.branch()), "{invites:?}");
}

#[test]
fn s17_2_1_a_refusal_is_repeated_until_the_ack() {
    let (_node, alice, _bob) = pair();
    let sent = alice.send(alice.invitation("sip:nobody@example.test"));
    let branch = sent.branch.clone();
    let refusal =
        move |m: &Message| m.status() == Some(404) && m.branch().as_deref() == Some(&branch);
    alice.expect_count("404 again and again (timer G)", 3, &refusal);
    let answer = alice.final_answer(&sent);
    alice.barrier();
    let so_far = alice.count(&refusal);
    // The ACK was sent by final_answer; one more repetition may have crossed it.
    assert!(so_far <= 5, "{so_far} repetitions of\n{answer}");
}

#[test]
fn s17_1_1_2_an_unanswered_invite_is_repeated_and_then_times_out_as_408() {
    let (_node, alice, bob) = pair();
    bob.register();
    bob.answer_with(|_| Reply::Nothing);
    let sent = alice.send(alice.invitation(&bob.aor()));
    // A at 0.5, 1, 2, 4, 8, 16 s: seven sendings, B at 32 s.
    bob.expect_count("repetitions of the INVITE", 7, |m| m.method() == Some("INVITE"));
    alice.final_answer(&sent).expect_status(408);
}

#[test]
fn s17_1_1_2_a_refused_invite_s_final_answer_repeated_is_acknowledged_again() {
    let (_node, alice, bob) = pair();
    bob.register();
    let sent = alice.send(alice.invitation(&bob.aor()));
    let invite = bob.expect_request("INVITE");
    bob.respond(&invite, 486);
    bob.expect_request("ACK");
    bob.respond(&invite, 486);
    bob.expect_count("a second ACK", 2, |m| m.method() == Some("ACK"));
    alice.final_answer(&sent).expect_status(486);
}

#[test]
fn s17_1_3_an_answer_with_a_foreign_branch_changes_nothing() {
    let (_node, alice, bob) = pair();
    bob.answer_with(|_| Reply::Nothing);
    let watch = bob.subscribe(&alice.aor());
    let notify = watch.notify(&bob);
    let branch = notify.branch().expect("a branch");
    let mut forged = notify.clone();
    for (name, value) in &mut forged.headers {
        if name.eq_ignore_ascii_case("via") {
            *value = value.replace(&branch, "z9hG4bKforged");
        }
    }
    bob.respond(&forged, 481);
    bob.expect_count("a retransmission", 2, |m| watch.is_notify(m));
    bob.respond(&notify, 200);
    bob.answer_as_usual();
    alice.publish(&pidf::open(&alice.aor(), "alive"));
    watch.notify_with(&bob, "as before", |m| m.text().contains("alive"));
}

#[test]
fn s17_2_3_branches_without_the_cookie_are_matched_as_rfc_2543_did() {
    let (_node, alice, _bob) = pair();
    let via = |branch: &str| format!("SIP/2.0/UDP {};rport{branch}", alice.local);
    let request = Request::new("OPTIONS", "sip:example.test").header("Via", via(";branch=1"));
    let sent = alice.send(request);
    let first = alice.expect("an answer", |m| m.status() == Some(200));
    alice.send_again(&sent);
    let again = alice.expect("the answer again", |m| m.status() == Some(200));
    assert_eq!(first.to_tag(), again.to_tag());
}

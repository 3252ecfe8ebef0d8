//! What other presence servers got wrong, case by case; the ids are those of our notes on peers.

use lamplight_tests::node::{Node, Setup};
use lamplight_tests::pidf::{self, Presence};
use lamplight_tests::wire::client::Reply;
use lamplight_tests::wire::message::param;
use lamplight_tests::wire::{Client, Message, Request, Via};

fn trusted() -> (Node, Client, Client) {
    let node = Setup::default().trusting().start();
    let [alice, bob] = node.clients(["alice", "bob"]);
    (node, alice, bob)
}

#[test]
fn r02_of_concurrent_modifications_exactly_one_wins() {
    let (node, alice, bob) = trusted();
    let etag = alice.publish(&pidf::open(&alice.aor(), "start"));
    let rivals: Vec<Client> = (0..6).map(|_| node.client("alice")).collect();
    let sent: Vec<_> = rivals
        .iter()
        .enumerate()
        .map(|(i, rival)| {
            let document = pidf::open(&rival.aor(), &format!("rival-{i}-"));
            let request = rival.publication().header("SIP-If-Match", &etag);
            rival.send(request.body("application/pidf+xml", document))
        })
        .collect();
    let answers: Vec<Message> =
        rivals.iter().zip(&sent).map(|(rival, sent)| rival.final_answer(sent)).collect();
    let winners: Vec<usize> =
        (0..answers.len()).filter(|i| answers[*i].status() == Some(200)).collect();
    assert_eq!(winners.len(), 1, "{answers:?}");
    assert!(answers.iter().all(|a| matches!(a.status(), Some(200 | 412))), "{answers:?}");
    let notify = bob.subscribe(&alice.aor()).notify(&bob);
    assert!(notify.text().contains(&format!("rival-{}-", winners[0])), "{notify}");
    assert_eq!(notify.text().matches("rival-").count(), 1, "{notify}");
}

#[test]
fn r02_publishing_anew_after_412_leaves_no_orphan_of_the_same_device() {
    let (_node, alice, bob) = trusted();
    alice.publish(&pidf::of_device(&alice.aor(), "desk", "open", "working"));
    alice.republish("lost-my-tag", None, 3600).expect_status(412);
    alice.publish(&pidf::of_device(&alice.aor(), "desk", "closed", "away"));
    let notify = bob.subscribe(&alice.aor()).notify(&bob);
    let read = Presence::of(&notify);
    assert_eq!(read.tuples.len(), 1, "republished by the same device: {notify}");
    assert!(!read.is_open(), "the newer state holds: {notify}");
}

#[test]
fn r03_publishing_a_thousand_times_leaves_one_state() {
    let (_node, alice, bob) = trusted();
    for i in 0..1_000 {
        alice.publish_again(&pidf::open(&alice.aor(), &format!("turn-{i}-")));
    }
    let notify = bob.subscribe(&alice.aor()).notify(&bob);
    assert_eq!(notify.text().matches("turn-").count(), 1, "{notify}");
    assert!(notify.text().contains("turn-999-"), "{notify}");
}

#[test]
fn r07_a_silent_watcher_does_not_hold_up_the_others() {
    let (node, alice, bob) = trusted();
    let dead: Vec<Client> = (0..5).map(|_| node.client_over(Via::Tcp, "bob")).collect();
    for client in &dead {
        client.answer_with(|_| Reply::Nothing);
        client.subscribe(&alice.aor());
    }
    let watch = bob.subscribe(&alice.aor());
    for i in 0..20 {
        let note = format!("news-{i}-");
        alice.publish_again(&pidf::open(&alice.aor(), &note));
        watch.notify_with(&bob, &note, |m| m.text().contains(&note));
    }
}

#[test]
fn r07_the_latest_state_reaches_a_watcher_that_was_slow() {
    let (_node, alice, bob) = trusted();
    let watch = bob.subscribe(&alice.aor());
    watch.notify(&bob);
    bob.answer_with(|_| Reply::Nothing);
    for i in 0..20 {
        alice.publish_again(&pidf::open(&alice.aor(), &format!("missed-{i}-")));
    }
    bob.answer_as_usual();
    // Whatever is still under way is answered when it is repeated.
    watch.notify_with(&bob, "with the last state", |m| {
        if m.text().contains("missed-19-") {
            return true;
        }
        false
    });
}

#[test]
fn r10_contacts_of_any_shape_are_kept_whole_or_refused_whole() {
    let (node, _alice, bob) = trusted();
    let alice = node.client_over(Via::Tcp, "alice");
    let shapes = [String::new(), "no-scheme".to_owned(), format!("sip:{}", "x".repeat(60_000))];
    for contact in shapes {
        let document = pidf::open(&alice.aor(), "shape");
        let inner = format!("<contact priority=\"0.8\">{}</contact>", alice.aor());
        let document = document.replace(&inner, &format!("<contact>{contact}</contact>"));
        let request = alice.publication().body("application/pidf+xml", document);
        let answer = alice.request(request).expect_one_of(&[200, 400, 413]);
        if answer.status() == Some(200) {
            let etag = answer.expect_header("SIP-ETag").to_owned();
            let fat = node.client_over(Via::Tcp, "bob");
            let notify = fat.subscribe(&alice.aor()).notify(&fat);
            let read = Presence::of(&notify);
            let kept = read.tuples[0].contact.clone().unwrap_or_default();
            assert_eq!(kept.len(), contact.len());
            alice.republish(&etag, None, 0).expect_status(200);
        }
    }
    bob.barrier();
}

#[test]
fn r12_the_first_notify_never_overtakes_the_200() {
    let node = Setup::default().trusting().start();
    let [alice, _bob] = node.clients(["alice", "bob"]);
    alice.publish(&pidf::open(&alice.aor(), "busy"));
    for via in [Via::Udp, Via::Tcp, Via::Tls] {
        for _ in 0..10 {
            let bob = node.client_over(via, "bob");
            let sent = bob.send(bob.subscription(&alice.aor()));
            // State changes at the same moment must not slip in before the answer.
            alice.publish_again(&pidf::open(&alice.aor(), "changing"));
            bob.expect("a NOTIFY", |m| m.method() == Some("NOTIFY"));
            let log = bob.log();
            let answer = log.iter().position(|m| m.branch().as_deref() == Some(&sent.branch));
            let notify = log.iter().position(|m| m.method() == Some("NOTIFY"));
            assert!(answer.is_some() && answer < notify, "{log:?}");
        }
    }
}

#[test]
fn r13_a_refresh_with_an_old_nonce_is_challenged_anew_and_then_done() {
    let mut node = Node::start_new();
    let [alice, bob] = node.clients(["alice", "bob"]);
    let mut watch = bob.subscribe(&alice.aor());
    watch.notify(&bob);
    node.crash_and_restart();
    let refused = bob.transact(watch.next(1800)).expect_status(401);
    assert!(refused.header("WWW-Authenticate").is_some(), "{refused}");
    watch.refresh(&bob, 1800).expect_status(200);
}

#[test]
fn r14_many_accept_headers_do_no_harm() {
    let (node, alice, _bob) = trusted();
    let bob = node.client_over(Via::Tcp, "bob");
    let mut request = bob.subscription(&alice.aor());
    for i in 0..100 {
        request = request.header("Accept", format!("application/x-{i};q=0.1"));
    }
    bob.request(request).expect_one_of(&[200, 400, 413]);
    bob.subscribe(&alice.aor()).notify(&bob);
}

#[test]
fn r14_over_long_values_are_refused_and_harm_nothing() {
    let (node, _alice, _bob) = trusted();
    let alice = node.client_over(Via::Tcp, "alice");
    let long = "x".repeat(20_000);
    let requests = [
        alice.publication().header("SIP-If-Match", &long),
        alice.publication().set("Event", format!("presence;id={long}")),
        Request::new("OPTIONS", &format!("sip:{long}@example.test")),
        Request::new("OPTIONS", "sip:example.test").header("Call-ID", &long),
        Request::new("OPTIONS", "sip:example.test").header("From", format!("<sip:{long}>;tag=1")),
    ];
    for request in requests {
        let client = node.client_over(Via::Tcp, "alice");
        client.send(request);
        let answer = lamplight_tests::node::eventually("an answer or the end", || {
            let answer = client.take(|m| m.status().is_some());
            answer.map(Some).or_else(|| client.is_closed().then_some(None))
        });
        if let Some(answer) = answer {
            assert!(answer.status().is_some_and(|s| s >= 400), "{answer}");
        }
    }
    alice.barrier();
}

#[test]
fn r14_a_body_over_the_limit_is_413_and_the_connection_lives() {
    let (node, _alice, bob) = trusted();
    let alice = node.client_over(Via::Tcp, "alice");
    let note = "z".repeat(200_000);
    let request = alice.publication();
    let request = request.body("application/pidf+xml", pidf::open(&alice.aor(), &note));
    let sent = alice.send(request);
    let answer = lamplight_tests::node::eventually("an answer or the end", || {
        let answer = alice.take(|m| m.branch().as_deref() == Some(&sent.branch));
        answer.map(Some).or_else(|| alice.is_closed().then_some(None))
    });
    if let Some(answer) = answer {
        answer.expect_status(413);
    }
    let notify = bob.subscribe(&alice.aor()).notify(&bob);
    assert!(!notify.text().contains("zzzz"), "refused whole");
}

#[test]
fn r14_a_document_beyond_the_mtu_reaches_udp_watchers_whole() {
    let (node, _alice, bob) = trusted();
    let alice = node.client_over(Via::Tcp, "alice");
    let note = "long story ".repeat(1_000);
    let watch = bob.subscribe(&alice.aor());
    alice.publish(&pidf::open(&alice.aor(), &note));
    let notify = watch.notify_with(&bob, "of 11 kB", |m| m.text().contains("long story"));
    assert!(Presence::of(&notify).tuples[0].notes[0].len() >= note.trim().len(), "{notify}");
}

#[test]
fn r15_unsubscribing_while_notified_is_harmless() {
    let (_node, alice, bob) = trusted();
    for i in 0..20 {
        let mut watch = bob.subscribe(&alice.aor());
        let bye = bob.send(watch.next(0));
        alice.publish_again(&pidf::open(&alice.aor(), &format!("race-{i}-")));
        bob.final_answer(&bye).expect_status(200);
        watch.notify_with(&bob, "that ends it", |m| {
            m.header("Subscription-State").is_some_and(|s| s.starts_with("terminated"))
        });
    }
}

#[test]
fn r16_malformed_routing_headers_do_no_harm() {
    let (_node, alice, _bob) = trusted();
    let options = || Request::new("OPTIONS", "sip:example.test");
    let requests = [
        options().header("To", ""),
        options().header("To", "<sip:a@example.test>;tag="),
        options().header("To", "<sip:a@example.test>").header("To", "<sip:b@example.test>"),
        options().header("From", "<sip:alice@example.test"),
        options().header("Via", "SIP/2.0/UDP"),
        options().header("Via", ";branch=z9hG4bKnothing"),
        options().header("Via", "SIP/2.0/UDP [::1;branch=z9hG4bKbracket"),
        options().header("Via", "SIP/2.0/UDP 127.0.0.1:99999;branch=z9hG4bKport"),
        options().header("Route", "<sip:>"),
        options().header("Route", "<"),
        options().header("Contact", "<sip:\u{0}>"),
        options().header("Max-Forwards", "-1"),
        options().header("Max-Forwards", "99999999999"),
        options().header("Expires", "99999999999999999999"),
        options().header("CSeq", "1"),
        options().header("CSeq", "-1 OPTIONS"),
        options().header("Call-ID", ""),
    ];
    for request in requests {
        alice.send(request);
    }
    alice.barrier();
}

#[test]
fn r16_two_to_headers_are_a_bad_request() {
    let (_node, alice, _bob) = trusted();
    let request = Request::new("OPTIONS", "sip:example.test");
    let request = request.header("To", "<sip:a@example.test>").header("To", "<sip:b@example.test>");
    let sent = alice.send(request);
    let answer = alice.expect("400", |m| m.branch() == Some(sent.branch.clone()));
    answer.expect_status(400);
}

#[test]
fn r18_subscription_state_always_carries_expires() {
    let (_node, alice, bob) = trusted();
    let mut watch = bob.subscribe(&alice.aor());
    for i in 0..3 {
        alice.publish_again(&pidf::open(&alice.aor(), &format!("n{i}-")));
    }
    watch.refresh(&bob, 600).expect_status(200);
    watch.notify_with(&bob, "with the last state", |m| m.text().contains("n2-"));
    for notify in bob.log().iter().filter(|m| watch.is_notify(m)) {
        let state = notify.expect_header("Subscription-State");
        let expires: u32 = param(state, "expires").expect("expires").parse().expect("a number");
        assert!(expires <= 3600 && expires > 0, "{notify}");
    }
}

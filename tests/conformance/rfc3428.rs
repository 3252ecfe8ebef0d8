//! RFC 3428: MESSAGE.

use lamplight_tests::node::{Node, Setup};
use lamplight_tests::wire::client::Reply;
use lamplight_tests::wire::{Client, Request, Via};

fn pair() -> (Node, Client, Client) {
    let node = Node::start_new();
    let [alice, bob] = node.clients(["alice", "bob"]);
    (node, alice, bob)
}

#[test]
fn s6_a_message_reaches_the_binding_unchanged() {
    let (_node, alice, bob) = pair();
    bob.register();
    let request = Request::new("MESSAGE", &bob.aor())
        .header("Subject", "gr\u{fc}\u{df}e")
        .body("text/plain;charset=UTF-8", "Watson, come here.\r\n\u{2603}");
    alice.request(request).expect_status(200);
    let message = bob.expect_request("MESSAGE");
    assert_eq!(message.text(), "Watson, come here.\r\n\u{2603}");
    assert_eq!(message.header("Content-Type"), Some("text/plain;charset=UTF-8"));
    assert_eq!(message.header("Subject"), Some("gr\u{fc}\u{df}e"));
    assert_eq!(message.header("Contact"), None, "§4: no Contact in a MESSAGE: {message}");
    assert_eq!(message.header("Record-Route"), None, "a MESSAGE makes no dialog: {message}");
}

#[test]
fn s6_binary_bodies_arrive_octet_for_octet() {
    let (_node, alice, bob) = pair();
    bob.register();
    let body: Vec<u8> = (0..=255).chain([0, 13, 10, 13, 10, 0]).collect();
    let request =
        Request::new("MESSAGE", &bob.aor()).body("application/octet-stream", body.clone());
    alice.request(request).expect_status(200);
    assert_eq!(bob.expect_request("MESSAGE").body, body);
}

#[test]
fn s6_every_device_gets_the_message_and_one_200_is_enough() {
    let (node, alice, bob) = pair();
    let cell = node.client_over(Via::Tcp, "bob");
    let desk = node.client_over(Via::Tls, "bob");
    for device in [&bob, &cell, &desk] {
        device.register();
    }
    bob.answer_with(|_| Reply::Status(486));
    alice.message(&bob.aor(), "to all").expect_status(200);
    for device in [&bob, &cell, &desk] {
        assert_eq!(device.expect_request("MESSAGE").text(), "to all");
    }
}

#[test]
fn s7_when_all_devices_refuse_the_sender_learns_it() {
    let (node, alice, bob) = pair();
    let cell = node.client("bob");
    for device in [&bob, &cell] {
        device.register();
        device.answer_with(|_| Reply::Status(486));
    }
    alice.message(&bob.aor(), "busy?").expect_status(486);
}

#[test]
fn s7_a_user_who_does_not_exist_is_404() {
    let (_node, alice, _bob) = pair();
    alice.message("sip:nobody@example.test", "?").expect_status(404);
}

#[test]
fn s7_silence_of_the_only_device_is_no_success() {
    let (_node, alice, bob) = pair();
    bob.register();
    bob.answer_with(|_| Reply::Nothing);
    // RFC 4320 §4.2 would rather have no 408 for anything but INVITE; it only must not be a 2xx.
    alice.message(&bob.aor(), "anybody?").expect_one_of(&[408, 480, 504]);
}

#[test]
fn s5_im_uris_mean_the_same_user() {
    let node = Setup::default().trusting().start();
    let [alice, bob] = node.clients(["alice", "bob"]);
    bob.register();
    let request = Request::new("MESSAGE", "im:bob@example.test").body("text/plain", "im:");
    // A server need not know im: URIs (416); when it does, the message goes to that user.
    let answer = alice.request(request).expect_one_of(&[200, 416]);
    if answer.status() == Some(200) {
        assert_eq!(bob.expect_request("MESSAGE").text(), "im:");
    }
}

#[test]
fn s4_one_user_s_messages_arrive_in_their_order() {
    let (node, alice, _bob) = pair();
    let bob = node.client_over(Via::Tcp, "bob");
    bob.register();
    for i in 0..10 {
        alice.message(&bob.aor(), &format!("{i}")).expect_status(200);
    }
    let texts: Vec<String> = (0..10).map(|_| bob.expect_request("MESSAGE").text()).collect();
    assert_eq!(texts.concat(), "0123456789");
}

#[test]
fn s8_a_long_message_over_a_stream_arrives_whole() {
    let (node, _alice, _bob) = pair();
    let (alice, bob) = (node.client_over(Via::Tcp, "alice"), node.client_over(Via::Tcp, "bob"));
    bob.register();
    let text = "long ".repeat(4_000);
    alice.message(&bob.aor(), &text).expect_status(200);
    assert_eq!(bob.expect_request("MESSAGE").text(), text);
}

#[test]
fn s7_a_message_for_whom_nobody_answers_waits_on_disk() {
    let (mut node, alice, bob) = pair();
    for text in ["one", "two", "three"] {
        alice.message(&bob.aor(), text).expect_status(202);
    }
    node.crash_and_restart();
    bob.register();
    for text in ["one", "two", "three"] {
        let message = bob.expect_request("MESSAGE");
        assert_eq!(message.text(), text, "in order");
        assert!(message.expect_header("From").contains(&alice.aor()), "{message}");
        assert!(message.expect_header("Date").ends_with("GMT"), "§8: {message}");
    }
    bob.unregister();
    bob.register();
    bob.barrier();
    let again = bob.count(|m| m.method() == Some("MESSAGE"));
    assert_eq!(again, 3, "delivered once");
    node.crash_and_restart();
    bob.register();
    bob.barrier();
    assert_eq!(bob.count(|m| m.method() == Some("MESSAGE")), 3);
}

#[test]
fn a_device_that_is_busy_gets_its_messages_later() {
    let (_node, alice, bob) = pair();
    alice.message(&bob.aor(), "later").expect_status(202);
    bob.answer_with(|_| Reply::Status(486));
    bob.register();
    bob.expect_request("MESSAGE");
    bob.barrier();
    bob.answer_with(|_| Reply::Status(200));
    bob.register();
    assert_eq!(bob.expect_request("MESSAGE").text(), "later");
}

#[test]
fn what_is_stored_is_the_administrators_to_say() {
    let (node, alice, bob) = pair();
    let set = |value: &str| node.appliance(&["set", "policy", "messages", value]).expect_done();
    set("online");
    alice.message(&bob.aor(), "nobody there").expect_status(480);
    set("off");
    bob.register();
    alice.message(&bob.aor(), "not at all").expect_status(403);
    bob.unregister();
    set("stored");
    node.appliance(&["set", "policy", "messages-per-user", "2"]).expect_done();
    for _ in 0..2 {
        alice.message(&bob.aor(), "room").expect_status(202);
    }
    alice.message(&bob.aor(), "no room").expect_status(480);
}

#[test]
fn who_was_typing_is_not_stored() {
    let (_node, alice, bob) = pair();
    let request = Request::new("MESSAGE", &bob.aor())
        .body("application/im-iscomposing+xml", "<isComposing/>");
    alice.request(request).expect_status(480);
}

#[test]
fn rfc5438_the_sender_is_told_that_a_message_was_stored_where_it_asks() {
    let (_node, alice, bob) = pair();
    alice.register();
    let body = format!(
        "From: <{}>\r\nTo: <{}>\r\nDateTime: 2026-11-23T10:00:00Z\r\n\
         NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: m-1\r\n\
         imdn.Disposition-Notification: processing\r\n\r\nContent-Type: text/plain\r\n\r\nhello",
        alice.aor(),
        bob.aor()
    );
    let request = Request::new("MESSAGE", &bob.aor()).body("message/cpim", body.as_str());
    alice.request(request).expect_status(202);
    let told = alice.expect_request("MESSAGE");
    assert_eq!(told.expect_header("Content-Type"), "message/cpim");
    let text = told.text();
    assert!(text.contains("Content-Type: message/imdn+xml"), "{told}");
    assert!(text.contains("<message-id>m-1</message-id>") && text.contains("<stored/>"), "{told}");
    bob.register();
    assert_eq!(bob.expect_request("MESSAGE").text(), body);
}

//! §18: transports and framing.

use std::net::UdpSocket;

use lamplight_tests::node::{Node, Setup};
use lamplight_tests::pidf;
use lamplight_tests::wire::message::param;
use lamplight_tests::wire::{Client, Message, PATIENCE, Request, Via};

fn start() -> Node {
    let node = Setup::default().trusting().start();
    node.import_users(["alice", "bob"]).expect_done();
    node
}

fn options() -> Request {
    Request::new("OPTIONS", "sip:example.test")
}

#[test]
fn s18_every_transport_serves_register_publish_subscribe_and_message() {
    let node = start();
    for via in [Via::Udp, Via::Tcp, Via::Tls] {
        let (alice, bob) = (node.client_over(via, "alice"), node.client_over(via, "bob"));
        alice.register();
        let watch = bob.subscribe(&alice.aor());
        watch.notify(&bob);
        let note = format!("over {via:?}");
        let etag = alice.publish(&pidf::open(&alice.aor(), &note));
        watch.notify_with(&bob, &note, |m| m.text().contains(&note));
        bob.message(&alice.aor(), &note).expect_status(200);
        assert_eq!(alice.expect_request("MESSAGE").text(), note);
        alice.republish(&etag, None, 0).expect_status(200);
        alice.unregister();
    }
}

#[test]
fn s18_2_1_received_is_added_when_the_host_differs() {
    let node = start();
    let alice = node.client("alice");
    let port = alice.local.port();
    let branch = "z9hG4bKreceived1";
    let via = format!("SIP/2.0/UDP phone.invalid:{port};branch={branch}");
    let answer = alice.transact(options().header("Via", via));
    let vias = answer.all("Via");
    assert_eq!(param(&vias[0], "received"), Some("127.0.0.1"), "{answer}");
}

#[test]
fn s18_2_2_without_rport_the_answer_goes_to_the_port_of_the_via() {
    let node = start();
    let alice = node.client("alice");
    let elsewhere = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    elsewhere.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let port = elsewhere.local_addr().expect("an address").port();
    let via = format!("SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKelsewhere");
    alice.send(options().header("Via", via));
    let mut buffer = [0; 4096];
    let length = elsewhere.recv(&mut buffer).expect("the answer");
    let answer = Message::cut(&buffer[..length]).expect("a message");
    answer.expect_status(200);
}

#[test]
fn s18_3_octets_after_the_body_of_a_datagram_are_ignored() {
    let node = start();
    let alice = node.client("alice");
    let document = pidf::open(&alice.aor(), "exact");
    let request = alice.publication().body("application/pidf+xml", document);
    let mut bytes = alice.complete(request).bytes();
    bytes.extend_from_slice(b"INVITE sip:bob@example.test SIP/2.0\r\n\r\n");
    alice.write(&bytes);
    alice.expect("200", |m| m.status().is_some_and(|s| s >= 200)).expect_status(200);
    let bob = node.client("bob");
    let notify = bob.subscribe(&alice.aor()).notify(&bob);
    assert!(notify.text().contains("exact") && !notify.text().contains("INVITE"), "{notify}");
}

#[test]
fn s18_3_a_datagram_shorter_than_its_content_length_is_400() {
    let node = start();
    let alice = node.client("alice");
    let sent = alice.send(options().header("Content-Length", 500));
    let answer = alice.expect("400", |m| m.branch() == Some(sent.branch.clone()));
    answer.expect_status(400);
}

#[test]
fn s18_3_a_datagram_without_content_length_has_a_body_to_its_end() {
    let node = start();
    let (alice, bob) = (node.client("alice"), node.client("bob"));
    let document = pidf::open(&alice.aor(), "to the end");
    let request = alice.publication().body("application/pidf+xml", document);
    alice.transact(request.without("Content-Length")).expect_status(200);
    let notify = bob.subscribe(&alice.aor()).notify(&bob);
    assert!(notify.text().contains("to the end"), "{notify}");
}

#[test]
fn s7_5_a_stream_cut_into_single_octets_is_put_together() {
    let node = start();
    for via in [Via::Tcp, Via::Tls] {
        let alice = node.client_over(via, "alice");
        let document = pidf::open(&alice.aor(), "drop by drop");
        let request = alice.publication().body("application/pidf+xml", document);
        for byte in alice.complete(request).bytes() {
            alice.write(&[byte]);
        }
        alice.expect("200", |m| m.status().is_some_and(|s| s >= 200)).expect_status(200);
    }
}

#[test]
fn s7_5_several_messages_in_one_segment_are_taken_apart_in_order() {
    let node = start();
    for via in [Via::Tcp, Via::Tls] {
        let alice = node.client_over(via, "alice");
        let document = pidf::open(&alice.aor(), "with a body");
        let published = alice.publication().body("application/pidf+xml", document);
        let requests = [options(), published, options().header("Subject", "third")];
        let requests = requests.map(|r| alice.complete(r));
        let stream: Vec<u8> = requests.iter().flat_map(Request::bytes).collect();
        // Cut inside the second message's body, so that one segment ends and another begins there.
        let (head, tail) = stream.split_at(stream.len() / 2);
        alice.write(head);
        alice.write(tail);
        for request in &requests {
            let branch = param(request.value("Via").unwrap_or_default(), "branch");
            alice.expect("an answer", |m| m.branch().as_deref() == branch).expect_status(200);
        }
    }
}

#[test]
fn s7_5_line_ends_before_a_start_line_are_ignored() {
    let node = start();
    for via in [Via::Udp, Via::Tcp, Via::Tls] {
        let alice = node.client_over(via, "alice");
        let request = alice.complete(options());
        let mut bytes = b"\r\n\r\n\r\n".to_vec();
        bytes.extend(request.bytes());
        alice.write(&bytes);
        alice.expect("200", |m| m.status().is_some()).expect_status(200);
    }
}

#[test]
fn s18_3_a_stream_message_without_content_length_is_refused() {
    let node = start();
    let alice = node.client_over(Via::Tcp, "alice");
    let document = pidf::open(&alice.aor(), "where does it end?");
    let request = alice.publication().body("application/pidf+xml", document);
    let request = alice.complete(request.without("Content-Length"));
    alice.write(&request.bytes());
    // 400 or the end of the connection: what follows on this stream cannot be trusted.
    let answered = lamplight_tests::node::eventually("an answer or the end", || {
        let answer = alice.take(|m| m.status().is_some());
        answer.map(Some).or_else(|| alice.is_closed().then_some(None))
    });
    if let Some(answer) = answered {
        answer.expect_one_of(&[400, 411]);
    }
    let fresh = node.client_over(Via::Tcp, "alice");
    fresh.transact(options()).expect_status(200);
}

#[test]
fn s18_a_peer_that_sends_rubbish_hurts_nobody_else() {
    let node = start();
    let bob = node.client_over(Via::Tcp, "bob");
    for via in [Via::Tcp, Via::Tls, Via::Udp] {
        let vandal = node.client_over(via, "alice");
        vandal.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not SIP at all\r\n\r\n");
        vandal.write_anyway(&vec![b'A'; 60_000]);
        if via != Via::Udp {
            for _ in 0..100 {
                vandal.write_anyway(&vec![b'B'; 60_000]);
            }
            vandal.expect_closed();
        }
        bob.transact(options()).expect_status(200);
    }
    node.client("alice").transact(options()).expect_status(200);
}

#[test]
fn s18_answers_on_a_stream_come_back_on_that_stream() {
    let node = start();
    let alice = node.client_over(Via::Tcp, "alice");
    let via = "SIP/2.0/TCP phone.invalid:5060;branch=z9hG4bKsame";
    alice.transact(options().header("Via", via)).expect_status(200);
}

#[test]
fn s19_ipv6_works_as_ipv4_does() {
    if UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("this machine has no ::1: IPv6 is not tested here");
        return;
    }
    let node = Setup::default().trusting();
    let node = node.listening("udp:[::1]:0").listening("tcp:[::1]:0").start();
    node.import_users(["alice", "bob"]).expect_done();
    for (name, via) in [("udp", Via::Udp), ("tcp", Via::Tcp)] {
        let addresses = &node.ready.addresses[name];
        let six = *addresses.iter().find(|a| a.is_ipv6()).expect("an IPv6 listener");
        let client = |user| Client::new(via, six, "example.test", user, "");
        let (alice, bob) = (client("alice"), client("bob"));
        assert!(alice.local.is_ipv6());
        alice.register();
        bob.register();
        let watch = bob.subscribe(&alice.aor());
        watch.notify(&bob);
        let note = format!("six over {name}");
        alice.publish_again(&pidf::open(&alice.aor(), &note));
        watch.notify_with(&bob, &note, |m| m.text().contains(&note));
        bob.message(&alice.aor(), &note).expect_status(200);
        assert_eq!(alice.expect_request("MESSAGE").text(), note);
        // Between the families: the proxy speaks both.
        let carol = node.client("bob");
        carol.message(&alice.aor(), "from four to six").expect_status(200);
        alice.unregister();
        bob.unregister();
    }
}

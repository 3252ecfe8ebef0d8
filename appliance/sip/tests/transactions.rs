//! The transaction layer against RFC 3261 §17 and RFC 6026, on a clock that the test turns.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::net::SocketAddr;
use std::time::Duration;

use sip::clock::Instant;
use sip::entropy::Entropy;
use sip::flow::{ConnectionId, Destination, Flow, Transport};
use sip::message::{HeaderAccess, Message, Request, response_to};
use sip::parse;
use sip::transaction::layer::{Event, Layer};
use sip::transaction::server::Received;
use sip::transaction::{HoldMark, Transmit};

const NOW: Instant = Instant::from_micros(1_000_000);

fn us() -> SocketAddr {
    "192.0.2.1:5060".parse().unwrap()
}

fn flow(transport: Transport) -> Flow {
    let peer = "192.0.2.9:40000".parse().unwrap();
    let connection = ConnectionId(u64::from(transport.is_reliable()));
    Flow { transport, local: us(), peer, connection }
}

fn layer() -> Layer<u8> {
    let listeners = vec![(Transport::Udp, us()), (Transport::Tcp, us())];
    Layer::new(listeners, 100, Entropy::new([1; 32], 0))
}

fn request(method: &str, via: &str) -> Request {
    let text = format!(
        "{method} sip:bob@example.test SIP/2.0\r\nVia: SIP/2.0/UDP {via}\r\nMax-Forwards: 70\r\n\
         From: <sip:a@example.test>;tag=f\r\nTo: <sip:bob@example.test>\r\nCall-ID: c\r\n\
         CSeq: 7 {method}\r\nContent-Length: 0\r\n\r\n"
    );
    match parse::message(text.as_bytes(), parse::Framing::Datagram, &parse::Limits::default()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

/// Everything sent up to `until`, with the milliseconds after [`NOW`].
fn sent_until(layer: &mut Layer<u8>, until: Duration) -> Vec<(u64, Transmit)> {
    let mut sent = Vec::new();
    let mut now = NOW;
    loop {
        while let Some(transmit) = layer.poll_transmit() {
            let millis = u64::try_from(now.since(NOW).as_millis()).unwrap();
            sent.push((millis, transmit));
        }
        match layer.poll_timeout() {
            Some(next) if next <= NOW + until => {
                now = next;
                layer.handle_timeout(now);
            }
            _ => return sent,
        }
    }
}

/// Times rounded to the half seconds that T1 counts in.
fn halves(sent: &[(u64, Transmit)]) -> Vec<u64> {
    sent.iter().map(|(millis, _)| (millis + 100) / 500).collect()
}

fn text(transmit: &Transmit) -> String {
    String::from_utf8(transmit.payload.to_bytes()).unwrap()
}

fn response_for(transmit: &Transmit, status: &str) -> Vec<u8> {
    let request = text(transmit);
    let mut response = format!("SIP/2.0 {status}\r\n");
    for line in request.lines().skip(1).take_while(|line| !line.is_empty()) {
        if ["Via:", "From:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)) {
            response.push_str(line);
            response.push_str("\r\n");
        } else if let Some(to) = line.strip_prefix("To:") {
            let tag = if to.contains(";tag=") { "" } else { ";tag=theirs" };
            response.push_str(&format!("To:{to}{tag}\r\n"));
        }
    }
    (response + "Content-Length: 0\r\n\r\n").into_bytes()
}

fn receive(layer: &mut Layer<u8>, now: Instant, bytes: &[u8]) -> Option<Event<u8>> {
    layer.receive_response(now, bytes, &parse::Limits::default(), false)
}

fn send(layer: &mut Layer<u8>, method: &str, transport: Transport) {
    let mut request = request(method, "192.0.2.9;branch=z9hG4bKupstream");
    request.headers.remove_all("Via");
    let destination = Destination::Flow(flow(transport));
    layer.send(NOW, destination, request, 1, HoldMark(0)).unwrap();
}

#[test]
fn s17_1_2_a_request_is_repeated_at_t1_doubling_to_t2_and_given_up_after_64_t1() {
    let mut layer = layer();
    send(&mut layer, "OPTIONS", Transport::Udp);
    let sent = sent_until(&mut layer, Duration::from_secs(40));
    assert_eq!(halves(&sent), [0, 1, 3, 7, 15, 23, 31, 39, 47, 55, 63]);
    assert!(sent.windows(2).all(|pair| text(&pair[0].1) == text(&pair[1].1)));
    assert!(matches!(layer.poll_event(), Some(Event::TimedOut { user: 1, .. })));
    assert!(layer.is_empty());
}

#[test]
fn s17_1_2_a_provisional_response_slows_repetition_to_t2() {
    let mut layer = layer();
    send(&mut layer, "OPTIONS", Transport::Udp);
    let first = layer.poll_transmit().unwrap();
    receive(&mut layer, NOW, &response_for(&first, "183 Hold On"));
    assert_eq!(halves(&sent_until(&mut layer, Duration::from_secs(14))), [1, 9, 17, 25]);
}

#[test]
fn s17_1_2_nothing_is_repeated_on_a_reliable_transport() {
    let mut layer = layer();
    send(&mut layer, "OPTIONS", Transport::Tcp);
    assert_eq!(sent_until(&mut layer, Duration::from_secs(40)).len(), 1);
    assert!(matches!(layer.poll_event(), Some(Event::TimedOut { .. })));
}

#[test]
fn s17_1_1_an_invite_doubles_without_bound_until_a_provisional_response() {
    let mut layer = layer();
    send(&mut layer, "INVITE", Transport::Udp);
    assert_eq!(halves(&sent_until(&mut layer, Duration::from_secs(20))), [0, 1, 3, 7, 15, 31]);
}

#[test]
fn s17_1_1_3_a_refusal_is_acknowledged_each_time_it_comes() {
    let mut layer = layer();
    send(&mut layer, "INVITE", Transport::Udp);
    let invite = layer.poll_transmit().unwrap();
    let busy = response_for(&invite, "486 Busy Here");
    assert!(matches!(receive(&mut layer, NOW, &busy), Some(Event::Response { user: 1, .. })));
    assert!(receive(&mut layer, NOW, &busy).is_none(), "the user hears it once");
    let acks = sent_until(&mut layer, Duration::from_secs(1));
    assert_eq!(acks.len(), 2);
    let ack = text(&acks[0].1);
    assert!(ack.starts_with("ACK sip:bob@example.test SIP/2.0\r\n"));
    assert!(ack.contains("To: <sip:bob@example.test>;tag=theirs\r\n"), "the To of the response");
    assert!(ack.contains("CSeq: 7 ACK\r\n"));
    let via = |text: &str| text.lines().find(|l| l.starts_with("Via")).unwrap().to_owned();
    assert_eq!(via(&ack), via(&text(&invite)), "the INVITE's branch");
}

#[test]
fn s9_1_a_cancel_waits_for_a_provisional_response_and_shares_the_branch() {
    let mut layer = layer();
    let destination = Destination::Flow(flow(Transport::Udp));
    let mut request = request("INVITE", "192.0.2.9;branch=z9hG4bKup");
    request.headers.remove_all("Via");
    let id = layer.send(NOW, destination, request, 1, HoldMark(0)).unwrap();
    let invite = layer.poll_transmit().unwrap();
    layer.cancel(NOW, id);
    assert!(layer.poll_transmit().is_none(), "nothing to cancel that may not have arrived");
    receive(&mut layer, NOW, &response_for(&invite, "180 Ringing"));
    let cancel = layer.poll_transmit().unwrap();
    assert!(text(&cancel).starts_with("CANCEL sip:bob@example.test SIP/2.0\r\n"));
    assert!(text(&cancel).contains("CSeq: 7 CANCEL\r\n"));
    assert!(receive(&mut layer, NOW, &response_for(&cancel, "200 OK")).is_none());
    let terminated = receive(&mut layer, NOW, &response_for(&invite, "487 Request Terminated"));
    assert!(matches!(terminated, Some(Event::Response { .. })));
}

#[test]
fn s9_1_a_cancelled_invite_that_never_answers_is_given_up() {
    let mut layer = layer();
    let destination = Destination::Flow(flow(Transport::Udp));
    let mut request = request("INVITE", "192.0.2.9;branch=z9hG4bKup");
    request.headers.remove_all("Via");
    let id = layer.send(NOW, destination, request, 1, HoldMark(0)).unwrap();
    let invite = layer.poll_transmit().unwrap();
    receive(&mut layer, NOW, &response_for(&invite, "180 Ringing"));
    layer.cancel(NOW, id);
    sent_until(&mut layer, Duration::from_secs(40));
    assert!(matches!(layer.poll_event(), Some(Event::TimedOut { .. })));
    assert!(layer.is_empty());
}

#[test]
fn s17_1_3_a_response_needs_the_branch_that_was_sent() {
    let mut layer = layer();
    send(&mut layer, "OPTIONS", Transport::Udp);
    let sent = layer.poll_transmit().unwrap();
    let good = String::from_utf8(response_for(&sent, "200 OK")).unwrap();
    let start = good.find("z9hG4bK").unwrap() + 7;
    for place in start..start + 24 {
        let mut forged = good.clone().into_bytes();
        forged[place] = if forged[place] == b'0' { b'1' } else { b'0' };
        assert!(receive(&mut layer, NOW, &forged).is_none());
    }
    assert_eq!(layer.tally().stray_responses, 24);
    assert!(receive(&mut layer, NOW, good.as_bytes()).is_some());
    assert!(receive(&mut layer, NOW, good.as_bytes()).is_none(), "the transaction is over");
}

#[test]
fn a_lean_request_brings_back_a_status_and_no_more() {
    let mut layer = layer();
    let destination = Destination::Flow(flow(Transport::Udp));
    layer
        .send_lean(NOW, destination, 5, HoldMark(3), |digits, out| {
            let digits = std::str::from_utf8(digits).unwrap();
            out.extend_from_slice(
                format!(
                    "NOTIFY sip:w@h SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK\
                     {digits}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:w@h>;tag=2\r\nCall-ID: x\r\n\
                     CSeq: 1 NOTIFY\r\nContent-Length: 0\r\n\r\n"
                )
                .as_bytes(),
            );
            None
        })
        .unwrap();
    let sent = layer.poll_transmit().unwrap();
    assert_eq!(sent.after, HoldMark(3));
    let busy = response_for(&sent, "503 Busy\r\nRetry-After: 9");
    match receive(&mut layer, NOW, &busy) {
        Some(Event::Status { user: 5, status: 503, retry_after: Some(9) }) => {}
        other => panic!("{other:?}"),
    }
}

fn answer(layer: &mut Layer<u8>, received: Received, request: &Request, status: u16) {
    let Received::New { id, .. } = received else { panic!("{received:?}") };
    layer.respond(NOW, id, &response_to(request, status, None, Some("ours")), HoldMark(0));
}

#[test]
fn s17_2_2_a_repeated_request_gets_the_same_answer_for_64_t1() {
    let mut layer = layer();
    let mut options = request("OPTIONS", "192.0.2.9:5060;branch=z9hG4bKx");
    let received = layer.receive_request(&flow(Transport::Udp), &mut options);
    answer(&mut layer, received, &options, 200);
    let first = text(&layer.poll_transmit().unwrap());
    let mut again = request("OPTIONS", "192.0.2.9:5060;branch=z9hG4bKx");
    assert_eq!(layer.receive_request(&flow(Transport::Udp), &mut again), Received::Absorbed);
    assert_eq!(text(&layer.poll_transmit().unwrap()), first);
    layer.handle_timeout(NOW + Duration::from_secs(31));
    assert_eq!(layer.receive_request(&flow(Transport::Udp), &mut again), Received::Absorbed);
    layer.handle_timeout(NOW + Duration::from_secs(33));
    assert!(layer.is_empty());
}

#[test]
fn s17_2_2_nothing_is_kept_on_a_reliable_transport() {
    let mut layer = layer();
    let mut options = request("OPTIONS", "192.0.2.9;branch=z9hG4bKx");
    let received = layer.receive_request(&flow(Transport::Tcp), &mut options);
    answer(&mut layer, received, &options, 200);
    assert!(layer.is_empty());
}

#[test]
fn s17_2_1_a_refusal_of_an_invite_is_repeated_until_its_ack() {
    let mut layer = layer();
    let mut invite = request("INVITE", "192.0.2.9;branch=z9hG4bKx");
    let received = layer.receive_request(&flow(Transport::Udp), &mut invite);
    answer(&mut layer, received, &invite, 486);
    let sent = sent_until(&mut layer, Duration::from_secs(9));
    assert_eq!(halves(&sent), [0, 1, 3, 7, 15]);
    let mut ack = request("ACK", "192.0.2.9;branch=z9hG4bKx");
    assert_eq!(layer.receive_request(&flow(Transport::Udp), &mut ack), Received::Absorbed);
    assert!(sent_until(&mut layer, Duration::from_secs(30)).is_empty());
}

#[test]
fn rfc6026_s7_1_after_a_2xx_invites_are_absorbed_and_acks_passed_on() {
    let mut layer = layer();
    let mut invite = request("INVITE", "192.0.2.9;branch=z9hG4bKx");
    let received = layer.receive_request(&flow(Transport::Udp), &mut invite);
    answer(&mut layer, received, &invite, 200);
    assert_eq!(sent_until(&mut layer, Duration::from_secs(5)).len(), 1, "no timer G for a 2xx");
    assert_eq!(layer.receive_request(&flow(Transport::Udp), &mut invite), Received::Absorbed);
    assert!(layer.poll_transmit().is_none());
    let mut ack = request("ACK", "192.0.2.9;branch=z9hG4bKother");
    let received = layer.receive_request(&flow(Transport::Udp), &mut ack);
    assert_eq!(received, Received::Acknowledgement);
    answer_again(&mut layer, &invite);
}

/// A second 2xx, from another fork, passes through the accepted transaction.
fn answer_again(layer: &mut Layer<u8>, invite: &Request) {
    let mut copy = request("CANCEL", "192.0.2.9;branch=z9hG4bKx");
    let Received::Cancel { invite: Some(id), .. } =
        layer.receive_request(&flow(Transport::Udp), &mut copy)
    else {
        panic!("the CANCEL finds its INVITE");
    };
    layer.respond(NOW, id, &response_to(invite, 200, None, Some("fork")), HoldMark(0));
    assert!(text(&layer.poll_transmit().unwrap()).contains(";tag=fork"));
}

#[test]
fn s8_2_2_2_the_same_request_by_another_way_is_told_as_merged() {
    let mut layer = layer();
    let mut first = request("SUBSCRIBE", "192.0.2.9;branch=z9hG4bKone");
    let mut second = request("SUBSCRIBE", "192.0.2.9;branch=z9hG4bKtwo");
    let received = layer.receive_request(&flow(Transport::Udp), &mut first);
    assert!(matches!(received, Received::New { merged: false, .. }));
    let received = layer.receive_request(&flow(Transport::Udp), &mut second);
    assert!(matches!(received, Received::New { merged: true, .. }));
}

#[test]
fn a_challenge_may_be_answered_without_a_new_cseq() {
    for (status, merged) in [(401, false), (407, false), (200, true)] {
        let mut layer = layer();
        let mut first = request("REGISTER", "192.0.2.9;branch=z9hG4bKone");
        let received = layer.receive_request(&flow(Transport::Udp), &mut first);
        answer(&mut layer, received, &first, status);
        let mut second = request("REGISTER", "192.0.2.9;branch=z9hG4bKtwo");
        match layer.receive_request(&flow(Transport::Udp), &mut second) {
            Received::New { merged: told, .. } => assert_eq!(told, merged, "after {status}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn s17_2_3_old_clients_without_the_cookie_are_matched_by_their_headers() {
    let mut layer = layer();
    let mut options = request("OPTIONS", "192.0.2.9;branch=1");
    let received = layer.receive_request(&flow(Transport::Udp), &mut options);
    answer(&mut layer, received, &options, 200);
    let mut again = request("OPTIONS", "192.0.2.9;branch=1");
    assert_eq!(layer.receive_request(&flow(Transport::Udp), &mut again), Received::Absorbed);
}

#[test]
fn rfc3581_s4_answers_go_where_rport_asks() {
    for (via, port) in [
        ("10.0.0.7:5070;rport;branch=z9hG4bKx", 40000),
        ("10.0.0.7:5070;branch=z9hG4bKx", 5070),
        ("10.0.0.7;branch=z9hG4bKx", 5060),
    ] {
        let mut layer = layer();
        let mut options = request("OPTIONS", via);
        let received = layer.receive_request(&flow(Transport::Udp), &mut options);
        answer(&mut layer, received, &options, 200);
        let sent = layer.poll_transmit().unwrap();
        let Destination::Flow(to) = sent.destination else { panic!("{:?}", sent.destination) };
        assert_eq!(to.peer, format!("192.0.2.9:{port}").parse().unwrap());
        assert!(text(&sent).contains("received=192.0.2.9"));
        assert_eq!(text(&sent).contains("rport=40000"), port == 40000);
    }
}

#[test]
fn a_full_layer_forgets_the_oldest_answered_request_and_then_says_so() {
    let listeners = vec![(Transport::Udp, us())];
    let mut layer: Layer<u8> = Layer::new(listeners, 2, Entropy::new([1; 32], 0));
    for branch in ["a", "b", "c"] {
        let mut options = request("OPTIONS", &format!("192.0.2.9;branch=z9hG4bK{branch}"));
        let received = layer.receive_request(&flow(Transport::Udp), &mut options);
        answer(&mut layer, received, &options, 200);
    }
    assert_eq!(layer.len(), 2);
    for branch in ["d", "e"] {
        let mut options = request("OPTIONS", &format!("192.0.2.9;branch=z9hG4bK{branch}"));
        let received = layer.receive_request(&flow(Transport::Udp), &mut options);
        assert!(matches!(received, Received::New { .. }));
    }
    let mut options = request("OPTIONS", "192.0.2.9;branch=z9hG4bKf");
    let received = layer.receive_request(&flow(Transport::Udp), &mut options);
    assert_eq!(received, Received::Overloaded, "all wait for an answer");
}

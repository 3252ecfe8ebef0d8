//! A stream connection: framing, bounds, keep-alives, and what slow or silent peers cost.

use std::sync::Arc;

use sip::flow::Transport;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;

const OPTIONS: &[u8] = b"OPTIONS sip:example.test SIP/2.0\r\n\
    Via: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bK1\r\n\
    From: <sip:a@example.test>;tag=1\r\nTo: <sip:example.test>\r\nCall-ID: 1\r\n\
    CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n";

struct Fixture {
    peer: DuplexStream,
    handle: FlowHandle,
    inputs: mpsc::Receiver<Input>,
    task: JoinHandle<Ended>,
}

fn start(buffer: usize) -> Fixture {
    let (ours, peer) = duplex(buffer);
    let (handle, mut queue) = queue();
    let (sender, inputs) = mpsc::channel(16);
    let flow = Flow {
        transport: Transport::Tcp,
        local: "192.0.2.9:5060".parse().unwrap(),
        peer: "192.0.2.1:40000".parse().unwrap(),
        connection: ConnectionId(1),
    };
    let task =
        tokio::spawn(
            async move { serve(ours, flow, &mut queue, Limits::default(), &sender).await },
        );
    Fixture { peer, handle, inputs, task }
}

fn payload(head: &str, body: Option<&[u8]>) -> Payload {
    Payload { body: body.map(Arc::from), ..Payload::whole(head.as_bytes()) }
}

#[tokio::test]
async fn messages_come_out_whole_however_they_arrive() {
    let mut fixture = start(64);
    let writer = tokio::spawn(async move {
        for byte in OPTIONS.iter().chain(OPTIONS) {
            fixture.peer.write_all(&[*byte]).await.unwrap();
        }
        fixture.peer
    });
    for _ in 0..2 {
        match fixture.inputs.recv().await.unwrap() {
            Input::Message { bytes, .. } => assert_eq!(bytes, OPTIONS),
            other => panic!("{other:?}"),
        }
    }
    drop(writer.await.unwrap());
    assert_eq!(fixture.task.await.unwrap(), Ended::ByPeer);
}

#[tokio::test]
async fn a_keep_alive_is_answered() {
    let mut fixture = start(64);
    fixture.peer.write_all(b"\r\n\r\n").await.unwrap();
    let mut answer = [0; 2];
    fixture.peer.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"\r\n");
}

#[tokio::test]
async fn head_and_body_are_written_in_order_and_closing_waits_for_them() {
    let mut fixture = start(7);
    for number in 0..100 {
        let head = format!("head {number} ");
        assert!(fixture.handle.send(payload(&head, Some(b"body ")), None));
    }
    drop(fixture.handle);
    let mut text = String::new();
    fixture.peer.read_to_string(&mut text).await.unwrap();
    let expected: String = (0..100).map(|number| format!("head {number} body ")).collect();
    assert_eq!(text, expected);
    assert_eq!(fixture.task.await.unwrap(), Ended::ByUs);
}

#[tokio::test]
async fn a_peer_that_does_not_read_costs_its_own_messages_only() {
    let mut fixture = start(16);
    let body = vec![b'x'; 1024 * 1024];
    let taken = (1..=6)
        .filter(|ticket| fixture.handle.send(payload("head", Some(&body)), Some(Ticket(*ticket))))
        .count();
    assert!(taken < 6, "the queue has no bound");
    drop(fixture.peer);
    let Input::Unsent(mut tickets) = fixture.inputs.recv().await.unwrap() else { panic!() };
    tickets.sort_unstable();
    let expected: Vec<_> = (1..).map(Ticket).take(taken).collect();
    assert_eq!(tickets, expected);
    assert!(matches!(fixture.task.await.unwrap(), Ended::ByPeer | Ended::Failed));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_speaks_is_closed() {
    let fixture = start(64);
    let begin = Instant::now();
    assert_eq!(fixture.task.await.unwrap(), Ended::TooSlow);
    assert!(begin.elapsed() >= MESSAGE_WITHIN);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_drips_a_message_is_closed() {
    let mut fixture = start(64);
    let drip = tokio::spawn(async move {
        for byte in OPTIONS {
            if fixture.peer.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    assert_eq!(fixture.task.await.unwrap(), Ended::TooSlow);
    drip.abort();
}

#[tokio::test(start_paused = true)]
async fn a_silent_registered_peer_stays_for_hours_but_not_for_ever() {
    let mut fixture = start(4096);
    fixture.peer.write_all(OPTIONS).await.unwrap();
    let begin = Instant::now();
    assert_eq!(fixture.task.await.unwrap(), Ended::TooSlow);
    assert!(begin.elapsed() >= IDLE_FOR);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_no_sip_ends_after_its_answer() {
    let mut fixture = start(256 * 1024);
    let head = OPTIONS.strip_suffix(b"Content-Length: 0\r\n\r\n").unwrap();
    fixture.peer.write_all(head).await.unwrap();
    fixture.peer.write_all(b"Content-Length: minus one\r\n\r\n").await.unwrap();
    assert!(matches!(fixture.inputs.recv().await.unwrap(), Input::Message { .. }));
    assert!(fixture.handle.send(payload("SIP/2.0 400 Bad Request\r\n\r\n", None), None));
    let mut text = String::new();
    fixture.peer.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "SIP/2.0 400 Bad Request\r\n\r\n");
    assert_eq!(fixture.task.await.unwrap(), Ended::Unframeable);
}

#[test]
fn an_idle_flow_is_small() {
    // The stream itself comes on top: a TCP stream is some hundred bytes.
    assert!(size_of::<Connection<()>>() < 1024, "{}", size_of::<Connection<()>>());
}

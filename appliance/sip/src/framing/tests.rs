//! Messages cut out of streams, however the octets arrive.

use super::*;

fn message(body: &str) -> String {
    format!("OPTIONS sip:a@b.test SIP/2.0\r\nX: y\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn framer() -> StreamFramer {
    StreamFramer::new(Limits { message_bytes: 600, head_bytes: 300, ..Limits::default() })
}

fn drain(framer: &mut StreamFramer) -> Result<Vec<Frame>, FramingError> {
    let mut frames = Vec::new();
    while let Some(frame) = framer.next()? {
        frames.push(frame);
    }
    Ok(frames)
}

#[test]
fn messages_come_out_however_they_are_cut() {
    let (first, second) = (message("hello\r\n\r\nworld"), message(""));
    let stream = format!("{first}{second}\r\n\r\n{first}");
    let expected = vec![
        Frame::Message(first.clone().into_bytes()),
        Frame::Message(second.into_bytes()),
        Frame::Ping,
        Frame::Message(first.into_bytes()),
    ];
    for size in 1..stream.len() {
        let mut framer = framer();
        let mut frames = Vec::new();
        for chunk in stream.as_bytes().chunks(size) {
            framer.push(chunk);
            frames.extend(drain(&mut framer).unwrap());
        }
        assert_eq!(frames, expected, "cut every {size} bytes");
        assert!(!framer.is_mid_message());
    }
}

#[test]
fn keep_alives_are_told_apart() {
    let mut framer = framer();
    framer.push(b"\r\n");
    assert_eq!(framer.next(), Ok(None), "it may become a ping");
    assert!(!framer.is_mid_message());
    framer.push(b"\r\n");
    assert_eq!(framer.next(), Ok(Some(Frame::Ping)));
    framer.push(b"\r\nO");
    assert_eq!(framer.next(), Ok(Some(Frame::Pong)));
    assert_eq!(framer.next(), Ok(None));
    assert!(framer.is_mid_message());
}

#[test]
fn bare_line_feeds_and_compact_lengths_frame_too() {
    let mut framer = framer();
    framer.push(b"OPTIONS sip:a@b.test SIP/2.0\nl : 2\n\nokBYE");
    let frame = framer.next().unwrap();
    assert_eq!(frame, Some(Frame::Message(b"OPTIONS sip:a@b.test SIP/2.0\nl : 2\n\nok".to_vec())));
    assert_eq!(framer.next(), Ok(None));
}

#[test]
fn what_is_too_large_comes_out_once_and_then_fails() {
    let mut framer = framer();
    framer.push(b"PUBLISH sip:a@b.test SIP/2.0\r\nContent-Length: 1000\r\n\r\nbody");
    assert!(matches!(framer.next(), Ok(Some(Frame::Message(_)))));
    assert_eq!(framer.next(), Err(FramingError::MessageTooLarge));
    framer.push(b"more");
    assert_eq!(framer.next(), Err(FramingError::MessageTooLarge));
}

#[test]
fn lengths_that_cannot_be_told_fail() {
    for length in ["-1", "x", "1\r\nContent-Length: 2", ""] {
        let mut framer = framer();
        framer.push(format!("A sip:a SIP/2.0\r\nContent-Length: {length}\r\n\r\n").as_bytes());
        assert!(matches!(framer.next(), Ok(Some(Frame::Message(_)))), "{length}");
        assert_eq!(framer.next(), Err(FramingError::Length), "{length}");
    }
}

#[test]
fn a_head_without_an_end_fails_at_its_limit() {
    let mut framer = framer();
    framer.push(&[b'x'; 300]);
    assert_eq!(framer.next(), Ok(None));
    framer.push(b"x");
    assert_eq!(framer.next(), Err(FramingError::HeadTooLarge));
}

#[test]
fn an_idle_stream_keeps_little() {
    let mut framer = StreamFramer::new(Limits::default());
    let large = message(&"x".repeat(50_000));
    framer.push(large.as_bytes());
    framer.push(large.as_bytes());
    assert_eq!(drain(&mut framer).map(|frames| frames.len()), Ok(2));
    assert!(framer.buffer.capacity() <= IDLE_CAPACITY);
}

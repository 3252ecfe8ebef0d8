//! Mutations of every message, always the same ones: nothing panics, what is taken is written
//! and read back the same, and the quick ways agree with the thorough ones.

use sip::digest::Credentials;
use sip::framing::{Frame, StreamFramer};
use sip::header::contact::Contact;
use sip::header::cseq::CSeq;
use sip::header::event::Event;
use sip::header::media_type::{Accept, MediaType};
use sip::header::name_addr::NameAddr;
use sip::header::subscription_state::SubscriptionState;
use sip::header::via::Via;
use sip::message::{HeaderAccess, Headers, Message};
use sip::parse::{Framing, Limits, ParseFailure, message};
use sip::{aor, locate, scan, uri, write};

use crate::messages;

const PER_MESSAGE: usize = 400;

/// A small generator, so that the same mutations come on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }
}

const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b";",
    b",",
    b":",
    b"<",
    b">",
    b"\"",
    b"\\",
    b"%",
    b"%4",
    b"@",
    b"=",
    b"?",
    b"[",
    b"]",
    b"/",
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    b";branch=x",
    b";tag=",
    b"Via: ",
    b"v:",
    b"To:",
    b"CSeq: 1 X\r\n",
    b"Content-Length: 3\r\n",
    b"l:0\r\n",
    b"SIP/2.0",
    b"\r\n ",
    b"\r\n\r\n",
    b"99999999999999999999",
    b"-1",
    b"sip:",
    b"tel:",
    b"*",
    b"[::1]",
    b"(",
    b"'",
];

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let place = random.below(bytes.len() + 1);
        let end = (place + random.below(12)).min(bytes.len());
        match random.below(6) {
            0 => bytes.truncate(place),
            1 => drop(bytes.drain(place..end)),
            2 => {
                let piece = bytes[place..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            3 if place < bytes.len() => bytes[place] = random.next().to_le_bytes()[0],
            _ => {
                let piece = PIECES[random.below(PIECES.len())];
                bytes.splice(place..place, piece.iter().copied());
            }
        }
    }
}

fn for_each_mutation(mut visit: impl FnMut(&[u8])) {
    for (seed, (_, original)) in messages::all().enumerate() {
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ u64::try_from(seed + 1).unwrap());
        visit(&original);
        for _ in 0..PER_MESSAGE {
            let mut bytes = original.clone();
            mutate(&mut bytes, &mut random);
            visit(&bytes);
        }
    }
}

fn read(bytes: &[u8]) -> Result<Message, ParseFailure> {
    message(bytes, Framing::Datagram, &Limits::default())
}

fn written(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    match message {
        Message::Request(request) => write::request(request, &mut bytes),
        Message::Response(response) => write::response(response, &mut bytes),
    }
    bytes
}

/// What callers of the parser do with the headers must not panic either.
fn use_headers(headers: &Headers) {
    for (_, value) in headers.pairs() {
        if let Ok(address) = NameAddr::parse(value) {
            let _ = (address.q(), address.expires(), address.tag());
            let again = NameAddr::parse(&address.to_string()).unwrap();
            assert_eq!(again, address, "{value}");
            let _ = locate::Target::from_uri(&address.uri).map(|target| target.numeric());
            if let Ok(aor) = aor::Aor::from_uri(&address.uri) {
                assert_eq!(aor.as_str().parse().as_ref(), Ok(&aor));
            }
        }
        if let Ok(via) = Via::parse(value) {
            assert_eq!(Via::parse(&via.to_string()).as_ref(), Ok(&via), "{value}");
        }
        if let Ok(event) = Event::parse(value) {
            assert_eq!(Event::parse(&event.to_string()).as_ref(), Ok(&event));
        }
        if let Ok(state) = SubscriptionState::parse(value) {
            assert_eq!(SubscriptionState::parse(&state.to_string()).as_ref(), Ok(&state));
        }
        if let Ok(media_type) = MediaType::parse(value) {
            assert_eq!(MediaType::parse(&media_type.to_string()).as_ref(), Ok(&media_type));
        }
        let _ = (Contact::parse(value), Accept::parse(value), Credentials::parse(value));
    }
}

#[test]
fn what_is_taken_is_written_and_read_back_the_same() {
    let mut taken = 0;
    for_each_mutation(|bytes| {
        let first = match read(bytes) {
            Ok(first) => first,
            Err(ParseFailure::Answer(answer)) => Message::Response(*answer),
            Err(ParseFailure::Drop(_)) => return,
        };
        let wire = written(&first);
        use_headers(first.headers());
        match read(&wire) {
            Ok(second) => {
                assert_eq!(second, first, "{}", String::from_utf8_lossy(bytes));
                assert_eq!(written(&second), wire);
                taken += 1;
            }
            // The answer to a request that was broken may repeat what was broken.
            Err(_) => {
                let code = match &first {
                    Message::Response(response) => response.status_code.code(),
                    Message::Request(_) => 0,
                };
                assert!((400..600).contains(&code), "{}", String::from_utf8_lossy(&wire));
            }
        }
    });
    assert!(taken > 5_000, "{taken}");
}

#[test]
fn requests_that_are_taken_have_what_callers_rely_on() {
    for_each_mutation(|bytes| {
        let Ok(Message::Request(request)) = read(bytes) else { return };
        let one = |name: &str| {
            assert_eq!(request.headers.values(name).count(), 1, "{name}");
            request.headers.value(name).unwrap()
        };
        NameAddr::parse(one("From")).unwrap();
        NameAddr::parse(one("To")).unwrap();
        assert!(!one("Call-ID").is_empty());
        let cseq = CSeq::parse(one("CSeq")).unwrap();
        assert_eq!(cseq.method, sip::message::method(request.method));
        Via::parse(request.headers.value("Via").unwrap()).unwrap();
        assert!(request.uri.headers.is_empty());
        assert!(uri::equivalent(&request.uri, &request.uri));
    });
}

#[test]
fn the_scan_agrees_with_the_parser() {
    let mut both = 0;
    for_each_mutation(|bytes| {
        let scanned = scan::response(bytes);
        let _ = scan::retry_after(bytes);
        let (Some(scanned), Ok(Message::Response(response))) = (scanned, read(bytes)) else {
            return;
        };
        let via = Via::parse(response.headers.value("Via").unwrap()).unwrap();
        assert_eq!(scanned.status, response.status_code.code());
        assert_eq!(Some(scanned.branch), via.branch.as_deref().map(str::as_bytes));
        both += 1;
    });
    assert!(both > 200, "{both}");
}

#[test]
fn a_stream_yields_the_same_frames_however_it_is_cut() {
    let limits = Limits { message_bytes: 4096, head_bytes: 2048, ..Limits::default() };
    let frames = |bytes: &[u8], size: usize| {
        let mut framer = StreamFramer::new(limits);
        let mut frames: Vec<Frame> = Vec::new();
        for chunk in bytes.chunks(size) {
            framer.push(chunk);
            loop {
                match framer.next() {
                    Ok(Some(frame)) => frames.push(frame),
                    Ok(None) => break,
                    Err(error) => return (frames, Some(error)),
                }
            }
        }
        (frames, None)
    };
    let mut sizes = Random(7);
    for_each_mutation(|bytes| {
        let whole = frames(bytes, bytes.len().max(1));
        for frame in &whole.0 {
            if let Frame::Message(bytes) = frame {
                let _ = message(bytes, Framing::Stream, &limits);
            }
        }
        // Where the limits bite depends on the cut, for a head without an end.
        if bytes.len() <= limits.head_bytes {
            assert_eq!(frames(bytes, 1 + sizes.below(90)), whole);
        }
    });
}

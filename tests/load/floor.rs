//! The floor: the least that any server must do for the load generator's work. It receives,
//! copies bytes and sends; it checks nothing, keeps no transactions and stores nothing. What it
//! spends is what the kernel costs, so others are measured in multiples of it.

mod text;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use memchr::{memchr, memmem};

/// The floor ends by itself when nobody has asked for anything for that long.
const IDLE: Duration = Duration::from_secs(300);
/// Digits of a NOTIFY's CSeq, which is also its branch.
const DIGITS: usize = 10;

/// A dialog: where to, and its NOTIFY with places for the number.
struct Dialog {
    peer: SocketAddr,
    presentity: usize,
    head: Vec<u8>,
    branch_at: usize,
    cseq_at: usize,
}

#[derive(Default)]
struct Presentity {
    body: Vec<u8>,
    watchers: Vec<usize>,
}

struct Floor {
    socket: UdpSocket,
    local: SocketAddr,
    presentities: Vec<Presentity>,
    dialogs: Vec<Dialog>,
    number: u32,
    answer: Vec<u8>,
    out: Vec<u8>,
}

fn main() -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    enlarge_buffers(&socket);
    socket.set_read_timeout(Some(IDLE))?;
    let local = socket.local_addr()?;
    println!("floor ready: udp:{local}");
    let mut floor = Floor {
        socket,
        local,
        presentities: Vec::new(),
        dialogs: Vec::new(),
        number: 0,
        answer: Vec::new(),
        out: Vec::new(),
    };
    let mut buffer = vec![0; 65_535];
    loop {
        match floor.socket.recv_from(&mut buffer) {
            Ok((length, peer)) => floor.receive(&buffer[..length], peer),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => {}
        }
    }
}

fn enlarge_buffers(socket: &UdpSocket) {
    use nix::sys::socket::{setsockopt, sockopt};
    let bytes = 4 * 1024 * 1024;
    // The kernel cuts these down to its own limits, as it does for everybody.
    let _ = setsockopt(socket, sockopt::RcvBuf, &bytes);
    let _ = setsockopt(socket, sockopt::SndBuf, &bytes);
}

impl Floor {
    fn receive(&mut self, bytes: &[u8], peer: SocketAddr) {
        match bytes.first() {
            Some(b'P') => self.publish(bytes, peer),
            Some(b'S') if bytes.starts_with(b"SUBSCRIBE") => self.subscribe(bytes, peer),
            Some(b'R') => self.answer(bytes, peer, "", ""),
            _ => {}
        }
    }

    fn publish(&mut self, bytes: &[u8], peer: SocketAddr) {
        let Some(index) = named(bytes) else { return };
        self.answer(bytes, peer, "", "SIP-ETag: floor\r\nExpires: 3600\r\n");
        let Some(head) = memmem::find(bytes, b"\r\n\r\n") else { return };
        if self.presentities.len() <= index {
            self.presentities.resize_with(index + 1, Presentity::default);
        }
        let presentity = &mut self.presentities[index];
        presentity.body.clear();
        presentity.body.extend_from_slice(&bytes[head + 4..]);
        for place in 0..self.presentities[index].watchers.len() {
            let dialog = self.presentities[index].watchers[place];
            self.notify(dialog, true);
        }
    }

    fn subscribe(&mut self, bytes: &[u8], peer: SocketAddr) {
        let to = text::header(bytes, "To:").unwrap_or_default();
        let is_over = memmem::find(bytes, b"\r\nExpires: 0\r\n").is_some();
        let index = match text::tag(to) {
            Some(tag) => text::decimal(tag.as_bytes()).map_or(0, |number| number as usize),
            None => self.attach(bytes, peer, to),
        };
        let tag = if text::tag(to).is_none() { format!(";tag={index}") } else { String::new() };
        let more = if is_over { "Expires: 0\r\n" } else { "Expires: 3600\r\n" };
        let more = format!("Contact: <sip:{}>\r\n{more}", self.local);
        self.answer(bytes, peer, &tag, &more);
        if is_over {
            let presentity = self.dialogs[index].presentity;
            self.presentities[presentity].watchers.retain(|watcher| *watcher != index);
        }
        self.notify(index, !is_over);
    }

    fn attach(&mut self, bytes: &[u8], peer: SocketAddr, to: &str) -> usize {
        let index = self.dialogs.len();
        let presentity = named(bytes).unwrap_or_default();
        let header = |name| text::header(bytes, name).unwrap_or_default();
        let target = header("Contact:").trim_matches(['<', '>']);
        let mut head =
            format!("NOTIFY {target} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK", self.local);
        let branch_at = head.len();
        head.push_str(&format!(
            "{:0DIGITS$}\r\nMax-Forwards: 70\r\nFrom: {to};tag={index}\r\nTo: {}\r\n\
             Call-ID: {}\r\nEvent: presence\r\nContact: <sip:{}>\r\nCSeq: ",
            0,
            header("From:"),
            header("Call-ID:"),
            self.local
        ));
        let cseq_at = head.len();
        head.push_str(&format!("{:0DIGITS$} NOTIFY\r\n", 0));
        let head = head.into_bytes();
        self.dialogs.push(Dialog { peer, presentity, head, branch_at, cseq_at });
        if self.presentities.len() <= presentity {
            self.presentities.resize_with(presentity + 1, Presentity::default);
        }
        self.presentities[presentity].watchers.push(index);
        index
    }

    fn notify(&mut self, index: usize, is_active: bool) {
        self.number += 1;
        let dialog = &self.dialogs[index];
        let body = &self.presentities[dialog.presentity].body;
        let out = &mut self.out;
        out.clear();
        out.extend_from_slice(&dialog.head);
        let mut digits = [b'0'; DIGITS];
        let mut rest = self.number;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        out[dialog.branch_at..dialog.branch_at + DIGITS].copy_from_slice(&digits);
        out[dialog.cseq_at..dialog.cseq_at + DIGITS].copy_from_slice(&digits);
        out.extend_from_slice(if is_active {
            b"Subscription-State: active;expires=3600\r\nContent-Type: application/pidf+xml\r\n\
              Content-Length: "
        } else {
            b"Subscription-State: terminated;reason=timeout\r\n\
              Content-Type: application/pidf+xml\r\nContent-Length: "
        });
        out.extend_from_slice(body.len().to_string().as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(body);
        // What the kernel has no room for is lost, as on any network.
        let _ = self.socket.send_to(out, dialog.peer);
    }

    fn answer(&mut self, bytes: &[u8], peer: SocketAddr, tag: &str, more: &str) {
        let answer = &mut self.answer;
        answer.clear();
        answer.extend_from_slice(b"SIP/2.0 200 OK\r\n");
        let mut rest = bytes;
        while let Some(end) = memchr(b'\n', rest) {
            let (line, next) = rest.split_at(end + 1);
            rest = next;
            if line == b"\r\n" {
                break;
            }
            if line.starts_with(b"To:") {
                answer.extend_from_slice(&line[..line.len() - 2]);
                answer.extend_from_slice(tag.as_bytes());
                answer.extend_from_slice(b"\r\n");
            } else if [&b"Via:"[..], b"From:", b"Call-ID:", b"CSeq:"]
                .iter()
                .any(|name| line.starts_with(name))
            {
                answer.extend_from_slice(line);
            }
        }
        answer.extend_from_slice(more.as_bytes());
        answer.extend_from_slice(b"Content-Length: 0\r\n\r\n");
        let _ = self.socket.send_to(answer, peer);
    }
}

/// The user that the Request-URI names.
fn named(bytes: &[u8]) -> Option<usize> {
    let at = memmem::find(bytes, b" sip:u")? + b" sip:u".len();
    text::decimal(bytes.get(at..)?).map(|number| number as usize)
}

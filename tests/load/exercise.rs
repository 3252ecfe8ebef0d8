//! Drives the pure server in this process, one kind of request a run, to count what it costs.
//!
//! `exercise PHASE [--users N] [--watchers W] [--count N]`, PHASE being `subscribe`, `refresh`,
//! `unsubscribe`, `publish` (modifying, nobody watches), `register` or `fan-out` (modifying, all
//! watchers told and their answers taken). Prints wall time for each message. Under
//!
//! ```text
//! valgrind --tool=callgrind --toggle-collect='*exercise::measured*' target/release/exercise refresh
//! ```
//!
//! the instructions counted are those of the requests alone (of NOTIFYs and their answers in
//! `fan-out`), the same ones in every run; `callgrind_annotate` names the functions, and
//! `callgrind_annotate --tree=caller` how often each called the allocator.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use presence::command::{Command, UserDraft};
use presence::config::{AddressBlock, Config, Limits};
use presence::output::{Output, Ticket};
use presence::server::Server;
use sip::clock::{Instant, Now, WallTime};
use sip::digest::Algorithm;
use sip::flow::{ConnectionId, Flow, Transport};

const STEP: Duration = Duration::from_millis(5);

struct Shape {
    users: usize,
    watchers: usize,
    count: usize,
}

struct Node {
    server: Server,
    now: Now,
    local: SocketAddr,
    peer: SocketAddr,
    /// What left the node and has not been looked at.
    sent: VecDeque<Vec<u8>>,
    measured: Duration,
    messages: usize,
}

/// Gives the server one message, its disk and its timers, and takes all that comes out. The name
/// is what callgrind is told to count.
#[inline(never)]
fn measured(node: &mut Node, bytes: &[u8]) {
    feed(node, bytes);
}

#[inline(always)]
fn feed(node: &mut Node, bytes: &[u8]) {
    let flow = Flow {
        transport: Transport::Udp,
        local: node.local,
        peer: node.peer,
        connection: ConnectionId::default(),
    };
    node.server.handle_message(node.now, flow, bytes);
    while node.server.poll_timeout().is_some_and(|(at, _)| at <= node.now.monotonic) {
        node.server.handle_timeout(node.now);
    }
    drain(node);
}

fn drain(node: &mut Node) {
    while let Some(output) = node.server.poll_output() {
        match output {
            Output::Transmit(transmit) => node.sent.push_back(transmit.payload.to_bytes()),
            Output::Save { sequence, .. } => node.server.handle_durable(node.now, sequence),
            Output::Commit { ticket, sequence, .. } => {
                node.server.handle_durable(node.now, sequence);
                node.server.handle_committed(node.now, ticket, true);
            }
            Output::Answered { .. } | Output::Locate { .. } | Output::Close(_) => {}
        }
    }
}

impl Node {
    fn new(shape: &Shape) -> anyhow::Result<Self> {
        let local = "192.0.2.1:5060".parse()?;
        let limits = Limits {
            max_users: u32::try_from(shape.users)?,
            transactions: 2_000_000,
            ..Limits::default()
        };
        let config = Config {
            domain: "example.test".to_owned(),
            listeners: vec![(Transport::Udp, local), (Transport::Tcp, local)],
            trusted: vec![AddressBlock { address: "192.0.2.0".parse()?, prefix: 24 }],
            digest: vec![Algorithm::Sha256, Algorithm::Md5],
            limits,
            secret: [7; 32],
            product: "Lamplight/exercise".to_owned(),
        };
        let now = Now {
            monotonic: Instant::from_micros(1),
            wall: WallTime::from_millis(1_700_000_000_000),
        };
        let mut server = Server::new(config, [3; 32]);
        let drafts = (0..shape.users)
            .map(|user| UserDraft { id: format!("user{user}"), ..UserDraft::default() })
            .collect();
        server.handle_command(now, Ticket(1), Command::ImportUsers(drafts));
        let peer = "192.0.2.7:6060".parse()?;
        let sent = VecDeque::new();
        let measured = Duration::ZERO;
        let mut node = Self { server, now, local, peer, sent, measured, messages: 0 };
        drain(&mut node);
        Ok(node)
    }

    /// Sends a request and gives its answer; NOTIFYs that it brings about are answered.
    fn request(&mut self, text: &str, is_measured: bool) -> anyhow::Result<String> {
        self.pass(text.as_bytes(), is_measured);
        let answer = self.sent.pop_front().context("no answer")?;
        self.answer_notifies(false)?;
        let answer = String::from_utf8(answer)?;
        if !answer.starts_with("SIP/2.0 200 ") {
            bail!("refused: {answer}");
        }
        Ok(answer)
    }

    fn answer_notifies(&mut self, is_measured: bool) -> anyhow::Result<()> {
        while let Some(notify) = self.sent.pop_front() {
            let notify = String::from_utf8(notify)?;
            let mut answer = "SIP/2.0 200 OK\r\n".to_owned();
            for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
                let value = header(&notify, name).context("a NOTIFY without a header")?;
                answer.push_str(&format!("{name}: {value}\r\n"));
            }
            answer.push_str("Content-Length: 0\r\n\r\n");
            self.pass(answer.as_bytes(), is_measured);
        }
        Ok(())
    }

    fn pass(&mut self, bytes: &[u8], is_measured: bool) {
        self.now.monotonic = self.now.monotonic + STEP;
        self.now.wall = self.now.wall + STEP;
        if is_measured {
            let begun = std::time::Instant::now();
            measured(self, bytes);
            self.measured += begun.elapsed();
            self.messages += 1;
        } else {
            feed(self, bytes);
        }
    }
}

fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// One watcher's side of a dialog.
struct Dialog {
    number: usize,
    presentity: usize,
    watcher: usize,
    tag: Option<String>,
    cseq: u32,
}

impl Dialog {
    fn new(number: usize, shape: &Shape) -> Self {
        let presentity = number % shape.users;
        let watcher = (presentity + 1 + number / shape.users) % shape.users;
        Self { number, presentity, watcher, tag: None, cseq: 0 }
    }

    fn subscribe(&mut self, expires: u32) -> String {
        self.cseq += 1;
        let Self { number, presentity, watcher, cseq, .. } = self;
        let (target, to_tag) = match &self.tag {
            Some(tag) => ("sip:192.0.2.1:5060".to_owned(), format!(";tag={tag}")),
            None => (format!("sip:user{presentity}@example.test"), String::new()),
        };
        format!(
            "SUBSCRIBE {target} SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.7:6060;branch=z9hG4bK-s-{number:08x}-{cseq:04x};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:user{watcher}@example.test>;tag=w{number:08x}\r\n\
             To: <sip:user{presentity}@example.test>{to_tag}\r\n\
             Call-ID: sub-{number:08x}@192.0.2.7\r\nCSeq: {cseq} SUBSCRIBE\r\n\
             Contact: <sip:user{watcher}@192.0.2.7:6060>\r\nEvent: presence\r\n\
             Expires: {expires}\r\nAccept: application/pidf+xml\r\nUser-Agent: exercise/1.0\r\n\
             Content-Length: 0\r\n\r\n"
        )
    }

    fn begin(&mut self, node: &mut Node, is_measured: bool) -> anyhow::Result<()> {
        let text = self.subscribe(3600);
        let answer = node.request(&text, is_measured)?;
        let to = header(&answer, "To").context("an answer without To")?;
        self.tag = to.split_once(";tag=").map(|(_, tag)| tag.to_owned());
        Ok(())
    }
}

/// One device's publication.
struct Device {
    user: usize,
    entity_tag: Option<String>,
    cseq: u32,
}

impl Device {
    fn publish(&mut self) -> String {
        self.cseq += 1;
        let Self { user, cseq, .. } = self;
        let condition =
            self.entity_tag.as_ref().map_or(String::new(), |t| format!("SIP-If-Match: {t}\r\n"));
        let note = format!("state {cseq} {}", "of the day ".repeat(30));
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <presence xmlns=\"urn:ietf:params:xml:ns:pidf\" entity=\"sip:user{user}@example.test\">\n\
             <tuple id=\"d{user}\"><status><basic>open</basic></status>\
             <contact priority=\"0.8\">sip:user{user}@192.0.2.7:6060</contact>\
             <note>{note}</note><timestamp>2026-01-01T00:00:00Z</timestamp></tuple></presence>"
        );
        format!(
            "PUBLISH sip:user{user}@example.test SIP/2.0\r\n\
             Via: SIP/2.0/UDP 192.0.2.7:6060;branch=z9hG4bK-p-{user:08x}-{cseq:04x};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:user{user}@example.test>;tag=p{user:08x}\r\n\
             To: <sip:user{user}@example.test>\r\nCall-ID: pub-{user:08x}@192.0.2.7\r\n\
             CSeq: {cseq} PUBLISH\r\nEvent: presence\r\nExpires: 3600\r\n{condition}\
             User-Agent: exercise/1.0\r\nContent-Type: application/pidf+xml\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn note_answer(&mut self, answer: &str) {
        self.entity_tag = header(answer, "SIP-ETag").map(str::to_owned);
    }
}

fn register(user: usize, cseq: usize) -> String {
    format!(
        "REGISTER sip:example.test SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.7:6060;branch=z9hG4bK-r-{user:08x}-{cseq:04x};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:user{user}@example.test>;tag=r{user:08x}\r\n\
         To: <sip:user{user}@example.test>\r\nCall-ID: reg-{user:08x}@192.0.2.7\r\n\
         CSeq: {cseq} REGISTER\r\nContact: <sip:user{user}@192.0.2.7:6060>;expires=3600\r\n\
         Supported: path\r\nUser-Agent: exercise/1.0\r\nContent-Length: 0\r\n\r\n"
    )
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let phase = arguments.next().context("which phase?")?;
    let mut shape = Shape { users: 200, watchers: 20, count: 4000 };
    while let Some(option) = arguments.next() {
        let number = arguments.next().with_context(|| format!("{option} what?"))?.parse()?;
        match option.as_str() {
            "--users" => shape.users = number,
            "--watchers" => shape.watchers = number,
            "--count" => shape.count = number,
            _ => bail!("unknown option {option}"),
        }
    }
    let mut node = Node::new(&shape)?;
    match phase.as_str() {
        "subscribe" | "refresh" | "unsubscribe" => run_subscriptions(&mut node, &shape, &phase)?,
        "publish" | "fan-out" => run_publications(&mut node, &shape, phase == "fan-out")?,
        "register" => {
            for number in 0..shape.users + shape.count {
                let text = register(number % shape.users, 1 + number / shape.users);
                node.request(&text, number >= shape.users)?;
            }
        }
        _ => bail!("unknown phase {phase}"),
    }
    let each = node.measured.as_nanos() / u128::try_from(node.messages.max(1))?;
    println!("{phase}: {} messages, {each} ns each", node.messages);
    Ok(())
}

/// All of `count` dialogs begin; in two of the phases one more request of each is what counts.
fn run_subscriptions(node: &mut Node, shape: &Shape, phase: &str) -> anyhow::Result<()> {
    let mut dialogs: Vec<_> = (0..shape.count).map(|number| Dialog::new(number, shape)).collect();
    for dialog in &mut dialogs {
        dialog.begin(node, phase == "subscribe")?;
    }
    let expires = match phase {
        "refresh" => 3600,
        "unsubscribe" => 0,
        _ => return Ok(()),
    };
    for dialog in &mut dialogs {
        let text = dialog.subscribe(expires);
        node.request(&text, true)?;
    }
    Ok(())
}

fn run_publications(node: &mut Node, shape: &Shape, is_watched: bool) -> anyhow::Result<()> {
    let mut devices: Vec<_> =
        (0..shape.users).map(|user| Device { user, entity_tag: None, cseq: 0 }).collect();
    for device in &mut devices {
        let text = device.publish();
        let answer = node.request(&text, false)?;
        device.note_answer(&answer);
    }
    if is_watched {
        for number in 0..shape.users * shape.watchers {
            Dialog::new(number, shape).begin(node, false)?;
        }
    }
    let notifies = if is_watched { shape.watchers } else { 1 };
    for number in 0..shape.count.div_ceil(notifies.max(1)) {
        let index = number % shape.users;
        let Some(device) = devices.get_mut(index) else { bail!("no users") };
        let text = device.publish();
        if is_watched {
            node.pass(text.as_bytes(), true);
            let answer = node.sent.pop_front().context("no answer")?;
            device.note_answer(std::str::from_utf8(&answer)?);
            node.answer_notifies(true)?;
        } else {
            let answer = node.request(&text, true)?;
            device.note_answer(&answer);
        }
    }
    Ok(())
}

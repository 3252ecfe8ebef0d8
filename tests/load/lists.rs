//! Lists: everybody subscribes to one list of contacts, and everybody changes. What a change that is
//! told by lists costs, beside the same change told by a NOTIFY of its own.

use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use memchr::memmem;
use nix::sys::socket::{setsockopt, sockopt};

use crate::driver::Size;
use crate::goal;
use crate::message::{DOMAIN, user};
use crate::network::Transport;
use crate::phase::{self, Phase};
use crate::server::{Kind, Server, Setup};
use crate::statistics::Millis;
use crate::text::{header, tag};

/// How the lists are to be.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Lists, one a user, and the contacts on each.
    pub size: Size,
    /// How often everybody changes.
    pub rounds: u32,
    /// Requests under way at once.
    pub window: u32,
    /// What a NOTIFY of its own costs is measured with this.
    pub plain: phase::Plan,
}

/// Who has not been answered by then has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a part of the run gave.
#[derive(Debug, Default, Clone, Copy)]
struct Part {
    time: Duration,
    cpu: Duration,
    notifies: u64,
    members: u64,
    octets: u64,
}

impl Part {
    fn cpu_per_member(self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.members.max(1) as f64
    }
}

/// Runs it; whether everybody was told of everything.
pub fn run(plan: &Plan) -> Result<bool, Box<dyn Error>> {
    let plain = phase::run(Kind::Lamplight, &plan.plain)?;
    let own = plain.iter().find(|m| m.phase == Phase::FanOut).map(phase::Measured::cpu_per_unit);
    let server = Server::start(Kind::Lamplight, &Setup::of(plan.size))?;
    let mut watchers = Watchers::open(&server, plan)?;
    watchers.publish_all(0)?;
    // A pause lasts as long as was set when it began.
    server.tell(&["set", "policy", "list-interval", "0"])?;
    let memory = server.memory().pss;
    let began = watchers.measure(&server, |all| all.subscribe())?;
    tell("subscribe, everybody told whole", began);
    let each =
        server.memory().pss.saturating_sub(memory) as f64 * 1_024.0 / f64::from(plan.size.users());
    println!("a list of {}: {each:.0} bytes of PSS", plan.size.watchers);
    let mut measured = Vec::new();
    for (seconds, name) in
        [("0", "changes told without a pause"), ("5", "changes gathered for 5 s")]
    {
        server.tell(&["set", "policy", "list-interval", seconds])?;
        let part = watchers.measure(&server, |all| all.change(plan.rounds))?;
        tell(name, part);
        measured.push(part);
    }
    let refreshed = watchers.measure(&server, Watchers::subscribe)?;
    tell("refresh, everybody told whole", refreshed);
    goal::head();
    let ratio = |part: &Part| own.map(|own| part.cpu_per_member() / own);
    for (part, what) in measured.iter().zip(["told without a pause", "gathered for 5 s"]) {
        let what = format!("lists: a change of a member, {what}, in NOTIFYs of its own");
        let most = if what.contains("gathered") { 1.0 } else { 2.0 };
        goal::tell(what, most, "x", ratio(part));
    }
    Ok(watchers.missed == 0)
}

fn tell(what: &str, part: Part) {
    println!(
        "{what}: {} ms, {} NOTIFYs with {} members, {:.2} µs CPU a member, {} octets a NOTIFY",
        Millis(Some(part.time)),
        part.notifies,
        part.members,
        part.cpu_per_member(),
        part.octets / part.notifies.max(1),
    );
}

/// All watchers behind one socket.
struct Watchers {
    socket: UdpSocket,
    server: SocketAddr,
    size: Size,
    window: u32,
    tags: Vec<String>,
    etags: Vec<String>,
    round: u32,
    cseq: u32,
    part: Part,
    missed: u64,
}

impl Watchers {
    fn open(server: &Server, plan: &Plan) -> Result<Self, Box<dyn Error>> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(20)))?;
        let octets = 64 << 20;
        if setsockopt(&socket, sockopt::RcvBufForce, &octets).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &octets)?;
        }
        let users = plan.size.users() as usize;
        Ok(Self {
            socket,
            server: server.address(Transport::Udp)?,
            size: plan.size,
            window: plan.window,
            tags: vec![String::new(); users],
            etags: vec![String::new(); users],
            round: 0,
            cseq: 0,
            part: Part::default(),
            missed: 0,
        })
    }

    fn measure(
        &mut self,
        server: &Server,
        work: impl FnOnce(&mut Self) -> Result<(), Box<dyn Error>>,
    ) -> Result<Part, Box<dyn Error>> {
        self.part = Part::default();
        let (began, cpu) = (Instant::now(), server.cpu()?);
        work(self)?;
        let part = self.part;
        Ok(Part { time: began.elapsed(), cpu: server.cpu()?.saturating_sub(cpu), ..part })
    }

    /// Everybody subscribes, first or again; over when every list was told whole.
    fn subscribe(&mut self) -> Result<(), Box<dyn Error>> {
        self.cseq += 1;
        let users = self.size.users();
        let whole = u64::from(self.size.watchers);
        for first in (0..users).step_by(self.window as usize) {
            let last = users.min(first + self.window);
            for index in first..last {
                let text = self.subscription(index);
                self.socket.send_to(text.as_bytes(), self.server)?;
            }
            self.until(whole * u64::from(last))?;
        }
        Ok(())
    }

    /// Everybody changes, so often; over when every list has heard of every member's last change.
    fn change(&mut self, rounds: u32) -> Result<(), Box<dyn Error>> {
        let users = self.size.users();
        let began = Instant::now();
        for _ in 0..rounds {
            self.round += 1;
            self.publish_all(self.round)?;
        }
        // Gathered changes of one member count once, and come within their pause.
        let all = u64::from(users) * u64::from(self.size.watchers);
        let goal = all * u64::from(rounds);
        let quiet = Duration::from_secs(7);
        let mut heard = Instant::now();
        let mut before = self.part.members;
        while self.part.members < goal && heard.elapsed() < quiet {
            self.take(true)?;
            if self.part.members != before {
                before = self.part.members;
                heard = Instant::now();
            }
            if began.elapsed() > PATIENCE * 4 {
                break;
            }
        }
        if self.part.members < all {
            self.missed += all - self.part.members;
        }
        Ok(())
    }

    /// Everybody publishes, some at a time, each answered before the next round.
    fn publish_all(&mut self, round: u32) -> Result<(), Box<dyn Error>> {
        let users = self.size.users();
        for first in (0..users).step_by(self.window as usize) {
            let group = first..users.min(first + self.window);
            for index in group.clone() {
                self.publish(index, round)?;
            }
            let began = Instant::now();
            while group.clone().any(|index| self.etags[index as usize].is_empty()) {
                self.take(true)?;
                if began.elapsed() > PATIENCE {
                    return Err("a PUBLISH was not answered".into());
                }
            }
        }
        Ok(())
    }

    fn publish(&mut self, index: u32, round: u32) -> Result<(), Box<dyn Error>> {
        let name = user(index);
        let local = self.socket.local_addr()?;
        let body = format!(
            "<?xml version=\"1.0\"?><presence xmlns=\"urn:ietf:params:xml:ns:pidf\" \
             entity=\"sip:{name}@{DOMAIN}\"><tuple id=\"t\"><status><basic>open</basic></status>\
             <note>change-{round}</note></tuple></presence>"
        );
        let condition = match self.etags[index as usize].as_str() {
            "" => String::new(),
            tag => format!("SIP-If-Match: {tag}\r\n"),
        };
        let text = format!(
            "PUBLISH sip:{name}@{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKlp{index}.{round}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{name}@{DOMAIN}>;tag=p\r\nTo: <sip:{name}@{DOMAIN}>\r\n\
             Call-ID: lp{index}\r\nCSeq: {} PUBLISH\r\nEvent: presence\r\nExpires: 3600\r\n{condition}\
             Content-Type: application/pidf+xml\r\nContent-Length: {}\r\n\r\n{body}",
            round + 1,
            body.len()
        );
        self.etags[index as usize].clear();
        self.socket.send_to(text.as_bytes(), self.server)?;
        Ok(())
    }

    fn subscription(&self, index: u32) -> String {
        let name = user(index);
        let local = self.socket.local_addr().map(|a| a.to_string()).unwrap_or_default();
        let (cseq, tag) = (self.cseq, &self.tags[index as usize]);
        let users = self.size.users();
        let (to_tag, body) = if tag.is_empty() {
            let entries: String = (1..=self.size.watchers)
                .map(|next| {
                    let contact = user((index + next) % users);
                    format!("<entry uri=\"sip:{contact}@{DOMAIN}\"/>")
                })
                .collect();
            let lists = "<resource-lists xmlns=\"urn:ietf:params:xml:ns:resource-lists\">";
            (String::new(), format!("{lists}<list>{entries}</list></resource-lists>"))
        } else {
            (format!(";tag={tag}"), String::new())
        };
        let media = if body.is_empty() {
            String::new()
        } else {
            "Content-Type: application/resource-lists+xml\r\n".to_owned()
        };
        format!(
            "SUBSCRIBE sip:rls@{DOMAIN} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bKls{index}.{cseq}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{name}@{DOMAIN}>;tag=s{index}\r\nTo: <sip:rls@{DOMAIN}>{to_tag}\r\n\
             Call-ID: ls{index}\r\nCSeq: {cseq} SUBSCRIBE\r\nContact: <sip:{index}@{local}>\r\n\
             Event: presence\r\nExpires: 3600\r\nSupported: eventlist\r\n{media}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// Takes what comes until so many members have been told.
    fn until(&mut self, members: u64) -> Result<(), Box<dyn Error>> {
        let began = Instant::now();
        while self.part.members < members {
            self.take(true)?;
            if began.elapsed() > PATIENCE {
                self.missed += members - self.part.members;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Takes what has arrived; waits a moment for something where it `may_wait`.
    fn take(&mut self, may_wait: bool) -> Result<(), Box<dyn Error>> {
        let mut buffer = vec![0; 65_535];
        let mut is_first = true;
        loop {
            // After the first nothing is waited for.
            self.socket.set_nonblocking(!is_first)?;
            let (length, from) = match self.socket.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            };
            is_first = false;
            self.receive(&buffer[..length], from)?;
            if !may_wait {
                break;
            }
        }
        self.socket.set_nonblocking(false)?;
        Ok(())
    }

    fn receive(&mut self, bytes: &[u8], from: SocketAddr) -> Result<(), Box<dyn Error>> {
        let call = header(bytes, "Call-ID:").unwrap_or_default();
        let index = call.get(2..).and_then(|digits| digits.parse::<usize>().ok());
        let Some(index) = index.filter(|index| *index < self.tags.len()) else { return Ok(()) };
        if bytes.starts_with(b"SIP/2.0 ") {
            if !bytes.starts_with(b"SIP/2.0 200") {
                let line = String::from_utf8_lossy(bytes.get(..60).unwrap_or(bytes)).into_owned();
                return Err(format!("answered {line}").into());
            }
            if let Some(etag) = header(bytes, "SIP-ETag:") {
                etag.clone_into(&mut self.etags[index]);
            } else if let Some(tag) = header(bytes, "To:").and_then(tag) {
                tag.clone_into(&mut self.tags[index]);
            }
            return Ok(());
        }
        let find = |name: &str| header(bytes, name).unwrap_or_default();
        let answer = format!(
            "SIP/2.0 200 OK\r\nVia: {}\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {call}\r\nCSeq: {}\r\n\
             Content-Length: 0\r\n\r\n",
            find("Via:"),
            find("From:"),
            find("To:"),
            find("CSeq:")
        );
        self.socket.send_to(answer.as_bytes(), from)?;
        self.part.notifies += 1;
        self.part.octets += bytes.len() as u64;
        // Those with a document are told; the others are only named.
        self.part.members += memmem::find_iter(bytes, b" cid=\"").count() as u64;
        Ok(())
    }
}

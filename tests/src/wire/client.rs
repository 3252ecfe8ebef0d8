//! The client: sends requests, keeps what arrives in order, answers as the test tells it to.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use super::digest::Challenge;
use super::message::{Message, param};
use super::request::Request;
use super::transport::{Arrival, Socket, Via, open};

/// How long a test waits for an event before it fails; generous, as machines are busy.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// How long a request over UDP goes unanswered before it is sent again.
const RETRANSMIT: Duration = Duration::from_millis(1_500);

/// What to answer to a request as it arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// This final status, at once.
    Status(u16),
    /// Nothing: the test answers itself, or stays silent.
    Nothing,
}

type Policy = Box<dyn Fn(&Message) -> Reply + Send>;

/// What has arrived, and what is to be done with what arrives.
struct State {
    inbox: VecDeque<Message>,
    log: Vec<Message>,
    answered: HashMap<String, Vec<u8>>,
    policy: Policy,
    blanks: usize,
    closed: bool,
}

struct Inner {
    socket: OnceLock<Socket>,
    state: Mutex<State>,
    arrived: Condvar,
    local: OnceLock<SocketAddr>,
    tag: String,
    user: String,
}

/// One user agent.
pub struct Client {
    /// The user part of its address of record.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The domain of its address of record.
    pub domain: String,
    /// Where it sends from.
    pub local: SocketAddr,
    /// Where it sends to.
    pub server: SocketAddr,
    /// Over what.
    pub via: Via,
    /// The tag it gives as a UAS.
    pub tag: String,
    inner: Arc<Inner>,
    nonces: Mutex<HashMap<String, u32>>,
    etag: Mutex<Option<String>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{} over {:?} from {}", self.user, self.domain, self.via, self.local)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(socket) = self.inner.socket.get() {
            socket.shut();
        }
    }
}

/// A request on its way: enough to know its answers and to send it again.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The request with all its headers.
    pub request: Request,
    /// The branch of its Via.
    pub branch: String,
    /// Its octets.
    pub bytes: Vec<u8>,
}

/// A text that no other has.
pub fn unique(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = since.map_or(0, |d| d.as_nanos());
    format!("{prefix}{:x}-{nanos:x}-{count:x}", std::process::id())
}

impl Client {
    /// A client for `user` that speaks to `server`.
    ///
    /// # Panics
    /// When the socket cannot be opened.
    #[track_caller]
    pub fn new(via: Via, server: SocketAddr, domain: &str, user: &str, password: &str) -> Self {
        Self::bound(via, server, None, domain, user, password)
    }

    /// The same with a chosen local address (datagrams only).
    #[track_caller]
    pub fn bound(
        via: Via,
        server: SocketAddr,
        bind: Option<SocketAddr>,
        domain: &str,
        user: &str,
        password: &str,
    ) -> Self {
        let inner = Arc::new(Inner {
            socket: OnceLock::new(),
            state: Mutex::new(State {
                inbox: VecDeque::new(),
                log: Vec::new(),
                answered: HashMap::new(),
                policy: Box::new(usual),
                blanks: 0,
                closed: false,
            }),
            arrived: Condvar::new(),
            local: OnceLock::new(),
            tag: unique("as"),
            user: user.to_owned(),
        });
        let weak = Arc::downgrade(&inner);
        let (socket, local) = open(via, server, bind, move |arrival| {
            if let Some(inner) = weak.upgrade() {
                inner.arrive(arrival, via);
            }
        })
        .unwrap_or_else(|e| panic!("no {via:?} socket to {server}: {e}"));
        inner.local.set(local).expect("set once");
        inner.socket.set(socket).expect("set once");
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
            domain: domain.to_owned(),
            local,
            server,
            via,
            tag: inner.tag.clone(),
            inner,
            nonces: Mutex::new(HashMap::new()),
            etag: Mutex::new(None),
        }
    }

    /// Its address of record.
    pub fn aor(&self) -> String {
        format!("sip:{}@{}", self.user, self.domain)
    }

    /// Its contact URI.
    pub fn contact(&self) -> String {
        contact(&self.user, self.local, self.via)
    }

    /// The entity-tag that `publish_again` got last.
    pub fn etag(&self) -> Option<String> {
        self.etag.lock().ok()?.clone()
    }

    /// Makes the next `publish_again` an initial publication.
    pub fn forget_etag(&self) {
        if let Ok(mut kept) = self.etag.lock() {
            *kept = None;
        }
    }

    pub(super) fn keep_etag(&self, etag: &str) {
        if let Ok(mut kept) = self.etag.lock() {
            *kept = Some(etag.to_owned());
        }
    }

    /// Changes what is answered to requests as they arrive.
    pub fn answer_with(&self, policy: impl Fn(&Message) -> Reply + Send + 'static) {
        self.inner.lock().policy = Box::new(policy);
    }

    /// Goes back to answering 200 to everything but INVITE.
    pub fn answer_as_usual(&self) {
        self.answer_with(usual);
    }

    /// Writes octets as they are.
    #[track_caller]
    pub fn write(&self, bytes: &[u8]) {
        let socket = self.inner.socket.get().expect("open");
        socket.write(bytes).unwrap_or_else(|e| panic!("{self:?} cannot write: {e}"));
    }

    /// Writes octets that the server may no longer want to read.
    pub fn write_anyway(&self, bytes: &[u8]) {
        if let Some(socket) = self.inner.socket.get() {
            let _ = socket.write(bytes);
        }
    }

    /// Ends the connection.
    pub fn shut(&self) {
        if let Some(socket) = self.inner.socket.get() {
            socket.shut();
        }
    }

    /// Adds the headers that the test neither set nor left out.
    pub fn complete(&self, mut request: Request) -> Request {
        let branch = unique("z9hG4bK");
        let method = request.method.clone();
        let to = if method == "REGISTER" { self.aor() } else { request.uri.clone() };
        let (token, local) = (self.via.token(), self.local);
        let had_via = request.value("Via").is_some();
        request.fill("Via", || format!("SIP/2.0/{token} {local};rport;branch={branch}"));
        if !had_via && let Some(at) = request.headers.iter().position(|(n, _)| n == "Via") {
            let via = request.headers.remove(at);
            request.headers.insert(0, via);
        }
        request.fill("Max-Forwards", || "70".to_owned());
        request.fill("From", || format!("<{}>;tag={}", self.aor(), unique("t")));
        request.fill("To", || format!("<{to}>"));
        request.fill("Call-ID", || unique("call"));
        request.fill("CSeq", || format!("1 {method}"));
        if matches!(method.as_str(), "INVITE" | "SUBSCRIBE" | "UPDATE" | "NOTIFY") {
            request.fill("Contact", || format!("<{}>", self.contact()));
        }
        let length = request.body.len();
        request.fill("Content-Length", || length.to_string());
        request
    }

    /// Sends a request, completed, and returns at once.
    #[track_caller]
    pub fn send(&self, request: Request) -> Sent {
        let sent = self.prepare(request);
        self.write(&sent.bytes);
        sent
    }

    fn prepare(&self, request: Request) -> Sent {
        let request = self.complete(request);
        let bytes = request.bytes();
        let via = request.value("Via").unwrap_or_default();
        let branch = param(via, "branch").unwrap_or_default().to_owned();
        Sent { request, branch, bytes }
    }

    /// Sends the same octets again.
    #[track_caller]
    pub fn send_again(&self, sent: &Sent) {
        self.write(&sent.bytes);
    }

    /// Waits for the final answer; repeats an unanswered datagram, acknowledges a refused INVITE.
    #[track_caller]
    pub fn final_answer(&self, sent: &Sent) -> Message {
        let what = format!("a final answer to {} {}", sent.request.method, sent.request.uri);
        let method = sent.request.method.clone();
        let ours = |m: &Message| {
            m.status().is_some()
                && m.branch().as_deref() == Some(&sent.branch)
                && m.header("CSeq").is_some_and(|c| c.ends_with(&method))
        };
        let deadline = Instant::now() + PATIENCE;
        let mut heard = false;
        loop {
            let step = if self.via == Via::Udp && !heard { RETRANSMIT } else { PATIENCE };
            let until = deadline.min(Instant::now() + step);
            match self.take_until(until, &ours) {
                Some(m) if m.status().is_some_and(|s| s >= 200) => {
                    if method == "INVITE" && m.status().is_some_and(|s| s >= 300) {
                        self.acknowledge_refusal(sent, &m);
                    }
                    return m;
                }
                Some(_) => heard = true,
                None if Instant::now() >= deadline => self.give_up(&what),
                None => self.send_again(sent),
            }
        }
    }

    /// Sends a request over a connection that may end; what came before that as final answer.
    #[track_caller]
    pub fn request_until_closed(&self, request: Request) -> Option<Message> {
        let sent = self.prepare(request);
        self.write_anyway(&sent.bytes);
        let is_ours = |m: &Message| {
            m.status().is_some_and(|status| status >= 200)
                && m.branch().as_deref() == Some(&sent.branch)
        };
        let is_over = |state: &State| state.closed || state.inbox.iter().any(is_ours);
        if !self.wait_until(Instant::now() + PATIENCE, &is_over) {
            self.give_up("a final answer or the end of the connection");
        }
        let mut state = self.inner.lock();
        let at = state.inbox.iter().position(is_ours)?;
        state.inbox.remove(at)
    }

    /// The ACK of a non-2xx answer, RFC 3261 §17.1.1.3.
    pub fn refusal_ack(&self, sent: &Sent, answer: &Message) -> Request {
        let mut ack = Request::new("ACK", &sent.request.uri);
        for name in ["Via", "Max-Forwards", "From", "Call-ID", "Route"] {
            for (n, v) in &sent.request.headers {
                if n == name {
                    ack = ack.header(name, v);
                }
            }
        }
        let number = answer.cseq().0;
        ack.header("To", answer.expect_header("To")).header("CSeq", format!("{number} ACK"))
    }

    fn acknowledge_refusal(&self, sent: &Sent, answer: &Message) {
        let ack = self.complete(self.refusal_ack(sent, answer));
        self.write(&ack.bytes());
    }

    /// One transaction without credentials.
    #[track_caller]
    pub fn transact(&self, request: Request) -> Message {
        let sent = self.send(request);
        self.final_answer(&sent)
    }

    /// One request; a challenge is answered with this client's credentials.
    #[track_caller]
    pub fn request(&self, request: Request) -> Message {
        let (answer, sent) = self.request_keeping(request);
        drop(sent);
        answer
    }

    /// The same, and the request that got the answer.
    #[track_caller]
    pub fn request_keeping(&self, request: Request) -> (Message, Sent) {
        let sent = self.send(request);
        let answer = self.final_answer(&sent);
        if !matches!(answer.status(), Some(401 | 407)) {
            return (answer, sent);
        }
        let again = self.with_credentials(&sent.request, &answer, None);
        let sent = self.send(again);
        (self.final_answer(&sent), sent)
    }

    /// The request again with credentials for the first challenge that it understands, or for that
    /// of `algorithm`: next CSeq, new branch, all else the same (RFC 3261 §22.2).
    #[track_caller]
    pub fn with_credentials(
        &self,
        request: &Request,
        challenged: &Message,
        algorithm: Option<&str>,
    ) -> Request {
        let challenge = challenges(challenged)
            .into_iter()
            .find(|c| match algorithm {
                Some(wanted) => c.algorithm.eq_ignore_ascii_case(wanted),
                None => matches!(c.algorithm.to_ascii_uppercase().as_str(), "MD5" | "SHA-256"),
            })
            .unwrap_or_else(|| panic!("no usable challenge in:\n{challenged}"));
        self.with_challenge(request, &challenge, challenged.status() == Some(407))
    }

    /// The request again with credentials for this challenge.
    pub fn with_challenge(&self, request: &Request, challenge: &Challenge, proxy: bool) -> Request {
        let count = {
            let mut nonces = self.nonces.lock().expect("not poisoned");
            let count = nonces.entry(challenge.nonce.clone()).or_insert(0);
            *count += 1;
            *count
        };
        let (user, password) = (&self.user, &self.password);
        let value = challenge.authorization(user, password, &request.method, &request.uri, count);
        let number: u32 = request
            .value("CSeq")
            .and_then(|c| c.split(' ').next())
            .and_then(|n| n.parse().ok())
            .unwrap_or(1);
        let mut again = request.clone();
        again.headers.retain(|(n, _)| n != "Via");
        again
            .set("CSeq", format!("{} {}", number + 1, request.method))
            .set(if proxy { "Proxy-Authorization" } else { "Authorization" }, value)
    }

    /// Answers a request.
    #[track_caller]
    pub fn respond(&self, request: &Message, status: u16) {
        self.respond_with(request, status, &[], b"");
    }

    /// Answers a request with more headers and a body.
    #[track_caller]
    pub fn respond_with(
        &self,
        request: &Message,
        status: u16,
        headers: &[(&str, &str)],
        body: &[u8],
    ) {
        let bytes = self.inner.answer(request, status, headers, body, self.via);
        self.inner.lock().answered.insert(key(request), bytes.clone());
        self.write(&bytes);
    }

    /// Waits for the first arrival that fits, and takes it.
    #[track_caller]
    pub fn expect(&self, what: &str, fits: impl Fn(&Message) -> bool) -> Message {
        self.expect_within(PATIENCE, what, fits)
    }

    /// The same with more patience.
    #[track_caller]
    pub fn expect_within(
        &self,
        patience: Duration,
        what: &str,
        fits: impl Fn(&Message) -> bool,
    ) -> Message {
        match self.take_until(Instant::now() + patience, &fits) {
            Some(message) => message,
            None => self.give_up(what),
        }
    }

    /// The same among the arrivals that belong together: those before it are let go.
    #[track_caller]
    pub fn expect_latest(
        &self,
        patience: Duration,
        what: &str,
        belongs: impl Fn(&Message) -> bool,
        fits: impl Fn(&Message) -> bool,
    ) -> Message {
        let found = |s: &State| s.inbox.iter().position(|m| belongs(m) && fits(m));
        if !self.wait_until(Instant::now() + patience, &|s: &State| found(s).is_some()) {
            self.give_up(what);
        }
        let mut state = self.inner.lock();
        let at = found(&state).expect("only this client takes messages");
        let message = state.inbox.remove(at).expect("it is there");
        let mut index = 0;
        state.inbox.retain(|m| {
            index += 1;
            index > at || !belongs(m)
        });
        message
    }

    /// Waits for a request of that method.
    #[track_caller]
    pub fn expect_request(&self, method: &str) -> Message {
        self.expect(method, |m| m.method() == Some(method))
    }

    /// Takes what fits and is there already.
    pub fn take(&self, fits: impl Fn(&Message) -> bool) -> Option<Message> {
        self.take_until(Instant::now(), &fits)
    }

    /// Everything that arrived, retransmissions too, in order.
    pub fn log(&self) -> Vec<Message> {
        self.inner.lock().log.clone()
    }

    /// How many arrivals fit, retransmissions too.
    pub fn count(&self, fits: impl Fn(&Message) -> bool) -> usize {
        self.inner.lock().log.iter().filter(|m| fits(m)).count()
    }

    /// Waits until so many arrivals fit, retransmissions too.
    #[track_caller]
    pub fn expect_count(&self, what: &str, count: usize, fits: impl Fn(&Message) -> bool) {
        let enough = |s: &State| s.log.iter().filter(|m| fits(m)).count() >= count;
        if !self.wait_until(Instant::now() + PATIENCE, &enough) {
            self.give_up(what);
        }
    }

    /// Waits for line ends between messages, or for so many in all.
    #[track_caller]
    pub fn expect_blanks(&self, octets: usize) {
        if !self.wait_until(Instant::now() + PATIENCE, &|s: &State| s.blanks >= octets) {
            self.give_up("the answer to a keep-alive");
        }
    }

    /// Waits for the server to close the connection.
    #[track_caller]
    pub fn expect_closed(&self) {
        if !self.wait_until(Instant::now() + PATIENCE, &|s: &State| s.closed) {
            self.give_up("the end of the connection");
        }
    }

    /// Whether the server has closed the connection.
    pub fn is_closed(&self) -> bool {
        self.inner.lock().closed
    }

    /// An exchange after which everything that the server sent before has arrived.
    #[track_caller]
    pub fn barrier(&self) {
        let _ = self.request(Request::new("OPTIONS", &format!("sip:{}", self.domain)));
    }

    fn wait_until(&self, deadline: Instant, done: &dyn Fn(&State) -> bool) -> bool {
        let mut state = self.inner.lock();
        loop {
            if done(&state) {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.inner.arrived.wait_timeout(state, left);
            state = waited.expect("not poisoned").0;
        }
    }

    fn take_until(&self, deadline: Instant, fits: &dyn Fn(&Message) -> bool) -> Option<Message> {
        self.wait_until(deadline, &|s: &State| s.inbox.iter().any(fits));
        let mut state = self.inner.lock();
        let at = state.inbox.iter().position(fits)?;
        state.inbox.remove(at)
    }

    #[track_caller]
    fn give_up(&self, what: &str) -> ! {
        let log = self.log();
        let text: Vec<String> = log.iter().map(|m| format!("{m}\n----")).collect();
        panic!("{self:?} waited in vain for {what}; arrived:\n{}", text.join("\n"));
    }
}

/// 200 to everything but INVITE, which the test answers itself.
fn usual(request: &Message) -> Reply {
    match request.method() {
        Some("INVITE" | "ACK") | None => Reply::Nothing,
        Some(_) => Reply::Status(200),
    }
}

/// The challenges of an answer, in their order.
pub fn challenges(answer: &Message) -> Vec<Challenge> {
    let mut values = answer.all("WWW-Authenticate");
    values.extend(answer.all("Proxy-Authenticate"));
    values.iter().filter_map(|v| Challenge::parse(v)).collect()
}

/// What is the same in a request and its retransmissions.
fn key(request: &Message) -> String {
    format!("{} {}", request.branch().unwrap_or_default(), request.method().unwrap_or_default())
}

fn contact(user: &str, local: SocketAddr, via: Via) -> String {
    match via {
        Via::Udp => format!("sip:{user}@{local}"),
        Via::Tcp => format!("sip:{user}@{local};transport=tcp"),
        Via::Tls => format!("sip:{user}@{local};transport=tls"),
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn arrive(&self, arrival: Arrival, via: Via) {
        let mut state = self.lock();
        let mut write = None;
        match arrival {
            Arrival::Closed => state.closed = true,
            Arrival::Blank(count) => state.blanks += count,
            Arrival::Message(message, _peer) => {
                state.log.push(message.clone());
                if message.method().is_none() {
                    state.inbox.push_back(message);
                } else {
                    let before = state.answered.get(&key(&message)).cloned();
                    let is_new = before.is_none();
                    write = before.filter(|bytes| !bytes.is_empty());
                    // What was met with silence is judged again when it is repeated.
                    if write.is_none()
                        && let Reply::Status(status) = (state.policy)(&message)
                    {
                        write = Some(self.answer(&message, status, &[], b"", via));
                    }
                    state.answered.insert(key(&message), write.clone().unwrap_or_default());
                    if is_new {
                        state.inbox.push_back(message);
                    }
                }
            }
        }
        drop(state);
        self.arrived.notify_all();
        if let Some(bytes) = write
            && let Some(socket) = self.socket.get()
        {
            // The server may have gone; the test that cares will see it.
            let _ = socket.write(&bytes);
        }
    }

    fn answer(
        &self,
        request: &Message,
        status: u16,
        headers: &[(&str, &str)],
        body: &[u8],
        via: Via,
    ) -> Vec<u8> {
        let mut head = format!("SIP/2.0 {status} {}\r\n", reason(status));
        let dialog = matches!(request.method(), Some("INVITE" | "SUBSCRIBE"));
        for (name, value) in &request.headers {
            let copied = ["Via", "v", "From", "f", "Call-ID", "i", "CSeq"];
            if copied.iter().any(|c| c.eq_ignore_ascii_case(name))
                || (dialog && name.eq_ignore_ascii_case("Record-Route"))
            {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        let to = request.header("To").unwrap_or_default();
        if status > 100 && param(to, "tag").is_none() {
            head.push_str(&format!("To: {to};tag={}\r\n", self.tag));
        } else {
            head.push_str(&format!("To: {to}\r\n"));
        }
        if dialog && (101..300).contains(&status) {
            let local = self.local.get().copied();
            if let Some(local) = local {
                head.push_str(&format!("Contact: <{}>\r\n", contact(&self.user, local, via)));
            }
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        183 => "Session Progress",
        200 => "OK",
        404 => "Not Found",
        408 => "Request Timeout",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        486 => "Busy Here",
        487 => "Request Terminated",
        603 => "Decline",
        _ => "Answer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::free_port;
    use crate::wire::Dialog;

    /// Two clients that take each other for the server.
    fn face_to_face() -> (Client, Client) {
        let ports = [free_port(), free_port()].map(|p| SocketAddr::from(([127, 0, 0, 1], p)));
        let make = |server, local, user| {
            Client::bound(Via::Udp, server, Some(local), "example.test", user, "secret")
        };
        (make(ports[1], ports[0], "alice"), make(ports[0], ports[1], "bob"))
    }

    #[test]
    fn a_request_is_answered_and_its_repetition_gets_the_same_answer() {
        let (alice, bob) = face_to_face();
        let sent = alice.send(Request::new("MESSAGE", &bob.aor()).body("text/plain", "hello"));
        let first = alice.final_answer(&sent).expect_status(200);
        assert_eq!(bob.expect_request("MESSAGE").text(), "hello");
        alice.send_again(&sent);
        assert_eq!(alice.final_answer(&sent).raw, first.raw);
        assert!(bob.take(|m| m.method() == Some("MESSAGE")).is_none(), "taken once");
        assert_eq!(bob.count(|m| m.method() == Some("MESSAGE")), 2);
    }

    #[test]
    fn a_silent_client_keeps_what_it_did_not_answer() {
        let (alice, bob) = face_to_face();
        bob.answer_with(|_| Reply::Nothing);
        let sent = alice.send(Request::new("OPTIONS", &bob.aor()));
        let request = bob.expect_request("OPTIONS");
        alice.send_again(&sent);
        bob.expect_count("a repetition", 2, |m| m.method() == Some("OPTIONS"));
        bob.respond(&request, 404);
        alice.final_answer(&sent).expect_status(404);
    }

    #[test]
    fn both_sides_agree_on_the_dialog_of_a_call() {
        let (alice, bob) = face_to_face();
        let sent = alice.send(alice.invitation(&bob.aor()));
        let invite = bob.expect_request("INVITE");
        bob.respond(&invite, 180);
        bob.respond(&invite, 200);
        let answer = alice.final_answer(&sent).expect_status(200);
        let (mut ours, mut theirs) =
            (Dialog::from_answer(&answer), Dialog::from_request(&invite, &bob.tag));
        alice.send(ours.next("ACK"));
        assert!(theirs.owns(&bob.expect_request("ACK")));
        let bye = theirs.next("BYE");
        bob.in_dialog(&mut theirs, bye).expect_status(200);
        assert!(ours.owns(&alice.expect_request("BYE")));
    }

    #[test]
    fn a_challenge_is_answered() {
        let (alice, bob) = face_to_face();
        bob.answer_with(|_| Reply::Nothing);
        let sent = alice.send(Request::new("OPTIONS", &bob.aor()));
        let first = bob.expect_request("OPTIONS");
        let challenge = "Digest realm=\"example.test\", nonce=\"n\", algorithm=MD5, qop=\"auth\"";
        bob.respond_with(&first, 401, &[("WWW-Authenticate", challenge)], b"");
        let refused = alice.final_answer(&sent).expect_status(401);
        let again = alice.with_credentials(&sent.request, &refused, None);
        let sent = alice.send(again);
        let second = bob.expect_request("OPTIONS");
        assert_eq!(second.cseq().0, 2);
        assert_ne!(second.branch(), first.branch());
        let expected = Challenge::parse(challenge).unwrap();
        let uri = bob.aor();
        let response = expected.response("alice", "secret", "OPTIONS", &uri, Some((1, "c1f00d")));
        assert!(second.expect_header("Authorization").contains(&response));
        bob.respond(&second, 200);
        alice.final_answer(&sent).expect_status(200);
    }
}

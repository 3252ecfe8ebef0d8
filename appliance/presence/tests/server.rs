//! The server through its inputs and outputs alone: what a socket test cannot reach or time.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use presence::command::{Answer, Command, Credentials, Imported, Page, Refusal, UserDraft};
use presence::config::{AddressBlock, Config, Limits};
use presence::output::{Output, SaveSequence, Ticket, Transmit};
use presence::server::Server;
use sha2::{Digest, Sha256};
use sip::clock::{Instant, Now, WallTime};
use sip::digest::{Algorithm, Ha1};
use sip::flow::{ConnectionId, Destination, Flow, Transport};

type Disk = BTreeMap<Vec<u8>, Vec<u8>>;

const DOCUMENT: &str = "<presence xmlns='urn:ietf:params:xml:ns:pidf' entity='sip:alice@example.test'>\
                        <tuple id='t1'><status><basic>open</basic></status></tuple></presence>";

struct Node {
    server: Server,
    now: Now,
    disk: Disk,
    disk_works: bool,
    sent: Vec<Transmit>,
    answers: Vec<Answer>,
    ticket: u64,
}

fn us() -> SocketAddr {
    "192.0.2.1:5060".parse().unwrap()
}

fn config(max_users: u32, trusted: bool) -> Config {
    let block = AddressBlock { address: "192.0.2.0".parse().unwrap(), prefix: 24 };
    Config {
        domain: "example.test".to_owned(),
        listeners: vec![(Transport::Udp, us()), (Transport::Tcp, us())],
        trusted: if trusted { vec![block] } else { Vec::new() },
        digest: vec![Algorithm::Sha256, Algorithm::Md5],
        limits: Limits { max_users, ..Limits::default() },
        secret: [9; 32],
        product: "Lamplight/test".to_owned(),
    }
}

impl Node {
    fn new(config: Config) -> Self {
        Self::on(config, Disk::new(), 1)
    }

    fn on(config: Config, disk: Disk, seed: u8) -> Self {
        let now = Now {
            monotonic: Instant::from_micros(1),
            wall: WallTime::from_millis(1_700_000_000_000),
        };
        let mut server = Server::new(config, [seed; 32]);
        let restored = server.restore(now, |visit| {
            disk.iter().for_each(|(key, value)| visit(key, value));
            Ok::<_, Infallible>(())
        });
        assert_eq!(restored.unwrap().unreadable, 0);
        let mut node = Self {
            server,
            now,
            disk,
            disk_works: true,
            sent: Vec::new(),
            answers: Vec::new(),
            ticket: 0,
        };
        node.drain();
        node
    }

    fn drain(&mut self) {
        let mut through = SaveSequence(0);
        while let Some(output) = self.server.poll_output() {
            match output {
                Output::Transmit(transmit) => self.sent.push(transmit),
                Output::Answered { answer, .. } => self.answers.push(answer),
                Output::Save { sequence, changes } => {
                    self.write(changes);
                    through = sequence;
                }
                Output::Commit { ticket, sequence, changes } => {
                    if self.disk_works {
                        self.write(changes);
                    }
                    through = sequence;
                    self.server.handle_committed(self.now, ticket, self.disk_works);
                }
                Output::Locate { .. } | Output::Close(_) => {}
            }
        }
        self.server.handle_durable(self.now, through);
    }

    fn write(&mut self, changes: Vec<presence::record::Change>) {
        for change in changes {
            match change.value {
                Some(value) => self.disk.insert(change.key, value),
                None => self.disk.remove(&change.key),
            };
        }
    }

    fn command(&mut self, command: Command) -> Answer {
        self.ticket += 1;
        self.server.handle_command(self.now, Ticket(self.ticket), command);
        self.drain();
        self.answers.pop().unwrap()
    }

    fn add(&mut self, id: &str) -> Answer {
        self.command(Command::AddUser(draft(id)))
    }

    /// Sends a message from `peer` and gives the messages that come of it.
    fn receive(&mut self, transport: Transport, peer: &str, text: &str) -> Vec<String> {
        let connection = ConnectionId(u64::from(transport.is_reliable()));
        let flow = Flow { transport, local: us(), peer: peer.parse().unwrap(), connection };
        self.server.handle_message(self.now, flow, text.as_bytes());
        self.drain();
        self.take_sent()
    }

    fn udp(&mut self, text: &str) -> Vec<String> {
        self.receive(Transport::Udp, "192.0.2.50:5060", text)
    }

    fn take_sent(&mut self) -> Vec<String> {
        let all = self.sent.drain(..);
        all.map(|t| String::from_utf8(t.payload.to_bytes()).unwrap()).collect()
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now.monotonic + time;
        while let Some((at, _)) = self.server.poll_timeout().filter(|(at, _)| *at <= end) {
            self.move_to(at);
            self.server.handle_timeout(self.now);
            self.drain();
        }
        self.move_to(end);
    }

    fn move_to(&mut self, at: Instant) {
        self.now.wall = self.now.wall + at.since(self.now.monotonic);
        self.now.monotonic = self.now.monotonic.max(at);
    }
}

fn draft(id: &str) -> UserDraft {
    let credentials = Credentials {
        password_hash: String::from("unused here"),
        ha1: Ha1::from_password(id, "example.test", "secret"),
    };
    UserDraft { id: id.to_owned(), credentials: Some(credentials), ..UserDraft::default() }
}

fn request(method: &str, user: &str, cseq: u32, extra: &str, body: &str) -> String {
    format!(
        "{method} sip:{user}@example.test SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.50:5060;branch=z9hG4bK{method}{user}{cseq}\r\nMax-Forwards: 70\r\n\
         From: <sip:{user}@example.test>;tag=f\r\nTo: <sip:{user}@example.test>\r\n\
         Call-ID: {method}-{user}\r\nCSeq: {cseq} {method}\r\n{extra}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn publish(user: &str, cseq: u32, extra: &str) -> String {
    let extra = format!("Event: presence\r\nContent-Type: application/pidf+xml\r\n{extra}");
    request("PUBLISH", user, cseq, &extra, DOCUMENT)
}

fn header(message: &str, name: &str) -> String {
    let prefix = format!("{name}: ");
    message.lines().find_map(|l| l.strip_prefix(&prefix)).unwrap_or_default().to_owned()
}

fn status(message: &str) -> &str {
    message.get(8..11).unwrap()
}

#[test]
fn the_user_over_the_limit_is_refused_by_name_and_the_others_go_on() {
    let mut node = Node::new(config(2, true));
    assert!(matches!(node.add("alice"), Answer::Done));
    assert!(matches!(node.add("bob"), Answer::Done));
    let refusal = Refusal::CapacityReached { id: "carol".to_owned(), max_users: 2 };
    assert!(matches!(node.add("carol"), Answer::Refused(r) if r == refusal));
    assert_eq!(status(&node.udp(&publish("alice", 1, ""))[0]), "200");
    assert_eq!(status(&node.udp(&publish("carol", 1, ""))[0]), "404");
    let drafts = vec![draft("bob"), draft("dave")];
    match node.command(Command::ImportUsers(drafts)) {
        Answer::Imported(lines) => {
            assert_eq!(lines[0], Ok(Imported::Updated), "who is in can be changed");
            assert!(matches!(&lines[1], Err(Refusal::CapacityReached { id, .. }) if id == "dave"));
        }
        other => panic!("{other:?}"),
    }
    let disabled = Command::SetEnabled { id: "bob".to_owned(), enabled: false };
    assert!(matches!(node.command(disabled), Answer::Done));
    assert!(matches!(node.add("carol"), Answer::Done), "a place has come free");
    let enabled = Command::SetEnabled { id: "bob".to_owned(), enabled: true };
    assert!(matches!(node.command(enabled), Answer::Refused(Refusal::CapacityReached { .. })));
}

#[test]
fn a_smaller_machine_serves_the_first_users_by_creation_and_names_the_rest() {
    let mut node = Node::new(config(10, true));
    for id in ["zoe", "mia", "adam", "ben"] {
        node.add(id);
    }
    let mut node = Node::on(config(2, true), node.disk, 2);
    assert_eq!(node.server.unserved_users().collect::<Vec<_>>(), ["adam", "ben"]);
    assert_eq!(status(&node.udp(&publish("mia", 1, ""))[0]), "200");
    assert_eq!(status(&node.udp(&publish("adam", 1, ""))[0]), "404");
    assert!(matches!(node.command(Command::DeleteUser("zoe".to_owned())), Answer::Done));
    assert_eq!(status(&node.udp(&publish("adam", 2, ""))[0]), "200", "the next in line moves up");
    assert_eq!(node.server.unserved_users().collect::<Vec<_>>(), ["ben"]);
}

#[test]
fn a_change_that_the_disk_refuses_was_never_made() {
    let mut node = Node::new(config(10, true));
    node.add("alice");
    node.disk_works = false;
    assert!(matches!(node.add("bob"), Answer::Refused(Refusal::NotStored)));
    let disable = Command::SetEnabled { id: "alice".to_owned(), enabled: false };
    assert!(matches!(node.command(disable), Answer::Refused(Refusal::NotStored)));
    let delete = Command::DeleteUser("alice".to_owned());
    assert!(matches!(node.command(delete), Answer::Refused(Refusal::NotStored)));
    let rename = UserDraft { display_name: Some("A".to_owned()), ..draft("alice") };
    let import = Command::ImportUsers(vec![rename, draft("carol")]);
    assert!(matches!(node.command(import), Answer::Refused(Refusal::NotStored)));
    match node.command(Command::ListUsers(Page { after: String::new(), limit: 10 })) {
        Answer::Users(users, false) => {
            assert_eq!(users.len(), 1);
            assert!(users[0].enabled && users[0].display_name.is_empty());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_deleted_user_is_gone_from_disk_and_its_watchers_are_told() {
    let mut node = Node::new(config(10, true));
    node.add("alice");
    node.add("bob");
    node.udp(&publish("alice", 1, ""));
    let contact = "Contact: <sip:bob@192.0.2.50:5060>\r\nEvent: presence\r\n";
    let subscribe =
        request("SUBSCRIBE", "alice", 1, contact, "").replace("From: <sip:alice", "From: <sip:bob");
    let sent = node.udp(&subscribe);
    let (answer, notify) = (&sent[0], &sent[1]);
    assert_eq!(status(answer), "200");
    let ok = answer_to(notify, "200 OK");
    node.udp(&ok);
    node.command(Command::DeleteUser("alice".to_owned()));
    let last = node.take_sent();
    assert_eq!(header(&last[0], "Subscription-State"), "terminated;reason=noresource");
    let users: Vec<_> = node.disk.keys().collect();
    assert_eq!(users, [&b"abob".to_vec()], "nothing else is left");
}

fn answer_to(request: &str, status: &str) -> String {
    let mut text = format!("SIP/2.0 {status}\r\n");
    for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
        text.push_str(&format!("{name}: {}\r\n", header(request, name)));
    }
    text + "Content-Length: 0\r\n\r\n"
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An Authorization header for `challenge`, computed as RFC 7616 §3.4 says.
fn authorization(challenge: &str, user: &str, password: &str, count: u32) -> String {
    let nonce = challenge.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
    let hash = |text: String| hex(&Sha256::digest(text.as_bytes()));
    let secret = hash(format!("{user}:example.test:{password}"));
    let uri = format!("sip:{user}@example.test");
    let action = hash(format!("PUBLISH:{uri}"));
    let response = hash(format!("{secret}:{nonce}:{count:08x}:cafe:auth:{action}"));
    format!(
        "Authorization: Digest username=\"{user}\", realm=\"example.test\", nonce=\"{nonce}\", \
         uri=\"{uri}\", algorithm=SHA-256, qop=auth, nc={count:08x}, cnonce=\"cafe\", \
         response=\"{response}\"\r\n"
    )
}

#[test]
fn digest_opens_once_for_each_count() {
    let mut node = Node::new(config(10, false));
    node.add("alice");
    let challenge = node.udp(&publish("alice", 1, "")).remove(0);
    assert_eq!(status(&challenge), "401");
    assert!(header(&challenge, "WWW-Authenticate").contains("SHA-256"), "the stronger one first");
    let first = authorization(&challenge, "alice", "secret", 1);
    assert_eq!(status(&node.udp(&publish("alice", 2, &first))[0]), "200");
    let replayed = node.udp(&publish("alice", 3, &first)).remove(0);
    assert_eq!(status(&replayed), "401");
    assert!(header(&replayed, "WWW-Authenticate").contains("stale=true"), "R-13: {replayed}");
    assert_eq!(node.server.counters().replays, 1);
    let tenth = authorization(&challenge, "alice", "secret", 0x0a);
    assert_eq!(status(&node.udp(&publish("alice", 4, &tenth))[0]), "200", "nc counts in hex");
}

#[test]
fn a_nonce_of_an_earlier_life_is_stale_and_a_wrong_password_is_not() {
    let mut node = Node::new(config(10, false));
    node.add("alice");
    let challenge = node.udp(&publish("alice", 1, "")).remove(0);
    let mut node = Node::on(config(10, false), node.disk, 2);
    let good = authorization(&challenge, "alice", "secret", 1);
    let stale = node.udp(&publish("alice", 2, &good)).remove(0);
    assert!(header(&stale, "WWW-Authenticate").contains("stale=true"));
    let fresh = authorization(&stale, "alice", "wrong", 1);
    let refused = node.udp(&publish("alice", 3, &fresh)).remove(0);
    assert_eq!(status(&refused), "401");
    assert!(!header(&refused, "WWW-Authenticate").contains("stale=true"));
    assert_eq!(node.server.counters().authentication_failures, 1);
}

#[test]
fn who_guesses_is_turned_away_for_a_while() {
    let mut node = Node::new(config(10, false));
    node.add("alice");
    let mut challenge = node.udp(&publish("alice", 1, "")).remove(0);
    for cseq in 2..=21 {
        let guess = authorization(&challenge, "alice", "guess", 1);
        challenge = node.udp(&publish("alice", cseq, &guess)).remove(0);
        assert_eq!(status(&challenge), "401");
    }
    let good = authorization(&challenge, "alice", "secret", 1);
    let turned_away = node.udp(&publish("alice", 50, &good)).remove(0);
    assert_eq!(status(&turned_away), "503");
    assert!(!header(&turned_away, "Retry-After").is_empty());
    let elsewhere = node.receive(Transport::Udp, "192.0.2.60:5060", &publish("alice", 51, &good));
    assert_eq!(status(&elsewhere[0]), "200", "others are not punished with it");
    node.pass(Duration::from_secs(11));
    let good = authorization(&challenge, "alice", "secret", 2);
    assert_eq!(status(&node.udp(&publish("alice", 52, &good))[0]), "200");
}

#[test]
fn a_watcher_whose_connection_is_gone_is_told_when_it_comes_back() {
    let mut node = Node::new(config(10, true));
    node.add("alice");
    let contact = "Contact: <sip:alice@192.0.2.50:5999;transport=tcp>\r\nEvent: presence\r\n";
    let subscribe = request("SUBSCRIBE", "alice", 1, contact, "").replace("UDP", "TCP");
    let sent = node.receive(Transport::Tcp, "192.0.2.50:40000", &subscribe);
    let to = header(&sent[0], "To");
    node.receive(Transport::Tcp, "192.0.2.50:40000", &answer_to(&sent[1], "200 OK"));
    // The flow is gone, and nobody listens at the Contact either.
    node.server.handle_message(node.now, udp_flow(), publish("alice", 1, "").as_bytes());
    node.drain();
    let over_flow = notify_of(&mut node);
    assert!(matches!(over_flow.destination, Destination::Flow(_)));
    node.server.handle_send_failed(node.now, over_flow.on_failure.unwrap());
    node.drain();
    let at_contact = notify_of(&mut node);
    assert!(matches!(at_contact.destination, Destination::Hop(hop) if hop.address.port() == 5999));
    node.server.handle_send_failed(node.now, at_contact.on_failure.unwrap());
    node.drain();
    assert!(node.take_sent().is_empty());
    assert_eq!(node.server.totals().subscriptions, 1, "suspended, not ended");
    let refresh = subscribe
        .replace("To: <sip:alice@example.test>", &format!("To: {to}"))
        .replace("CSeq: 1", "CSeq: 2")
        .replace("branch=z9hG4bK", "branch=z9hG4bKr");
    let sent = node.receive(Transport::Tcp, "192.0.2.50:40001", &refresh);
    assert_eq!(status(&sent[0]), "200");
    assert!(sent[1].contains("<basic>open</basic>"), "the state that it missed");
}

fn udp_flow() -> Flow {
    Flow {
        transport: Transport::Udp,
        local: us(),
        peer: "192.0.2.50:5060".parse().unwrap(),
        connection: ConnectionId::default(),
    }
}

fn notify_of(node: &mut Node) -> Transmit {
    let sent = std::mem::take(&mut node.sent);
    sent.into_iter().find(|t| t.payload.head.starts_with(b"NOTIFY")).unwrap()
}

#[test]
fn a_register_whose_answer_a_restart_swallowed_may_come_again() {
    let contact = "Contact: <sip:alice@192.0.2.50:5060>\r\n";
    let register = request("REGISTER", "alice", 7, contact, "");
    let mut node = Node::new(config(10, true));
    node.add("alice");
    assert_eq!(status(&node.udp(&register)[0]), "200");
    let other_branch = register.replace("z9hG4bK", "z9hG4bKx");
    node.pass(Duration::from_secs(33));
    assert_eq!(status(&node.udp(&other_branch)[0]), "500", "RFC 3261 §10.3 step 7");
    let mut node = Node::on(config(10, true), node.disk, 2);
    assert_eq!(status(&node.udp(&register)[0]), "200");
    node.pass(Duration::from_secs(33));
    assert_eq!(status(&node.udp(&other_branch)[0]), "500");
}

#[test]
fn a_device_that_lost_its_entity_tag_replaces_what_it_said() {
    let mut node = Node::new(config(10, true));
    node.add("alice");
    for cseq in 1..=5 {
        assert_eq!(status(&node.udp(&publish("alice", cseq, ""))[0]), "200");
    }
    assert_eq!(node.server.totals().publications, 1, "R-02");
    let other = publish("alice", 9, "User-Agent: Other\r\n").replace("Call-ID: PUB", "Call-ID: X");
    assert_eq!(status(&node.udp(&other)[0]), "200");
    assert_eq!(node.server.totals().publications, 2, "another program is another device");
}

#[test]
fn what_cannot_be_parsed_is_answered_where_it_came_from_and_says_what_can() {
    let mut node = Node::new(config(10, true));
    let odd = request("FROBNICATE", "alice", 1, "", "")
        .replace("192.0.2.50:5060;branch", "10.0.0.9:5070;rport;branch");
    let answer = node.receive(Transport::Udp, "192.0.2.50:41000", &odd).remove(0);
    assert_eq!(status(&answer), "501");
    assert!(header(&answer, "Allow").contains("SUBSCRIBE"));
    let via = header(&answer, "Via");
    assert!(via.contains("received=192.0.2.50") && via.contains("rport=41000"), "{via}");
}

#[test]
fn a_user_on_its_way_out_can_neither_be_changed_nor_deleted_again() {
    let mut node = Node::new(config(10, true));
    node.add("alice");
    let id = || "alice".to_owned();
    // All are asked before the disk answers the first.
    let rename = UserDraft { display_name: Some("A".to_owned()), ..draft("alice") };
    let later = [
        Command::DeleteUser(id()),
        Command::DeleteUser(id()),
        Command::ImportUsers(vec![rename]),
        Command::AddUser(draft("alice")),
    ];
    for command in later {
        node.ticket += 1;
        node.server.handle_command(node.now, Ticket(node.ticket), command);
    }
    node.drain();
    assert_eq!(node.answers.len(), 4);
    assert!(node.answers.iter().any(|a| matches!(a, Answer::Done)));
    assert!(node.disk.is_empty(), "nothing brings the record back: {:?}", node.disk.keys());
    assert_eq!(node.server.totals().users, 0);
    assert!(matches!(node.add("alice"), Answer::Done));
    node.disk_works = false;
    let delete = || Command::DeleteUser(id());
    assert!(matches!(node.command(delete()), Answer::Refused(Refusal::NotStored)));
    node.disk_works = true;
    assert!(matches!(node.command(delete()), Answer::Done), "it had stayed");
}

#[test]
fn a_notify_cut_off_by_a_closed_connection_is_sent_to_the_contact_at_once() {
    let mut node = Node::new(config(10, true));
    node.add("alice");
    let contact = "Contact: <sip:alice@192.0.2.50:5999;transport=tcp>\r\nEvent: presence\r\n";
    let subscribe = request("SUBSCRIBE", "alice", 1, contact, "").replace("UDP", "TCP");
    let sent = node.receive(Transport::Tcp, "192.0.2.50:40000", &subscribe);
    assert!(sent[1].starts_with("NOTIFY"), "and nobody answers it");
    node.server.handle_flow_closed(node.now, ConnectionId(1));
    node.drain();
    let again = notify_of(&mut node);
    assert!(matches!(again.destination, Destination::Hop(hop) if hop.address.port() == 5999));
    assert_eq!(node.server.totals().subscriptions, 1, "not ended by silence");
}

#[test]
fn a_subscription_that_runs_out_before_its_turn_after_a_restart_still_has_its_last_notify() {
    let mut config = config(10, true);
    config.limits.restore_notifies_per_second = 1;
    let mut node = Node::new(config.clone());
    node.add("alice");
    let restart = node.now.wall.as_millis();
    node.now.wall = WallTime::from_millis(restart - 59_990);
    for watcher in 0..5 {
        let extra = "Contact: <sip:bob@192.0.2.50>\r\nEvent: presence\r\nExpires: 60\r\n";
        let subscribe = request("SUBSCRIBE", "alice", 1, extra, "")
            .replace("Call-ID: ", &format!("Call-ID: {watcher}"))
            .replace("z9hG4bK", &format!("z9hG4bK{watcher}"));
        assert_eq!(status(&node.udp(&subscribe)[0]), "200");
    }
    let mut node = Node::on(config, node.disk, 2);
    node.pass(Duration::from_millis(50));
    let told = node.take_sent();
    let last = told.iter().filter(|text| text.contains("terminated;reason=timeout"));
    assert_eq!(last.count(), 5, "{told:#?}");
}

fn set_device(id: &str, device: &str, password: &str) -> Command {
    let ha1 = Ha1::from_password(id, "example.test", password);
    Command::SetDevice { id: id.to_owned(), device: device.to_owned(), ha1 }
}

#[test]
fn a_device_opens_with_its_own_credentials_until_they_are_taken_away() {
    let mut node = Node::new(config(10, false));
    node.add("alice");
    for (device, password) in [("desk", "first"), ("desk", "second"), ("mobile", "third")] {
        assert!(matches!(node.command(set_device("alice", device, password)), Answer::Done));
    }
    // What is on disk is what counts after a restart.
    let mut node = Node::on(config(10, false), node.disk, 2);
    let mut cseq = 1;
    let mut opens = |node: &mut Node, password: &str| {
        let challenge = node.udp(&publish("alice", cseq, "")).remove(0);
        let offered = authorization(&challenge, "alice", password, 1);
        let answer = node.udp(&publish("alice", cseq + 1, &offered)).remove(0);
        cseq += 2;
        status(&answer) == "200"
    };
    for (password, is_good) in
        [("secret", true), ("first", false), ("second", true), ("third", true), ("", false)]
    {
        assert_eq!(opens(&mut node, password), is_good, "{password}");
    }
    let delete =
        |device: &str| Command::DeleteDevice { id: "alice".to_owned(), device: device.to_owned() };
    node.disk_works = false;
    assert!(matches!(node.command(delete("desk")), Answer::Refused(Refusal::NotStored)));
    assert!(opens(&mut node, "second"), "what the disk refuses was not done");
    node.disk_works = true;
    assert!(matches!(node.command(delete("desk")), Answer::Done));
    assert!(!opens(&mut node, "second") && opens(&mut node, "third"));
    let unknown = node.command(delete("desk"));
    assert!(matches!(unknown, Answer::Refused(Refusal::UnknownDevice { .. })));
    for number in 1..10 {
        node.command(set_device("alice", &format!("d{number}"), "x"));
    }
    let more = node.command(set_device("alice", "one-more", "x"));
    assert!(matches!(more, Answer::Refused(Refusal::TooManyDevices { .. })), "{more:?}");
    let bad = node.command(set_device("alice", "a b", "x"));
    assert!(matches!(bad, Answer::Refused(Refusal::BadDevice(_))));
    node.command(Command::DeleteUser("alice".to_owned()));
    assert!(node.disk.is_empty(), "{:?}", node.disk.keys());
}

#[test]
fn a_renamed_user_keeps_its_place_and_what_carried_the_old_id_is_gone() {
    let rename =
        |from: &str, to: &str| Command::RenameUser { from: from.to_owned(), to: to.to_owned() };
    let mut node = Node::new(config(2, true));
    node.add("alice");
    node.add("bob");
    node.udp(&publish("alice", 1, ""));
    node.command(set_device("alice", "desk", "x"));
    let taken = node.command(rename("alice", "bob"));
    assert!(matches!(taken, Answer::Refused(Refusal::UserExists(_))));
    let bad = node.command(rename("alice", "a b"));
    assert!(matches!(bad, Answer::Refused(Refusal::BadUserId(_))));
    node.disk_works = false;
    let refused = node.command(rename("alice", "alicia"));
    assert!(matches!(refused, Answer::Refused(Refusal::NotStored)));
    assert_eq!(status(&node.udp(&publish("alice", 2, ""))[0]), "200");
    assert_eq!(status(&node.udp(&publish("alicia", 1, ""))[0]), "404");

    // The machine is full, and stays so: the same number are served, and the same people.
    node.disk_works = true;
    assert!(matches!(node.command(rename("alice", "alicia")), Answer::Done));
    assert_eq!(status(&node.udp(&publish("alice", 3, ""))[0]), "404");
    assert_eq!(status(&node.udp(&publish("alicia", 2, ""))[0]), "200");
    assert_eq!(status(&node.udp(&publish("bob", 1, ""))[0]), "200");
    let keys: Vec<_> = node.disk.keys().filter(|key| key[0] != b'p').cloned().collect();
    assert_eq!(keys, [b"aalicia".to_vec(), b"abob".to_vec()]);
    // On a smaller machine it is still the first one.
    let node = Node::on(config(1, true), node.disk, 2);
    assert_eq!(node.server.unserved_users().collect::<Vec<_>>(), ["bob"]);
}

#[test]
fn a_call_rings_until_it_is_answered() {
    let mut node = Node::new(config(10, true));
    node.add("alice");
    let contact = "Contact: <sip:alice@192.0.2.60:5060>\r\nExpires: 600\r\n";
    node.udp(&request("REGISTER", "alice", 1, contact, ""));
    let contact = "Contact: <sip:bob@192.0.2.50:5060>\r\n";
    let sent = node.udp(&request("INVITE", "alice", 1, contact, ""));
    let invite = sent.iter().find(|message| message.starts_with("INVITE")).unwrap();
    assert_eq!(node.server.totals().ringing_calls, 1);
    let phone = "192.0.2.60:5060";
    node.receive(Transport::Udp, phone, &answer_to(invite, "180 Ringing"));
    assert_eq!(node.server.totals().ringing_calls, 1);
    let answer =
        answer_to(invite, "200 OK").replace("f\r\n", "f\r\nContact: <sip:a@192.0.2.60>\r\n");
    node.receive(Transport::Udp, phone, &answer);
    assert_eq!(node.server.totals().ringing_calls, 0);
}

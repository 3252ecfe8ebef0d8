//! One node, its disk, its peers and the network between them, on a virtual clock.

use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use presence::command::{Answer, Command, Totals, UserDraft};
use presence::config::{AddressBlock, Config, Limits};
use presence::output::{Output, SaveSequence, Ticket, Transmit};
use presence::record::Change;
use presence::server::Server;
use sip::clock::{Instant, Now, WallTime};
use sip::digest::Algorithm;
use sip::flow::{ConnectionId, Destination, Flow, Transport};

use crate::actor::{Publisher, Watcher, Wish};
use crate::text;

/// What the network does to datagrams, in percent and milliseconds.
#[derive(Clone, Copy)]
pub struct Faults {
    pub loss: u64,
    pub repeat: u64,
    pub delay_millis: u64,
}

/// When the node dies.
#[derive(Clone, Copy)]
pub struct Crash {
    /// With the write of this number.
    pub at_write: u64,
    /// The write is on disk, but nobody has been told.
    pub reaches_disk: bool,
}

#[derive(PartialEq, Eq)]
enum Happening {
    ToNode { from: SocketAddr, bytes: Vec<u8> },
    ToActor { actor: usize, bytes: Vec<u8> },
    Wake { actor: usize },
    Timeout { life: u64 },
    Written { life: u64, sequence: SaveSequence },
    Restart,
    Administer,
}

enum Actor {
    Publisher(Publisher),
    Watcher(Watcher),
}

const PUBLISHERS: usize = 3;
const STATES: u32 = 4;
const ADDED_USERS: u64 = 6;
const EPOCH: u64 = 1_700_000_000_000;

pub struct World {
    server: Option<Server>,
    life: u64,
    crashes: u32,
    faults: Faults,
    crash: Option<Crash>,
    random: u64,
    micros: u64,
    order: u64,
    queue: BinaryHeap<(std::cmp::Reverse<(u64, u64)>, usize)>,
    happenings: HashMap<usize, Happening>,
    next_timeout: Option<Instant>,
    disk: BTreeMap<Vec<u8>, Vec<u8>>,
    unwritten: VecDeque<(SaveSequence, Option<Ticket>, Vec<Change>)>,
    durable: SaveSequence,
    held: VecDeque<Transmit>,
    writes: u64,
    writes_in_story: u64,
    actors: Vec<Actor>,
    by_address: HashMap<SocketAddr, usize>,
    answered: Vec<(Ticket, Answer)>,
    /// Users that an administrator has added while the story went on.
    added: u64,
    subscribed: HashSet<String>,
    notify_cseq: HashMap<String, (u32, HashSet<String>)>,
}

fn node_address() -> SocketAddr {
    "192.0.2.1:5060".parse().unwrap()
}

impl World {
    pub fn new(seed: u64, faults: Faults, crash: Option<Crash>) -> Self {
        let mut world = Self {
            server: None,
            life: 0,
            crashes: 0,
            faults,
            crash: None,
            random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            micros: 0,
            order: 0,
            queue: BinaryHeap::new(),
            happenings: HashMap::new(),
            next_timeout: None,
            disk: BTreeMap::new(),
            unwritten: VecDeque::new(),
            durable: SaveSequence(0),
            held: VecDeque::new(),
            writes: 0,
            writes_in_story: 0,
            actors: Vec::new(),
            by_address: HashMap::new(),
            answered: Vec::new(),
            added: 0,
            subscribed: HashSet::new(),
            notify_cseq: HashMap::new(),
        };
        world.boot();
        world.provision();
        world.crash = crash;
        world.writes = 0;
        for index in 0..PUBLISHERS {
            let address = format!("192.0.2.{}:5060", 10 + index).parse().unwrap();
            let pause = 700 + 300 * index as u64;
            let user = format!("user{index}");
            world.add(Actor::Publisher(Publisher::new(&user, address, STATES, pause)), address);
        }
        for id in 0..(2 * PUBLISHERS) {
            let address = format!("192.0.2.{}:5060", 100 + id).parse().unwrap();
            let user = format!("user{}", id % PUBLISHERS);
            let watcher = Watcher::new(u32::try_from(id).unwrap(), &user, address);
            world.add(Actor::Watcher(watcher), address);
        }
        world
    }

    /// Lets the story happen, then the faults end and what is under way comes to rest.
    pub fn run(mut self) -> Self {
        self.schedule(2_000_000, Happening::Administer);
        self.pass(Duration::from_secs(25));
        self.writes_in_story = self.writes;
        self.faults = Faults { loss: 0, repeat: 0, delay_millis: 5 };
        self.pass(Duration::from_secs(70));
        self
    }

    /// All peers fall silent for ever.
    pub fn silence_and_wait(&mut self) {
        for actor in &mut self.actors {
            if let Actor::Watcher(watcher) = actor {
                watcher.is_silent = true;
            }
        }
        self.pass(Duration::from_secs(3700));
    }

    pub fn check(&mut self) {
        self.check_promises();
        for actor in &self.actors {
            let Actor::Watcher(watcher) = actor else { continue };
            assert!(watcher.is_subscribed);
            let published = self.actors.iter().find_map(|actor| match actor {
                Actor::Publisher(p) if p.user == watcher.presentity => Some(p),
                _ => None,
            });
            let published = published.unwrap();
            assert!(published.is_done(), "{} published {}", published.user, published.acknowledged);
            let seen = watcher.seen.as_deref().unwrap_or_default();
            let expected = format!("state-{}.", published.acknowledged);
            assert!(seen.contains(&expected), "{} sees {seen}", watcher.address);
            assert_eq!(seen.matches("<tuple").count(), 1, "no left-over publication: {seen}");
        }
        let totals = self.totals();
        assert_eq!(totals.subscriptions, 2 * PUBLISHERS, "no left-over subscription");
        assert_eq!(totals.publications, PUBLISHERS);
    }

    /// Writes up to the end of the faults; a crash later than that would be no part of the story.
    pub const fn story_writes(&self) -> u64 {
        self.writes_in_story
    }

    pub const fn crashes(&self) -> u32 {
        self.crashes
    }

    pub fn retransmissions(&self) -> u64 {
        self.server.as_ref().unwrap().counters().retransmissions_out
    }

    pub fn totals(&self) -> Totals {
        self.server.as_ref().unwrap().totals()
    }

    pub fn stored_soft_state(&self) -> usize {
        self.disk.keys().filter(|key| key.first() != Some(&b'a')).count()
    }

    fn add(&mut self, actor: Actor, address: SocketAddr) {
        let index = self.actors.len();
        self.actors.push(actor);
        self.by_address.insert(address, index);
        self.schedule(0, Happening::Wake { actor: index });
    }

    fn provision(&mut self) {
        let ids = (0..PUBLISHERS).map(|i| format!("user{i}")).chain(["watcher".to_owned()]);
        let drafts = ids.map(|id| UserDraft { id, ..UserDraft::default() }).collect();
        let now = self.now();
        self.server.as_mut().unwrap().handle_command(now, Ticket(1), Command::ImportUsers(drafts));
        self.drain();
        self.pass(Duration::from_secs(1));
        assert!(matches!(&self.answered[..], [(_, Answer::Imported(all))] if all.len() == 4));
        self.answered.clear();
    }

    /// Adds one more user; the answer, if there is one, is kept as a promise.
    fn administer(&mut self, now: Now) {
        if let Some(server) = &mut self.server {
            self.added += 1;
            let draft = UserDraft { id: format!("late{}", self.added), ..UserDraft::default() };
            server.handle_command(now, Ticket(1000 + self.added), Command::AddUser(draft));
        }
        if self.added < ADDED_USERS {
            self.schedule(3_000_000, Happening::Administer);
        }
    }

    /// Every user whose adding was acknowledged is there.
    fn check_promises(&mut self) {
        let promised = std::mem::take(&mut self.answered);
        let swallowed = u64::from(self.crashes);
        assert!(promised.len() as u64 + swallowed >= ADDED_USERS, "a crash swallows one answer");
        let now = self.now();
        for (ticket, answer) in promised {
            assert!(matches!(answer, Answer::Done), "{answer:?}");
            let show = Command::ShowUser(format!("late{}", ticket.0 - 1000));
            let server = self.server.as_mut().unwrap();
            server.handle_command(now, Ticket(1), show);
            self.drain();
            assert!(matches!(self.answered.pop(), Some((_, Answer::User(_)))), "a broken promise");
        }
    }

    fn boot(&mut self) {
        self.life += 1;
        let config = Config {
            domain: "example.test".to_owned(),
            listeners: vec![(Transport::Udp, node_address())],
            trusted: vec![AddressBlock { address: "192.0.2.0".parse().unwrap(), prefix: 24 }],
            digest: vec![Algorithm::Sha256, Algorithm::Md5],
            limits: Limits::default(),
            secret: [7; 32],
            product: "Lamplight/test".to_owned(),
        };
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.roll().to_be_bytes());
        let mut server = Server::new(config, seed);
        let disk = &self.disk;
        let report = server.restore(self.now(), |visit| {
            disk.iter().for_each(|(key, value)| visit(key, value));
            Ok::<_, Infallible>(())
        });
        assert_eq!(report.unwrap().unreadable, 0);
        self.server = Some(server);
        self.durable = SaveSequence(0);
        self.next_timeout = None;
        self.drain();
    }

    fn die(&mut self) {
        self.server = None;
        self.crashes += 1;
        // Writes go to disk in order, so a random number of the waiting ones made it.
        let made_it = self.roll() % (self.unwritten.len() as u64 + 1);
        for _ in 0..made_it {
            if let Some((_, _, changes)) = self.unwritten.pop_front() {
                write(&mut self.disk, changes);
            }
        }
        self.unwritten.clear();
        self.held.clear();
        self.life += 1;
        let pause = 200_000 + self.roll() % 1_500_000;
        self.schedule(pause, Happening::Restart);
    }

    fn pass(&mut self, time: Duration) {
        let end = self.micros + u64::try_from(time.as_micros()).unwrap();
        while let Some((std::cmp::Reverse((at, _)), _)) = self.queue.peek() {
            if *at > end {
                break;
            }
            let (std::cmp::Reverse((at, _)), id) = self.queue.pop().unwrap();
            self.micros = self.micros.max(at);
            let happening = self.happenings.remove(&id).unwrap();
            self.happen(happening);
        }
        self.micros = end;
    }

    fn happen(&mut self, happening: Happening) {
        let now = self.now();
        match happening {
            Happening::ToNode { from, bytes } => {
                if let Some(server) = &mut self.server {
                    server.handle_message(now, flow(from), &bytes);
                }
            }
            Happening::ToActor { actor, bytes } => {
                let text = String::from_utf8(bytes).unwrap();
                let millis = self.micros / 1000;
                let wishes = match &mut self.actors[actor] {
                    Actor::Publisher(publisher) => publisher.receive(millis, &text),
                    Actor::Watcher(watcher) => watcher.receive(millis, &text),
                };
                self.grant(actor, wishes);
            }
            Happening::Wake { actor } => {
                let millis = self.micros / 1000;
                let wishes = match &mut self.actors[actor] {
                    Actor::Publisher(publisher) => publisher.tick(millis),
                    Actor::Watcher(watcher) => watcher.tick(millis),
                };
                self.grant(actor, wishes);
            }
            Happening::Timeout { life } if life == self.life => {
                self.next_timeout = None;
                if let Some(server) = &mut self.server {
                    server.handle_timeout(now);
                }
            }
            Happening::Written { life, sequence } if life == self.life => self.written(sequence),
            Happening::Restart => self.boot(),
            Happening::Administer => self.administer(now),
            Happening::Timeout { .. } | Happening::Written { .. } => {}
        }
        self.drain();
    }

    fn grant(&mut self, actor: usize, wishes: Vec<Wish>) {
        let from = match &self.actors[actor] {
            Actor::Publisher(publisher) => publisher.address,
            Actor::Watcher(watcher) => watcher.address,
        };
        for wish in wishes {
            match wish {
                Wish::Send(text) => {
                    let bytes = text.into_bytes();
                    self.send(|| Happening::ToNode { from, bytes: bytes.clone() });
                }
                Wish::Wake(millis) => {
                    let delay = (millis * 1000).saturating_sub(self.micros);
                    self.schedule(delay, Happening::Wake { actor });
                }
            }
        }
    }

    fn written(&mut self, sequence: SaveSequence) {
        let now = self.now();
        while let Some((at, _, _)) = self.unwritten.front() {
            if *at > sequence {
                break;
            }
            let (_, ticket, changes) = self.unwritten.pop_front().unwrap();
            write(&mut self.disk, changes);
            if let (Some(ticket), Some(server)) = (ticket, &mut self.server) {
                server.handle_committed(now, ticket, true);
            }
        }
        self.durable = self.durable.max(sequence);
        if let Some(server) = &mut self.server {
            server.handle_durable(now, sequence);
        }
        while self.held.front().is_some_and(|transmit| transmit.after <= self.durable) {
            let transmit = self.held.pop_front().unwrap();
            self.transmit(transmit);
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.server.as_mut().and_then(Server::poll_output) {
            match output {
                Output::Transmit(transmit) if transmit.after > self.durable => {
                    self.held.push_back(transmit);
                }
                Output::Transmit(transmit) => self.transmit(transmit),
                Output::Save { sequence, changes } => self.take(sequence, None, changes),
                Output::Commit { ticket, sequence, changes } => {
                    self.take(sequence, Some(ticket), changes);
                }
                Output::Answered { ticket, answer } => self.answered.push((ticket, answer)),
                Output::Locate { target, .. } => panic!("every host is an address: {target:?}"),
                Output::Close(connection) => panic!("there are no connections: {connection:?}"),
            }
        }
        let Some(server) = &self.server else { return };
        if let Some((at, _)) = server.poll_timeout()
            && self.next_timeout.is_none_or(|armed| armed > at)
        {
            self.next_timeout = Some(at);
            let delay = at.as_micros().saturating_sub(self.micros);
            self.schedule(delay, Happening::Timeout { life: self.life });
        }
    }

    fn take(&mut self, sequence: SaveSequence, ticket: Option<Ticket>, changes: Vec<Change>) {
        self.writes += 1;
        self.unwritten.push_back((sequence, ticket, changes));
        match self.crash {
            Some(crash) if crash.at_write == self.writes => {
                self.crash = None;
                if crash.reaches_disk {
                    for (_, _, changes) in self.unwritten.drain(..) {
                        write(&mut self.disk, changes);
                    }
                } else {
                    self.unwritten.pop_back();
                }
                self.die();
            }
            _ => {
                let delay = 1000 + self.roll() % 20_000;
                self.schedule(delay, Happening::Written { life: self.life, sequence });
            }
        }
    }

    fn transmit(&mut self, transmit: Transmit) {
        let Destination::Flow(flow) = transmit.destination else {
            panic!("datagrams leave by their socket: {:?}", transmit.destination);
        };
        let bytes = transmit.payload.to_bytes();
        self.witness(std::str::from_utf8(&bytes).unwrap());
        let Some(actor) = self.by_address.get(&flow.peer).copied() else {
            panic!("nobody is at {}", flow.peer);
        };
        self.send(|| Happening::ToActor { actor, bytes: bytes.clone() });
    }

    /// What must hold of everything that leaves the node, in every life.
    fn witness(&mut self, message: &str) {
        let call = text::header(message, "Call-ID").unwrap_or_default().to_owned();
        if text::status(message) == Some(200) {
            self.subscribed.insert(call);
        } else if message.starts_with("NOTIFY ") {
            // A crash may swallow the 2xx of a subscription that the disk knows already.
            let is_known = self.subscribed.contains(&call) || self.crashes > 0;
            assert!(is_known, "a NOTIFY before the 2xx (R-12)");
            let (branch, number) = (text::branch(message), text::cseq(message));
            let (highest, branches) = self.notify_cseq.entry(call).or_default();
            if branches.insert(branch) {
                assert!(number > *highest, "CSeq {number} after {highest} (R-01)");
                *highest = number;
            }
        }
    }

    fn send(&mut self, happening: impl Fn() -> Happening) {
        let copies = 1 + u64::from(self.roll() % 100 < self.faults.repeat);
        for _ in 0..copies {
            if self.roll() % 100 >= self.faults.loss {
                let delay = 100 + self.roll() % (self.faults.delay_millis * 1000);
                self.schedule(delay, happening());
            }
        }
    }

    fn schedule(&mut self, delay_micros: u64, happening: Happening) {
        self.order += 1;
        let id = usize::try_from(self.order).unwrap();
        self.happenings.insert(id, happening);
        self.queue.push((std::cmp::Reverse((self.micros + delay_micros, self.order)), id));
    }

    fn now(&self) -> Now {
        Now {
            monotonic: Instant::from_micros(self.micros),
            wall: WallTime::from_millis(EPOCH + self.micros / 1000),
        }
    }

    fn roll(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random >> 11
    }
}

fn write(disk: &mut BTreeMap<Vec<u8>, Vec<u8>>, changes: Vec<Change>) {
    for change in changes {
        match change.value {
            Some(value) => disk.insert(change.key, value),
            None => disk.remove(&change.key),
        };
    }
}

fn flow(peer: SocketAddr) -> Flow {
    Flow {
        transport: Transport::Udp,
        local: node_address(),
        peer,
        connection: ConnectionId::default(),
    }
}

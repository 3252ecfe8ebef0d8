//! The generator itself: one thread that publishes, subscribes and answers for everybody.

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::message::{self, Notify, Start};
use crate::network::Network;
use crate::statistics::Statistics;
use crate::text;

/// RFC 3261 §17.1.1.1.
const T1: Duration = Duration::from_millis(500);
/// RFC 3261 §17.1.2.2: the longest interval between retransmissions.
const T2: Duration = Duration::from_secs(4);
/// Who has not been answered by then has failed.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often timers are looked at.
const TIMERS: Duration = Duration::from_millis(50);
/// Datagrams that are taken from a socket in a row.
const BURST: usize = 64;
/// The life of everything.
const EXPIRES: u32 = 3_600;

/// One thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A user registers, first or again.
    Register(u32),
    /// A presentity publishes a change; over when all its watchers have heard.
    Publish(u32),
    /// A dialog begins; over with its NOTIFY.
    Subscribe(u32),
    /// A dialog is refreshed; over with its NOTIFY.
    Refresh(u32),
    /// A dialog ends; over with its last NOTIFY.
    Unsubscribe(u32),
}

impl Operation {
    const fn name(self) -> &'static str {
        match self {
            Self::Register(_) => "REGISTER",
            Self::Publish(_) => "PUBLISH",
            Self::Subscribe(_) => "SUBSCRIBE",
            Self::Refresh(_) => "refresh",
            Self::Unsubscribe(_) => "unsubscribe",
        }
    }
}

/// How many there are of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Users who publish.
    pub presentities: u32,
    /// Watchers that each has: the users that come next after it.
    pub watchers: u32,
}

impl Size {
    /// Users in all: the presentities, and more where those are too few to be the watchers.
    pub fn users(self) -> u32 {
        self.presentities.max(self.watchers + 1)
    }

    /// Dialogs in all.
    pub const fn dialogs(self) -> u32 {
        self.presentities * self.watchers
    }

    /// Who watches, and whom.
    pub fn ends(self, dialog: u32) -> (u32, u32) {
        let presentity = dialog / self.watchers;
        ((presentity + 1 + dialog % self.watchers) % self.users(), presentity)
    }
}

#[derive(Debug, Default)]
struct Presentity {
    change: u32,
    published: Option<Instant>,
    entity_tag: String,
    watching: u32,
    unaware: u32,
    registrations: u32,
    publish: u64,
    register: u64,
    is_answered: bool,
}

#[derive(Debug, Default)]
struct Dialog {
    generation: u32,
    cseq: u32,
    tag: String,
    notified: u32,
    change: u32,
    is_on: bool,
    is_answered: bool,
    is_notified: bool,
    is_last: bool,
    operation: u64,
    began: Option<Instant>,
}

#[derive(Debug)]
struct Transaction {
    operation: Operation,
    serial: u32,
    is_free: bool,
    text: Vec<u8>,
    link: usize,
    sent: Instant,
    resend: Instant,
    interval: Duration,
}

/// Everybody's state, and the network.
pub struct Driver {
    network: Network,
    server: SocketAddr,
    size: Size,
    presentities: Vec<Presentity>,
    dialogs: Vec<Dialog>,
    transactions: Vec<Transaction>,
    free: Vec<u32>,
    serial: u32,
    started: VecDeque<(u64, Operation, Instant)>,
    operation: u64,
    open: usize,
    timers: Instant,
    document: Vec<u8>,
    buffer: Vec<u8>,
    answer: Vec<u8>,
    /// Dialogs that have ended.
    pub ended: Vec<u32>,
    /// What happened since it was taken last.
    pub statistics: Statistics,
}

impl Driver {
    /// Nobody has done anything yet.
    pub fn new(network: Network, server: SocketAddr, size: Size) -> Self {
        let of = |count: u32| 0..count;
        Self {
            network,
            server,
            size,
            presentities: of(size.users()).map(|_| Presentity::default()).collect(),
            dialogs: of(size.dialogs()).map(|_| Dialog::default()).collect(),
            transactions: Vec::new(),
            free: Vec::new(),
            serial: 0,
            started: VecDeque::new(),
            operation: 0,
            open: 0,
            timers: Instant::now() + TIMERS,
            document: Vec::new(),
            buffer: vec![0; 65_535],
            answer: Vec::new(),
            ended: Vec::new(),
            statistics: Statistics::default(),
        }
    }

    /// Operations that are not over.
    pub const fn open(&self) -> usize {
        self.open
    }

    /// Does all that, never more than `window` at once; how long it took.
    pub fn run(
        &mut self,
        window: usize,
        operations: impl IntoIterator<Item = Operation>,
    ) -> Duration {
        let began = Instant::now();
        let mut operations = operations.into_iter().peekable();
        while operations.peek().is_some() || self.open > 0 {
            while self.open < window
                && let Some(operation) = operations.next_if(|next| !self.is_busy(*next))
            {
                self.start(operation);
            }
            self.turn(TIMERS);
        }
        began.elapsed()
    }

    /// Answers what still comes for that long.
    pub fn settle(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.turn(until.saturating_duration_since(Instant::now()));
        }
    }

    /// Takes what has arrived, waits at most `limit` for it, and sees to the timers.
    pub fn turn(&mut self, limit: Duration) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for ready in 0..self.network.wait(limit) {
            let link = self.network.ready(ready);
            for _ in 0..BURST {
                let Some(length) = self.network.receive(link, &mut buffer) else { break };
                self.receive(link, &buffer[..length]);
            }
        }
        self.buffer = buffer;
        if Instant::now() >= self.timers {
            self.timers = Instant::now() + TIMERS;
            self.retransmit();
        }
    }

    /// The number of the operation under way on the same object, 0 when there is none.
    fn under_way(&self, operation: Operation) -> u64 {
        match operation {
            Operation::Register(user) => self.presentities[user as usize].register,
            Operation::Publish(user) => self.presentities[user as usize].publish,
            Operation::Subscribe(dialog)
            | Operation::Refresh(dialog)
            | Operation::Unsubscribe(dialog) => self.dialogs[dialog as usize].operation,
        }
    }

    /// Whether an operation on the same object is not over.
    fn is_busy(&self, operation: Operation) -> bool {
        self.under_way(operation) != 0
    }

    fn makes_sense(&self, operation: Operation) -> bool {
        match operation {
            Operation::Register(_) | Operation::Publish(_) => true,
            Operation::Subscribe(dialog) => !self.dialogs[dialog as usize].is_on,
            Operation::Refresh(dialog) | Operation::Unsubscribe(dialog) => {
                self.dialogs[dialog as usize].is_on
            }
        }
    }

    /// Begins an operation; false when the one before it on the same object is not over, or when
    /// it makes no sense.
    pub fn start(&mut self, operation: Operation) -> bool {
        if self.is_busy(operation) || !self.makes_sense(operation) {
            return false;
        }
        let now = Instant::now();
        self.operation += 1;
        let number = self.operation;
        self.open += 1;
        self.started.push_back((number, operation, now));
        match operation {
            Operation::Register(user) => {
                let user = &mut self.presentities[user as usize];
                user.register = number;
                user.registrations += 1;
            }
            Operation::Publish(user) => {
                let user = &mut self.presentities[user as usize];
                self.statistics.superseded += u64::from(user.unaware);
                user.publish = number;
                user.change += 1;
                user.published = Some(now);
                user.is_answered = false;
                user.unaware = user.watching;
            }
            Operation::Subscribe(index)
            | Operation::Refresh(index)
            | Operation::Unsubscribe(index) => {
                let dialog = &mut self.dialogs[index as usize];
                if matches!(operation, Operation::Subscribe(_)) {
                    dialog.generation += 1;
                    dialog.cseq = 0;
                    dialog.notified = 0;
                    dialog.tag.clear();
                }
                dialog.cseq += 1;
                dialog.operation = number;
                dialog.began = Some(now);
                dialog.is_answered = false;
                dialog.is_notified = false;
                dialog.is_last = matches!(operation, Operation::Unsubscribe(_));
                if dialog.is_last {
                    self.watch(index, false);
                }
            }
        }
        self.ask(operation, now);
        true
    }

    /// A dialog's watcher counts among those who hear of changes from here on, or no longer.
    fn watch(&mut self, index: u32, is_on: bool) {
        let dialog = &mut self.dialogs[index as usize];
        if dialog.is_on == is_on {
            return;
        }
        dialog.is_on = is_on;
        let user = (index / self.size.watchers) as usize;
        let presentity = &mut self.presentities[user];
        if is_on {
            presentity.watching += 1;
            dialog.change = dialog.change.max(presentity.change);
            return;
        }
        presentity.watching -= 1;
        // It may have been the last that had to hear of a change.
        if dialog.change < presentity.change {
            presentity.unaware = presentity.unaware.saturating_sub(1);
            self.see_published(user);
        }
    }

    fn ask(&mut self, operation: Operation, now: Instant) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.transactions.push(Transaction {
                operation,
                serial: 0,
                is_free: true,
                text: Vec::with_capacity(1_500),
                link: 0,
                sent: now,
                resend: now,
                interval: T1,
            });
            (self.transactions.len() - 1) as u32
        });
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        let mut text = std::mem::take(&mut self.transactions[slot as usize].text);
        let link = self.write(operation, slot, serial, &mut text);
        self.send(link, &text);
        self.transactions[slot as usize] = Transaction {
            operation,
            serial,
            is_free: false,
            text,
            link,
            sent: now,
            resend: now + T1,
            interval: T1,
        };
    }

    /// Writes a request; the link that it leaves by.
    fn write(&mut self, operation: Operation, slot: u32, serial: u32, text: &mut Vec<u8>) -> usize {
        let server = self.server;
        let (from, to) = match operation {
            Operation::Register(user) | Operation::Publish(user) => (user, user),
            Operation::Subscribe(d) | Operation::Refresh(d) | Operation::Unsubscribe(d) => {
                self.size.ends(d)
            }
        };
        let link = from as usize % self.network.count();
        let local = self.network.local(link);
        let start = Start {
            method: "",
            user: None,
            server,
            local,
            slot,
            serial,
            from,
            from_tag: "g",
            to,
            to_tag: "",
            call: "",
            cseq: 1,
        };
        match operation {
            Operation::Register(user) => {
                let cseq = self.presentities[user as usize].registrations;
                let call = format!("r{user:08x}@{local}");
                let start = Start { method: "REGISTER", call: &call, cseq, ..start };
                message::begin(text, &start);
                let contact = format!("<sip:u{user:06}@{local}>");
                write!(text, "Contact: {contact}\r\nExpires: {EXPIRES}\r\n")
                    .expect("memory takes it");
                message::end(text);
            }
            Operation::Publish(user) => {
                let presentity = &self.presentities[user as usize];
                let change = presentity.change;
                let call = format!("p{user:08x}{change:08x}@{local}");
                let start = Start { method: "PUBLISH", user: Some(user), call: &call, ..start };
                message::begin(text, &start);
                write!(text, "Event: presence\r\nExpires: {EXPIRES}\r\n").expect("memory takes it");
                if !presentity.entity_tag.is_empty() {
                    write!(text, "SIP-If-Match: {}\r\n", presentity.entity_tag)
                        .expect("memory takes it");
                }
                message::end_with_document(text, &mut self.document, user, change);
            }
            Operation::Subscribe(index)
            | Operation::Refresh(index)
            | Operation::Unsubscribe(index) => {
                let dialog = &self.dialogs[index as usize];
                let call = format!("d{index:08x}.{}@{local}", dialog.generation);
                let is_first = matches!(operation, Operation::Subscribe(_));
                let start = Start {
                    method: "SUBSCRIBE",
                    user: is_first.then_some(to),
                    from_tag: &format!("d{index:x}.{}", dialog.generation),
                    to_tag: &dialog.tag,
                    call: &call,
                    cseq: dialog.cseq,
                    ..start
                };
                message::begin(text, &start);
                let expires = if dialog.is_last { 0 } else { EXPIRES };
                write!(
                    text,
                    "Contact: <sip:d{index:08x}@{local}>\r\nEvent: presence\r\n\
                     Accept: application/pidf+xml\r\nExpires: {expires}\r\n"
                )
                .expect("memory takes it");
                message::end(text);
            }
        }
        link
    }

    fn send(&mut self, link: usize, bytes: &[u8]) {
        self.statistics.datagrams += 1;
        if !self.network.send(link, bytes) {
            self.statistics.fail("not sent");
        }
    }

    fn receive(&mut self, link: usize, bytes: &[u8]) {
        self.statistics.datagrams += 1;
        if bytes.first() == Some(&b'S') {
            if let Some(response) = message::response(bytes) {
                self.answered(response, bytes);
            } else {
                self.statistics.fail("foreign response");
            }
            return;
        }
        let mut answer = std::mem::take(&mut self.answer);
        if let Some(notify) = message::answer_notify(bytes, &mut answer) {
            self.send(link, &answer);
            self.notified(notify);
        } else {
            self.statistics.fail("foreign request");
        }
        self.answer = answer;
    }

    fn answered(&mut self, response: message::Response, bytes: &[u8]) {
        let Some(transaction) = self.transactions.get_mut(response.slot as usize) else { return };
        if transaction.is_free || transaction.serial != response.serial || response.status < 200 {
            return;
        }
        transaction.is_free = true;
        self.free.push(response.slot);
        let (operation, sent) = (transaction.operation, transaction.sent);
        if response.status >= 300 {
            self.statistics.fail(format!("{} {}", operation.name(), response.status));
            self.give_up(operation);
            return;
        }
        match operation {
            Operation::Register(user) => {
                self.presentities[user as usize].register = 0;
                self.complete(sent.elapsed());
            }
            Operation::Publish(user) => {
                let presentity = &mut self.presentities[user as usize];
                presentity.is_answered = true;
                if let Some(tag) = text::header(bytes, "SIP-ETag:") {
                    tag.clone_into(&mut presentity.entity_tag);
                }
                self.see_published(user as usize);
            }
            Operation::Subscribe(index)
            | Operation::Refresh(index)
            | Operation::Unsubscribe(index) => {
                let dialog = &mut self.dialogs[index as usize];
                dialog.is_answered = true;
                if dialog.tag.is_empty()
                    && let Some(tag) = text::header(bytes, "To:").and_then(text::tag)
                {
                    tag.clone_into(&mut dialog.tag);
                }
                self.see_subscribed(index);
            }
        }
    }

    fn notified(&mut self, notify: Notify) {
        let Some(dialog) = self.dialogs.get_mut(notify.dialog as usize) else {
            self.statistics.fail("NOTIFY for nobody");
            return;
        };
        if notify.cseq <= dialog.notified {
            self.statistics.retransmissions.1 += 1;
            return;
        }
        self.statistics.notifies += 1;
        self.statistics.overtaken += u64::from(dialog.tag.is_empty());
        dialog.notified = notify.cseq;
        let user = (notify.dialog / self.size.watchers) as usize;
        if let Some(change) = notify.change
            && change > dialog.change
        {
            dialog.change = change;
            let presentity = &mut self.presentities[user];
            if dialog.is_on && change == presentity.change {
                presentity.unaware = presentity.unaware.saturating_sub(1);
                if let Some(published) = presentity.published {
                    self.statistics.latencies.note(published.elapsed());
                }
                self.see_published(user);
            }
        }
        let dialog = &mut self.dialogs[notify.dialog as usize];
        if dialog.operation != 0 && notify.is_last == dialog.is_last {
            dialog.is_notified = true;
            self.see_subscribed(notify.dialog);
        } else if notify.is_last && dialog.is_on {
            self.statistics.fail("subscription ended by the server");
            self.watch(notify.dialog, false);
        }
    }

    fn see_published(&mut self, user: usize) {
        let presentity = &mut self.presentities[user];
        if presentity.publish != 0 && presentity.is_answered && presentity.unaware == 0 {
            presentity.publish = 0;
            if presentity.watching > 0 {
                // The latency that counts was noted with each NOTIFY.
                self.open -= 1;
                self.statistics.done += 1;
            } else if let Some(published) = presentity.published {
                self.complete(published.elapsed());
            }
        }
    }

    fn see_subscribed(&mut self, index: u32) {
        let dialog = &mut self.dialogs[index as usize];
        if dialog.operation == 0 || !dialog.is_answered || !dialog.is_notified {
            return;
        }
        dialog.operation = 0;
        let (is_last, began) = (dialog.is_last, dialog.began);
        if is_last {
            self.ended.push(index);
        } else {
            self.watch(index, true);
        }
        self.complete(began.map_or(Duration::ZERO, |began| began.elapsed()));
    }

    fn complete(&mut self, latency: Duration) {
        self.open -= 1;
        self.statistics.done += 1;
        self.statistics.latencies.note(latency);
    }

    /// An operation has failed; what it was about may be tried again.
    fn give_up(&mut self, operation: Operation) {
        let number = match operation {
            Operation::Register(user) => {
                std::mem::take(&mut self.presentities[user as usize].register)
            }
            Operation::Publish(user) => {
                let presentity = &mut self.presentities[user as usize];
                presentity.unaware = 0;
                presentity.entity_tag.clear();
                std::mem::take(&mut presentity.publish)
            }
            Operation::Subscribe(index)
            | Operation::Refresh(index)
            | Operation::Unsubscribe(index) => {
                let number = std::mem::take(&mut self.dialogs[index as usize].operation);
                self.watch(index, false);
                self.ended.push(index);
                number
            }
        };
        self.open -= usize::from(number != 0);
    }

    fn retransmit(&mut self) {
        let now = Instant::now();
        for slot in 0..self.transactions.len() {
            let transaction = &mut self.transactions[slot];
            if transaction.is_free || now < transaction.resend {
                continue;
            }
            if now - transaction.sent > PATIENCE {
                transaction.is_free = true;
                self.free.push(slot as u32);
                continue;
            }
            transaction.interval = T2.min(transaction.interval * 2);
            transaction.resend = now + transaction.interval;
            self.statistics.retransmissions.0 += 1;
            self.statistics.datagrams += 1;
            self.network.send(transaction.link, &transaction.text);
        }
        while let Some((number, operation, began)) = self.started.front().copied() {
            let is_over = self.under_way(operation) != number;
            if !is_over && now - began <= PATIENCE {
                break;
            }
            self.started.pop_front();
            if !is_over {
                self.statistics.fail(self.complaint(operation));
                self.give_up(operation);
            }
        }
    }

    fn complaint(&self, operation: Operation) -> String {
        let is_answered = match operation {
            Operation::Register(_) => false,
            Operation::Publish(user) => self.presentities[user as usize].is_answered,
            Operation::Subscribe(index)
            | Operation::Refresh(index)
            | Operation::Unsubscribe(index) => self.dialogs[index as usize].is_answered,
        };
        format!(
            "{} {}",
            operation.name(),
            if is_answered { "without NOTIFY" } else { "unanswered" }
        )
    }
}

//! The generator itself: one thread that publishes, subscribes and answers for everybody.

pub mod account;
mod answer;
mod request;
mod timer;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use account::Accounts;

use crate::network::Network;
use crate::statistics::Statistics;

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

/// Some of the subscriptions are short, and nobody refreshes those.
#[derive(Debug, Clone, Copy)]
pub struct Brief {
    /// One of so many.
    pub every: u32,
    /// Seconds that they last.
    pub expires: u32,
}

impl Brief {
    /// Whether that dialog is one.
    pub const fn includes(self, dialog: u32) -> bool {
        dialog.is_multiple_of(self.every)
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
    publications: u32,
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
    challenges: u8,
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
    /// How long an operation may take.
    pub patience: Duration,
    /// Digest, where the server asks for it.
    pub accounts: Option<Accounts>,
    /// Subscriptions that are short.
    pub brief: Option<Brief>,
    /// Short subscriptions that the server has ended, and when.
    pub expired: Vec<(u32, Instant)>,
    /// Dialogs that have ended.
    pub ended: Vec<u32>,
    /// Operations that came to their end, good or bad, in the last turn; a refresh as SUBSCRIBE.
    pub finished: Vec<Operation>,
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
            patience: PATIENCE,
            accounts: None,
            brief: None,
            expired: Vec::new(),
            ended: Vec::new(),
            finished: Vec::new(),
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

    /// Answers what comes for that long; whether there was a NOTIFY.
    pub fn hears_within(&mut self, time: Duration) -> bool {
        let before = self.statistics.notifies;
        self.settle(time);
        self.statistics.notifies != before
    }

    /// How many there are of what.
    pub const fn size(&self) -> Size {
        self.size
    }

    /// Takes what has arrived, waits at most `limit` for it, and sees to the timers.
    pub fn turn(&mut self, limit: Duration) {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.finished.clear();
        for ready in 0..self.network.wait(limit) {
            let link = self.network.ready(ready);
            for _ in 0..BURST {
                let Some(length) = self.network.receive(link, &mut buffer) else { break };
                self.receive(link, &buffer[..length]);
            }
        }
        self.buffer = buffer;
        for _ in 0..self.network.take_closed() {
            self.statistics.fail("connection closed by the server");
        }
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
                user.publications = 1;
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
        self.ask(operation, now, 0);
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

    fn is_brief(&self, dialog: u32) -> bool {
        self.brief.is_some_and(|brief| brief.includes(dialog))
    }

    fn see_published(&mut self, user: usize) {
        let presentity = &mut self.presentities[user];
        if presentity.publish != 0 && presentity.is_answered && presentity.unaware == 0 {
            presentity.publish = 0;
            if presentity.watching > 0 {
                // The latency that counts was noted with each NOTIFY.
                self.open -= 1;
                self.statistics.done += 1;
                self.finished.push(Operation::Publish(user as u32));
            } else if let Some(published) = presentity.published {
                self.complete(Operation::Publish(user as u32), published.elapsed());
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
        let mut operation = Operation::Subscribe(index);
        if is_last {
            self.ended.push(index);
            operation = Operation::Unsubscribe(index);
        } else {
            self.watch(index, true);
        }
        self.complete(operation, began.map_or(Duration::ZERO, |began| began.elapsed()));
    }

    fn complete(&mut self, operation: Operation, latency: Duration) {
        self.finished.push(operation);
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
        if number != 0 {
            self.open -= 1;
            self.finished.push(operation);
        }
    }
}

//! The phases of the bench, and what each costs the server.

use std::error::Error;
use std::time::{Duration, Instant};

use crate::driver::{Driver, Operation, Size};
use crate::server::{Kind, Memory, Server};
use crate::socket::Sockets;
use crate::statistics::Statistics;

/// How the bench is to run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Who and how many.
    pub size: Size,
    /// How often every presentity changes.
    pub rounds: u32,
    /// PUBLISHes under way at once.
    pub window: usize,
    /// SUBSCRIBEs under way at once.
    pub subscribe_window: usize,
    /// Sockets that the watchers share.
    pub sockets: usize,
    /// NOTIFYs a second of the open loop, and how long it lasts.
    pub steady: (u32, Duration),
}

/// The phases, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// First PUBLISH of everybody, nobody watching.
    Publish,
    /// All subscriptions.
    Subscribe,
    /// Changes, each told to all watchers, as fast as it goes.
    FanOut,
    /// The same at a fixed rate.
    Steady,
    /// All subscriptions again.
    Refresh,
    /// All subscriptions end.
    Unsubscribe,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Publish,
        Self::Subscribe,
        Self::FanOut,
        Self::Steady,
        Self::Refresh,
        Self::Unsubscribe,
    ];

    /// Its name, and what its numbers are counted by.
    pub const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Publish => ("publish", "PUBLISH"),
            Self::Subscribe => ("subscribe", "SUBSCRIBE"),
            Self::FanOut => ("fan-out", "NOTIFY"),
            Self::Steady => ("steady", "NOTIFY"),
            Self::Refresh => ("refresh", "SUBSCRIBE"),
            Self::Unsubscribe => ("unsubscribe", "SUBSCRIBE"),
        }
    }
}

/// What a phase gave.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Which.
    pub phase: Phase,
    /// How long it took.
    pub time: Duration,
    /// Processor time of the server.
    pub cpu: Duration,
    /// Memory of the server afterwards.
    pub memory: Memory,
    /// What happened.
    pub statistics: Statistics,
}

impl Measured {
    /// How many of its unit there were.
    pub fn units(&self) -> u64 {
        match self.phase {
            Phase::FanOut | Phase::Steady => self.statistics.notifies,
            Phase::Publish | Phase::Subscribe | Phase::Refresh | Phase::Unsubscribe => {
                self.statistics.done
            }
        }
    }

    /// Units a second.
    pub fn rate(&self) -> f64 {
        self.units() as f64 / self.time.as_secs_f64()
    }

    /// Microseconds of the server's processor time for each unit.
    pub fn cpu_per_unit(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.units().max(1) as f64
    }

    /// Microseconds of the server's processor time for each datagram in or out.
    pub fn cpu_per_datagram(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.statistics.datagrams.max(1) as f64
    }
}

/// Runs all phases against a server of that kind.
pub fn run(kind: Kind, plan: &Plan) -> Result<Vec<Measured>, Box<dyn Error>> {
    let size = plan.size;
    let server = Server::start(kind, size.users)?;
    let sockets = Sockets::open(plan.sockets, server.address)?;
    let mut driver = Driver::new(sockets, server.address, size);
    let mut all = Vec::new();
    // What starting costs is no part of the first phase.
    driver.settle(Duration::from_millis(300));
    for phase in Phase::ALL {
        let before = server.cpu()?;
        driver.statistics = Statistics::default();
        let time = drive(&mut driver, phase, plan);
        // What is written behind belongs to the phase that caused it.
        driver.settle(Duration::from_millis(200));
        let cpu = server.cpu()?.saturating_sub(before);
        let statistics = std::mem::take(&mut driver.statistics);
        all.push(Measured { phase, time, cpu, memory: server.memory(), statistics });
    }
    Ok(all)
}

fn drive(driver: &mut Driver, phase: Phase, plan: &Plan) -> Duration {
    let (users, dialogs) = (0..plan.size.users, dialogs(plan.size));
    match phase {
        Phase::Publish => driver.run(plan.window, users.map(Operation::Publish)),
        Phase::FanOut => {
            let changes = (0..plan.rounds).flat_map(|_| 0..plan.size.users);
            driver.run(plan.window, changes.map(Operation::Publish))
        }
        Phase::Steady => steady(driver, plan),
        Phase::Subscribe => driver.run(plan.subscribe_window, dialogs.map(Operation::Subscribe)),
        Phase::Refresh => driver.run(plan.subscribe_window, dialogs.map(Operation::Refresh)),
        Phase::Unsubscribe => {
            driver.run(plan.subscribe_window, dialogs.map(Operation::Unsubscribe))
        }
    }
}

/// All dialogs, the first watcher of everybody before the second of anybody.
pub fn dialogs(size: Size) -> impl Iterator<Item = u32> {
    (0..size.watchers)
        .flat_map(move |watcher| (0..size.users).map(move |user| user * size.watchers + watcher))
}

fn steady(driver: &mut Driver, plan: &Plan) -> Duration {
    let (rate, lasting) = plan.steady;
    let interval = Duration::from_secs(1) * plan.size.watchers / rate.max(1);
    let began = Instant::now();
    let mut due = began;
    let mut user = 0;
    while began.elapsed() < lasting {
        let now = Instant::now();
        while due <= now {
            driver.start(Operation::Publish(user));
            user = (user + 1) % plan.size.users;
            due += interval;
        }
        driver.turn(due.saturating_duration_since(Instant::now()));
    }
    let time = began.elapsed();
    driver.run(1, []);
    time
}

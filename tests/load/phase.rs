//! The phases of the bench, and what each costs the server.

use std::error::Error;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::driver::{Driver, Operation, Size};
use crate::network::{Network, Transport};
use crate::server::{Kind, Memory, Server, Setup};
use crate::statistics::Statistics;

/// How the bench is to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Who and how many.
    pub size: Size,
    /// How often every presentity changes.
    pub rounds: u32,
    /// PUBLISHes under way at once.
    pub window: usize,
    /// SUBSCRIBEs under way at once.
    pub subscribe_window: usize,
    /// How SIP is carried.
    pub transport: Transport,
    /// Sockets or connections that the users share.
    pub sockets: usize,
    /// NOTIFYs a second of the open loop, and how long it lasts.
    pub steady: (u32, Duration),
    /// What is run; the phases of one run build on each other.
    pub phases: Vec<Phase>,
    /// Whether to wait for the server's transactions to end before memory is measured.
    pub settles: bool,
    /// What to do around phases.
    pub hooks: Vec<Hook>,
    /// How the servers are started.
    pub setup: Setup,
}

/// A command that is run around a phase.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Around which.
    pub phase: Phase,
    /// After it, or before.
    pub is_after: bool,
    /// For the shell.
    pub command: String,
}

/// PUBLISHes of the first phase, over all presentities.
const LEAST_PUBLISHES: u32 = 5_000;

/// How long a server keeps the transactions of what it has answered over UDP (RFC 3261 §17.2.2,
/// timer J), and some seconds to tidy up.
const TRANSACTIONS: Duration = Duration::from_secs(36);

/// The phases, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// PUBLISHes of everybody, nobody watching.
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

    /// The phase of that name.
    pub fn named(name: &str) -> Result<Self, Box<dyn Error>> {
        let found = Self::ALL.into_iter().find(|phase| phase.names().0 == name);
        found.ok_or_else(|| format!("there is no phase {name}").into())
    }

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
    /// Memory of the server straight afterwards.
    pub memory: Memory,
    /// The same when the transactions of the phase have ended, where that was waited for.
    pub settled: Option<Memory>,
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

/// Runs the phases against a server of that kind.
pub fn run(kind: Kind, plan: &Plan) -> Result<Vec<Measured>, Box<dyn Error>> {
    let server = Server::start(kind, &plan.setup)?;
    let network = Network::open(plan.transport, plan.sockets, server.address(plan.transport)?)?;
    let mut driver = Driver::new(network, server.address(plan.transport)?, plan.size);
    let mut all = Vec::new();
    // What starting costs is no part of the first phase.
    driver.settle(Duration::from_millis(300));
    for phase in Phase::ALL.into_iter().filter(|phase| plan.phases.contains(phase)) {
        plan.run_hooks(phase, false, &server)?;
        let before = server.cpu()?;
        driver.statistics = Statistics::default();
        let time = drive(&mut driver, phase, plan);
        // What is written behind belongs to the phase that caused it.
        driver.settle(Duration::from_millis(200));
        let cpu = server.cpu()?.saturating_sub(before);
        let statistics = std::mem::take(&mut driver.statistics);
        let memory = server.memory();
        plan.run_hooks(phase, true, &server)?;
        let settles = plan.settles && matches!(phase, Phase::Publish | Phase::Subscribe);
        let settled = settles.then(|| {
            driver.settle(TRANSACTIONS);
            server.memory()
        });
        let measured = Measured { phase, time, cpu, memory, settled, statistics };
        eprintln!(
            "  {}: {:.1} s, {:.2} microseconds a unit, {} failures",
            phase.names().0,
            time.as_secs_f64(),
            measured.cpu_per_unit(),
            measured.statistics.failed(),
        );
        all.push(measured);
    }
    Ok(all)
}

impl Plan {
    fn run_hooks(
        &self,
        phase: Phase,
        is_after: bool,
        server: &Server,
    ) -> Result<(), Box<dyn Error>> {
        for hook in self.hooks.iter().filter(|h| h.phase == phase && h.is_after == is_after) {
            let mut command = Command::new("sh");
            let pid = server.id().to_string();
            let status = command.args(["-c", &hook.command]).env("PID", pid).status()?;
            if !status.success() {
                return Err(format!("{}: {status}", hook.command).into());
            }
        }
        Ok(())
    }
}

fn drive(driver: &mut Driver, phase: Phase, plan: &Plan) -> Duration {
    let (users, dialogs) = (0..plan.size.presentities, dialogs(plan.size));
    match phase {
        Phase::Publish => {
            // So often that it can be measured.
            let rounds = (LEAST_PUBLISHES / users.end).max(1);
            let all = (0..rounds).flat_map(|_| users.clone());
            driver.run(plan.window, all.map(Operation::Publish))
        }
        Phase::FanOut => {
            let changes = (0..plan.rounds).flat_map(|_| 0..plan.size.presentities);
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
    (0..size.watchers).flat_map(move |watcher| {
        (0..size.presentities).map(move |user| user * size.watchers + watcher)
    })
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
            user = (user + 1) % plan.size.presentities;
            due += interval;
        }
        driver.turn(due.saturating_duration_since(Instant::now()));
    }
    let time = began.elapsed();
    driver.run(1, []);
    time
}

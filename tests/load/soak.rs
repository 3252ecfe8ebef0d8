//! The soak: a full node at the rate it was designed for, for minutes, with an eye on its memory.

use std::error::Error;
use std::time::{Duration, Instant};

use crate::driver::{Driver, Operation, Size};
use crate::network::{Network, Transport};
use crate::phase::dialogs;
use crate::server::{Kind, Server, Setup};
use crate::statistics::{Millis, Statistics};

/// How the soak is to run.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Who and how many.
    pub size: Size,
    /// How long, once everybody has subscribed.
    pub lasting: Duration,
    /// How much of that is warm-up.
    pub warm_up: Duration,
    /// Changes a second.
    pub changes: f64,
    /// Refreshes a second.
    pub refreshes: f64,
    /// Subscriptions a second that end and begin anew.
    pub renewals: f64,
    /// Registrations a second.
    pub registrations: f64,
    /// Sockets that the watchers share.
    pub sockets: usize,
}

const SAMPLE: Duration = Duration::from_secs(10);
/// Operations under way beyond which new ones are left out, and counted as late.
const MOST_OPEN: usize = 20_000;
const WINDOW: usize = 256;

/// Something that is due at a rate, going around all of its kind.
struct Clockwork {
    due: Instant,
    interval: Duration,
    next: u32,
    count: u32,
}

impl Clockwork {
    fn new(now: Instant, rate: f64, count: u32) -> Self {
        let interval = Duration::from_secs_f64(1.0 / rate.max(0.001));
        Self { due: now + interval, interval, next: 0, count }
    }

    /// The next of its kind, when it is due. Goes around by a stride so that neighbours, who
    /// share watchers, are apart.
    fn tick(&mut self, now: Instant) -> Option<u32> {
        if self.due > now {
            return None;
        }
        self.due += self.interval;
        self.next = (self.next + 7_919) % self.count;
        Some(self.next)
    }
}

/// Runs it; whether all went well.
pub fn run(plan: &Plan) -> Result<bool, Box<dyn Error>> {
    let size = plan.size;
    let server = Server::start(Kind::Lamplight, &Setup::of(size))?;
    let address = server.address(Transport::Udp)?;
    println!("presenced is process {} at {address}", server.id());
    let network = Network::open(Transport::Udp, plan.sockets, address)?;
    let mut driver = Driver::new(network, address, size);
    for (name, time) in [
        ("registered", driver.run(WINDOW, (0..size.presentities).map(Operation::Register))),
        ("published", driver.run(WINDOW, (0..size.presentities).map(Operation::Publish))),
        ("subscribed", driver.run(WINDOW, dialogs(size).map(Operation::Subscribe))),
    ] {
        println!("{name} in {:.1} s", time.as_secs_f64());
    }
    let set_up = std::mem::take(&mut driver.statistics);
    tell(&set_up, "set-up");

    let began = Instant::now();
    let cpu = server.cpu()?;
    let mut changes = Clockwork::new(began, plan.changes, size.presentities);
    let mut refreshes = Clockwork::new(began, plan.refreshes, size.dialogs());
    let mut renewals = Clockwork::new(began, plan.renewals, size.dialogs());
    let mut registrations = Clockwork::new(began, plan.registrations, size.presentities);
    let mut sample = began + SAMPLE;
    let mut samples = Vec::new();
    let mut total = Statistics::default();
    let mut late = 0_u64;
    driver.ended.clear();
    println!(
        "{:>6} {:>9} {:>9} {:>9} {:>8} {:>8} {:>8} {:>7} {:>7}",
        "s", "RSS MiB", "PSS MiB", "NOTIFY/s", "p50 ms", "p99 ms", "max ms", "rexmit", "failed"
    );
    while began.elapsed() < plan.lasting {
        let now = Instant::now();
        while let Some(dialog) = driver.ended.pop() {
            driver.start(Operation::Subscribe(dialog));
        }
        let mut ask = |operation| {
            let is_started = driver.open() < MOST_OPEN && driver.start(operation);
            late += u64::from(!is_started);
        };
        while let Some(user) = changes.tick(now) {
            ask(Operation::Publish(user));
        }
        while let Some(dialog) = refreshes.tick(now) {
            ask(Operation::Refresh(dialog));
        }
        while let Some(dialog) = renewals.tick(now) {
            ask(Operation::Unsubscribe(dialog));
        }
        while let Some(user) = registrations.tick(now) {
            ask(Operation::Register(user));
        }
        driver.turn(changes.due.min(refreshes.due).saturating_duration_since(Instant::now()));
        if now >= sample {
            sample += SAMPLE;
            let memory = server.memory();
            samples.push((began.elapsed(), memory));
            let mut statistics = std::mem::take(&mut driver.statistics);
            let of = |s: &mut Statistics, rank| Millis(s.latencies.quantile(rank));
            println!(
                "{:>6.0} {:>9.1} {:>9.1} {:>9.0} {:>8} {:>8} {:>8} {:>7} {:>7}",
                began.elapsed().as_secs_f64(),
                memory.rss as f64 / 1024.0,
                memory.pss as f64 / 1024.0,
                statistics.notifies as f64 / SAMPLE.as_secs_f64(),
                of(&mut statistics, 500),
                of(&mut statistics, 990),
                of(&mut statistics, 1_000),
                statistics.retransmissions.0 + statistics.retransmissions.1,
                statistics.failed(),
            );
            total.add(statistics);
        }
    }
    let time = began.elapsed();
    let cpu = server.cpu()?.saturating_sub(cpu);
    driver.run(1, []);
    total.add(std::mem::take(&mut driver.statistics));
    tell(&total, "soak");
    println!(
        "p50 {} ms, p99 {} ms, p99.9 {} ms, longest {} ms; {late} operations left out; the server used {:.1} % of a core",
        Millis(total.latencies.quantile(500)),
        Millis(total.latencies.quantile(990)),
        Millis(total.latencies.quantile(999)),
        Millis(total.latencies.quantile(1_000)),
        cpu.as_secs_f64() / time.as_secs_f64() * 100.0,
    );
    let warm = samples.iter().find(|(at, _)| *at >= plan.warm_up);
    if let (Some((from, first)), Some((to, last))) = (warm, samples.last()) {
        let mib = |kib: u64| kib as f64 / 1024.0;
        let most = samples.iter().map(|(_, memory)| memory.rss).max().unwrap_or_default();
        println!(
            "RSS {:.1} MiB at {:.0} s, {:.1} MiB at {:.0} s: {:+.1} MiB after warm-up; most {:.1} MiB",
            mib(first.rss),
            from.as_secs_f64(),
            mib(last.rss),
            to.as_secs_f64(),
            mib(last.rss) - mib(first.rss),
            mib(most),
        );
    }
    Ok(set_up.failed() + total.failed() == 0)
}

fn tell(statistics: &Statistics, what: &str) {
    println!(
        "{what}: {} operations and {} NOTIFYs done, {} datagrams; retransmissions {} ours, {} the \
         server's; {} changes superseded, {} NOTIFYs before their answer; {} failures",
        statistics.done,
        statistics.notifies,
        statistics.datagrams,
        statistics.retransmissions.0,
        statistics.retransmissions.1,
        statistics.superseded,
        statistics.overtaken,
        statistics.failed(),
    );
    for (kind, count) in &statistics.failures {
        println!("  {count} x {kind}");
    }
}

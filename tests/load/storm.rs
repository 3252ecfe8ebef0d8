//! The storm: all users of a full node sign in within half a minute, with digest.

use std::collections::VecDeque;
use std::error::Error;
use std::time::{Duration, Instant};

use crate::driver::account::Accounts;
use crate::driver::{Driver, Operation, Size};
use crate::goal;
use crate::network::{Network, Transport};
use crate::server::{Kind, Server, Setup};
use crate::statistics::{Millis, Statistics};

/// How the storm is to be.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Users, and the contacts that each subscribes to.
    pub size: Size,
    /// The time in which all users begin.
    pub opening: Duration,
    /// SUBSCRIBEs that a client has under way at once.
    pub at_once: usize,
    /// How SIP is carried; every client has a socket of its own.
    pub transport: Transport,
    /// The only digest algorithm that clients take up.
    pub algorithm: Option<String>,
}

/// RFC 3261 §17.1.2.2, timer F.
const TIMER_F: Duration = Duration::from_secs(32);

/// A client on its way: registered, then published, then subscribed to everybody.
struct Client {
    waiting: VecDeque<Operation>,
    under_way: usize,
    began: Instant,
}

/// Runs it; whether all were served.
pub fn run(plan: &Plan) -> Result<bool, Box<dyn Error>> {
    let size = plan.size;
    let server = Server::start(Kind::Lamplight, &Setup { asks: true, ..Setup::of(size) })?;
    println!(
        "{} users imported, their passwords hashed, in {:.1} s; presenced is process {}",
        size.users(),
        server.imported.as_secs_f64(),
        server.id(),
    );
    let address = server.address(plan.transport)?;
    let network = Network::open(plan.transport, size.users() as usize, address)?;
    let mut driver = Driver::new(network, address, size);
    driver.accounts = Some(Accounts::new(size.users(), plan.algorithm.clone()));
    driver.patience = TIMER_F;
    let began = Instant::now();
    let cpu = server.cpu()?;
    let mut clients: Vec<Option<Client>> = (0..size.users()).map(|_| None).collect();
    let mut statistics = Statistics::default();
    let (mut next, mut served) = (0, Vec::new());
    while served.len() < clients.len() {
        let now = Instant::now();
        while next < size.users() && now >= began + plan.opening * next / size.users() {
            clients[next as usize] = Some(Client::new(size, next, now));
            proceed(&mut driver, &mut clients[next as usize], plan.at_once);
            next += 1;
        }
        driver.turn(Duration::from_millis(2));
        for operation in std::mem::take(&mut driver.finished) {
            let user = match operation {
                Operation::Register(user) | Operation::Publish(user) => user,
                Operation::Subscribe(dialog)
                | Operation::Refresh(dialog)
                | Operation::Unsubscribe(dialog) => size.ends(dialog).0,
            };
            let place = &mut clients[user as usize];
            if let Some(client) = place {
                client.under_way -= 1;
                if client.waiting.is_empty() && client.under_way == 0 {
                    served.push(client.began.elapsed());
                    *place = None;
                } else {
                    proceed(&mut driver, place, plan.at_once);
                }
            }
        }
        if now > began + plan.opening + Duration::from_secs(600) {
            driver.statistics.fail("not served within ten minutes");
            break;
        }
    }
    let time = began.elapsed();
    driver.settle(Duration::from_secs(1));
    let cpu = server.cpu()?.saturating_sub(cpu);
    statistics.add(std::mem::take(&mut driver.statistics));
    served.sort();
    let of_clients = |rank: usize| served.get((served.len() * rank / 100).min(served.len() - 1));
    println!(
        "{} clients over {}, begun within {:.0} s, were done after {:.1} s; server CPU {:.1} s; \
         {} challenges",
        served.len(),
        plan.transport.token(),
        plan.opening.as_secs_f64(),
        time.as_secs_f64(),
        cpu.as_secs_f64(),
        statistics.challenges,
    );
    println!(
        "a client was done after {} ms (median), {} ms (99 of 100), {} ms (all)",
        Millis(of_clients(50).copied()),
        Millis(of_clients(99).copied()),
        Millis(served.last().copied()),
    );
    println!(
        "a request, or a change, took {} ms (median), {} ms (99 of 100), {} ms (all); \
         retransmissions {} ours, {} the server's",
        Millis(statistics.latencies.quantile(500)),
        Millis(statistics.latencies.quantile(990)),
        Millis(statistics.latencies.quantile(1_000)),
        statistics.retransmissions.0,
        statistics.retransmissions.1,
    );
    println!("PSS {:.1} MiB", server.memory().pss as f64 / 1_024.0);
    for (what, count) in &statistics.failures {
        println!("  {count} x {what}");
    }
    goal::head();
    let failed = statistics.failed();
    goal::tell("storm: requests not served", 0.0, "", Some(failed as f64));
    Ok(failed == 0)
}

/// Begins what a client may begin: one thing after the other, but several SUBSCRIBEs at once.
fn proceed(driver: &mut Driver, client: &mut Option<Client>, at_once: usize) {
    let Some(client) = client else { return };
    while let Some(operation) = client.waiting.front().copied() {
        let most = if matches!(operation, Operation::Subscribe(_)) { at_once } else { 1 };
        if client.under_way >= most {
            return;
        }
        client.waiting.pop_front();
        if driver.start(operation) {
            client.under_way += 1;
        } else {
            driver.statistics.fail("not begun");
        }
    }
}

impl Client {
    fn new(size: Size, user: u32, began: Instant) -> Self {
        let users = size.users();
        // Who watches whom: see `Size::ends`.
        let watched = (0..size.watchers).map(|place| (user + users - 1 - place) % users);
        let dialogs = watched.enumerate().map(|(place, p)| p * size.watchers + place as u32);
        let first = [Operation::Register(user), Operation::Publish(user)];
        let waiting = first.into_iter().chain(dialogs.map(Operation::Subscribe)).collect();
        Self { waiting, under_way: 0, began }
    }
}

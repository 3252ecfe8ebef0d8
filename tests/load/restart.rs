//! The restart: a full node is stopped, or killed, and starts again: how soon does it answer, and
//! has it kept what it promised?

use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::driver::{Brief, Driver, Operation, Size};
use crate::goal;
use crate::message;
use crate::network::{Network, Transport};
use crate::phase::dialogs;
use crate::server::{Kind, Server, Setup};
use crate::statistics::Statistics;

/// What is to be restarted.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Who and how many.
    pub size: Size,
    /// How it is ended, one after the other, each time with all subscriptions on disk.
    pub signals: Vec<Signal>,
    /// Seconds that the short subscriptions last, which are made just before the end; none are
    /// when 0.
    pub brief: u32,
}

/// One subscription of so many is short.
const SHORT_OF: u32 = 997;
const WINDOW: usize = 256;
/// How often we ask a node that starts whether it serves.
const ASKING: Duration = Duration::from_millis(2);
/// How long a node may take to serve before it has failed.
const PATIENCE: Duration = Duration::from_secs(120);
/// How far the end of a subscription may be from when it is due: what is granted is whole seconds.
const PUNCTUAL: Duration = Duration::from_secs(2);

/// Runs it; whether nothing was lost.
pub fn run(plan: &Plan) -> Result<bool, Box<dyn Error>> {
    let mut measured = Vec::new();
    let mut failed = 0;
    for signal in &plan.signals {
        let (time, failures) = run_one(plan, *signal)?;
        measured.push((*signal, time));
        failed += failures;
    }
    goal::head();
    for (signal, time) in measured {
        let what = format!("restart after {}, to the first answer", signal.as_str());
        goal::tell(what, 2.0, "s", Some(time.as_secs_f64()));
    }
    goal::tell("restart: promises not kept", 0.0, "", Some(failed as f64));
    Ok(failed == 0)
}

fn run_one(plan: &Plan, signal: Signal) -> Result<(Duration, u64), Box<dyn Error>> {
    let size = plan.size;
    let mut server = Server::start(Kind::Lamplight, &Setup::of(size))?;
    let address = server.address(Transport::Udp)?;
    let network = Network::open(Transport::Udp, size.users() as usize, address)?;
    let mut driver = Driver::new(network, address, size);
    driver.brief = (plan.brief > 0).then_some(Brief { every: SHORT_OF, expires: plan.brief });
    let brief = driver.brief;
    let is_short = |dialog: &u32| brief.is_some_and(|brief| brief.includes(*dialog));
    driver.run(WINDOW, (0..size.presentities).map(Operation::Publish));
    let long = dialogs(size).filter(|dialog| !is_short(dialog));
    let filling = driver.run(WINDOW, long.map(Operation::Subscribe));
    let granted = Instant::now();
    let short = dialogs(size).filter(is_short);
    driver.run(WINDOW, short.map(Operation::Subscribe));
    let set_up = tell("filled", &mut driver);
    println!(
        "{} subscriptions in {:.1} s; PSS {:.1} MiB",
        size.dialogs(),
        filling.as_secs_f64(),
        server.memory().pss as f64 / 1_024.0,
    );

    let ending = server.stop(signal)?;
    println!("{signal} ended it in {:.2} s", ending.as_secs_f64());
    let began = Instant::now();
    server.start_again()?;
    let time = first_answer(address, began)?;
    println!("first answer {:.3} s after it was started again", time.as_secs_f64());
    let settling = Instant::now();
    while driver.hears_within(Duration::from_secs(1)) {}
    println!(
        "{} NOTIFYs of full state within {:.1} s; server CPU {:.1} s since it started; PSS {:.1} MiB",
        driver.statistics.notifies,
        settling.elapsed().as_secs_f64() - 1.0,
        server.cpu()?.as_secs_f64(),
        server.memory().pss as f64 / 1_024.0,
    );
    let mut failed = set_up + tell("restarted", &mut driver);

    let due = granted + Duration::from_secs(plan.brief.into());
    let changing = driver.run(32, (0..size.presentities).map(Operation::Publish));
    let heard = driver.statistics.notifies;
    println!("{heard} NOTIFYs of a change in {:.1} s", changing.as_secs_f64());
    failed += tell("changed", &mut driver);

    if plan.brief > 0 {
        driver.settle((due + PUNCTUAL).saturating_duration_since(Instant::now()));
        failed += see_expired(&driver, due);
    }
    let long = dialogs(size).filter(|dialog| !is_short(dialog));
    let refreshing = driver.run(WINDOW, long.map(Operation::Refresh));
    println!("all others refreshed in {:.1} s", refreshing.as_secs_f64());
    failed += tell("refreshed", &mut driver);
    Ok((time, failed))
}

/// How many short subscriptions did not end when they were due.
fn see_expired(driver: &Driver, due: Instant) -> u64 {
    let size = driver.size();
    let short = u64::from(size.dialogs().div_ceil(SHORT_OF));
    let apart = |at: Instant| at.max(due) - at.min(due);
    let ended = || driver.expired.iter().map(|(_, at)| *at);
    let punctual = ended().filter(|at| apart(*at) <= PUNCTUAL).count() as u64;
    let worst = ended().map(apart).max().unwrap_or_default();
    println!(
        "{punctual} of {short} short subscriptions ended when they were due; the worst {:.2} s apart",
        worst.as_secs_f64(),
    );
    short - punctual
}

/// Asks until somebody answers; how long after `began` that was.
fn first_answer(server: SocketAddr, began: Instant) -> Result<Duration, Box<dyn Error>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(server)?;
    socket.set_nonblocking(true)?;
    let local = socket.local_addr()?;
    let mut number = 0;
    while began.elapsed() < PATIENCE {
        number += 1;
        // While nobody listens sending fails, or receiving does.
        let _ = socket.send(message::options(server, local, number).as_bytes());
        std::thread::sleep(ASKING);
        if socket.recv(&mut [0; 2_048]).is_ok() {
            return Ok(began.elapsed());
        }
    }
    Err(format!("no answer within {PATIENCE:?}").into())
}

/// Tells of failures and forgets them; how many there were.
fn tell(what: &str, driver: &mut Driver) -> u64 {
    let statistics: Statistics = std::mem::take(&mut driver.statistics);
    for (failure, count) in &statistics.failures {
        println!("{what}: {count} x {failure}");
    }
    statistics.failed()
}

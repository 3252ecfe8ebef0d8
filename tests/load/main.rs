//! Measures servers under the load of presence: `load bench` compares Lamplight with the floor of
//! kernel UDP and with Kamailio, `load soak` keeps a full node busy and watches its memory,
//! `load storm` has all its users sign in at once, `load restart` stops it when it is full,
//! `load idle` weighs its connections, `load lists` tells changes by lists.

mod bare;
mod driver;
mod goal;
mod idle;
mod lists;
mod message;
mod network;
mod options;
mod phase;
mod report;
mod restart;
mod server;
mod soak;
mod statistics;
mod storm;
mod text;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use nix::sys::signal::Signal;

use driver::Size;
use network::Transport;
use options::Options;
use phase::{Hook, Phase, Plan};
use server::{Kind, Setup};

const USAGE: &str = "\
usage: load bench [--presentities 100] [--watchers 100] [--rounds 10] [--runs 5] [--window 32]
                  [--subscribe-window 256] [--sockets ONE-A-USER] [--rate NOTIFYS-A-SECOND]
                  [--transport udp|tcp|tls] [--connections ONE-A-USER]
                  [--only SERVER,…] [--phases PHASE,…] [--memory] [--wrap COMMAND]
                  [--peer-allocator fm|tlsf|qm]
                  [--before PHASE=COMMAND] [--after PHASE=COMMAND]
       load bench --large   5,000 x 100 beside 100 x 100, one run, with memory
       load soak  [--users 5000] [--watchers 20] [--minutes 10] [--warm-up MINUTES]
                  [--changes 75] [--refreshes 30] [--renewals 5] [--registrations 5]
                  [--sockets ONE-A-USER]      (rates a second)
       load storm [--users 5000] [--contacts 100] [--seconds 30] [--at-once 4]
                  [--transport udp|tcp|tls] [--algorithm MD5|SHA-256]
       load restart [--presentities 5000] [--watchers 100] [--signal TERM|KILL] [--brief 60]
       load idle [--connections 2000]
       load lists [--users 5000] [--contacts 100] [--rounds 2]

Servers are floor, lamplight, kamailio; phases publish, subscribe, fan-out, steady, refresh and
unsubscribe. --wrap starts the servers under a command, a profiler for instance. --before and
--after run a command with sh, PID being the server's process: to attach perf, or to wait for
a key. --memory waits for transactions to end where memory is measured.";

/// What the large bench leaves to the size that it is compared with.
const SMALL: Size = Size { presentities: 100, watchers: 100 };

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().ok_or(USAGE)?;
    let options = Options::read(arguments, USAGE)?;
    match what.as_str() {
        "bench" => bench(options),
        "soak" => soak(options),
        "storm" => storm(options),
        "restart" => restart(options),
        "idle" => idle(options),
        "lists" => lists(options),
        "bare" => bare(options),
        _ => Err(USAGE.into()),
    }
}

fn bench(mut options: Options) -> Result<bool, Box<dyn Error>> {
    let is_large = options.has("large");
    let usual = if is_large { (5_000, 1, 1) } else { (100, 10, 5) };
    let size = Size {
        presentities: options.take("presentities", usual.0)?,
        watchers: options.take("watchers", 100)?,
    };
    if size.presentities == 0 || size.watchers == 0 {
        return Err("there must be presentities and watchers".into());
    }
    let transport = options.take("transport", Transport::Udp)?;
    let plan = Plan {
        size,
        rounds: options.take("rounds", usual.1)?,
        window: options.take("window", 32)?,
        subscribe_window: options.take("subscribe-window", 256)?,
        transport,
        sockets: match options.text("connections") {
            Some(count) => count.parse()?,
            None => options.take("sockets", size.users() as usize)?,
        },
        steady: (options.take("rate", 1_500)?, Duration::from_secs(10)),
        phases: phases(&mut options, is_large)?,
        settles: options.has("memory") || is_large,
        hooks: hooks(&mut options)?,
        setup: Setup {
            wrap: options.text("wrap").unwrap_or_default(),
            peer_allocator: options.take("peer-allocator", "fm".to_owned())?,
            ..Setup::of(size)
        },
    };
    let runs: u32 = options.take("runs", usual.2)?;
    let only = options.text("only");
    options.end()?;
    let mut kinds = Kind::all();
    // The others are measured over UDP only.
    kinds.retain(|kind| transport == Transport::Udp || *kind == Kind::Lamplight);
    kinds.retain(|kind| only.as_ref().is_none_or(|o| o.split(',').any(|n| n == kind.name())));
    let mut plans = vec![plan];
    if is_large {
        let sockets = SMALL.users() as usize;
        let setup = Setup { users: SMALL.users(), ..plans[0].setup.clone() };
        let setup = Setup { subscriptions: SMALL.dialogs(), ..setup };
        let rest = plans[0].clone();
        let small = Plan { size: SMALL, rounds: 10, settles: false, sockets, setup, ..rest };
        plans.insert(0, small);
    }
    let mut all: Vec<_> = plans.iter().map(|_| Vec::new()).collect();
    for run in 1..=runs {
        for (plan, runs_of_plan) in plans.iter().zip(&mut all) {
            for kind in &kinds {
                let subscriptions = plan.size.dialogs();
                eprintln!("run {run} of {runs}: {} with {subscriptions}", kind.name());
                runs_of_plan.push((*kind, phase::run(*kind, plan)?));
            }
        }
    }
    let mut failed = 0;
    for (plan, runs) in plans.iter().zip(&all) {
        failed += report::print(runs, &kinds, plan);
    }
    goal::print(&plans, &all);
    Ok(failed == 0)
}

fn phases(options: &mut Options, is_large: bool) -> Result<Vec<Phase>, Box<dyn Error>> {
    if let Some(names) = options.text("phases") {
        return names.split(',').map(Phase::named).collect();
    }
    // Kamailio takes longer to end so many subscriptions than for all the rest.
    let is_usual = |phase: &Phase| !(is_large && *phase == Phase::Unsubscribe);
    Ok(Phase::ALL.into_iter().filter(is_usual).collect())
}

fn hooks(options: &mut Options) -> Result<Vec<Hook>, Box<dyn Error>> {
    let mut hooks = Vec::new();
    for (name, is_after) in [("before", false), ("after", true)] {
        let Some(text) = options.text(name) else { continue };
        let (phase, command) = text.split_once('=').ok_or(USAGE)?;
        hooks.push(Hook { phase: Phase::named(phase)?, is_after, command: command.to_owned() });
    }
    Ok(hooks)
}

fn soak(mut options: Options) -> Result<bool, Box<dyn Error>> {
    let size = Size {
        presentities: options.take("users", 5_000)?,
        watchers: options.take("watchers", 20)?,
    };
    if size.watchers == 0 || size.presentities == 0 {
        return Err("there must be users and watchers".into());
    }
    let minutes: f64 = options.take("minutes", 10.0)?;
    let warm_up: f64 = options.take("warm-up", minutes / 5.0)?;
    let plan = soak::Plan {
        size,
        lasting: Duration::from_secs_f64(minutes * 60.0),
        warm_up: Duration::from_secs_f64(warm_up * 60.0),
        changes: options.take("changes", 75.0)?,
        refreshes: options.take("refreshes", 30.0)?,
        renewals: options.take("renewals", 5.0)?,
        registrations: options.take("registrations", 5.0)?,
        sockets: options.take("sockets", size.users() as usize)?,
    };
    options.end()?;
    soak::run(&plan)
}

fn storm(mut options: Options) -> Result<bool, Box<dyn Error>> {
    let size = Size {
        presentities: options.take("users", 5_000)?,
        watchers: options.take("contacts", 100)?,
    };
    if size.watchers == 0 || size.presentities <= size.watchers {
        return Err("there must be contacts, and more users than contacts".into());
    }
    let plan = storm::Plan {
        size,
        opening: Duration::from_secs_f64(options.take("seconds", 30.0)?),
        at_once: options.take("at-once", 4)?,
        transport: options.take("transport", Transport::Udp)?,
        algorithm: options.text("algorithm"),
    };
    options.end()?;
    storm::run(&plan)
}

fn restart(mut options: Options) -> Result<bool, Box<dyn Error>> {
    let size = Size {
        presentities: options.take("presentities", 5_000)?,
        watchers: options.take("watchers", 100)?,
    };
    if size.presentities == 0 || size.watchers == 0 {
        return Err("there must be presentities and watchers".into());
    }
    let plan = restart::Plan {
        size,
        signals: match options.text("signal").as_deref() {
            None => vec![Signal::SIGTERM, Signal::SIGKILL],
            Some("TERM") => vec![Signal::SIGTERM],
            Some("KILL") => vec![Signal::SIGKILL],
            Some(_) => return Err(USAGE.into()),
        },
        brief: options.take("brief", 60)?,
    };
    options.end()?;
    restart::run(&plan)
}

fn idle(mut options: Options) -> Result<bool, Box<dyn Error>> {
    let connections = options.take("connections", 2_000)?;
    options.end()?;
    idle::run(connections)
}

fn lists(mut options: Options) -> Result<bool, Box<dyn Error>> {
    let size = Size {
        presentities: options.take("users", 5_000)?,
        watchers: options.take("contacts", 100)?,
    };
    if size.watchers == 0 || size.presentities <= size.watchers {
        return Err("there must be contacts, and more users than contacts".into());
    }
    let plain = Plan {
        size: SMALL,
        rounds: 10,
        window: 32,
        subscribe_window: 256,
        transport: Transport::Udp,
        sockets: SMALL.users() as usize,
        steady: (0, Duration::ZERO),
        phases: vec![Phase::Subscribe, Phase::FanOut],
        settles: false,
        hooks: Vec::new(),
        setup: Setup::of(SMALL),
    };
    let rounds = options.take("rounds", 2)?;
    options.end()?;
    lists::run(&lists::Plan { size, rounds, window: 64, plain })
}

/// What `idle` compares with.
fn bare(mut options: Options) -> Result<bool, Box<dyn Error>> {
    let data = options.text("data");
    options.end()?;
    bare::run(data.as_ref().map(Path::new))
}

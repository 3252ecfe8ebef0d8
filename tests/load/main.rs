//! Measures servers under the load of presence: `load bench` compares Lamplight with the floor of
//! kernel UDP, `load soak` keeps a full node busy and watches its memory.

mod driver;
mod message;
mod phase;
mod report;
mod server;
mod soak;
mod socket;
mod statistics;
mod text;

use std::collections::BTreeMap;
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

use driver::Size;
use server::Kind;

const USAGE: &str = "\
usage: load bench [--users 500] [--watchers 20] [--rounds 5] [--runs 3] [--window 32]
                  [--subscribe-window 256] [--sockets 4] [--rate NOTIFYS-A-SECOND] [--only NAME,…]
       load soak  [--users 5000] [--watchers 20] [--minutes 10] [--warm-up MINUTES]
                  [--changes 75] [--refreshes 30] [--renewals 5] [--registrations 5]
                  [--sockets 4]      (rates a second)";

/// The options given, by name.
struct Options(BTreeMap<String, String>);

impl Options {
    fn read(arguments: impl Iterator<Item = String>) -> Result<Self, Box<dyn Error>> {
        let mut options = BTreeMap::new();
        let mut arguments = arguments;
        while let Some(name) = arguments.next() {
            let name = name.strip_prefix("--").ok_or(USAGE)?.to_owned();
            options.insert(name, arguments.next().ok_or(USAGE)?);
        }
        Ok(Self(options))
    }

    fn take<T: std::str::FromStr>(&mut self, name: &str, usual: T) -> Result<T, Box<dyn Error>> {
        match self.0.remove(name) {
            Some(text) => text.parse().map_err(|_| format!("--{name} {text}?\n{USAGE}").into()),
            None => Ok(usual),
        }
    }

    fn end(self) -> Result<(), Box<dyn Error>> {
        match self.0.keys().next() {
            Some(name) => Err(format!("--{name}?\n{USAGE}").into()),
            None => Ok(()),
        }
    }
}

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
    let options = Options::read(arguments)?;
    match what.as_str() {
        "bench" => bench(options),
        "soak" => soak(options),
        _ => Err(USAGE.into()),
    }
}

fn size(options: &mut Options, users: u32) -> Result<Size, Box<dyn Error>> {
    let size =
        Size { users: options.take("users", users)?, watchers: options.take("watchers", 20)? };
    if size.watchers == 0 || size.watchers >= size.users {
        return Err("there must be watchers, and more users than watchers".into());
    }
    Ok(size)
}

fn bench(mut options: Options) -> Result<bool, Box<dyn Error>> {
    let plan = phase::Plan {
        size: size(&mut options, 500)?,
        rounds: options.take("rounds", 5)?,
        window: options.take("window", 32)?,
        subscribe_window: options.take("subscribe-window", 256)?,
        sockets: options.take("sockets", 4)?,
        steady: (options.take("rate", 1_500)?, Duration::from_secs(5)),
    };
    let runs: u32 = options.take("runs", 3)?;
    let only: String = options.take("only", String::new())?;
    options.end()?;
    let mut kinds = Kind::all();
    kinds.retain(|kind| only.is_empty() || only.split(',').any(|name| name == kind.name()));
    let mut all = Vec::new();
    for run in 1..=runs {
        for kind in &kinds {
            eprintln!("run {run} of {runs}: {}", kind.name());
            all.push((*kind, phase::run(*kind, &plan)?));
        }
    }
    Ok(report::print(&all, &kinds, &plan) == 0)
}

fn soak(mut options: Options) -> Result<bool, Box<dyn Error>> {
    let size = size(&mut options, 5_000)?;
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
        sockets: options.take("sockets", 4)?,
    };
    options.end()?;
    soak::run(&plan)
}

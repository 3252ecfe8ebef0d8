//! What `make run` and `make run-host` start: Lamplight at work between two people, and then in
//! your hands. Without a terminal it ends after the demonstration.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{SigSet, Signal};

mod host;
mod machine;
mod people;

/// The domain that is served.
const DOMAIN: &str = "lamplight.test";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let asked = Arguments::read()?;
    // Before any thread is started, so that all of them leave the signals to `sigwait`.
    let ending = ending();
    ending.thread_block().context("cannot block signals")?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
    std::env::set_current_dir(root).with_context(|| format!("cannot enter {}", root.display()))?;
    match asked.how {
        How::Machine { accelerator } => machine::run(accelerator, ending),
        How::Host { address } => host::run(address, ending),
    }
}

/// The signals that end the program.
fn ending() -> SigSet {
    SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP])
}

/// What was asked for.
struct Arguments {
    how: How,
}

enum How {
    /// The firmware in QEMU.
    Machine { accelerator: String },
    /// The daemon alone.
    Host { address: IpAddr },
}

impl Arguments {
    fn read() -> Result<Self> {
        let mut is_host = false;
        let mut address: IpAddr = Ipv4Addr::LOCALHOST.into();
        let mut accelerator = "tcg".to_owned();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--host" => is_host = true,
                "--address" => {
                    let text = arguments.next().context("--address needs an address")?;
                    address = text.parse().with_context(|| format!("{text} is no IP address"))?;
                    ensure!(!address.is_unspecified(), "name one address of this machine");
                }
                "--accelerator" => {
                    accelerator = arguments.next().context("--accelerator needs tcg or kvm")?;
                    ensure!(
                        ["tcg", "kvm"].contains(&accelerator.as_str()),
                        "{accelerator} is unknown: tcg emulates, kvm uses the processor"
                    );
                }
                other => bail!(
                    "{other} is unknown; there is --accelerator tcg|kvm, and --host [--address ADDRESS]"
                ),
            }
        }
        let how = if is_host { How::Host { address } } else { How::Machine { accelerator } };
        Ok(Self { how })
    }
}
